/**
 * The IPv6 half of the routing mesh in the host's namespace, beside the IPv4 one on the same tunnel and the
 * same gateway interfaces. Only where the node has IPv6: elsewhere nothing of it is there.
 * Edge: to the kernel by the Linux port. Invariants: as of LinuxMesh; router advertisements that the host
 * lived by it goes on living by, although it forwards.
 * Source: docs/design/network-ingress.md, "IPv6"; ip-sysctl of Linux.
 */
import { existsSync, readFileSync } from "node:fs";
import type { Linux } from "../../base/linux/linux-ports.js";
import { inSlices } from "../../base/loop/process-slices.js";
import { GATEWAY_LINK_PREFIX, TRANSIT_LINK } from "../balance/mesh-frame.js";
import type { MeshPlan } from "../endpoints/mesh-plan.js";
import { meshTable, nodeNumberOfTable, taskMac, transitGatewayIpv6 } from "../vxlan/node-addresses.js";
import { transitIpv6, transitSubnetIpv6, vtepMac } from "../vxlan/transit.js";
import type { LinuxMeshTable } from "./linux-mesh-table.js";
import { syncRules } from "./linux-return-rules.js";
import type { RouteSocket } from "./linux-route-socket.js";
import { FRAME_RULES, returnRules, ruleKey } from "./return-rules.js";
import type { MarkRule, Route } from "./rtnetlink-messages.js";
import {
  addRule,
  deleteAddress,
  deleteNeighbour,
  deleteRoute,
  deleteRule,
  RT_TABLE_LOCAL,
  setAddress,
  setNeighbour,
  setRoute,
} from "./rtnetlink-messages.js";

const FORWARDING = "net.ipv6.conf.all.forwarding";
/** After the kernel's own. */
const LOOPBACK_METRIC = 10_000;
const ALL_LINKS = "/proc/sys/net/ipv6/conf";

interface Applied {
  readonly plan: MeshPlan;
  readonly tunnelIndex: number;
  /** By `ruleKey`. */
  readonly rules: ReadonlyMap<string, MarkRule>;
}

export class LinuxMeshIpv6 {
  readonly #linux: Linux;
  readonly #netnsPath: string | undefined;
  readonly #socket: RouteSocket;
  readonly #table: LinuxMeshTable;
  #applied: Applied | undefined;
  /** Whether it is known that nothing of it is there. */
  #isAbsent = false;

  constructor(
    linux: Linux,
    options: { netnsPath: string | undefined; socket: RouteSocket; table: LinuxMeshTable },
  ) {
    this.#linux = linux;
    this.#netnsPath = options.netnsPath;
    this.#socket = options.socket;
    this.#table = options.table;
  }

  /** What is there, for the audit. */
  get rules(): ReadonlyMap<string, MarkRule> | undefined {
    return this.#applied?.rules;
  }

