/** Lists and sets that only grow: what reads may show. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { checkLinearizable, type Operation } from "./linearizability.js";
import { type CollectionInput, type CollectionOutput, listModel, setModel } from "./unique-values-model.js";

type CollectionOperation = Operation<CollectionInput, CollectionOutput>;
const key = "k";
const NEVER = Number.POSITIVE_INFINITY;
const add = (value: string, callAt: number, returnAt: number): CollectionOperation => ({
  client: value,
  input: { kind: "add", key, value },
  output: returnAt === NEVER ? undefined : { kind: "added" },
  callAt,
  returnAt,
});
const read = (values: readonly string[], callAt: number, returnAt = callAt): CollectionOperation => ({
  client: "reader",
  input: { kind: "read", key },
  output: { kind: "read", values },
  callAt,
  returnAt,
});
const isList = (...history: CollectionOperation[]) => checkLinearizable(listModel(), history).ok;
const isSet = (...history: CollectionOperation[]) => checkLinearizable(setModel(), history).ok;

test("a list keeps one order for all its readers; a set has none", () => {
  const both = [add("a", 0, 10), add("b", 0, 10)];
  assert.ok(isList(...both, read(["b", "a"], 11), read(["b", "a"], 12)));
  assert.ok(!isList(...both, read(["b", "a"], 11), read(["a", "b"], 12)));
  assert.ok(isSet(...both, read(["b", "a"], 11), read(["a", "b"], 12)));
});

test("a read that misses an added value, or shows one nobody added, is wrong", () => {
  for (const holds of [isList, isSet]) {
    assert.ok(holds(add("a", 0, 1), read(["a"], 2)));
    assert.ok(!holds(add("a", 0, 1), read([], 2)));
    assert.ok(!holds(add("a", 0, 1), read(["a", "b"], 2)));
    assert.ok(!holds(add("a", 0, 1), add("b", 0, 9), read(["a", "b"], 2), read(["a"], 3)));
  }
});

test("an add of unknown outcome may show late or never, and stays once it shows", () => {
  for (const holds of [isList, isSet]) {
    assert.ok(holds(add("a", 0, NEVER), read([], 1), read(["a"], 2)));
    assert.ok(holds(add("a", 0, NEVER), read([], 1), add("b", 2, 3), read(["b"], 4)));
    assert.ok(!holds(add("a", 0, NEVER), read(["a"], 1), read([], 2)));
  }
});

test("reads of a set that grows from many sides are accepted as they were, and not with one value taken out", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 3, maxLength: 25 }), (widths) => {
      const history = widths.flatMap((width, i): CollectionOperation[] => [
        add(`v${i}`, i * 10 - width, i * 10 + width),
        read(
          Array.from({ length: i + 1 }, (_, each) => `v${each}`),
          i * 10 - width,
          i * 10 + width,
        ),
      ]);
      assert.ok(isSet(...history) && isList(...history));
      const [last] = history.slice(-1);
      assert.ok(last?.output?.kind === "read");
      const output = { kind: "read", values: last.output.values.slice(1) } as const;
      const far = { ...last, output, callAt: last.callAt + 100, returnAt: last.returnAt + 100 };
      assert.ok(!isSet(...history.slice(0, -1), far) && !isList(...history.slice(0, -1), far));
    }),
  );
});
