import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import _m0 from "protobufjs/minimal.js";
import { Node, Service, StoreObject, Task } from "../../proto/gen/skein/v1/objects.js";
import { FlatWriter } from "./flat-writer.js";

const text = fc.oneof(fc.string({ maxLength: 300 }), fc.string({ unit: "grapheme", maxLength: 60 }));
const field = fc.oneof(
  fc.record({ kind: fc.constant("string" as const), value: text }),
  fc.record({ kind: fc.constant("uint32" as const), value: fc.nat({ max: 2 ** 32 - 1 }) }),
  fc.record({ kind: fc.constant("int32" as const), value: fc.integer() }),
  fc.record({ kind: fc.constant("uint64" as const), value: fc.maxSafeNat() }),
  fc.record({ kind: fc.constant("int64" as const), value: fc.maxSafeInteger() }),
  fc.record({ kind: fc.constant("double" as const), value: fc.double() }),
  fc.record({ kind: fc.constant("bool" as const), value: fc.boolean() }),
  fc.record({ kind: fc.constant("bytes" as const), value: fc.uint8Array({ maxLength: 400 }) }),
  fc.record({ kind: fc.constantFrom("fork" as const, "ldelim" as const), value: fc.constant(0) }),
);

function write(writer: _m0.Writer, fields: readonly { kind: string; value: unknown }[]): void {
  let open = 0;
  for (const { kind, value } of fields) {
    if (kind === "ldelim" && open === 0) continue;
    if (kind === "fork") open += 1;
    if (kind === "ldelim") open -= 1;
    const method: unknown = Reflect.get(writer, kind);
    assert.ok(typeof method === "function");
    method.call(writer, value);
  }
  for (; open > 0; open--) writer.ldelim();
}

test("the bytes are those of protobufjs, whatever is written", () => {
  const flat = new FlatWriter();
  fc.assert(
    fc.property(fc.array(field, { maxLength: 40 }), (fields) => {
      const expected = _m0.Writer.create();
      write(expected, fields);
      assert.deepEqual(
        Buffer.from(flat.encode((writer) => write(writer, fields))),
        Buffer.from(expected.finish()),
      );
    }),
    { numRuns: 300 },
  );
});

test("objects of the store have the bytes of protobufjs, long ones, too", () => {
  const flat = new FlatWriter();
  const env = Array.from({ length: 5_000 }, (_, i) => `KEY_${i}=wert mit Umlaut ä ${"x".repeat(i % 90)}`);
  const spec = { container: { image: "app", env, labels: { a: "b" } } };
  const objects: StoreObject[] = [
    { object: { $case: "task", value: Task.fromPartial({ id: "t", spec, status: { timestampMs: 1.5 } }) } },
    {
      object: { $case: "node", value: Node.fromPartial({ id: "n", meta: { version: { index: 2 ** 45 } } }) },
    },
    { object: { $case: "service", value: Service.fromPartial({ id: "s", spec: { task: spec } }) } },
  ];
  for (const object of objects) {
    const bytes = flat.encode((writer) => StoreObject.encode(object, writer));
    assert.ok(Buffer.from(bytes).equals(Buffer.from(StoreObject.encode(object).finish())));
  }
});