  /** Call it when the tunnel is there. */
  async apply(plan: MeshPlan, tunnelIndex: number): Promise<void> {
    if (!plan.hasIpv6) {
      if (this.#isAbsent) return;
      this.removeAll();
      this.#linux.setSysctls(this.#netnsPath, withoutIpv6(TRANSIT_LINK));
      return;
    }
    const last = this.#applied;
    const isKnown = last?.plan.nodeNumber === plan.nodeNumber && last.tunnelIndex === tunnelIndex;
    const before = isKnown ? last : undefined;
    this.#applied = undefined; // until everything below is done
    this.#isAbsent = false;
    const known = before?.rules ?? this.#ensure(plan, tunnelIndex);
    const rules = rulesOf(plan, before, known);
    if (rules !== known) await inSlices(syncRules(this.#socket, { before: known, after: rules, family: 6 }));
    if (plan.peers !== before?.plan.peers)
      await inSlices(this.#syncPeers(plan, { before: before?.plan, tunnelIndex }));
    await this.#table.apply(before?.plan, plan);
    this.#applied = { plan, tunnelIndex, rules };
  }

  /** The host end of a task's gateway interface. @param address the task's, told as IPv4. */
  attach(linkIndex: number, { address, nodeNumber }: { address: string; nodeNumber: number }): void {
    const twin = transitIpv6(address);
    this.#socket.send(setNeighbour({ linkIndex, address: twin, mac: taskMac(address) }));
    const source = transitGatewayIpv6(nodeNumber);
    this.#socket.send(setRoute({ destination: `${twin}/128`, linkIndex, source }));
    this.#socket.send(setRoute(loopbackBy(linkIndex)));
  }

  /** Settings of the host and of the tunnel. */
  settings(): Record<string, string> {
    return { [FORWARDING]: "1", ...linkSettingsIpv6(TRANSIT_LINK) };
  }

  isInPlace(): boolean {
    const applied = this.#applied;
    if (applied === undefined) return true; // not there, or to be made anyway
    const there = new Set(
      this.#socket.listRules(6).flatMap(({ isOurs, rule }) => (isOurs ? [ruleKey(rule)] : [])),
    );
    const wanted = [...FRAME_RULES.map(ruleKey), ...applied.rules.keys()];
    return this.#table.isThere() && wanted.every((key) => there.has(key));
  }

  forget(): void {
    this.#applied = undefined;
  }

  /** Routes by links of ours go with them. */
  removeAll(): void {
    this.#applied = undefined;
    if (!existsSync(ALL_LINKS)) return;
    const socket = this.#socket;
    this.#table.remove();
    for (const { isOurs, rule } of socket.listRules(6)) if (isOurs) socket.discard(deleteRule(rule, 6));
    for (const { isOurs, destination, table, isUnreachable } of socket.listRoutes(6)) {
      const type = isUnreachable ? { type: "unreachable" as const } : {};
      if (isOurs && table !== RT_TABLE_LOCAL) socket.discard(deleteRoute({ destination, table, ...type }));
    }
    this.#isAbsent = true;
  }

  /** @returns the rules that are there beside the frame's. */
  #ensure(plan: MeshPlan, tunnelIndex: number): Map<string, MarkRule> {
    const socket = this.#socket;
    this.#forward();
    this.#linux.setSysctls(this.#netnsPath, this.settings());
    const address = transitGatewayIpv6(plan.nodeNumber);
    for (const { index, address: other, prefixLength } of socket.listAddresses(6)) {
      if (index === tunnelIndex && other !== address)
        socket.discard(deleteAddress({ index, address: other, prefixLength }));
    }
    socket.send(setAddress({ index: tunnelIndex, address, prefixLength: 128 }));
    socket.send(setRoute(loopbackBy(tunnelIndex)));
    socket.send(setRoute({ destination: transitSubnetIpv6(plan.nodeNumber), type: "unreachable" }));
    const rules = new Map(
      socket.listRules(6).flatMap(({ isOurs, rule }) => (isOurs ? [[ruleKey(rule), rule] as const] : [])),
    );
    for (const rule of FRAME_RULES) {
      if (!rules.delete(ruleKey(rule))) socket.ensure(addRule(rule, 6));
    }
    return rules;
  }

  *#syncPeers(
    plan: MeshPlan,
    options: { before: MeshPlan | undefined; tunnelIndex: number },
  ): Generator<undefined, void> {
    const { before, tunnelIndex: linkIndex } = options;
    const numbers = before === undefined ? this.#readPeers(linkIndex) : new Set(before.peers.keys());
    const socket = this.#socket;
    for (const number of numbers) {
      if (plan.peers.has(number)) continue;
      for (const route of peerRoutes(number, linkIndex)) socket.discard(deleteRoute(route));
      socket.discard(
        deleteNeighbour({ linkIndex, address: transitGatewayIpv6(number), mac: vtepMac(number) }),
      );
      yield;
    }
    const source = transitGatewayIpv6(plan.nodeNumber);
    for (const number of plan.peers.keys()) {
      if (before !== undefined && numbers.has(number)) continue;
      socket.send(setNeighbour({ linkIndex, address: transitGatewayIpv6(number), mac: vtepMac(number) }));
      for (const route of peerRoutes(number, linkIndex)) socket.send(setRoute({ ...route, source }));
      yield;
    }
  }

  #readPeers(linkIndex: number): Set<number> {
    const tables = this.#socket
      .listRoutes(6)
      .flatMap((route) => (route.isOurs && route.linkIndex === linkIndex ? [route.table] : []));
    return new Set(tables.flatMap((table) => nodeNumberOfTable(table) ?? []));
  }

  /**
   * A host that forwards takes no router advertisements any more, unless told to: it would lose the address
   * or the default route that it has by them.
   */
  #forward(): void {
    const read = (): string[] => {
      if (readFileSync(`${ALL_LINKS}/all/forwarding`, "utf8").trim() === "1") return [];
      const links = readFileSync("/proc/net/if_inet6", "utf8").matchAll(/(\S+)\s*$/gm);
      const names = [...new Set([...links].map((match) => match[1] ?? ""))];
      return names.filter((name) => {
        const isOurs = name === TRANSIT_LINK || name.startsWith(GATEWAY_LINK_PREFIX);
        return !isOurs && readFileSync(`${ALL_LINKS}/${name}/accept_ra`, "utf8").trim() === "1";
      });
    };
    const names = this.#netnsPath === undefined ? read() : this.#linux.inNetns(this.#netnsPath, read);
    const settings = names.map((name) => [`net.ipv6.conf.${name.replaceAll(".", "/")}.accept_ra`, "2"]);
    this.#linux.setSysctls(this.#netnsPath, Object.fromEntries(settings) as Record<string, string>);
  }
}

