/**
 * One overlay network on this node: a namespace that routes between the tasks here and the VXLAN device.
 * Edge: to the kernel by the Linux port. Invariants: after `apply` the kernel holds what the plan says;
 * a step touches what changed; after a failure, or a restart, the next `apply` reads the kernel first; local
 * tasks' routes belong to their interfaces and vanish with them.
 * Source: docs/design/network-overlay.md.
 */
import { closeSync, existsSync, openSync, unlinkSync } from "node:fs";
import { FailedPreconditionError, InternalError, messageOf } from "../../base/errors/errors.js";
import type { Linux } from "../../base/linux/linux-ports.js";
import type { Logger } from "../../base/log/logger.js";
import { inSlices } from "../../base/loop/process-slices.js";
import type { WantedFacts } from "../audit/facts.js";
import type { AddressFamily } from "../balance/overlay-table.js";
import type { BalancedService, LocalTask, OverlayPlan } from "../endpoints/overlay-plan.js";
import type { OverlayChanges } from "../endpoints/overlay-planner.js";
import type { OverlayAttachment } from "../endpoints/sandbox.js";
import { overlayAddresses } from "../endpoints/sandbox.js";
import type { TunnelCollision } from "../paths/collision.js";
import { taskMac, tunnelAddress } from "../vxlan/node-addresses.js";
import { vxlanOverheadBytes } from "../vxlan/vni.js";
import type { UdpFlow } from "./conntrack-messages.js";
import { hostEndIndex, LINK_INDEX_ATTEMPTS } from "./link-index.js";
import { LinuxConntrack, leavers } from "./linux-conntrack.js";
import { OverlayTables } from "./linux-overlay-tables.js";
import { isRefusal, RouteSocket } from "./linux-route-socket.js";
import { type EnsuredTunnel, ensureTunnel } from "./linux-tunnel.js";
import { type OverlayFactsOptions, overlayFacts } from "./overlay-facts.js";
import { HOST_END_MAC, insideMessages } from "./overlay-inside.js";
import type { OverlayRoutes } from "./overlay-routes.js";
import { readRoutes, routeMessages, sendRoutes } from "./overlay-routes.js";
import {
  deleteLink,
  newVeth,
  setAddress,
  setLinkMtu,
  setLinkUp,
  setNeighbour,
  setRoute,
  type VethEnd,
} from "./rtnetlink-messages.js";

/** More services that change at once are compared in slices, as after a start: a step holds the event loop. */
const STEP_SERVICES_MAX = 40;
/** The tunnel, in each network's namespace. */
export const OVERLAY_LINK = "vx0";
/** Host ends of tasks' interfaces begin so. */
const TASK_LINK_PREFIX = "v";
const LOOPBACK_INDEX = 1;
/** Below it the kernel takes IPv6 away from a link. Source: RFC 8200, section 5. */
const IPV6_MTU_MIN = 1280;

/** Set before any interface exists, so that each is born with them. */
const SYSCTLS = {
  "net.ipv4.ip_forward": "1",
  // every path here is symmetric, so this is the guard against spoofed sources
  "net.ipv4.conf.all.rp_filter": "1",
  "net.ipv4.conf.default.rp_filter": "1",
  "net.ipv4.conf.all.send_redirects": "0",
  "net.ipv4.conf.default.send_redirects": "0",
  "net.ipv4.conf.all.arp_ignore": "0",
  "net.ipv4.conf.default.proxy_arp": "1",
};
/** The same for IPv6: interfaces have no addresses, believe no router, and ask for nobody. */
const SYSCTLS_IPV6 = {
  "net.ipv6.conf.all.disable_ipv6": "0",
  "net.ipv6.conf.default.disable_ipv6": "0",
  "net.ipv6.conf.all.forwarding": "1",
  "net.ipv6.conf.default.forwarding": "1",
  "net.ipv6.conf.default.accept_ra": "0",
  "net.ipv6.conf.default.accept_dad": "0",
  "net.ipv6.conf.default.addr_gen_mode": "1",
};

/** What the kernel is known to hold. */
interface Applied {
  readonly plan: OverlayPlan;
  /** What of the plan, and of the underlay, a step cannot change. */
  readonly frame: string;
  readonly tunnelIndex: number;
}

