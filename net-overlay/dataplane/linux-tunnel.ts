/**
 * A VXLAN device without learning, and its peers: one forwarding and one neighbour entry per node.
 * Edge: to the kernel by routing sockets. Invariant: frames go only to VTEPs of known peers.
 */
import { InternalError } from "../../base/errors/errors.js";
import type { TunnelCollision } from "../paths/collision.js";
import { nodeNumberOfMac, vtepMac } from "../vxlan/transit.js";
import { isRefusal, type RouteSocket } from "./linux-route-socket.js";
import {
  deleteForwarding,
  deleteLink,
  deleteNeighbour,
  newVxlan,
  setForwarding,
  setLinkMtu,
  setNeighbour,
} from "./rtnetlink-messages.js";

/** Made and removed at once, to see whether a tunnel can be made beside its stand-in. */
const TRIAL_LINK = "skein-trial";
/** With this source the kernel finds no way out of the host: a stand-in's frames go nowhere. */
const STAND_IN_ADDRESSES = { 4: "127.0.0.1", 6: "::1" } as const;
/** A stand-in's own port, one of these that is free; nothing is sent to or from it. */
const STAND_IN_PORT_FIRST = 47_890;
const STAND_IN_PORTS = 64;

export interface TunnelOptions {
  readonly name: string;
  readonly vni: number;
  readonly localAddress: string;
  readonly udpPort: number;
  readonly nodeNumber: number;
  readonly mtuBytes: number;
  /** @default false */
  readonly dontFragment?: boolean;
}

export interface EnsuredTunnel {
  readonly linkIndex: number;
  readonly isNew: boolean;
  /** Somebody else has the port or the identifier: what is there leads nowhere. The next call tries again. */
  readonly taken?: TunnelCollision["taken"];
}

/**
 * Finds the device or makes it, replacing one that differs. Where somebody else has what it needs, an
 * interface that leads nowhere takes its place, so that what stays on this node works.
 * @param options.underlay socket of the host's namespace, where the UDP socket lives.
 * @param options.inside socket of the namespace the device belongs to,
 * with an open descriptor of it when it is another one.
 */
export function ensureTunnel(
  tunnel: TunnelOptions,
  options: { underlay: RouteSocket; inside: RouteSocket; netnsFd?: number },
): EnsuredTunnel {
  const { inside } = options;
  const found = inside.findLink(tunnel.name);
  const mac = vtepMac(tunnel.nodeNumber);
  const isOfSize = found?.mac === mac && found.mtuBytes === tunnel.mtuBytes;
  const isStandIn = found?.vxlan?.localAddress === standInAddress(tunnel);
  if (found !== undefined && isStandIn) {
    // It stays, with its routes, until the tunnel can be made.
    const taken = makeTunnel({ ...tunnel, name: TRIAL_LINK }, options);
    if (taken !== undefined && isOfSize && found.vxlan?.vni === tunnel.vni)
      return { linkIndex: found.index, isNew: false, taken };
    if (taken === undefined) inside.discard(deleteLink(indexOf(inside, TRIAL_LINK)));
  } else if (found !== undefined) {
    const { vxlan } = found;
    const isSame =
      vxlan?.vni === tunnel.vni &&
      vxlan.localAddress === tunnel.localAddress &&
      vxlan.udpPort === tunnel.udpPort;
    if (isSame && isOfSize) return { linkIndex: found.index, isNew: false };
    if (isSame && found.mac === mac) {
      inside.send(setLinkMtu(found.index, tunnel.mtuBytes)); // routes and peers stay
      return { linkIndex: found.index, isNew: false };
    }
  }
  if (found !== undefined) inside.discard(deleteLink(found.index));
  const taken = makeTunnel(tunnel, options);
  if (taken !== undefined) makeStandIn(tunnel, options);
  const linkIndex = indexOf(inside, tunnel.name);
  return { linkIndex, isNew: true, ...(taken === undefined ? {} : { taken }) };
}

function makeStandIn(tunnel: TunnelOptions, options: { underlay: RouteSocket; netnsFd?: number }): void {
  for (let offset = 0; offset < STAND_IN_PORTS; offset += 1) {
    const udpPort = STAND_IN_PORT_FIRST + offset;
    if (makeTunnel({ ...tunnel, localAddress: standInAddress(tunnel), udpPort }, options) === undefined)
      return;
  }
  throw new InternalError(`no udp port of ${STAND_IN_PORTS} is free for the stand-in of ${tunnel.name}`);
}

function standInAddress({ localAddress }: TunnelOptions): string {
  return STAND_IN_ADDRESSES[localAddress.includes(":") ? 6 : 4];
}

/** @returns what is taken by somebody else, undefined: it is made. */
function makeTunnel(
  tunnel: TunnelOptions,
  { underlay, netnsFd }: { underlay: RouteSocket; netnsFd?: number },
): TunnelCollision["taken"] | undefined {
  const mac = vtepMac(tunnel.nodeNumber);
  try {
    underlay.send(newVxlan({ ...tunnel, mac, ...(netnsFd === undefined ? {} : { netnsFd }) }));
    return undefined;
  } catch (error) {
    if (isRefusal(error, "EADDRINUSE")) return "port";
    if (isRefusal(error, "EEXIST")) return "identifier";
    throw error;
  }
}

function indexOf(inside: RouteSocket, name: string): number {
  const made = inside.findLink(name);
  if (made === undefined) throw new InternalError(`interface ${name} is not where it was made`);
  return made.index;
}

/** Peers as the kernel has them: node number -> VTEP. */
export function readPeers(socket: RouteSocket, linkIndex: number): Map<number, string> {
  const peers = new Map<number, string>();
  for (const entry of socket.listNeighbours("forwarding")) {
    const number = entry.linkIndex === linkIndex ? nodeNumberOfMac(entry.mac) : undefined;
    if (number !== undefined) peers.set(number, entry.address);
  }
  return peers;
}

/** A peer is a slice. @returns numbers of the peers that were added or moved. */
export function* syncPeers(
  socket: RouteSocket,
  options: {
    linkIndex: number;
    before: ReadonlyMap<number, string>;
    after: ReadonlyMap<number, string>;
    nextHopOf: (number: number) => string;
  },
): Generator<undefined, number[]> {
  const { linkIndex, before, after, nextHopOf } = options;
  const changed: number[] = [];
  for (const [number, vtep] of before) {
    if (after.has(number)) continue;
    const mac = vtepMac(number);
    if (vtep !== "") socket.discard(deleteForwarding({ linkIndex, mac, address: vtep }));
    socket.discard(deleteNeighbour({ linkIndex, mac, address: nextHopOf(number) }));
    yield;
  }
  for (const [number, vtep] of after) {
    if (before.get(number) === vtep) continue;
    const mac = vtepMac(number);
    socket.send(setForwarding({ linkIndex, mac, address: vtep }));
    socket.send(setNeighbour({ linkIndex, mac, address: nextHopOf(number) }));
    changed.push(number);
    yield;
  }
  return changed;
}
