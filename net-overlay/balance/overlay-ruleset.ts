/**
 * The nft ruleset of one overlay network's namespace as text: VIPs to ready tasks, refusal where there is
 * none, hairpin, guard against spoofed sources. One table per family, of the same shape.
 * Pure. Invariants: a change is one transaction and touches only what changed;
 * the client's address is kept, except when a task reaches itself through a VIP;
 * established connections are never moved.
 * Source: docs/design/network-overlay.md, "Balancing".
 */
import type { BalancedService } from "../endpoints/overlay-plan.js";
import {
  choiceText,
  diffMap,
  diffSet,
  NFT_TABLE,
  NFT_TABLE_IP6,
  REFUSED_CHAIN,
  REFUSED_RULES,
  removeChain,
  replaceChain,
} from "./nft-text.js";
import type { AddressFamily, OverlayTable, TableChange } from "./overlay-table.js";
import { changeBetween, overlayTable } from "./overlay-table.js";

export interface OverlayBalance {
  /** "" without one of IPv4. */
  readonly gateway: string;
  /** @default none of IPv6 */
  readonly gateway6?: string;
  /** See `overlayFrame`. @default false */
  readonly isClamped?: boolean;
  readonly services: ReadonlyMap<string, BalancedService>;
  readonly localTasks: readonly string[];
}

export const NO_TABLE: OverlayTable = {
  chains: new Map(),
  vips: new Map(),
  hairpins: new Set(),
};

/**
 * @returns the transaction's text, "" when nothing changed. Without `previous`: the whole table,
 * replacing whatever was there.
 */
export function renderOverlayRuleset(
  previous: OverlayBalance | undefined,
  next: OverlayBalance,
  family: AddressFamily = "ip",
): string {
  const after = tableOf(next, family);
  const frame = frameOf(next, family);
  if (previous === undefined || frameOf(previous, family) !== frame) {
    const table = tableName(family);
    return [
      `table ${table}\ndelete table ${table}`,
      frame,
      ...changeText(changeBetween(NO_TABLE, after), family),
    ].join("\n");
  }
  return changeText(changeBetween(tableOf(previous, family), after), family).join("\n");
}

function tableOf({ services, localTasks }: OverlayBalance, family: AddressFamily): OverlayTable {
  return overlayTable(family, { services: services.values(), localTasks });
}

function frameOf(
  { gateway, gateway6 = "", isClamped = false }: OverlayBalance,
  family: AddressFamily,
): string {
  return overlayFrame(family, { gateway: family === "ip" ? gateway : gateway6, isClamped });
}

export function tableName(family: AddressFamily): string {
  return family === "ip" ? NFT_TABLE : NFT_TABLE_IP6;
}

export interface OverlayFrameOptions {
  /** Of this family; "": none. */
  readonly gateway: string;
  /**
   * Whether the SYN's segment size is looked at, where the path may have become smaller than what a task was
   * told when it was made. Each hook costs every packet some 60 ns.
   */
  readonly isClamped: boolean;
}

interface FrameChain {
  readonly name: string;
  /** "": others lead to it. */
  readonly hook: string;
  readonly rules: readonly string[];
}

/**
 * Maps, sets, hooks and their rules; fine when they are there, whose elements stay.
 * IPv4's sources are checked by the reverse path filter; IPv6 has none, so that its table looks itself.
 */
export function overlayFrame(family: AddressFamily, options: OverlayFrameOptions): string {
  const table = tableName(family);
  const type = family === "ip" ? "ipv4_addr" : "ipv6_addr";
  const chains = chainsOf(family, options);
  const declared = ({ name, hook }: FrameChain): string =>
    hook === "" ? `  chain ${name} { }` : `  chain ${name} { ${hook}; policy accept; }`;
  return `table ${table} {
  map vips { type ${type} : verdict; }
  set hairpins { type ${type} . ${type}; }
${chains.map(declared).join("\n")}
}
${chains.map(({ name }) => `flush chain ${table} ${name}`).join("\n")}
${chains.flatMap(({ name, rules }) => rules.map((rule) => `add rule ${table} ${name} ${rule}`)).join("\n")}`;
}

/** Names of the frame's chains: all others are services'. */
export function overlayFrameChains(family: AddressFamily, options: OverlayFrameOptions): string[] {
  return chainsOf(family, options).map(({ name }) => name);
}

function chainsOf(family: AddressFamily, { gateway, isClamped }: OverlayFrameOptions): FrameChain[] {
  const guard: FrameChain = {
    name: "guard",
    hook: "type filter hook prerouting priority raw",
    rules: ["fib saddr . iif oif missing drop"],
  };
  const clamp: FrameChain = {
    name: "clamp",
    hook: "type filter hook forward priority mangle",
    rules: ["tcp flags syn tcp option maxseg size set rt mtu"],
  };
  const source = gateway === "" ? "masquerade" : `snat to ${gateway}`;
  return [
    ...(family === "ip" ? [] : [guard]),
    {
      // only first packets come here: to refuse costs the others nothing
      name: REFUSED_CHAIN,
      hook: "",
      rules: REFUSED_RULES,
    },
    {
      name: "balance",
      hook: "type nat hook prerouting priority dstnat",
      rules: [`meta l4proto { tcp, udp, sctp } ${family} daddr vmap @vips`],
    },
    ...(isClamped ? [clamp] : []),
    {
      name: "hairpin",
      hook: "type nat hook postrouting priority srcnat",
      rules: [`ct status dnat ${family} saddr . ${family} daddr @hairpins ${source}`],
    },
  ];
}

/** Lines of one transaction. */
export function changeText(
  { removed, filled, added, dropped }: TableChange,
  family: AddressFamily,
): string[] {
  const table = tableName(family);
  const pair = (address: string): string => `${address} . ${address}`;
  const goto = new Map([...added.vips].map(([vip, chain]) => [vip, `goto ${chain}`]));
  return [
    ...diffMap("vips", new Map(removed.vips.map((vip) => [vip, ""])), new Map(), table).removals,
    ...[...filled].flatMap(([chain, choice]) =>
      replaceChain(chain, [`dnat to ${choiceText(choice, family)}`], table),
    ),
    ...dropped.flatMap((chain) => removeChain(chain, table)),
    ...diffMap("vips", new Map(), goto, table).additions,
    ...diffSet("hairpins", removed.hairpins.map(pair), added.hairpins.map(pair), table),
  ];
}
