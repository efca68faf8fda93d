import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SeededRandom } from "../../base/random/seeded-random.js";
import { ObjectTable } from "./object-table.js";

interface Item {
  readonly id: string;
  readonly keys: readonly string[];
}

const ids = fc.constantFrom("a", "ab", "abc", "b", "ba", "c", "d", "e");
const keys = fc.uniqueArray(fc.constantFrom("k1", "k2", "k3"), { maxLength: 3 });
const steps = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant("put" as const), id: ids, keys }),
    fc.record({ kind: fc.constant("delete" as const), id: ids }),
    fc.record({ kind: fc.constant("read" as const) }),
  ),
  { maxLength: 60 },
);

const byId = (a: Item, b: Item): number => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);

test("a table answers like a plain map that is searched and sorted, whatever is put and deleted", () => {
  fc.assert(
    fc.property(steps, (sequence) => {
      const table = new ObjectTable<Item>({ keysOf: (item) => item.keys });
      const model = new Map<string, Item>();
      const kept: { readonly array: readonly Item[]; readonly copy: readonly Item[] }[] = [];
      for (const step of sequence) {
        if (step.kind === "put") {
          const item = { id: step.id, keys: step.keys };
          table.put(item);
          model.set(item.id, item);
        } else if (step.kind === "delete") {
          table.delete(step.id);
          model.delete(step.id);
        } else {
          for (const array of [table.values(), table.bucket("k1"), table.bucket("k2")]) {
            kept.push({ array, copy: [...array] });
          }
        }
        const sorted = [...model.values()].sort(byId);
        assert.equal(table.size, sorted.length);
        for (const key of ["k1", "k2", "k3"]) {
          assert.deepEqual(
            table.bucket(key),
            sorted.filter((item) => item.keys.includes(key)),
          );
        }
        if (step.kind === "read") {
          assert.deepEqual(table.values(), sorted);
          assert.deepEqual(
            table.withPrefix("ab"),
            sorted.filter(({ id }) => id.startsWith("ab")),
          );
        }
      }
      for (const { array, copy } of kept) assert.deepEqual(array, copy, "an array handed out never changes");
    }),
    { numRuns: 200 },
  );
});

test("an object table gives its objects in order, however they came and went", () => {
  const random = new SeededRandom("order");
  for (let run = 0; run < 60; run++) {
    const table = new ObjectTable<{ id: string }>({ keysOf: () => [] });
    const expected = new Map<string, { id: string }>();
    for (let step = 0; step < 60; step++) {
      // First in order, as a stored state is loaded; then anyhow.
      const id = String(step < run ? step : random.int(0, 60)).padStart(3, "0");
      if (step >= run && random.int(0, 3) === 0) {
        table.delete(id);
        expected.delete(id);
      } else {
        const object = { id };
        table.put(object);
        expected.set(id, object);
      }
      if (random.int(0, 4) > 0) continue;
      const ids = [...expected.keys()].sort();
      assert.deepEqual(
        table.values().map((object) => object.id),
        ids,
      );
      assert.ok(table.values().every((object) => expected.get(object.id) === object));
    }
  }
});
