/**
 * The routing mesh in the host's namespace: transit tunnel, routes back through the entry node, ruleset.
 * Edge: to the kernel by the Linux port. Invariants: after `apply` the kernel holds what the plan says;
 * after a failure, or a restart, the next `apply` reads the kernel first; everything is found again by its
 * names, protocol number and table.
 * Source: docs/design/network.md, "Mesh".
 */
import { readFileSync } from "node:fs";
import { FailedPreconditionError } from "../../base/errors/errors.js";
import type { Linux, NetlinkSocket, NftContext } from "../../base/linux/linux-ports.js";
import type { Logger } from "../../base/log/logger.js";
import { inSlices } from "../../base/loop/process-slices.js";
import type { WantedFacts } from "../audit/facts.js";
import { MESH_IPV4, MESH_IPV6 } from "../balance/mesh-family.js";
import { GATEWAY_LINK_PREFIX, TRANSIT_LINK } from "../balance/mesh-frame.js";
import type { MeshPlan, MeshPort } from "../endpoints/mesh-plan.js";
import { meshTable, taskMac, transitGateway } from "../vxlan/node-addresses.js";
import { isTransitAddress, TRANSIT_VNI, transitIpv6, transitSubnet } from "../vxlan/transit.js";
import { vxlanOverheadBytes } from "../vxlan/vni.js";
import type { UdpFlow } from "./conntrack-messages.js";
import { LinuxConntrack, leavers } from "./linux-conntrack.js";
import { LinuxForeignFilters } from "./linux-foreign-filters.js";
import { LinuxMeshIpv6, linkSettingsIpv6, withoutIpv6 } from "./linux-mesh-ipv6.js";
import { LinuxMeshTable } from "./linux-mesh-table.js";
import { makeVeth } from "./linux-overlay.js";
import { syncRules } from "./linux-return-rules.js";
import type { RouteSocket } from "./linux-route-socket.js";
import { type EnsuredTunnel, ensureTunnel, readPeers, syncPeers } from "./linux-tunnel.js";
import { type MeshFactsOptions, meshFacts } from "./mesh-facts.js";
import { FRAME_RULES, returnRules, ruleKey } from "./return-rules.js";
import type { MarkRule, Route } from "./rtnetlink-messages.js";
import {
  addRule,
  deleteLink,
  deleteRoute,
  deleteRule,
  setAddress,
  setLinkMtu,
  setNeighbour,
  setRoute,
} from "./rtnetlink-messages.js";

/** A path that passes less is no path; IPv4 promises 576. */
const TUNNEL_MTU_MIN = 576;

/** A link of less has no IPv6. Source: RFC 8200, section 5. */
const IPV6_MTU_MIN = 1_280;

interface Applied {
  readonly plan: MeshPlan | undefined;
  readonly tunnelIndex: number;
  readonly peers: ReadonlyMap<number, string>;
  /** Rules that are there, by `ruleKey`. */
  readonly rules: ReadonlyMap<string, MarkRule>;
}

export class LinuxMesh {
  readonly #linux: Linux;
  readonly #netnsPath: string | undefined;
  readonly #socket: RouteSocket;
  readonly #nft: NftContext;
  readonly #netfilter: NetlinkSocket;
  readonly #table: LinuxMeshTable;
  readonly #ipv6: LinuxMeshIpv6;
  readonly #foreign: LinuxForeignFilters;
  readonly #conntrack: LinuxConntrack;
  #applied: Applied | undefined;
  #underlayMtuBytes: number | undefined;
  #pathMtuBytes = Number.POSITIVE_INFINITY;
  /** As the transit tunnel has it. */
  #mtuBytes: number | undefined;
  #taken: EnsuredTunnel["taken"];