export interface OverlayUnderlay {
  /** Of the namespace where the tunnel's socket lives. */
  readonly underlay: RouteSocket;
  /** What a task's packet may have there. */
  readonly underlayMtuBytes: number;
  /** Whether less was measured to pass than the underlay's interface takes. */
  readonly isPathSmall: boolean;
  /** Of a task's sandbox. */
  readonly sandboxPath: (taskId: string) => string;
}

export class LinuxOverlay {
  readonly #linux: Linux;
  readonly #path: string;
  readonly #log: Logger;
  readonly #socket: RouteSocket;
  readonly #tables: OverlayTables;
  readonly #conntrack: LinuxConntrack;
  readonly #hasIpv6 = existsSync("/proc/sys/net/ipv6");
  #applied: Applied | undefined;
  #subnets: readonly string[] = [];
  #mtuBytes: number | undefined;
  #isClamped = false;
  #taken: EnsuredTunnel["taken"];

  /** Opens the namespace, making it when it is missing or dead. */
  constructor(linux: Linux, options: { path: string; log: Logger }) {
    const { path, log } = options;
    this.#linux = linux;
    this.#path = path;
    this.#log = log;
    if (existsSync(path) && !isNetns(linux, path)) unlinkSync(path);
    if (!existsSync(path)) {
      linux.createNetns(path);
      linux.setSysctls(path, this.#settings());
    }
    this.#socket = new RouteSocket(linux, path);
    this.#tables = new OverlayTables(linux, path);
    this.#conntrack = new LinuxConntrack(linux, { netnsPath: path, log });
    this.#socket.send(setLinkUp(LOOPBACK_INDEX));
  }

  /** What of the tunnel somebody else has: the next `apply` tries again. */
  get collision(): Omit<TunnelCollision, "what"> | undefined {
    const plan = this.#applied?.plan;
    if (plan === undefined || this.#taken === undefined) return undefined;
    return { vni: plan.vni, udpPort: plan.vxlanUdpPort, taken: this.#taken };
  }

  /** @param changes since the plan of the last call; undefined: not known, everything is compared. */
  async apply(
    plan: OverlayPlan,
    changes: OverlayChanges | undefined,
    underlay: OverlayUnderlay,
  ): Promise<void> {
    const last = this.#applied;
    const mtuBytes = this.#mtuOf(plan, underlay);
    this.#isClamped = isClamped(plan, { ...underlay, mtuBytes });
    const frame = JSON.stringify([mtuBytes, this.#isClamped, headOf(plan)]);
    this.#applied = undefined; // until everything below is done
    const isStep = changes !== undefined && changes.services.size <= STEP_SERVICES_MAX;
    if (last === undefined || !isStep || last.frame !== frame || this.#taken !== undefined) {
      const tunnelIndex = await inSlices(this.#compare(plan, { ...underlay, mtuBytes }));
      this.#applied = { plan, frame, tunnelIndex };
      return;
    }
    await inSlices(this.#step(plan, changes, last.tunnelIndex));
    this.#applied = { plan, frame, tunnelIndex: last.tunnelIndex };
  }

  *#step(plan: OverlayPlan, changes: OverlayChanges, tunnelIndex: number): Generator<undefined, void> {
    const before = [...changes.services.values()].flatMap((service) => service ?? []);
    const after = [...changes.services.keys()].flatMap((id) => plan.services.get(id) ?? []);
    const ipv6 = this.#isIpv6(plan);
    const messages = routeMessages(
      {
        loopback: vipsOf(before),
        peers: known(changes.remoteNodes),
        tasks: known(changes.remoteTasks),
      },
      this.#carried({
        loopback: vipsOf(after),
        peers: part(plan.remoteNodes, changes.remoteNodes.keys()),
        tasks: part(plan.remoteTasks, changes.remoteTasks.keys()),
      }),
      { tunnelIndex, ipv6 },
    );
    yield* sendRoutes(this.#socket, messages);
    yield* this.#tables.step(plan, changes, this.#families(plan));
    this.#conntrack.forgetUdpFlowsOf(leavers(backendsOf(before), backendsOf(after)));
  }

  /** @returns the tunnel's index. */
  *#compare(
    plan: OverlayPlan,
    options: OverlayUnderlay & { readonly mtuBytes: number },
  ): Generator<undefined, number> {
    const isResized = this.#mtuBytes !== options.mtuBytes;
    this.#mtuBytes = options.mtuBytes;
    this.#subnets = plan.subnets;
    if (isResized) this.#resizeLinks(options.mtuBytes);
    const tunnelIndex = this.#ensureTunnel(plan, options);
    const ipv6 = this.#isIpv6(plan);
    if (ipv6) this.#linux.setSysctls(this.#path, SYSCTLS_IPV6); // of namespaces made by versions before IPv6
    yield;
    const found = yield* readRoutes(this.#socket, tunnelIndex);
    const before = ipv6
      ? { ...found, peers: new Map([...found.peers].map(([number]) => [number, ""])) }
      : found;
    const after = this.#carried({
      loopback: new Set([...plan.gateways, ...vipsOf(plan.services.values())]),
      peers: plan.remoteNodes,
      tasks: plan.remoteTasks,
    });
    const messages = routeMessages(before, after, { tunnelIndex, ipv6 });
    yield;
    yield* sendRoutes(this.#socket, messages);
    yield* this.#tables.fill(plan, { families: this.#families(plan), isClamped: this.#isClamped });
    yield* this.#forgetStrays(plan);
    yield* this.#conntrack.forgetStrays(isStrayOf(plan));
    for (const local of plan.locals) {
      this.#refreshInside(local, options);
      yield;
    }
    return tunnelIndex;
  }

  /** Of the plan that was applied. */
  get subnets(): readonly string[] {
    return this.#subnets.filter((subnet) => this.#hasIpv6 || !subnet.includes(":"));
  }

  /** Of UDP flows to our VIPs: those to backends that left while nobody looked. */
  *#forgetStrays(plan: OverlayPlan): Generator<undefined, void> {
    const services = [...plan.services.values()];
    const [vips, backends] = [vipsOf(services), new Set(backendsOf(services))];
    yield* this.#conntrack.forgetStrays(
      ({ destination, server }) => vips.has(destination) && !backends.has(server),
    );
  }

  /** For the audit. @returns undefined: nothing was applied yet. */
  wanted(ends: OverlayFactsOptions["ends"]): WantedFacts | undefined {
    const plan = this.#applied?.plan;
    const mtuBytes = this.#mtuBytes;
    if (plan === undefined || mtuBytes === undefined) return undefined;
    return overlayFacts({
      ...{ plan, ends, mtuBytes, link: OVERLAY_LINK, hostEndMac: HOST_END_MAC },
      isClamped: this.#isClamped,
      settings: this.#isIpv6(plan) ? this.#settings() : SYSCTLS,
      isStandIn: this.#taken !== undefined,
      hasIpv6: this.#isIpv6(plan),
    });
  }

  /** Nothing is known of the kernel any more: the next `apply` reads it. */
  forget(): void {
    this.#applied = undefined;
  }

  /**
   * An interface of a task: its end is born in the sandbox under the index given, with MAC and MTU, and set
   * up there with its addresses and the ways to the network's other subnets.
   * @returns its MAC. @throws {FailedPreconditionError} for IPv6 alone on a kernel without it.
   */
  attach(
    overlay: OverlayAttachment,
    end: { hostName: string; name: string; index: number; netnsFd: number; inside: RouteSocket },
  ): string {
    const mtuBytes = this.#mtuBytes;
    if (mtuBytes === undefined) throw new InternalError(`overlay ${this.#path} has no tunnel yet`);
    const addresses = overlayAddresses(overlay).filter((address) => this.#hasIpv6 || !address.includes(":"));
    const [first] = addresses;
    if (first === undefined)
      throw new FailedPreconditionError(
        `network ${overlay.networkId} has addresses of IPv6 alone, which this node's kernel does not speak`,
      );
    const mac = overlay.mac ?? taskMac(first);
    const linkIndex = makeVeth(this.#socket, {
      host: { name: end.hostName, mac: HOST_END_MAC, mtuBytes },
      peer: { name: end.name, mac, mtuBytes, index: end.index, netnsFd: end.netnsFd },
    });
    // Outside the first namespace there is no default to set before.
    this.#linux.setSysctls(this.#path, { [`net.ipv4.neigh.${end.hostName}.proxy_delay`]: "0" });
    for (const address of addresses) {
      this.#socket.send(setNeighbour({ linkIndex, address, mac }));
      this.#socket.send(
        setRoute({ destination: `${address}/${address.includes(":") ? 128 : 32}`, linkIndex }),
      );
    }
    end.inside.send(setLinkUp(end.index));
    const { index } = end;
    if (overlay.address !== "")
      end.inside.send(setAddress({ index, address: overlay.address, prefixLength: overlay.prefixLength }));
    const { address6 = "", prefixLength6 = 128 } = overlay;
    if (address6 !== "" && this.#hasIpv6) {
      const address = { index, address: address6, prefixLength: prefixLength6, withoutRoute: true };
      end.inside.send(setAddress(address));
    }
    const ways = { linkIndex: index, addresses, subnets: this.#subnets, routerMac: HOST_END_MAC };
    for (const message of insideMessages(ways)) end.inside.send(message);
    return mac;
  }

  /** Takes the interface away, live; its routes and neighbours go with it. Missing is fine. */
  detach(hostName: string): void {
    const link = this.#socket.findLink(hostName);
    if (link !== undefined) this.#socket.discard(deleteLink(link.index));
  }

  /**
   * Takes the tunnel away at once. The kernel ends a namespace some time after its last user has gone,
   * and until then the VNI would be taken: the overlay could not be made anew.
   */
  removeTunnel(): void {
    const tunnel = this.#socket.findLink(OVERLAY_LINK);
    if (tunnel !== undefined) this.#socket.discard(deleteLink(tunnel.index));
    this.#applied = undefined;
  }

  close(): void {
    this.#socket.close();
    this.#conntrack.close();
    this.#tables.close();
  }

  /** What the network asks for, or else the least of underlay and measured paths. */
  #mtuOf(plan: OverlayPlan, { underlayMtuBytes }: OverlayUnderlay): number {
    if (plan.mtuBytes > 0) return plan.mtuBytes;
    // an encrypted network's underlay is what WireGuard was given, from the same measurement
    const overhead = vxlanOverheadBytes(plan.localAddress.includes(":") ? 6 : 4);
    const path = plan.encrypted || plan.pathMtuBytes === 0 ? underlayMtuBytes : plan.pathMtuBytes - overhead;
    const least = Math.min(underlayMtuBytes, path);
    return this.#isIpv6(plan) ? Math.max(IPV6_MTU_MIN, least) : least;
  }

  #ensureTunnel(plan: OverlayPlan, options: OverlayUnderlay & { readonly mtuBytes: number }): number {
    const tunnel = {
      name: OVERLAY_LINK,
      vni: plan.vni,
      localAddress: plan.localAddress,
      udpPort: plan.vxlanUdpPort,
      nodeNumber: plan.nodeNumber,
      mtuBytes: options.mtuBytes,
    };
    const netnsFd = openSync(this.#path, "r");
    try {
      const { linkIndex, taken } = ensureTunnel(tunnel, {
        underlay: options.underlay,
        inside: this.#socket,
        netnsFd,
      });
      this.#taken = taken;
      const address = tunnelAddress(plan.nodeNumber);
      this.#socket.send(setAddress({ index: linkIndex, address, prefixLength: 32 }));
      return linkIndex;
    } finally {
      closeSync(netnsFd);
    }
  }

  /** The host ends of tasks; the tunnel is resized where it is found. */
  #resizeLinks(mtuBytes: number): void {
    for (const link of this.#socket.listLinks()) {
      const isTask = link.vxlan === undefined && link.name.startsWith(TASK_LINK_PREFIX);
      if (isTask && link.mtuBytes !== mtuBytes) this.#socket.discard(setLinkMtu(link.index, mtuBytes));
    }
  }

