/**
 * A VXLAN device without learning, and its peers: one forwarding and one neighbour entry per node.
 * Edge: to the kernel by routing sockets. Invariant: frames go only to VTEPs of known peers.
 */
import { InternalError } from "../../base/errors/errors.js";
import { nodeNumberOfMac, vtepMac } from "../vxlan/transit.js";
import type { RouteSocket } from "./linux-route-socket.js";
import {
  deleteForwarding,
  deleteLink,
  deleteNeighbour,
  newVxlan,
  setForwarding,
  setNeighbour,
} from "./rtnetlink-messages.js";

export interface TunnelOptions {
  readonly name: string;
  readonly vni: number;
  readonly localAddress: string;
  readonly udpPort: number;
  readonly nodeNumber: number;
  readonly mtuBytes: number;
}

/**
 * Finds the device or makes it, replacing one that differs.
 * @param options.underlay socket of the host's namespace, where the UDP socket lives.
 * @param options.inside socket of the namespace the device belongs to,
 * with an open descriptor of it when it is another one.
 */
export function ensureTunnel(
  tunnel: TunnelOptions,
  options: { underlay: RouteSocket; inside: RouteSocket; netnsFd?: number },
): { linkIndex: number; isNew: boolean } {
  const { underlay, inside, netnsFd } = options;
  const found = inside.findLink(tunnel.name);
  const mac = vtepMac(tunnel.nodeNumber);
  if (found !== undefined) {
    const { vxlan } = found;
    const isSame =
      vxlan?.vni === tunnel.vni &&
      vxlan.localAddress === tunnel.localAddress &&
      vxlan.udpPort === tunnel.udpPort &&
      found.mac === mac &&
      found.mtuBytes === tunnel.mtuBytes;
    if (isSame) return { linkIndex: found.index, isNew: false };
    inside.discard(deleteLink(found.index));
  }
  underlay.send(newVxlan({ ...tunnel, mac, ...(netnsFd === undefined ? {} : { netnsFd }) }));
  const made = inside.findLink(tunnel.name);
  if (made === undefined) throw new InternalError(`VXLAN device ${tunnel.name} is not where it was made`);
  return { linkIndex: made.index, isNew: true };
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

/** @returns numbers of the peers that were added or moved. */
export function syncPeers(
  socket: RouteSocket,
  options: {
    linkIndex: number;
    before: ReadonlyMap<number, string>;
    after: ReadonlyMap<number, string>;
    nextHopOf: (number: number) => string;
  },
): number[] {
  const { linkIndex, before, after, nextHopOf } = options;
  const changed: number[] = [];
  for (const [number, vtep] of before) {
    if (after.has(number)) continue;
    const mac = vtepMac(number);
    if (vtep !== "") socket.discard(deleteForwarding({ linkIndex, mac, address: vtep }));
    socket.discard(deleteNeighbour({ linkIndex, mac, address: nextHopOf(number) }));
  }
  for (const [number, vtep] of after) {
    if (before.get(number) === vtep) continue;
    const mac = vtepMac(number);
    socket.send(setForwarding({ linkIndex, mac, address: vtep }));
    socket.send(setNeighbour({ linkIndex, mac, address: nextHopOf(number) }));
    changed.push(number);
  }
  return changed;
}
