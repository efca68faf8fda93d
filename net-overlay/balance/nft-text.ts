/**
 * Differences of nft sets, maps and chains as text: what is kept in the kernel against what should be.
 * Pure. Invariant: applying the lines of diff(a, b) to a table that holds a gives one that holds b.
 * Source: nft(8).
 */

import { BalancePolicy } from "../../proto/gen/skein/v1/types.js";

export const NFT_TABLE = "ip skein";
/** Of the same shape; a table per family, so that a host without IPv6 loses nothing. */
export const NFT_TABLE_IP6 = "ip6 skein";

/**
 * The same on every node, or a client would get another task by another node. Without one the kernel takes
 * one at random.
 */
export const SOURCE_HASH_SEED = 0x736b_6569;

/** Of every table of ours that leads new connections: who is led here is refused at once. */
export const REFUSED_CHAIN = "refused";
export const REFUSED_RULES: readonly string[] = ["meta l4proto tcp reject with tcp reset", "reject"];

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
export function replaceChain(name: string, rules: readonly string[], table = NFT_TABLE): string[] {
  return [
    `add chain ${table} ${name}`,
    `flush chain ${table} ${name}`,
    ...rules.map((rule) => `add rule ${table} ${name} ${rule}`),
  ];
}

export function removeChain(name: string, table = NFT_TABLE): string[] {
  return [`flush chain ${table} ${name}`, `delete chain ${table} ${name}`];
}

/** A random choice among equals: `numgen random mod 2 map { 0 : a, 1 : b }`. */
export function randomChoice(values: readonly string[]): string {
  return choice("numgen random", values);
}

/**
 * What a new connection is sent to, to stand behind `dnat to`. One look into a hash map, however many
 * backends there are.
 * Round robin counts connections across the processors, so that few backends get even shares. The source hash
 * looks at the client's address alone: equal on all nodes when the backends come in the same order. Local
 * first takes the backends of this node in turn, and all of them when there is none here.
 * @param backends at least one: addresses, or `address . port`.
 * @param options.local those of them that are on this node. family: of the addresses. @default ip
 */
export function backendChoice(
  policy: BalancePolicy,
  backends: readonly string[],
  options: { readonly local: ReadonlySet<string>; readonly family?: "ip" | "ip6" },
): string {
  return choiceText(chooseAmong(policy, backends, options.local), options.family);
}

/** How a new connection's backend is found: the next in turn, or by the client's address. */
export interface BackendChoice {
  readonly by: "turn" | "source";
  readonly values: readonly string[];
}

/** @param local those of the backends that are on this node. */
export function chooseAmong(
  policy: BalancePolicy,
  backends: readonly string[],
  local: ReadonlySet<string>,
): BackendChoice {
  if (policy === BalancePolicy.SOURCE_HASH) return { by: "source", values: backends };
  const here = policy === BalancePolicy.LOCAL_FIRST ? backends.filter((backend) => local.has(backend)) : [];
  return { by: "turn", values: here.length > 0 ? here : backends };
}

export function choiceText({ by, values }: BackendChoice, family: "ip" | "ip6" = "ip"): string {
  if (by === "turn") return choice("numgen inc", values);
  return choice(`jhash ${family} saddr`, values, ` seed 0x${SOURCE_HASH_SEED.toString(16)}`);
}

function choice(by: string, values: readonly string[], suffix = ""): string {
  const numbered = values.map((value, i) => `${i} : ${value}`);
  return `${by} mod ${values.length}${suffix} map { ${numbered.join(", ")} }`;
}

/** An id as part of a chain's name. */
export function chainWord(id: string): string {
  return id.replaceAll(/[^A-Za-z0-9]/g, "_");
}
