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
  readonly services: ReadonlyMap<string, BalancedService>;
  readonly localTasks: readonly string[];
}

export const NO_TABLE: OverlayTable = {
  chains: new Map(),
  vips: new Map(),
  idleVips: new Set(),
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
  if (previous === undefined || gatewayOf(previous, family) !== gatewayOf(next, family)) {
    const table = tableName(family);
    return [
      `table ${table}\ndelete table ${table}`,
      overlayFrame(family, gatewayOf(next, family)),
      ...changeText(changeBetween(NO_TABLE, after), family),
    ].join("\n");
  }
  return changeText(changeBetween(tableOf(previous, family), after), family).join("\n");
}

function tableOf({ services, localTasks }: OverlayBalance, family: AddressFamily): OverlayTable {
  return overlayTable(family, { services: services.values(), localTasks });
}

function gatewayOf({ gateway, gateway6 = "" }: OverlayBalance, family: AddressFamily): string {
  return family === "ip" ? gateway : gateway6;
}

export function tableName(family: AddressFamily): string {
  return family === "ip" ? NFT_TABLE : NFT_TABLE_IP6;
}

/**
 * Sets, maps, hooks and their rules; fine when they are there, whose elements stay.
 * IPv4's sources are checked by the reverse path filter; IPv6 has none, so that its table looks itself.
 */
export function overlayFrame(family: AddressFamily, gateway: string): string {
  const table = tableName(family);
  const type = family === "ip" ? "ipv4_addr" : "ipv6_addr";
  const source = gateway === "" ? "masquerade" : `snat to ${gateway}`;
  const chains: readonly (readonly [name: string, hook: string, rules: readonly string[]])[] = [
    ...(family === "ip"
      ? []
      : [
          [
            "guard",
            "type filter hook prerouting priority raw",
            ["fib saddr . iif oif missing drop"],
          ] as const,
        ]),
    [
      "balance",
      "type nat hook prerouting priority dstnat",
      [`meta l4proto { tcp, udp, sctp } ${family} daddr vmap @vips`],
    ],
    [
      "refuse",
      "type filter hook prerouting priority filter",
      [
        `${family} daddr @idle_vips meta l4proto tcp reject with tcp reset`,
        `${family} daddr @idle_vips meta l4proto { udp, sctp } reject`,
      ],
    ],
    [
      // where the path has become smaller than what a task was told when it was made
      "clamp",
      "type filter hook forward priority mangle",
      ["tcp flags syn tcp option maxseg size set rt mtu"],
    ],
    [
      "hairpin",
      "type nat hook postrouting priority srcnat",
      [`ct status dnat ${family} saddr . ${family} daddr @hairpins ${source}`],
    ],
  ];
  const names = chains.map(([name]) => name);
  return `table ${table} {
  map vips { type ${type} : verdict; }
  set idle_vips { type ${type}; }
  set hairpins { type ${type} . ${type}; }
${chains.map(([name, hook]) => `  chain ${name} { ${hook}; policy accept; }`).join("\n")}
}
${names.map((name) => `flush chain ${table} ${name}`).join("\n")}
${chains.flatMap(([name, , rules]) => rules.map((rule) => `add rule ${table} ${name} ${rule}`)).join("\n")}`;
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
    ...diffSet("idle_vips", removed.idleVips, added.idleVips, table),
    ...diffSet("hairpins", removed.hairpins.map(pair), added.hairpins.map(pair), table),
  ];
}
