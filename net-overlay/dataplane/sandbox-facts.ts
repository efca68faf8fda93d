/**
 * What a task's sandbox is to have inside, for the audit. Pure.
 * Invariant: it says what `LinuxDataPlane.createSandbox` makes of the same sandbox. Nothing is foreign there:
 * the namespace is the task's.
 * Source: docs/design/network-audit.md.
 */
import type { Fact, WantedFacts } from "../audit/facts.js";
import { DNS_REDIRECT, DNS_REDIRECT_TABLE } from "../discovery/dns-address.js";
import type { Sandbox } from "../endpoints/sandbox.js";
import { overlayAddresses } from "../endpoints/sandbox.js";
import { taskMac, transitGateway, transitGatewayIpv6 } from "../vxlan/node-addresses.js";
import { transitIpv6 } from "../vxlan/transit.js";

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
    if (address === "") continue;
    facts.push({ kind: "address", link, address, prefixLength });
    for (const destination of subnetsOf(overlay.networkId))
      if (!destination.includes(":")) facts.push({ kind: "route", destination, link, source: address });
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
