/**
 * What a proposer holds is what everybody else decodes: over random objects of every table, made from the
 * schema, so that a new field is covered the day it is added.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import protobuf from "protobufjs";
import { InvalidArgumentError } from "../../base/errors/errors.js";
import { Node, Secret, StoreObject, Task } from "../../proto/gen/skein/v1/objects.js";
import { createTestStore } from "../../test/support/test-store.js";
import { encodeObject } from "./encode-transaction.js";
import { TABLE_NAMES, toStoreObject } from "./tables.js";
import type { TableName, Tables } from "./types.js";

const root = new protobuf.Root();
root.resolvePath = (_, target) => (target.startsWith("proto/") ? target : `proto/${target}`);
root.loadSync("proto/skein/v1/objects.proto").resolveAll();

/** Few of those that are not read as they are written, or no object would be without one. */
const text = fc.oneof(
  { weight: 100, arbitrary: fc.string({ maxLength: 8 }) },
  { weight: 100, arbitrary: fc.string({ unit: "binary", maxLength: 60 }) },
  { weight: 50, arbitrary: fc.constantFrom("constructor", "7", "toString") },
  { weight: 1, arbitrary: fc.constantFrom("__proto__", "\ud800", "ä\udfff") },
);
const INT64 = fc.oneof(fc.maxSafeInteger(), fc.constantFrom(0, -0, -1, 2 ** 31, -(2 ** 31), 2 ** 53 - 1));
const UINT64 = fc.oneof(fc.maxSafeNat(), fc.constantFrom(0, -0, 2 ** 31, 2 ** 32, 2 ** 53 - 1));
const SCALARS: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  string: text,
  bool: fc.boolean(),
  bytes: fc.uint8Array({ maxLength: 6 }),
  double: fc.double({ noNaN: true, noDefaultInfinity: true }),
  int32: fc.integer(),
  int64: INT64,
  uint32: fc.oneof(fc.nat({ max: 2 ** 32 - 1 }), fc.constantFrom(127, 128)),
  uint64: UINT64,
};

const made = new Map<protobuf.Type, fc.Arbitrary<Record<string, unknown>>>();

function fieldValue(field: protobuf.Field): fc.Arbitrary<unknown> {
  const { resolvedType } = field;
  if (resolvedType instanceof protobuf.Enum) return fc.constantFrom(...Object.keys(resolvedType.values));
  if (resolvedType instanceof protobuf.Type) return messageOf(resolvedType);
  const scalar = SCALARS[field.type];
  assert.ok(scalar !== undefined, `a value for ${field.fullName}: ${field.type}`);
  return scalar;
}

function fieldOf(field: protobuf.Field): fc.Arbitrary<unknown> {
  const value = fieldValue(field);
  if (field instanceof protobuf.MapField) {
    return fc.array(fc.tuple(text, value), { maxLength: 2 }).map((entries) => Object.fromEntries(entries));
  }
  if (field.repeated) return fc.array(value, { maxLength: 2 });
  const isOptional = field.resolvedType instanceof protobuf.Type || field.partOf !== null;
  return isOptional ? fc.option(value, { nil: undefined, freq: 4 }) : value;
}

function messageOf(type: protobuf.Type): fc.Arbitrary<Record<string, unknown>> {
  const known = made.get(type);
  if (known !== undefined) return known;
  const shape: Record<string, fc.Arbitrary<unknown>> = {};
  for (const field of type.fieldsArray) {
    if (field.partOf === null || field.partOf.name.startsWith("_")) shape[field.name] = fieldOf(field);
  }
  for (const { name, fieldsArray } of type.oneofsArray) {
    if (name.startsWith("_")) continue; // an optional field
    const cases = fieldsArray.map((field) =>
      fc.record({ $case: fc.constant(field.name), value: fieldValue(field) }),
    );
    shape[name] = fc.option(fc.oneof(...cases), { nil: undefined, freq: 4 });
  }
  const message = fc.record(shape);
  made.set(type, message);
  return message;
}

/** Fields that are undefined are absent; 0 and -0 are one number. */
function plain(value: unknown): unknown {
  const text = JSON.stringify(value, (_, part: unknown) => (part instanceof Uint8Array ? [...part] : part));
  return JSON.parse(text);
}

function decoded(table: TableName, bytes: Uint8Array): unknown {
  const { object } = StoreObject.decode(new Uint8Array(bytes)); // no Buffer: bytes of the same class as given
  assert.equal(object?.$case, table);
  return object?.value;
}

for (const table of TABLE_NAMES) {
  test(`${table}: what is encoded exactly is decoded alike, and read again it is exact`, () => {
    const name = `${table[0]?.toUpperCase()}${table.slice(1)}`;
    let exact = 0;
    fc.assert(
      fc.property(messageOf(root.lookupType(`skein.v1.${name}`)), (message) => {
        const object = message as unknown as Tables[typeof table]; // of the table's own schema
        const { bytes, isExact } = encodeObject(table, object);
        const whole = StoreObject.encode(toStoreObject(table, object)).finish();
        const read = decoded(table, bytes);
        if (isExact) {
          exact += 1;
          assert.deepEqual(plain(read), plain(object));
          assert.deepEqual(plain(read), plain(decoded(table, whole)));
        }
        const again = encodeObject(table, read as Tables[typeof table]); // decoded from that table
        assert.deepEqual(plain(decoded(table, again.bytes)), plain(read));
        assert.equal(again.isExact || JSON.stringify(read).includes("__proto__"), true);
      }),
      { numRuns: 200, seed: 7 },
    );
    assert.ok(exact > 0, "some objects are exact");
  });
}

test("a number that no reader could decode is refused before it is proposed", async () => {
  const { store, proposer } = createTestStore();
  for (const slot of [-1, 2 ** 53, Number.NaN, Number.POSITIVE_INFINITY]) {
    const task = { ...Task.fromPartial({ id: "t" }), slot };
    await assert.rejects(
      store.update((tx) => tx.create("task", task)),
      InvalidArgumentError,
    );
  }
  const node = Node.fromPartial({ id: "n", number: 2 ** 40 });
  await store.update((tx) => tx.create("node", node));
  assert.equal(proposer.entries.length, 1);
});

test("a proposer holds what others read of its bytes, also where that is not what it wrote", async () => {
  const { store, proposer } = createTestStore();
  const replica = createTestStore();
  const labels = Object.fromEntries([
    ["__proto__", "x"],
    ["half", "\ud83d"],
  ]);
  await store.update((tx) => {
    tx.create("task", { ...Task.fromPartial({ id: "t", createdBecause: "cut \ud83d" }), slot: 1.5 });
    tx.create("secret", Secret.fromPartial({ id: "s", annotations: { name: "s", labels } }));
  });
  for (const entry of proposer.entries) {
    replica.store.apply({ ...entry, data: new Uint8Array(entry.data) }); // other bytes: decoded
  }
  for (const table of ["task", "secret"] as const) {
    const [own, others] = [store, replica.store].map((one) => one.view((tx) => tx.list(table)));
    assert.deepEqual(plain(own), plain(others));
  }
  assert.equal(store.view((tx) => tx.get("task", "t"))?.slot, 1);
});