  /** MTU and ways of an interface in a sandbox that may be older than they are. */
  #refreshInside(
    local: LocalTask,
    { mtuBytes, sandboxPath }: OverlayUnderlay & { readonly mtuBytes: number },
  ): void {
    const path = local.netnsPath ?? sandboxPath(local.taskId);
    if (!existsSync(path)) return;
    try {
      const inside = new RouteSocket(this.#linux, path);
      try {
        const link = inside.findLink(local.linkName);
        if (link === undefined) return; // not made yet
        if (link.mtuBytes !== mtuBytes) inside.discard(setLinkMtu(link.index, mtuBytes));
        const { addresses } = local;
        const ways = { linkIndex: link.index, addresses, subnets: this.#subnets, routerMac: HOST_END_MAC };
        inside.sendAll(insideMessages(ways));
      } finally {
        inside.close();
      }
    } catch (error) {
      // its container may go at any moment, and with it the namespace
      this.#log.warn("an interface was not told its network's size and subnets", {
        taskId: local.taskId,
        error: messageOf(error),
      });
    }
  }

  #settings(): Record<string, string> {
    return this.#hasIpv6 ? { ...SYSCTLS, ...SYSCTLS_IPV6 } : SYSCTLS;
  }

  #isIpv6(plan: OverlayPlan): boolean {
    return this.#hasIpv6 && plan.subnets.some((subnet) => subnet.includes(":"));
  }

  #families(plan: OverlayPlan): readonly AddressFamily[] {
    return this.#isIpv6(plan) ? ["ip", "ip6"] : ["ip"];
  }

  /** What of a state this kernel can hold. */
  #carried(state: OverlayRoutes): OverlayRoutes {
    if (this.#hasIpv6) return state;
    const isV4 = (address: string): boolean => !address.includes(":");
    return {
      ...state,
      loopback: new Set([...state.loopback].filter(isV4)),
      tasks: new Map([...state.tasks].filter(([address]) => isV4(address))),
    };
  }
}

