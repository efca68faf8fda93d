/**
 * What the mesh wants of the host's namespace, for the audit. Pure.
 * Invariant: it says what `LinuxMesh.apply` makes of the same plan, no more and no less.
 * Source: docs/design/network-audit.md.
 */
import type { Fact, WantedFacts } from "../audit/facts.js";
import { MESH_IPV4, MESH_IPV6 } from "../balance/mesh-family.js";
import { TRANSIT_LINK } from "../balance/mesh-frame.js";
import { renderMeshRuleset } from "../balance/mesh-ruleset.js";
import type { MeshPlan } from "../endpoints/mesh-plan.js";
import {
  meshTable,
  nodeNumberOfTable,
  taskMac,
  transitGateway,
  transitGatewayIpv6,
} from "../vxlan/node-addresses.js";
import { TRANSIT_VNI, transitIpv6, transitSubnet, transitSubnetIpv6, vtepMac } from "../vxlan/transit.js";
import type { MarkRule } from "./rtnetlink-messages.js";

export interface MeshFactsOptions {
  readonly plan: MeshPlan;
  readonly mtuBytes: number;
  /** A stand-in has the tunnel's place: its identifier and port are its own. */
  readonly isStandIn: boolean;
  readonly rules: Iterable<MarkRule>;
  /** None where the node has no IPv6. */
  readonly rulesIpv6: Iterable<MarkRule>;
  readonly settings: Readonly<Record<string, string>>;
  /** The host ends of the tasks' gateway interfaces. */
  readonly ends: readonly { readonly hostName: string; readonly address: string }[];
}

export function meshFacts(options: MeshFactsOptions): WantedFacts {
  const { plan, mtuBytes, ends } = options;
  const link = TRANSIT_LINK;
  const source = transitGateway(plan.nodeNumber);
  const facts: Fact[] = [
    {
      kind: "link",
      name: link,
      isUp: true,
      mtuBytes,
      mac: vtepMac(plan.nodeNumber),
      ...(options.isStandIn
        ? {}
        : { vxlan: { vni: TRANSIT_VNI, localAddress: plan.localAddress, udpPort: plan.vxlanUdpPort } }),
    },
    { kind: "address", link, address: source, prefixLength: 32 },
    { kind: "route", destination: transitSubnet(plan.nodeNumber) },
    ...[...options.rules].map((rule) => ({ kind: "rule", rule }) as const),
    ...Object.entries(options.settings).map(([name, value]) => ({ kind: "setting", name, value }) as const),
  ];
  for (const [number, vtep] of plan.peers) {
    const gateway = transitGateway(number);
    const mac = vtepMac(number);
    facts.push(
      { kind: "forwarding", link, mac, address: vtep },
      { kind: "neighbour", link, address: gateway, mac },
      { kind: "route", destination: transitSubnet(number), link, gateway, source },
      { kind: "route", destination: "0.0.0.0/0", table: meshTable(number), link, gateway, source },
    );
  }
  for (const { hostName, address } of ends) {
    facts.push(
      { kind: "link", name: hostName, isUp: true, mtuBytes, mac: taskMac(source) },
      { kind: "neighbour", link: hostName, address, mac: taskMac(address) },
      { kind: "route", destination: `${address}/32`, link: hostName, source },
    );
  }
  if (plan.hasIpv6) facts.push(...factsIpv6(options));
  const names = new Set(ends.map(({ hostName }) => hostName));
  return {
    facts,
    tables: (plan.hasIpv6 ? [MESH_IPV4, MESH_IPV6] : [MESH_IPV4]).map((family) => ({
      name: family.table,
      text: () => renderMeshRuleset(undefined, plan, family),
    })),
    owns: (found) => isMeshEntry(found, names),
  };
}

/** The same in the other family, but what both share. */
function factsIpv6({ plan, rulesIpv6, ends }: MeshFactsOptions): Fact[] {
  const link = TRANSIT_LINK;
  const source = transitGatewayIpv6(plan.nodeNumber);
  const facts: Fact[] = [
    { kind: "address", link, address: source, prefixLength: 128 },
    { kind: "route", destination: transitSubnetIpv6(plan.nodeNumber) },
    ...[...rulesIpv6].map((rule) => ({ kind: "rule", rule, family: 6 }) as const),
  ];
  for (const number of plan.peers.keys()) {
    const gateway = transitGatewayIpv6(number);
    facts.push(
      { kind: "neighbour", link, address: gateway, mac: vtepMac(number) },
      { kind: "route", destination: transitSubnetIpv6(number), link, gateway, source },
      { kind: "route", destination: "::/0", table: meshTable(number), link, gateway, source },
    );
  }
  for (const { hostName, address } of ends) {
    const twin = transitIpv6(address);
    facts.push(
      { kind: "neighbour", link: hostName, address: twin, mac: taskMac(address) },
      { kind: "route", destination: `${twin}/128`, link: hostName, source },
    );
  }
  return facts;
}

/** Routes by a task's interface go with it: those of tasks that are on their way are left alone. */
function isMeshEntry(found: Fact, ends: ReadonlySet<string>): boolean {
  switch (found.kind) {
    case "address":
    case "neighbour":
    case "forwarding":
      return found.link === TRANSIT_LINK || ends.has(found.link);
    case "route":
      return (
        found.link === TRANSIT_LINK ||
        (found.link !== undefined && ends.has(found.link)) ||
        (found.link === undefined && /^(100\.|fd53:6b65:696e:)/.test(found.destination)) ||
        nodeNumberOfTable(found.table ?? 0) !== undefined
      );
    case "rule":
      return true;
    case "link":
    case "setting":
      return false;
  }
}