  constructor(linux: Linux, options: { netnsPath: string | undefined; socket: RouteSocket; log: Logger }) {
    this.#linux = linux;
    this.#netnsPath = options.netnsPath;
    this.#socket = options.socket;
    this.#nft = linux.nft(options.netnsPath);
    this.#foreign = new LinuxForeignFilters(this.#nft, options.log);
    this.#netfilter = linux.netlink(options.netnsPath, "netfilter");
    const ways = { nft: this.#nft, socket: this.#netfilter };
    this.#table = new LinuxMeshTable(ways, MESH_IPV4);
    this.#ipv6 = new LinuxMeshIpv6(linux, { ...options, table: new LinuxMeshTable(ways, MESH_IPV6) });
    this.#conntrack = new LinuxConntrack(linux, options);
  }

  /** What of the transit tunnel somebody else has: the next `apply` tries again. */
  get taken(): EnsuredTunnel["taken"] {
    return this.#taken;
  }

  /** What a task's packet may have: the underlay's MTU less the tunnel's header. */
  tunnelMtuBytes(localAddress: string): number {
    if (this.#underlayMtuBytes === undefined) {
      const index = this.#socket.listAddresses("all").find(({ address }) => address === localAddress)?.index;
      const link = this.#socket.listLinks().find((candidate) => candidate.index === index);
      if (link === undefined)
        throw new FailedPreconditionError(
          `data path address ${localAddress} is on no interface of this node`,
        );
      this.#underlayMtuBytes = link.mtuBytes;
    }
    const passesBytes = Math.min(this.#underlayMtuBytes, this.#pathMtuBytes);
    return Math.max(TUNNEL_MTU_MIN, passesBytes - vxlanOverheadBytes(localAddress.includes(":") ? 6 : 4));
  }

  /** Whether less passes between nodes than the underlay's interface takes. */
  get isPathSmall(): boolean {
    return this.#underlayMtuBytes !== undefined && this.#pathMtuBytes < this.#underlayMtuBytes;
  }

  /** What passes between nodes, as measured; 0: not yet. The underlay is read anew. */
  limitPath(pathMtuBytes: number): void {
    this.#pathMtuBytes = pathMtuBytes > 0 ? pathMtuBytes : Number.POSITIVE_INFINITY;
    this.#underlayMtuBytes = undefined;
  }

  /** @returns the plan as it was carried out: without IPv6, where the path is too small for it. */
  async apply(asked: MeshPlan): Promise<MeshPlan> {
    const isLarge = this.tunnelMtuBytes(asked.localAddress) >= IPV6_MTU_MIN;
    const plan = isLarge || !asked.hasIpv6 ? asked : { ...asked, hasIpv6: false };
    const before = this.#ensureTransit(plan);
    this.#applied = undefined; // until everything below is done
    const { tunnelIndex } = before;
    const socket = this.#socket;
    const { peers } = plan;
    // Also without a task here: a refusal of what a peer still sends to one that is gone must find its way
    // back.
    const isPublishing = plan.ports.length > 0;
    const isSameTree = peers === before.plan?.peers && isPublishing === before.plan.ports.length > 0;
    const rules = isSameTree ? before.rules : returnRules(isPublishing ? peers.keys() : []);
    if (rules !== before.rules) await inSlices(syncRules(socket, { before: before.rules, after: rules }));
    if (peers !== before.peers) await inSlices(this.#syncPeers(plan, before));
    await this.#table.apply(before.plan, plan);
    await this.#ipv6.apply(plan, tunnelIndex);
    if (before.plan === undefined) await inSlices(this.#conntrack.forgetStrays(isStrayOf(plan)));
    else this.#conntrack.forgetUdpFlowsOf(goneUdpBackends(before.plan, plan));
    this.#applied = { plan, tunnelIndex, peers, rules };
    return plan;
  }

  *#syncPeers(plan: MeshPlan, before: Applied): Generator<undefined, void> {
    const { tunnelIndex } = before;
    const socket = this.#socket;
    for (const number of before.peers.keys()) {
      if (plan.peers.has(number)) continue;
      for (const route of peerRoutes(number, tunnelIndex)) socket.discard(deleteRoute(route));
      yield;
    }
    const changed = yield* syncPeers(socket, {
      linkIndex: tunnelIndex,
      before: before.peers,
      after: plan.peers,
      nextHopOf: transitGateway,
    });
    const source = transitGateway(plan.nodeNumber);
    for (const number of changed) {
      for (const route of peerRoutes(number, tunnelIndex)) socket.send(setRoute({ ...route, source }));
      yield;
    }
  }

  /** For the audit. @returns undefined: nothing was applied yet. */
  wanted(ends: MeshFactsOptions["ends"]): WantedFacts | undefined {
    const { plan, rules } = this.#applied ?? {};
    if (plan === undefined || rules === undefined) return undefined;
    return meshFacts({
      plan,
      ends,
      mtuBytes: this.tunnelMtuBytes(plan.localAddress),
      isStandIn: this.#taken !== undefined,
      rules: [...FRAME_RULES, ...rules.values()],
      rulesIpv6: plan.hasIpv6 ? [...FRAME_RULES, ...(this.#ipv6.rules?.values() ?? [])] : [],
      settings: {
        ...this.#transitSettings(plan),
        ...(plan.hasIpv6 ? this.#ipv6.settings() : {}),
        ...Object.assign({}, ...ends.map(({ hostName }) => endSettings(hostName, plan))),
      },
    });
  }

  /** Nothing is known of the kernel any more: the next `apply` reads it. */
  forget(): void {
    this.#applied = undefined;
    this.#ipv6.forget();
  }

  /**
   * The host end of a task's gateway interface;
   * the task's end is born in its namespace under the index given.
   */
  attach(options: {
    plan: Pick<MeshPlan, "nodeNumber" | "localAddress" | "hasIpv6">;
    address: string;
    hostName: string;
    end: { name: string; index: number; netnsFd: number };
  }): { gatewayMac: string } {
    const { plan, address, hostName, end } = options;
    const mtuBytes = this.tunnelMtuBytes(plan.localAddress);
    const gateway = transitGateway(plan.nodeNumber);
    const gatewayMac = taskMac(gateway);
    const mac = taskMac(address);
    const linkIndex = makeVeth(this.#socket, {
      host: { name: hostName, mac: gatewayMac, mtuBytes },
      peer: { ...end, mac, mtuBytes },
    });
    this.#linux.setSysctls(this.#netnsPath, endSettings(hostName, plan));
    this.#socket.send(setNeighbour({ linkIndex, address, mac }));
    this.#socket.send(setRoute({ destination: `${address}/32`, linkIndex, source: gateway }));
    if (plan.hasIpv6) this.#ipv6.attach(linkIndex, { address, nodeNumber: plan.nodeNumber });
    return { gatewayMac };
  }

  /** The host end of an interface from before the node had IPv6. Missing is fine. */
  attachIpv6(hostName: string, options: { address: string; nodeNumber: number }): void {
    const link = this.#socket.findLink(hostName);
    if (link === undefined) return;
    this.#linux.setSysctls(this.#netnsPath, linkSettingsIpv6(hostName));
    this.#ipv6.attach(link.index, options);
  }

  /** Lets our packets through the filters of docker, ufw and firewalld. Repeated, because they make theirs anew. */
  openForwarding(): void {
    this.#foreign.open();
  }

  /**
   * Whether ruleset and routing rules are there: a reload of the host's own firewall may have flushed the
   * one, systemd-networkd removes the others when it starts. If not, the next `apply` makes them anew.
   */
  isInPlace(): boolean {
    if (this.#table.isThere() && this.#hasRules() && this.#ipv6.isInPlace()) return true;
    this.forget();
    return false;
  }

  #hasRules(): boolean {
    const wanted = [...FRAME_RULES.map(ruleKey), ...(this.#applied?.rules.keys() ?? [])];
    const there = new Set(
      this.#socket.listRules().flatMap(({ isOurs, rule }) => (isOurs ? [ruleKey(rule)] : [])),
    );
    return wanted.every((key) => there.has(key));
  }

  removeAll(): void {
    const socket = this.#socket;
    this.#foreign.removeAll();
    this.#table.remove();
    this.#ipv6.removeAll();
    for (const { isOurs, rule } of socket.listRules()) if (isOurs) socket.discard(deleteRule(rule));
    for (const { name, index } of socket.listLinks()) {
      if (name === TRANSIT_LINK || name.startsWith(GATEWAY_LINK_PREFIX)) socket.discard(deleteLink(index));
    }
    for (const route of socket.listRoutes()) {
      if (!route.isOurs) continue;
      const { destination, table } = route;
      socket.discard(
        deleteRoute({ destination, table, ...(route.isUnreachable ? { type: "unreachable" as const } : {}) }),
      );
    }
    this.#applied = undefined;
  }

  close(): void {
    this.#conntrack.close();
    this.#netfilter.close();
    this.#nft.close();
  }

  #ensureTransit(plan: MeshPlan): Applied {
    const socket = this.#socket;
    const last = this.#applied?.plan;
    if (
      this.#applied !== undefined &&
      last?.nodeNumber === plan.nodeNumber &&
      last.localAddress === plan.localAddress &&
      last.vxlanUdpPort === plan.vxlanUdpPort &&
      this.#taken === undefined
    ) {
      const mtuBytes = this.tunnelMtuBytes(plan.localAddress);
      if (mtuBytes !== this.#mtuBytes) socket.send(setLinkMtu(this.#applied.tunnelIndex, mtuBytes));
      this.#mtuBytes = mtuBytes;
      return this.#applied;
    }
    this.#underlayMtuBytes = undefined;
    this.#mtuBytes = this.tunnelMtuBytes(plan.localAddress);
    const { linkIndex, taken } = ensureTunnel(
      {
        name: TRANSIT_LINK,
        vni: TRANSIT_VNI,
        localAddress: plan.localAddress,
        udpPort: plan.vxlanUdpPort,
        nodeNumber: plan.nodeNumber,
        mtuBytes: this.#mtuBytes,
      },
      { underlay: socket, inside: socket },
    );
    this.#taken = taken;
    this.#linux.setSysctls(this.#netnsPath, this.#transitSettings(plan));
    socket.send(setAddress({ index: linkIndex, address: transitGateway(plan.nodeNumber), prefixLength: 32 }));
    // no loop for a task that is gone
    socket.send(setRoute({ destination: transitSubnet(plan.nodeNumber), type: "unreachable" }));
    const rules = new Map(
      socket.listRules().flatMap(({ isOurs, rule }) => (isOurs ? [[ruleKey(rule), rule] as const] : [])),
    );
    for (const rule of FRAME_RULES) {
      if (!rules.delete(ruleKey(rule))) socket.ensure(addRule(rule));
    }
    // A peer whose routes are not there counts as one with another VTEP: it is set again, or removed.
    const routed = new Set(
      socket
        .listRoutes()
        .filter((route) => route.isOurs && route.linkIndex === linkIndex)
        .map(({ table }) => table),
    );
    const peers = new Map(
      [...readPeers(socket, linkIndex)].map(([number, vtep]) => [
        number,
        routed.has(meshTable(number)) ? vtep : "",
      ]),
    );
    return { plan: undefined, tunnelIndex: linkIndex, peers, rules };
  }

  #transitSettings({ hasIpv6 }: MeshPlan): Record<string, string> {
    return {
      "net.ipv4.ip_forward": "1",
      [`net.ipv4.conf.${TRANSIT_LINK}.rp_filter`]: this.#reversePathFilter(),
      [`net.ipv4.conf.${TRANSIT_LINK}.route_localnet`]: "1",
      ...(hasIpv6 ? {} : withoutIpv6(TRANSIT_LINK)),
    };
  }

  /**
   * Clients' packets come out of the tunnel by design. The kernel takes the larger of this and the setting
   * for all; 1 would drop them.
   */
  #reversePathFilter(): string {
    const read = (): string => readFileSync("/proc/sys/net/ipv4/conf/all/rp_filter", "utf8").trim();
    const all = this.#netnsPath === undefined ? read() : this.#linux.inNetns(this.#netnsPath, read);
    return all === "1" ? "2" : "0";
  }
}

function endSettings(hostName: string, { hasIpv6 }: Pick<MeshPlan, "hasIpv6">): Record<string, string> {
  const ipv6 = hasIpv6 ? linkSettingsIpv6(hostName) : withoutIpv6(hostName);
  return { [`net.ipv4.conf.${hostName}.route_localnet`]: "1", ...ipv6 };
}

/** Flows that were led to a task's gateway interface to which no published port leads now. */
function isStrayOf({ ports }: MeshPlan): (flow: UdpFlow) => boolean {
  const staying = new Set(addressesOf(ports));
  return ({ server, destination }) =>
    server !== destination && isTransitAddress(server) && !staying.has(server);
}

/**
 * UDP backends that no port has any more, by both their addresses. Looks at all ports only when one has lost
 * a backend.
 */
function goneUdpBackends(before: MeshPlan | undefined, after: MeshPlan): string[] {
  const staying = new Set<MeshPort>(after.ports);
  const changed = (before?.ports ?? []).filter((port) => port.protocol === "udp" && !staying.has(port));
  return changed.length === 0 ? [] : leavers(addressesOf(changed), addressesOf(after.ports));
}

function addressesOf(ports: readonly MeshPort[]): string[] {
  return ports
    .filter(({ protocol }) => protocol === "udp")
    .flatMap(({ backends }) => backends.flatMap(({ address }) => [address, transitIpv6(address)]));
}

function peerRoutes(number: number, linkIndex: number): Route[] {
  const via = { gateway: transitGateway(number), linkIndex, onlink: true };
  return [
    { destination: transitSubnet(number), ...via },
    { destination: "0.0.0.0/0", table: meshTable(number), ...via },
  ];
}