/**
 * Whether tasks may have been told more than passes: some path, or another member's, is smaller than the
 * interfaces. Inside of WireGuard the interface itself has the measured size.
 */
function isClamped(
  { encrypted, mtuBytes: asked }: OverlayPlan,
  { isPathSmall, mtuBytes, underlayMtuBytes }: OverlayUnderlay & { readonly mtuBytes: number },
): boolean {
  return asked === 0 && (encrypted || isPathSmall || mtuBytes < underlayMtuBytes);
}

/** What seldom changes of a plan. */
function headOf(plan: OverlayPlan): unknown {
  const { services, remoteNodes, remoteTasks, localTasks, locals, unreachable, pathMtuBytes, ...head } = plan;
  return head;
}

function vipsOf(services: Iterable<BalancedService>): Set<string> {
  return new Set([...services].flatMap(({ vips }) => vips));
}

/** Flows to a VIP that are answered by what is no backend of it: it left while nobody looked. */
function isStrayOf({ services }: OverlayPlan): (flow: UdpFlow) => boolean {
  const byVip = new Map<string, ReadonlySet<string>>();
  for (const { vips, backends } of services.values()) {
    const staying = new Set(backends);
    for (const vip of vips) byVip.set(vip, staying);
  }
  return ({ destination, server }) => byVip.get(destination)?.has(server) === false;
}

