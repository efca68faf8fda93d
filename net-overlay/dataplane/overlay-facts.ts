/**
 * What an overlay network wants of its namespace on this node, for the audit. Pure.
 * Invariant: it says what `LinuxOverlay` makes of the same plan, no more and no less. The namespace is ours
 * alone: what nobody wants in it is foreign.
 * Source: docs/design/network-audit.md.
 */
import type { Fact, WantedFacts } from "../audit/facts.js";
import { NFT_TABLE, NFT_TABLE_IP6 } from "../balance/nft-text.js";
import { renderOverlayRuleset } from "../balance/overlay-ruleset.js";
import type { OverlayPlan } from "../endpoints/overlay-plan.js";
import { tunnelAddress, tunnelAddress6 } from "../vxlan/node-addresses.js";
import { vtepMac } from "../vxlan/transit.js";

export interface OverlayFactsOptions {
  readonly plan: OverlayPlan;
  /** Name of the VXLAN device. */
  readonly link: string;
  readonly mtuBytes: number;
  /** As of `overlayFrame`. */
  readonly isClamped: boolean;
  /** A stand-in has the tunnel's place: its identifier and port are its own. */
  readonly isStandIn: boolean;
  readonly settings: Readonly<Record<string, string>>;
  readonly hostEndMac: string;
  /** The host ends of the tasks' interfaces. */
  readonly ends: readonly {
    readonly hostName: string;
    readonly addresses: readonly string[];
    readonly mac: string;
  }[];
  /** Whether the network has IPv6, and this kernel too. */
  readonly hasIpv6: boolean;
}

export function overlayFacts(options: OverlayFactsOptions): WantedFacts {
  const { plan, link, mtuBytes, ends, hasIpv6, isClamped } = options;
  const balance = { ...plan, isClamped };
  const isCarried = (address: string): boolean => hasIpv6 || !address.includes(":");
  const facts: Fact[] = [
    { kind: "link", name: "lo", isUp: true },
    {
      kind: "link",
      name: link,
      isUp: true,
      mtuBytes,
      mac: vtepMac(plan.nodeNumber),
      ...(options.isStandIn
        ? {}
        : { vxlan: { vni: plan.vni, localAddress: plan.localAddress, udpPort: plan.vxlanUdpPort } }),
    },
    { kind: "address", link, address: tunnelAddress(plan.nodeNumber), prefixLength: 32 },
    ...Object.entries(options.settings).map(([name, value]) => ({ kind: "setting", name, value }) as const),
  ];
  const onLoopback = [...plan.gateways, ...[...plan.services.values()].flatMap(({ vips }) => vips)];
  for (const address of new Set(onLoopback.filter(isCarried)))
    facts.push({ kind: "address", link: "lo", address, prefixLength: hostPrefix(address) });
  for (const [number, vtep] of plan.remoteNodes) {
    const mac = vtepMac(number);
    facts.push(
      { kind: "forwarding", link, mac, address: vtep },
      { kind: "neighbour", link, address: tunnelAddress(number), mac },
    );
    if (hasIpv6) facts.push({ kind: "neighbour", link, address: tunnelAddress6(number), mac });
  }
  for (const [address, number] of plan.remoteTasks) {
    if (!isCarried(address)) continue;
    const gateway = address.includes(":") ? tunnelAddress6(number) : tunnelAddress(number);
    facts.push({ kind: "route", destination: `${address}/${hostPrefix(address)}`, link, gateway });
  }
  for (const { hostName, addresses, mac } of ends) {
    facts.push(
      { kind: "link", name: hostName, isUp: true, mtuBytes, mac: options.hostEndMac },
      { kind: "setting", name: `net.ipv4.neigh.${hostName}.proxy_delay`, value: "0" },
    );
    for (const address of addresses.filter(isCarried)) {
      facts.push(
        { kind: "neighbour", link: hostName, address, mac },
        { kind: "route", destination: `${address}/${hostPrefix(address)}`, link: hostName },
      );
    }
  }
  const names = new Set([link, "lo", ...ends.map(({ hostName }) => hostName)]);
  return {
    facts,
    tables: [
      { name: NFT_TABLE, text: () => renderOverlayRuleset(undefined, balance) },
      ...(hasIpv6
        ? [{ name: NFT_TABLE_IP6, text: () => renderOverlayRuleset(undefined, balance, "ip6") }]
        : []),
    ],
    owns: (found) => {
      if (found.kind === "link" || found.kind === "setting") return false;
      return found.kind === "rule" || names.has("link" in found ? (found.link ?? "lo") : "lo");
    },
  };
}

function hostPrefix(address: string): number {
  return address.includes(":") ? 128 : 32;
}
