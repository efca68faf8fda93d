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
import { taskMac } from "../vxlan/node-addresses.js";

/** @param gateway the node's end, undefined when the mesh is not set up. */
export function sandboxFacts(sandbox: Sandbox, gateway: string | undefined): WantedFacts {
  const facts: Fact[] = [{ kind: "link", name: "lo", isUp: true }];
  for (const [index, overlay] of sandbox.overlays.entries()) {
    const link = `eth${index}`;
    const { address, prefixLength, mac = taskMac(overlayAddresses(overlay)[0] ?? "") } = overlay;
    facts.push({ kind: "link", name: link, isUp: true, mac });
    if (address !== "") facts.push({ kind: "address", link, address, prefixLength });
  }
  const { gatewayAddress: address } = sandbox;
  if (address !== undefined && gateway !== undefined) {
    const link = `eth${sandbox.overlays.length}`;
    facts.push(
      { kind: "link", name: link, isUp: true, mac: taskMac(address) },
      { kind: "address", link, address, prefixLength: 32 },
      { kind: "neighbour", link, address: gateway, mac: taskMac(gateway) },
      { kind: "route", destination: "0.0.0.0/0", link, gateway, source: address },
    );
  }
  return {
    facts,
    tables: [{ name: DNS_REDIRECT_TABLE, text: () => DNS_REDIRECT }],
    owns: () => false,
  };
}
