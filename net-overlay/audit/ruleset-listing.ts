/**
 * nft's listing of a table taken apart, so that two can be compared item by item. Pure.
 * Both come from the same nft, so equal rules have equal words. Counters and what is left of timeouts are
 * no part of a rule.
 * Source: nft(8), and what nft 1.0 prints.
 */
import type { Difference } from "./compare.js";

/** "chain publish", "set nodes" -> what it says; of a chain the rules in their order. */
export type TableListing = ReadonlyMap<string, ListedItem>;

interface ListedItem {
  /** Type, hook and flags; of a chain each rule, too. */
  readonly lines: readonly string[];
  /** Of a set or a map. */
  readonly elements: ReadonlySet<string>;
}

const ITEM = /^\t(\w+) (\S+) \{$/;
const VARIABLE = / packets \d+ bytes \d+| expires \S+/g;
const ELEMENTS = "elements = {";

export function readTableListing(text: string): TableListing {
  const items = new Map<string, ListedItem>();
  let name: string | undefined;
  let lines: string[] = [];
  for (const line of text.split("\n")) {
    const head = ITEM.exec(line);
    if (head !== null) {
      name = `${head[1]} ${head[2]}`;
      lines = [];
    } else if (line === "\t}" && name !== undefined) {
      items.set(name, itemOf(lines));
      name = undefined;
    } else if (name !== undefined) {
      lines.push(line.trim());
    }
  }
  return items;
}

function itemOf(lines: readonly string[]): ListedItem {
  const at = lines.findIndex((line) => line.startsWith(ELEMENTS));
  const said = (at < 0 ? lines : lines.slice(0, at)).map((line) => line.replace(VARIABLE, ""));
  if (at < 0) return { lines: said, elements: new Set() };
  const inner = lines.slice(at).join(" ").slice(ELEMENTS.length).replace(/\}$/, "");
  const elements = inner.split(",").map((element) => element.replace(VARIABLE, "").trim());
  return { lines: said, elements: new Set(elements.filter((element) => element !== "")) };
}

/** @param table "ip skein" @param found undefined: the table is not there. */
export function compareListings(
  wanted: TableListing,
  found: TableListing | undefined,
  { place, table }: { place: string; table: string },
): Difference[] {
  if (found === undefined)
    return [{ place, kind: "table", name: table, problem: "missing", wanted: "", found: "" }];
  const differences: Difference[] = [];
  for (const [name, item] of wanted) {
    const other = found.get(name);
    const [kind = "", word = ""] = name.split(" ");
    const at = { place, kind, name: `${word} of ${table}` };
    if (other === undefined) {
      differences.push({ ...at, problem: "missing", wanted: "", found: "" });
      continue;
    }
    differences.push(...compareLines(item, other, at));
    const inside = { place, kind: "element", wanted: "", found: "" };
    for (const element of item.elements)
      if (!other.elements.has(element))
        differences.push({ ...inside, name: `${element} of ${name} of ${table}`, problem: "missing" });
    for (const element of other.elements)
      if (!item.elements.has(element))
        differences.push({ ...inside, name: `${element} of ${name} of ${table}`, problem: "foreign" });
  }
  for (const name of found.keys()) {
    if (wanted.has(name)) continue;
    const [kind = "", word = ""] = name.split(" ");
    differences.push({ place, kind, name: `${word} of ${table}`, problem: "foreign", wanted: "", found: "" });
  }
  return differences;
}

/** The first line that differs says what is wrong with it. */
function compareLines(
  wanted: ListedItem,
  found: ListedItem,
  at: { place: string; kind: string; name: string },
): Difference[] {
  const count = Math.max(wanted.lines.length, found.lines.length);
  for (let i = 0; i < count; i += 1) {
    const [line = "nothing", other = "nothing"] = [wanted.lines[i], found.lines[i]];
    if (line !== other) return [{ ...at, problem: "different", wanted: line, found: other }];
  }
  return [];
}
