/**
 * Collections that only grow, of values added once each: a list (reads see the order) and a set (reads do
 * not). Pure. Invariant: a read that shows a value no add brought, or misses one that was there, fits no
 * state. A state is a chain to its predecessor, so an add costs no copy.
 */
import type { Model } from "./operation.js";

export type CollectionInput =
  | { readonly kind: "add"; readonly key: string; readonly value: string }
  | { readonly kind: "read"; readonly key: string };

export type CollectionOutput =
  | { readonly kind: "added" }
  | { readonly kind: "read"; readonly values: readonly string[] };

interface Link {
  readonly size: number;
  readonly last?: { readonly value: string; readonly before: Link };
}

interface ListState extends Link {
  /** Numbers are given in the order lists are first met: equal lists have equal ones. */
  readonly id: number;
  readonly last?: { readonly value: string; readonly before: ListState };
}

/** A list per key; a read gives all values in the order they were added. */
export function listModel(): Model<ListState, CollectionInput, CollectionOutput> {
  const known = new Map<string, ListState>();
  const grown = (before: ListState, value: string): ListState => {
    const key = `${before.id} ${value}`;
    const found = known.get(key) ?? { size: before.size + 1, id: known.size + 1, last: { value, before } };
    known.set(key, found);
    return found;
  };
  return {
    initial: { size: 0, id: 0 },
    step(state, input, output) {
      if (input.kind === "add")
        return output === undefined || output.kind === "added" ? [grown(state, input.value)] : [];
      return output === undefined || (output.kind === "read" && isList(state, output.values)) ? [state] : [];
    },
    keyOf: ({ id }) => String(id),
    partition: ({ key }) => key,
  };
}

function isList(state: Link, values: readonly string[]): boolean {
  if (state.size !== values.length) return false;
  let link = state;
  while (link.last !== undefined) {
    if (link.last.value !== values[link.size - 1]) return false;
    link = link.last.before;
  }
  return true;
}

interface SetState extends Link {
  /** Two sums of the values' hashes, so the order they came in does not matter. */
  readonly low: number;
  readonly high: number;
  readonly last?: { readonly value: string; readonly before: SetState };
}

/** A set per key; a read gives all values in any order. A value is added by one operation only. */
export function setModel(): Model<SetState, CollectionInput, CollectionOutput> {
  return {
    initial: { size: 0, low: 0, high: 0 },
    step(state, input, output) {
      if (input.kind === "read")
        return output === undefined || (output.kind === "read" && isSet(state, output.values)) ? [state] : [];
      if (output !== undefined && output.kind !== "added") return [];
      const { value } = input;
      const low = (state.low + hash(value, LOW_SEED)) >>> 0;
      const high = (state.high + hash(value, HIGH_SEED)) >>> 0;
      return [{ size: state.size + 1, low, high, last: { value, before: state } }];
    },
    keyOf: ({ size, low, high }) => `${size} ${low} ${high}`, // 64 bits of hash: taken as the set itself
    partition: ({ key }) => key,
  };
}

const LOW_SEED = 0x811c9dc5;
const HIGH_SEED = 0x3c6ef372;

/** FNV-1a over UTF-16 units, with the finisher of MurmurHash3 so that sums do not line up. */
function hash(text: string, seed: number): number {
  let value = seed;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return (value ^ (value >>> 16)) >>> 0;
}

function isSet(state: Link, values: readonly string[]): boolean {
  if (state.size !== values.length) return false;
  const shown = new Set(values);
  for (let link = state; link.last !== undefined; link = link.last.before)
    if (!shown.delete(link.last.value)) return false;
  return shown.size === 0;
}
