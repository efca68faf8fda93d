/**
 * One overlay network on this node: a namespace that routes between the tasks here and the VXLAN device.
 * Edge: to the kernel by the Linux port. Invariants: after `apply` the kernel holds what the plan says;
 * after a failure, or a restart, the next `apply` reads the kernel first; local tasks' routes belong to their
 * interfaces and vanish with them.
 * Source: docs/design/network.md, "Overlay".
 */
import { closeSync, existsSync, openSync, unlinkSync } from "node:fs";
import { InternalError } from "../../base/errors/errors.js";
import type { Linux, NftContext } from "../../base/linux/linux-ports.js";
import type { Logger } from "../../base/log/logger.js";
import type { WantedFacts } from "../audit/facts.js";
import { renderOverlayRuleset } from "../balance/overlay-ruleset.js";
import type { OverlayPlan } from "../endpoints/overlay-plan.js";
import type { OverlayAttachment } from "../endpoints/sandbox.js";
import type { TunnelCollision } from "../paths/collision.js";
import { taskMac, tunnelAddress } from "../vxlan/node-addresses.js";
import { LinuxConntrack, leavers } from "./linux-conntrack.js";
import { isRefusal, RouteSocket } from "./linux-route-socket.js";
import { type EnsuredTunnel, ensureTunnel, readPeers, syncPeers } from "./linux-tunnel.js";
import { type OverlayFactsOptions, overlayFacts } from "./overlay-facts.js";
import {
  deleteAddress,
  deleteLink,
  deleteRoute,
  newVeth,
  setAddress,
  setLinkMtu,
  setLinkUp,
  setNeighbour,
  setRoute,
} from "./rtnetlink-messages.js";

const TUNNEL_LINK = "vx0";
const LOOPBACK_INDEX = 1;
/** The same on all host ends, so that a task that moves leaves no stale entry in its peers. */
const HOST_END_MAC = "02:42:00:00:00:01";

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

/** What the kernel is known to hold. */
interface Applied {
  readonly plan: OverlayPlan | undefined;
  readonly tunnelIndex: number;
  readonly loopbackAddresses: ReadonlySet<string>;
  readonly peers: ReadonlyMap<number, string>;
  readonly remoteTasks: ReadonlyMap<string, number>;
}

export class LinuxOverlay {
  readonly #linux: Linux;
  readonly #path: string;
  readonly #socket: RouteSocket;
  readonly #nft: NftContext;
  readonly #conntrack: LinuxConntrack;
  #applied: Applied | undefined;
  #mtuBytes: number | undefined;
  #taken: EnsuredTunnel["taken"];

  /** Opens the namespace, making it when it is missing or dead. */
  constructor(linux: Linux, options: { path: string; log: Logger }) {
    const { path, log } = options;
    this.#linux = linux;
    this.#path = path;
    if (existsSync(path) && !isNetns(linux, path)) unlinkSync(path);
    if (!existsSync(path)) {
      linux.createNetns(path);
      linux.setSysctls(path, SYSCTLS);
    }
    this.#socket = new RouteSocket(linux, path);
    this.#nft = linux.nft(path);
    this.#conntrack = new LinuxConntrack(linux, { netnsPath: path, log });
    this.#socket.send(setLinkUp(LOOPBACK_INDEX));
  }

  /** What interfaces of tasks are to have, and the socket that reaches their other ends. */
  get size(): { readonly outside: RouteSocket; readonly mtuBytes: number } | undefined {
    return this.#mtuBytes === undefined ? undefined : { outside: this.#socket, mtuBytes: this.#mtuBytes };
  }