function backendsOf(services: readonly BalancedService[]): string[] {
  return services.flatMap(({ backends }) => backends);
}

function known<K, V>(map: ReadonlyMap<K, V | undefined>): Map<K, V> {
  return new Map([...map].flatMap(([key, value]): [K, V][] => (value === undefined ? [] : [[key, value]])));
}

function part<K, V>(map: ReadonlyMap<K, V>, keys: Iterable<K>): Map<K, V> {
  return new Map(
    [...keys].flatMap((key): [K, V][] => {
      const value = map.get(key);
      return value === undefined ? [] : [[key, value]];
    }),
  );
}

/** Whether the file is a living namespace: after a reboot it may be a plain one. */
export function isNetns(linux: Linux, path: string): boolean {
  try {
    linux.inNetns(path, () => undefined);
    return true;
  } catch (error) {
    if (isRefusal(error, "EINVAL")) return false;
    throw error;
  }
}

/** Makes a veth pair; a leftover of the same name is removed first. @returns the index of the host end. */
export function makeVeth(
  socket: RouteSocket,
  { host, peer }: { host: VethEnd; peer: Parameters<typeof newVeth>[0]["peer"] },
): number {
  const { name } = host;
  for (let attempt = 0; ; attempt += 1) {
    const index = hostEndIndex(name, attempt);
    try {
      socket.send(newVeth({ host: { ...host, index }, peer }));
      return index;
    } catch (error) {
      if (!isRefusal(error, "EEXIST") || attempt === LINK_INDEX_ATTEMPTS) throw error;
      const leftover = socket.findLink(name);
      if (leftover !== undefined) socket.discard(deleteLink(leftover.index));
    }
  }
}
