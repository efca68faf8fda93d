/**
 * The policy-routing rules that lead a reply back to its connection's entry node, as a tree by `goto`: the
 * kernel scans rules one by one, so a rule per node in one list would cost every marked packet the number of
 * nodes.
 * Pure. Invariants: what is not ours passes with one comparison; a mark finds its table after at most
 * 8 + 8 + 16 + 16 comparisons, with 1 000 nodes about 21 and with three 5; everything follows from node
 * numbers, so a rule is found again by what it says.
 * Source: ip-rule(8); net/core/fib_rules.c of Linux: `goto` goes forward only, to the first rule of a
 * priority.
 *
 *   2200  mark is not ours               goto 3298
 *   2201                   digits of the number, highest first: 3 bits,
 *   2202 + n >> 11                       3 bits,
 *   2210 + n >> 8                        4 bits,
 *   2274 + n >> 4                        4 bits: lookup 1000000 + n
 *   3298  nothing: where the others go on
 */
import { MESH_MARK_FLAG, meshMark, meshTable } from "../vxlan/node-addresses.js";
import type { MarkRule } from "./rtnetlink-messages.js";

const PASS_BY_PRIORITY = 2_200;
/** Bits of the number that are left below each level's digit, and where the level's rules begin. */
const LEVELS = [
  { above: 14, below: 11, base: 2_201 },
  { above: 11, below: 8, base: 2_202 },
  { above: 8, below: 4, base: 2_210 },
  { above: 4, below: 0, base: 2_274 },
] as const;
const PASSED_PRIORITY = 3_298;
const NUMBER_MASK = 0x3fff;
const MARK_SHIFT = 0x1_0000;

/** Rules that are there with or without peers. In the order in which they may be added. */
export const FRAME_RULES: readonly MarkRule[] = [
  { priority: PASSED_PRIORITY, action: { kind: "nop" } },
  {
    priority: PASS_BY_PRIORITY,
    match: { mark: MESH_MARK_FLAG, mask: MESH_MARK_FLAG, inverted: true },
    action: { kind: "goto", priority: PASSED_PRIORITY },
  },
];

/** The tree for these nodes, by `ruleKey`. Targets come before the rules that go there. */
export function returnRules(numbers: Iterable<number>): Map<string, MarkRule> {
  const rules = new Map<string, MarkRule>();
  for (const number of numbers) {
    for (let level = LEVELS.length - 1; level >= 0; level -= 1) {
      const rule = ruleAt(number, level);
      const key = ruleKey(rule);
      if (rules.has(key)) break; // the rest of the way is another node's, too
      rules.set(key, rule);
    }
  }
  return rules;
}

function ruleAt(number: number, level: number): MarkRule {
  const here = LEVELS[level];
  const next = LEVELS[level + 1];
  if (here === undefined) throw new RangeError(`the tree has no level ${level}`);
  const prefix = (number >> here.below) << here.below;
  const mask = (NUMBER_MASK >> here.below) << here.below;
  return {
    priority: here.base + (number >> here.above),
    match: { mark: meshMark(prefix), mask: MESH_MARK_FLAG + mask * MARK_SHIFT },
    action:
      next === undefined
        ? { kind: "table", table: meshTable(number) }
        : { kind: "goto", priority: next.base + (number >> next.above) },
  };
}

/** What tells one rule from another. */
export function ruleKey({ priority, match, action }: MarkRule): string {
  const marks = match === undefined ? "" : `${match.inverted === true} ${match.mark}/${match.mask}`;
  switch (action.kind) {
    case "table":
      return `${priority} ${marks} table ${action.table}`;
    case "goto":
      return `${priority} ${marks} goto ${action.priority}`;
    case "nop":
      return `${priority} ${marks} nop`;
  }
}
