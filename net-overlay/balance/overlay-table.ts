/**
 * What the nft table of one family holds for an overlay network, as data: VIPs, hairpins, and a chain per
 * service with its backends; and the difference of two such tables, or of parts of them.
 * Pure. Invariants: tables of parts that share no service and no address add up; a change is carried out in
 * the order remove, fill, add, drop, so that no VIP leads nowhere.
 * Source: docs/design/network-overlay.md, "Balancing".
 */
import { BalancePolicy } from "../../proto/gen/skein/v1/types.js";
import type { BalancedService } from "../endpoints/overlay-plan.js";
import type { BackendChoice } from "./nft-text.js";
import { chainWord, chooseAmong, REFUSED_CHAIN } from "./nft-text.js";

export type AddressFamily = "ip" | "ip6";

/** Names of services' chains begin so. */
export const SERVICE_PREFIX = "svc_";

export interface OverlayTable {
  readonly chains: ReadonlyMap<string, BackendChoice>;
  /** Address -> chain: the service's, or REFUSED_CHAIN while no task is ready. */
  readonly vips: ReadonlyMap<string, string>;
  /** Addresses of tasks here. */
  readonly hairpins: ReadonlySet<string>;
}

export interface TableChange {
  readonly removed: {
    readonly vips: readonly string[];
    readonly hairpins: readonly string[];
  };
  readonly filled: ReadonlyMap<string, BackendChoice>;
  readonly added: {
    readonly vips: ReadonlyMap<string, string>;
    readonly hairpins: readonly string[];
  };
  readonly dropped: readonly string[];
}

export function isOfFamily(address: string, family: AddressFamily): boolean {
  return address.includes(":") === (family === "ip6");
}

export function serviceChain(serviceId: string): string {
  return `${SERVICE_PREFIX}${chainWord(serviceId)}`;
}

export function overlayTable(
  family: AddressFamily,
  part: { readonly services: Iterable<BalancedService>; readonly localTasks: Iterable<string> },
): OverlayTable {
  const isOurs = (address: string): boolean => isOfFamily(address, family);
  const chains = new Map<string, BackendChoice>();
  const vips = new Map<string, string>();
  for (const service of part.services) {
    const backends = service.backends.filter(isOurs);
    const ownVips = service.vips.filter(isOurs);
    if (ownVips.length === 0) continue;
    if (backends.length === 0) {
      for (const vip of ownVips) vips.set(vip, REFUSED_CHAIN);
      continue;
    }
    const chain = serviceChain(service.id);
    const { balance = BalancePolicy.ROUND_ROBIN, local = [] } = service;
    chains.set(chain, chooseAmong(balance, backends, new Set(local)));
    for (const vip of ownVips) vips.set(vip, chain);
  }
  return { chains, vips, hairpins: new Set([...part.localTasks].filter(isOurs)) };
}

export function changeBetween(before: OverlayTable, after: OverlayTable): TableChange {
  const missing = (from: ReadonlySet<string>, other: ReadonlySet<string>): string[] =>
    [...from].filter((address) => !other.has(address));
  const [filled, addedVips] = [new Map<string, BackendChoice>(), new Map<string, string>()];
  for (const [chain, choice] of after.chains) {
    if (!isSameChoice(before.chains.get(chain), choice)) filled.set(chain, choice);
  }
  for (const [vip, chain] of after.vips) if (before.vips.get(vip) !== chain) addedVips.set(vip, chain);
  return {
    removed: {
      vips: [...before.vips.keys()].filter((vip) => before.vips.get(vip) !== after.vips.get(vip)),
      hairpins: missing(before.hairpins, after.hairpins),
    },
    filled,
    added: {
      vips: addedVips,
      hairpins: missing(after.hairpins, before.hairpins),
    },
    dropped: [...before.chains.keys()].filter((chain) => !after.chains.has(chain)),
  };
}

/**
 * The same change in parts of about so many backends each, to be carried out in their order; at every moment
 * between them each service has its old backends or its new ones.
 */
export function* partsOf(change: TableChange, size: number): Generator<TableChange> {
  const nothing = emptyChange();
  const vipsOf = new Map<string, [string, string][]>();
  const others = new Map<string, string>();
  for (const [vip, chain] of change.added.vips) {
    if (!change.filled.has(chain)) others.set(vip, chain);
    else vipsOf.set(chain, [...(vipsOf.get(chain) ?? []), [vip, chain]]);
  }
  // a VIP that moves is never without a chain: those go first, together
  const moved = new Set(change.removed.vips);
  const isMoved = (chain: string): boolean => (vipsOf.get(chain) ?? []).some(([vip]) => moved.has(vip));
  const chains = [...change.filled.keys()];
  const first = chains.filter(isMoved);
  yield {
    ...nothing,
    removed: change.removed,
    filled: new Map(first.flatMap((chain) => entry(change.filled, chain))),
    added: {
      ...nothing.added,
      vips: new Map([...others, ...first.flatMap((chain) => vipsOf.get(chain) ?? [])]),
    },
  };
  const rest = chains.filter((chain) => !isMoved(chain));
  for (const part of portionsOf(rest, {
    size,
    weight: (chain) => change.filled.get(chain)?.values.length ?? 0,
  })) {
    yield {
      ...nothing,
      filled: new Map(part.flatMap((chain) => entry(change.filled, chain))),
      added: { ...nothing.added, vips: new Map(part.flatMap((chain) => vipsOf.get(chain) ?? [])) },
    };
  }
  yield { ...nothing, added: { ...nothing.added, hairpins: change.added.hairpins } };
  for (let from = 0; from < change.dropped.length; from += size)
    yield { ...nothing, dropped: change.dropped.slice(from, from + size) };
}

/** At least one in each, and no more than `size` together where that is possible. */
function* portionsOf<T>(
  items: readonly T[],
  { size, weight }: { readonly size: number; readonly weight: (item: T) => number },
): Generator<T[]> {
  let portion: T[] = [];
  let sum = 0;
  for (const item of items) {
    const own = 1 + weight(item);
    if (portion.length > 0 && sum + own > size) {
      yield portion;
      portion = [];
      sum = 0;
    }
    portion.push(item);
    sum += own;
  }
  if (portion.length > 0) yield portion;
}

function entry<V>(map: ReadonlyMap<string, V>, key: string): [string, V][] {
  const value = map.get(key);
  return value === undefined ? [] : [[key, value]];
}

function emptyChange(): TableChange {
  return {
    removed: { vips: [], hairpins: [] },
    filled: new Map(),
    added: { vips: new Map(), hairpins: [] },
    dropped: [],
  };
}

function isSameChoice(a: BackendChoice | undefined, b: BackendChoice): boolean {
  return (
    a !== undefined &&
    a.by === b.by &&
    a.values.length === b.values.length &&
    a.values.every((value, index) => value === b.values[index])
  );
}
