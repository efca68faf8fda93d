import assert from "node:assert/strict";
import { test } from "node:test";
import { StoreObject, Transaction } from "../../proto/gen/skein/v1/objects.js";
import { describeObject, describeTransaction } from "./describe-transaction.js";

const secret = {
  object: {
    $case: "secret" as const,
    value: { id: "s1", annotations: { name: "password", labels: {} }, data: Buffer.from("hunter2") },
  },
};

test("a transaction is told by kind, table, name and id", () => {
  const data = Transaction.encode(
    Transaction.fromPartial({
      preconditions: [{ key: { table: "secret", id: "s1" }, versionIndex: 0 }],
      actions: [
        { action: { $case: "put", value: secret } },
        { action: { $case: "remove", value: { table: "task", id: "t9" } } },
      ],
    }),
  ).finish();
  assert.deepEqual(describeTransaction(data), {
    proposedAtMs: 0,
    preconditions: 1,
    actions: [
      { action: "put", table: "secret", id: "s1", name: "password" },
      { action: "remove", table: "task", id: "t9" },
    ],
  });
});

test("no content of a secret is told", () => {
  const value = StoreObject.encode(StoreObject.fromPartial(secret)).finish();
  const text = JSON.stringify(describeObject({ key: "secret/s1", value }));
  assert.equal(text, '{"table":"secret","id":"s1","name":"password","version":0}');
});

test("bytes that are no transaction are called unreadable", () => {
  const described = describeTransaction(Buffer.from([0xff, 0xff, 0xff]));
  assert.ok("unreadable" in described);
});