/** No address of its own making, no belief in advertisements: our neighbours are no routers for the host. */
export function linkSettingsIpv6(link: string): Record<string, string> {
  return {
    [`net.ipv6.conf.${link}.addr_gen_mode`]: "1",
    [`net.ipv6.conf.${link}.accept_ra`]: "0",
    [`net.ipv6.conf.${link}.disable_ipv6`]: "0",
  };
}

/**
 * For a host that has no IPv6: with it, an end would believe a task's router advertisements, and so hand it
 * the host's IPv6 traffic.
 */
export function withoutIpv6(link: string): Record<string, string> {
  return existsSync("/proc/sys/net/ipv6") ? { [`net.ipv6.conf.${link}.disable_ipv6`]: "1" } : {};
}

/**
 * A process of this node that asks a port of ::1 is answered by a task, and the answer, which NAT has led
 * back to ::1, comes in by one of our links. The kernel takes what goes to loopback only by a route of the
 * link it came in by. What bears that address on the wire is dropped before.
 */
function loopbackBy(linkIndex: number): Route {
  const metric = LOOPBACK_METRIC + linkIndex; // with one for all, the last link would have the only route
  return { destination: "::1/128", type: "local", table: RT_TABLE_LOCAL, linkIndex, metric };
}

/** The same map while nothing changes. */
function rulesOf(
  plan: MeshPlan,
  before: Applied | undefined,
  known: ReadonlyMap<string, MarkRule>,
): ReadonlyMap<string, MarkRule> {
  const isPublishing = plan.ports.length > 0;
  if (before?.plan.peers === plan.peers && before.plan.ports.length > 0 === isPublishing) return known;
  return returnRules(isPublishing ? plan.peers.keys() : []);
}

function peerRoutes(number: number, linkIndex: number): Route[] {
  const via = { gateway: transitGatewayIpv6(number), linkIndex, onlink: true };
  return [
    { destination: transitSubnetIpv6(number), ...via },
    { destination: "::/0", table: meshTable(number), ...via },
  ];
}