  /** What of the tunnel somebody else has: the next `apply` tries again. */
  get collision(): Omit<TunnelCollision, "what"> | undefined {
    const plan = this.#applied?.plan;
    if (plan === undefined || this.#taken === undefined) return undefined;
    return { vni: plan.vni, udpPort: plan.vxlanUdpPort, taken: this.#taken };
  }

  apply(plan: OverlayPlan, options: { underlay: RouteSocket; underlayMtuBytes: number }): void {
    const before = this.#ensureTunnel(plan, options);
    this.#applied = undefined; // until everything below is done
    const socket = this.#socket;
    const { tunnelIndex } = before;
    const loopbackAddresses = new Set([
      ...(plan.gateway === "" ? [] : [plan.gateway]),
      ...plan.services.flatMap(({ vips }) => vips),
    ]);
    for (const address of before.loopbackAddresses) {
      if (!loopbackAddresses.has(address))
        socket.discard(deleteAddress({ index: LOOPBACK_INDEX, address, prefixLength: 32 }));
    }
    for (const address of loopbackAddresses) {
      if (!before.loopbackAddresses.has(address))
        socket.send(setAddress({ index: LOOPBACK_INDEX, address, prefixLength: 32 }));
    }
    for (const [address, number] of before.remoteTasks) {
      if (plan.remoteTasks.get(address) === number) continue;
      const gateway = tunnelAddress(number);
      socket.discard(deleteRoute({ destination: `${address}/32`, linkIndex: tunnelIndex, gateway }));
    }
    syncPeers(socket, {
      linkIndex: tunnelIndex,
      before: before.peers,
      after: plan.remoteNodes,
      nextHopOf: tunnelAddress,
    });
    for (const [address, number] of plan.remoteTasks) {
      if (before.remoteTasks.get(address) === number) continue;
      const gateway = tunnelAddress(number);
      socket.send(setRoute({ destination: `${address}/32`, linkIndex: tunnelIndex, gateway, onlink: true }));
    }
    const ruleset = renderOverlayRuleset(before.plan, plan);
    if (ruleset !== "") this.#nft.run(ruleset);
    this.#conntrack.forgetUdpFlowsOf(leavers(backendsOf(before.plan), backendsOf(plan)));
    this.#applied = {
      plan,
      tunnelIndex,
      loopbackAddresses,
      peers: plan.remoteNodes,
      remoteTasks: plan.remoteTasks,
    };
  }

  /** For the audit. @returns undefined: nothing was applied yet. */
  wanted(ends: OverlayFactsOptions["ends"]): WantedFacts | undefined {
    const plan = this.#applied?.plan;
    const mtuBytes = this.#mtuBytes;
    if (plan === undefined || mtuBytes === undefined) return undefined;
    return overlayFacts({
      ...{ plan, ends, mtuBytes, link: TUNNEL_LINK, settings: SYSCTLS, hostEndMac: HOST_END_MAC },
      isStandIn: this.#taken !== undefined,
    });
  }

  /** Nothing is known of the kernel any more: the next `apply` reads it. */
  forget(): void {
    this.#applied = undefined;
  }

  /**
   * An interface of a task: its end is born in the sandbox under the index given, down, with MAC and MTU.
   * @returns its MAC.
   */
  attach(
    overlay: OverlayAttachment,
    end: { hostName: string; name: string; index: number; netnsFd: number },
  ): string {
    const mtuBytes = this.#mtuBytes;
    if (mtuBytes === undefined) throw new InternalError(`overlay ${this.#path} has no tunnel yet`);
    const mac = overlay.mac ?? taskMac(overlay.address);
    const linkIndex = makeVeth(this.#socket, {
      host: { name: end.hostName, mac: HOST_END_MAC, mtuBytes },
      peer: { name: end.name, mac, mtuBytes, index: end.index, netnsFd: end.netnsFd },
    });
    // Outside the first namespace there is no default to set before.
    this.#linux.setSysctls(this.#path, { [`net.ipv4.neigh.${end.hostName}.proxy_delay`]: "0" });
    this.#socket.send(setNeighbour({ linkIndex, address: overlay.address, mac }));
    this.#socket.send(setRoute({ destination: `${overlay.address}/32`, linkIndex }));
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
    const tunnel = this.#socket.findLink(TUNNEL_LINK);
    if (tunnel !== undefined) this.#socket.discard(deleteLink(tunnel.index));
    this.#applied = undefined;
  }

  close(): void {
    this.#socket.close();
    this.#conntrack.close();
    this.#nft.close();
  }

  #ensureTunnel(plan: OverlayPlan, options: { underlay: RouteSocket; underlayMtuBytes: number }): Applied {
    const tunnel = {
      name: TUNNEL_LINK,
      vni: plan.vni,
      localAddress: plan.localAddress,
      udpPort: plan.vxlanUdpPort,
      nodeNumber: plan.nodeNumber,
      mtuBytes: plan.mtuBytes || options.underlayMtuBytes,
    };
    const last = this.#applied?.plan;
    if (
      this.#applied !== undefined &&
      last?.vni === plan.vni &&
      last.localAddress === plan.localAddress &&
      last.vxlanUdpPort === plan.vxlanUdpPort &&
      last.nodeNumber === plan.nodeNumber &&
      last.mtuBytes === plan.mtuBytes &&
      this.#taken === undefined
    ) {
      if (this.#mtuBytes !== tunnel.mtuBytes)
        this.#socket.send(setLinkMtu(this.#applied.tunnelIndex, tunnel.mtuBytes));
      this.#mtuBytes = tunnel.mtuBytes;
      return this.#applied;
    }
    this.#mtuBytes = tunnel.mtuBytes;
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
      return this.#readKernel(linkIndex);
    } finally {
      closeSync(netnsFd);
    }
  }

  #readKernel(tunnelIndex: number): Applied {
    const socket = this.#socket;
    const remoteTasks = new Map<string, number>();
    for (const route of socket.listRoutes()) {
      if (route.linkIndex !== tunnelIndex || !route.isOurs || route.gateway === undefined) continue;
      const [, , high, low] = route.gateway.split(".").map(Number);
      remoteTasks.set(route.destination.replace(/\/32$/, ""), (high ?? 0) * 256 + (low ?? 0));
    }
    const loopbackAddresses = socket
      .listAddresses()
      .filter(({ index, address }) => index === LOOPBACK_INDEX && !address.startsWith("127."))
      .map(({ address }) => address);
    return {
      plan: undefined,
      tunnelIndex,
      loopbackAddresses: new Set(loopbackAddresses),
      peers: readPeers(socket, tunnelIndex),
      remoteTasks,
    };
  }
}

function backendsOf(plan: OverlayPlan | undefined): string[] {
  return (plan?.services ?? []).flatMap(({ backends }) => backends);
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
export function makeVeth(socket: RouteSocket, options: Parameters<typeof newVeth>[0]): number {
  const { name } = options.host;
  try {
    socket.send(newVeth(options));
  } catch (error) {
    const leftover = isRefusal(error, "EEXIST") ? socket.findLink(name) : undefined;
    if (leftover === undefined) throw error;
    socket.discard(deleteLink(leftover.index));
    socket.send(newVeth(options));
  }
  const link = socket.findLink(name);
  if (link === undefined) throw new InternalError(`interface ${name} is not where it was made`);
  return link.index;
}
