/**
 * Differences of nft sets, maps and chains as text: what is kept in the kernel against what should be.
 * Pure. Invariant: applying the lines of diff(a, b) to a table that holds a gives one that holds b.
 * Source: nft(8).
 */

export const NFT_TABLE = "ip skein";

/** Lines that turn one set of elements into another. */
export function diffSet(
  name: string,
  previous: Iterable<string>,
  next: Iterable<string>,
  table = NFT_TABLE,
): string[] {
  const before = new Set(previous);
  const after = new Set(next);
  const gone = [...before].filter((element) => !after.has(element));
  const added = [...after].filter((element) => !before.has(element));
  const set = { table, name };
  return [...elements("delete", set, gone), ...elements("add", set, added)];
}

/** The same for a map: a changed value is taken out and put in again, within one transaction. */
export function diffMap(
  name: string,
  previous: ReadonlyMap<string, string>,
  next: ReadonlyMap<string, string>,
  table = NFT_TABLE,
): { readonly removals: string[]; readonly additions: string[] } {
  const gone: string[] = [];
  const added: string[] = [];
  for (const [key, value] of previous) if (next.get(key) !== value) gone.push(key);
  for (const [key, value] of next) if (previous.get(key) !== value) added.push(`${key} : ${value}`);
  const map = { table, name };
  return { removals: elements("delete", map, gone), additions: elements("add", map, added) };
}

function elements(
  verb: "add" | "delete",
  { table, name }: { readonly table: string; readonly name: string },
  list: readonly string[],
): string[] {
  return list.length === 0 ? [] : [`${verb} element ${table} ${name} { ${list.join(", ")} }`];
}

/** A chain that holds exactly these rules. */
export function replaceChain(name: string, rules: readonly string[]): string[] {
  return [
    `add chain ${NFT_TABLE} ${name}`,
    `flush chain ${NFT_TABLE} ${name}`,
    ...rules.map((rule) => `add rule ${NFT_TABLE} ${name} ${rule}`),
  ];
}

export function removeChain(name: string): string[] {
  return [`flush chain ${NFT_TABLE} ${name}`, `delete chain ${NFT_TABLE} ${name}`];
}

/** A random choice among equals: `numgen random mod 2 map { 0 : a, 1 : b }`. */
export function randomChoice(values: readonly string[]): string {
  return `numgen random mod ${values.length} map { ${values.map((value, i) => `${i} : ${value}`).join(", ")} }`;
}

/** An id as part of a chain's name. */
export function chainWord(id: string): string {
  return id.replaceAll(/[^A-Za-z0-9]/g, "_");
}
