/**
 * Several compose files as one: later files add keys and replace values. Pure.
 * Maps merge key by key; ports, volumes, secrets and configs merge by their target; commands are replaced;
 * other lists grow.
 */
import type { ComposeDoc } from "./model.js";

type Value = unknown;
type Raw = Readonly<Record<string, Value>>;

const REPLACED = new Set(["command", "entrypoint", "test"]);

const KEYS_OF_LISTS: Readonly<Record<string, (item: Raw) => string>> = {
  ports: (port) => `${String(port["target"])}/${String(port["protocol"])}/${String(port["published"])}`,
  volumes: (mount) => String(mount["target"]),
  secrets: (reference) => String(reference["target"] ?? reference["source"]),
  configs: (reference) => String(reference["target"] ?? reference["source"]),
  preferences: (preference) => String(preference["spread"]),
};

export function mergeDocs(docs: readonly ComposeDoc[]): ComposeDoc {
  const empty: ComposeDoc = { services: {}, networks: {}, volumes: {}, secrets: {}, configs: {} };
  // both have that shape
  return docs.reduce((merged, doc) => mergeValues(merged, doc, "") as ComposeDoc, empty);
}

const isMap = (value: Value): value is Raw =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function mergeValues(before: Value, after: Value, key: string): Value {
  if (after === undefined) return before;
  if (isMap(before) && isMap(after)) {
    const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])];
    return Object.fromEntries(keys.map((each) => [each, mergeValues(before[each], after[each], each)]));
  }
  if (Array.isArray(before) && Array.isArray(after) && !REPLACED.has(key))
    return mergeLists(before, after, key);
  return after;
}

function mergeLists(before: readonly Value[], after: readonly Value[], key: string): Value[] {
  const keyOf = (item: Value): string => {
    const own = KEYS_OF_LISTS[key];
    return own !== undefined && isMap(item) ? own(item) : JSON.stringify(item);
  };
  const merged = new Map<string, Value>();
  for (const item of [...before, ...after]) merged.set(keyOf(item), item);
  return [...merged.values()];
}
