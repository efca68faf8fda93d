import assert from "node:assert/strict";
import { test } from "node:test";
import { meshMark, meshTable } from "../vxlan/node-addresses.js";
import { FRAME_RULES, returnRules } from "./return-rules.js";
import type { MarkRule } from "./rtnetlink-messages.js";

/** As the kernel does: one by one, `goto` forward to the first rule of that priority. */
function lookUp(
  rules: readonly MarkRule[],
  mark: number,
): { table: number | undefined; comparisons: number } {
  const sorted = [...rules].sort((a, b) => a.priority - b.priority);
  let comparisons = 0;
  for (let at = 0; at < sorted.length; at += 1) {
    const rule = sorted[at];
    assert.ok(rule);
    comparisons += 1;
    const { match, action } = rule;
    if (match !== undefined) {
      const isEqual = ((mark ^ match.mark) & match.mask) === 0;
      if (isEqual === (match.inverted ?? false)) continue;
    }
    if (action.kind === "table") return { table: action.table, comparisons };
    if (action.kind === "nop") continue;
    const target = sorted.findIndex(({ priority }) => priority === action.priority);
    assert.ok(target > at, "goto goes forward, to a rule that is there");
    at = target - 1;
  }
  return { table: undefined, comparisons };
}

function comparisonsOf(numbers: readonly number[]): number[] {
  const rules = [...FRAME_RULES, ...returnRules(numbers).values()];
  return numbers.map((number) => {
    const { table, comparisons } = lookUp(rules, meshMark(number));
    assert.equal(table, meshTable(number));
    return comparisons;
  });
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i + 1);

test("every node's mark finds its table, and the way grows little with the nodes", () => {
  const mean = (list: readonly number[]): number => list.reduce((sum, each) => sum + each, 0) / list.length;
  assert.ok(mean(comparisonsOf(upTo(3))) <= 7);
  assert.ok(mean(comparisonsOf(upTo(1_000))) <= 23);
  assert.ok(Math.max(...comparisonsOf([1, 16_383, 8_192, 255, 256, 4_097])) <= 49);
});

test("what is not ours is passed by with one comparison, an unknown node's mark finds nothing", () => {
  const rules = [...FRAME_RULES, ...returnRules(upTo(1_000)).values()];
  assert.deepEqual(lookUp(rules, 0), { table: undefined, comparisons: 2 });
  assert.deepEqual(lookUp(rules, 0x8000), { table: undefined, comparisons: 2 });
  assert.equal(lookUp(rules, meshMark(1_001)).table, undefined);
});

test("rules that many nodes share are there once, and the priorities stay within the frame", () => {
  const rules = [...returnRules(upTo(1_000)).values()];
  assert.equal(rules.filter(({ action }) => action.kind === "table").length, 1_000);
  assert.ok(rules.length < 1_080, `${rules.length}`);
  for (const { priority } of returnRules([1, 16_383]).values())
    assert.ok(priority > 2_200 && priority < 3_298);
});
