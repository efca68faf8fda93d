/**
 * The nft ruleset of one overlay network's namespace: VIPs to ready tasks,
 * refusal where there is none, hairpin.
 * Pure. Invariants: a change is one transaction and touches only what changed;
 * the client's address is kept, except when a task reaches itself through a VIP;
 * established connections are never moved.
 * Source: docs/design/network.md, "VIP".
 */
import type { BalancedService } from "../endpoints/overlay-plan.js";
import {
  chainWord,
  diffMap,
  diffSet,
  NFT_TABLE,
  randomChoice,
  removeChain,
  replaceChain,
} from "./nft-text.js";

export interface OverlayBalance {
  readonly gateway: string;
  readonly services: readonly BalancedService[];
  readonly localTasks: readonly string[];
}

/**
 * @returns the transaction's text, "" when nothing changed. Without `previous`: the whole table,
 * replacing whatever was there.
 */
export function renderOverlayRuleset(previous: OverlayBalance | undefined, next: OverlayBalance): string {
  if (previous === undefined || previous.gateway !== next.gateway) {
    const empty = { gateway: next.gateway, services: [], localTasks: [] };
    return [skeleton(next.gateway), ...changes(empty, next)].join("\n");
  }
  return changes(previous, next).join("\n");
}

function skeleton(gateway: string): string {
  return `table ${NFT_TABLE}
delete table ${NFT_TABLE}
table ${NFT_TABLE} {
  map vips { type ipv4_addr : verdict; }
  set idle_vips { type ipv4_addr; }
  set hairpins { type ipv4_addr . ipv4_addr; }
  chain balance {
    type nat hook prerouting priority dstnat; policy accept;
    meta l4proto { tcp, udp, sctp } ip daddr vmap @vips
  }
  chain refuse {
    type filter hook prerouting priority filter; policy accept;
    ip daddr @idle_vips meta l4proto tcp reject with tcp reset
    ip daddr @idle_vips meta l4proto { udp, sctp } reject
  }
  chain hairpin {
    type nat hook postrouting priority srcnat; policy accept;
    ct status dnat ip saddr . ip daddr @hairpins ${gateway === "" ? "masquerade" : `snat to ${gateway}`}
  }
}`;
}

function changes(previous: OverlayBalance, next: OverlayBalance): string[] {
  const before = new Map(previous.services.map((service) => [service.id, service]));
  const after = new Map(next.services.map((service) => [service.id, service]));
  const filled: string[] = [];
  const emptied: string[] = [];
  for (const [id, service] of after) {
    const backends = service.backends.join();
    if (service.backends.length > 0 && before.get(id)?.backends.join() !== backends) {
      filled.push(...replaceChain(chainOf(id), [`dnat to ${randomChoice(service.backends)}`]));
    }
  }
  for (const [id, service] of before) {
    if (service.backends.length > 0 && (after.get(id)?.backends.length ?? 0) === 0)
      emptied.push(...removeChain(chainOf(id)));
  }
  const vips = diffMap("vips", vipMap(previous), vipMap(next));
  return [
    ...vips.removals,
    ...filled,
    ...emptied,
    ...vips.additions,
    ...diffSet("idle_vips", idleVips(previous), idleVips(next)),
    ...diffSet("hairpins", hairpins(previous), hairpins(next)),
  ];
}

function vipMap(balance: OverlayBalance): Map<string, string> {
  const map = new Map<string, string>();
  for (const { id, vips, backends } of balance.services) {
    if (backends.length > 0) for (const vip of vips) map.set(vip, `goto ${chainOf(id)}`);
  }
  return map;
}

function idleVips(balance: OverlayBalance): string[] {
  return balance.services.filter(({ backends }) => backends.length === 0).flatMap(({ vips }) => vips);
}

function hairpins(balance: OverlayBalance): string[] {
  return balance.localTasks.map((address) => `${address} . ${address}`);
}

function chainOf(serviceId: string): string {
  return `svc_${chainWord(serviceId)}`;
}
