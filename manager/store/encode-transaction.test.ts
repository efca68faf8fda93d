import assert from "node:assert/strict";
import { test } from "node:test";
import { type StoreAction, Task, Transaction } from "../../proto/gen/skein/v1/objects.js";
import { type EncodedAction, encodeObject, encodeTransaction } from "./encode-transaction.js";
import { toStoreObject } from "./tables.js";

test("a transaction put together from encoded objects has the bytes of one encoded whole", () => {
  const task = Task.fromPartial({ id: "t1", serviceId: "s", spec: { container: { image: "app" } } });
  const key = { table: "node", id: "n1" };
  const put: StoreAction = { action: { $case: "put", value: toStoreObject("task", task) } };
  const remove: StoreAction = { action: { $case: "remove", value: key } };
  const encoded: EncodedAction[] = [
    { action: put, object: encodeObject("task", task).bytes, isExact: true },
    { action: remove, object: undefined, isExact: true },
  ];
  const preconditions = [
    { key: { table: "task", id: "t1" }, versionIndex: 0 },
    { key, versionIndex: 2 ** 40 },
    { key: undefined, versionIndex: 7 },
  ];
  for (const head of [
    { proposalId: "p-1", proposedAtMs: 12.5 },
    { proposalId: "", proposedAtMs: 0 },
  ]) {
    for (const actions of [[], encoded]) {
      const whole = { ...head, preconditions, actions: actions.map(({ action }) => action) };
      const bytes = encodeTransaction(head, { preconditions, actions });
      assert.deepEqual(Buffer.from(bytes), Buffer.from(Transaction.encode(whole).finish()));
    }
  }
});
