/**
 * What a task's sandbox is to have inside, for the audit. Pure.
 * Invariant: it says what `LinuxDataPlane.createSandbox` makes of the same sandbox. Nothing is foreign there:
 * the namespace is the task's.
 * Source: docs/design/network-audit.md.
 */
import type { Fact, WantedFacts } from "../audit/facts.js";
import { DNS_REDIRECT, DNS_REDIRECT_TABLE } from "../discovery/dns-address.js";
import type { OverlayAttachment, Sandbox } from "../endpoints/sandbox.js";
import { overlayAddresses } from "../endpoints/sandbox.js";
import { taskMac, transitGateway, transitGatewayIpv6 } from "../vxlan/node-addresses.js";
import { transitIpv6 } from "../vxlan/transit.js";
import { HOST_END_MAC, OVERLAY_ROUTER_IPV6 } from "./overlay-inside.js";

export interface SandboxSurroundings {
  /** Undefined: not set up. */
  readonly mesh: { readonly nodeNumber: number; readonly hasIpv6: boolean } | undefined;
  /** Of a network. */
  readonly subnetsOf: (networkId: string) => readonly string[];
}

export function sandboxFacts(sandbox: Sandbox, { mesh, subnetsOf }: SandboxSurroundings): WantedFacts {
  const facts: Fact[] = [{ kind: "link", name: "lo", isUp: true }];
  for (const [index, overlay] of sandbox.overlays.entries()) {
    const link = `eth${index}`;
    const { address, prefixLength, mac = taskMac(overlayAddresses(overlay)[0] ?? "") } = overlay;
    facts.push({ kind: "link", name: link, isUp: true, mac });
    const subnets = subnetsOf(overlay.networkId);
    if (address !== "") {
      facts.push({ kind: "address", link, address, prefixLength });
      for (const destination of subnets)
        if (!destination.includes(":")) facts.push({ kind: "route", destination, link, source: address });
    }
    facts.push(...ipv6Facts(overlay, { link, subnets: subnets.filter((subnet) => subnet.includes(":")) }));
  }
  const { gatewayAddress: address } = sandbox;
  if (address !== undefined && mesh !== undefined) {
    const gateway = transitGateway(mesh.nodeNumber);
    const link = `eth${sandbox.overlays.length}`;
    facts.push(
      { kind: "link", name: link, isUp: true, mac: taskMac(address) },
      { kind: "address", link, address, prefixLength: 32 },
      { kind: "neighbour", link, address: gateway, mac: taskMac(gateway) },
      { kind: "route", destination: "0.0.0.0/0", link, gateway, source: address },
    );
    const [source, gatewayIpv6] = [transitIpv6(address), transitGatewayIpv6(mesh.nodeNumber)];
    if (mesh.hasIpv6) {
      facts.push(
        { kind: "address", link, address: source, prefixLength: 128 },
        { kind: "neighbour", link, address: gatewayIpv6, mac: taskMac(gateway) },
        { kind: "route", destination: "::/0", link, gateway: gatewayIpv6, source },
      );
    }
  }
  return {
    facts,
    tables: [{ name: DNS_REDIRECT_TABLE, text: () => DNS_REDIRECT }],
    owns: () => false,
  };
}

/** @param options.subnets of IPv6; none where the kernel does not speak it. */
function ipv6Facts(
  { address6 = "", prefixLength6 = 128 }: OverlayAttachment,
  { link, subnets }: { link: string; subnets: readonly string[] },
): Fact[] {
  if (address6 === "" || subnets.length === 0) return [];
  const gateway = OVERLAY_ROUTER_IPV6;
  return [
    { kind: "address", link, address: address6, prefixLength: prefixLength6 },
    { kind: "neighbour", link, address: gateway, mac: HOST_END_MAC },
    ...subnets.map((destination): Fact => ({ kind: "route", destination, link, gateway, source: address6 })),
  ];
}
