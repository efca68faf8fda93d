/**
 * What an overlay's namespace holds beside interfaces and nft: addresses of VIPs and gateways, peers, a route
 * per task elsewhere; and the messages that lead from one such state to another.
 * Pure but for reading, which asks by a routing socket. Invariant: an entry is touched only when it differs.
 * Source: docs/design/network-overlay.md, "Ways".
 */
import { nodeNumberOfTunnel, tunnelAddress, tunnelAddress6 } from "../vxlan/node-addresses.js";
import { nodeNumberOfMac, vtepMac } from "../vxlan/transit.js";
import type { RouteSocket } from "./linux-route-socket.js";
import {
  decodeAddress,
  decodeNeighbour,
  decodeRoute,
  deleteAddress,
  deleteForwarding,
  deleteNeighbour,
  deleteRoute,
  dumpAddresses,
  dumpNeighbours,
  dumpRoutes,
  setAddress,
  setForwarding,
  setNeighbour,
  setRoute,
} from "./rtnetlink-messages.js";

const LOOPBACK_INDEX = 1;
const READ_AT_ONCE = 250;
const SENT_AT_ONCE = 100;

export interface OverlayRoutes {
  /** VIPs and gateways. */
  readonly loopback: ReadonlySet<string>;
  /** Node number -> VTEP. */
  readonly peers: ReadonlyMap<number, string>;
  /** Task address -> node number. */
  readonly tasks: ReadonlyMap<string, number>;
}

export interface RouteMessages {
  /** First; what is gone already is fine. */
  readonly discards: Iterable<Uint8Array>;
  readonly changes: Iterable<Uint8Array>;
}

interface Place {
  readonly tunnelIndex: number;
  /** Whether peers have next hops of IPv6. */
  readonly ipv6: boolean;
}

/** Each is written when it is asked for. @param before of both only what may differ, for a step. */
export function routeMessages(before: OverlayRoutes, after: OverlayRoutes, place: Place): RouteMessages {
  return { discards: discardsOf(before, after, place), changes: changesOf(before, after, place) };
}

function* discardsOf(
  before: OverlayRoutes,
  after: OverlayRoutes,
  { tunnelIndex: linkIndex }: Place,
): Generator<Uint8Array> {
  for (const address of before.loopback)
    if (!after.loopback.has(address)) yield deleteAddress(onLoopback(address));
  for (const [address, number] of before.tasks)
    if (after.tasks.get(address) !== number) yield deleteRoute(routeTo(address, number, linkIndex));
  for (const [number, vtep] of before.peers) {
    if (after.peers.has(number)) continue;
    const mac = vtepMac(number);
    if (vtep !== "") yield deleteForwarding({ linkIndex, mac, address: vtep });
    for (const address of [tunnelAddress(number), tunnelAddress6(number)])
      yield deleteNeighbour({ linkIndex, mac, address });
  }
}

function* changesOf(
  before: OverlayRoutes,
  after: OverlayRoutes,
  { tunnelIndex: linkIndex, ipv6 }: Place,
): Generator<Uint8Array> {
  for (const address of after.loopback)
    if (!before.loopback.has(address)) yield setAddress(onLoopback(address));
  for (const [number, vtep] of after.peers) {
    if (before.peers.get(number) === vtep) continue;
    const mac = vtepMac(number);
    yield setForwarding({ linkIndex, mac, address: vtep });
    yield setNeighbour({ linkIndex, mac, address: tunnelAddress(number) });
    if (ipv6) yield setNeighbour({ linkIndex, mac, address: tunnelAddress6(number) });
  }
  for (const [address, number] of after.tasks) {
    if (before.tasks.get(address) === number) continue;
    yield setRoute({ ...routeTo(address, number, linkIndex), onlink: true });
  }
}

/** Carries them out, with a pause after each slice. */
export function* sendRoutes(
  socket: RouteSocket,
  { discards, changes }: RouteMessages,
): Generator<undefined, void> {
  for (const [messages, isDiscarding] of [[discards, true] as const, [changes, false] as const]) {
    let slice: Uint8Array[] = [];
    for (const message of messages) {
      slice.push(message);
      if (slice.length < SENT_AT_ONCE) continue;
      socket.sendAll(slice, { discards: isDiscarding });
      slice = [];
      yield;
    }
    if (slice.length > 0) socket.sendAll(slice, { discards: isDiscarding });
  }
}

/** The kernel's state, read with pauses. Next hops are set anew, so that no peer counts as known. */
export function* readRoutes(socket: RouteSocket, tunnelIndex: number): Generator<undefined, OverlayRoutes> {
  const loopback = new Set<string>();
  const peers = new Map<number, string>();
  const tasks = new Map<string, number>();
  yield* eachOf(socket.request(dumpAddresses("all")), (payload) => {
    const { index, address } = decodeAddress(payload);
    if (index === LOOPBACK_INDEX && !address.startsWith("127.") && address !== "::1") loopback.add(address);
  });
  yield* eachOf(socket.request(dumpNeighbours("forwarding")), (payload) => {
    const entry = decodeNeighbour(payload);
    const number = entry.linkIndex === tunnelIndex ? nodeNumberOfMac(entry.mac) : undefined;
    if (number !== undefined) peers.set(number, entry.address);
  });
  yield* eachOf(socket.request(dumpRoutes("all")), (payload) => {
    const route = decodeRoute(payload);
    if (route.linkIndex !== tunnelIndex || !route.isOurs || route.gateway === undefined) return;
    const number = nodeNumberOfTunnel(route.gateway);
    if (number !== undefined) tasks.set(route.destination.replace(/\/(32|128)$/, ""), number);
  });
  return { loopback, peers, tasks };
}

function* eachOf(payloads: readonly Uint8Array[], work: (payload: Uint8Array) => void): Generator<undefined> {
  for (const [index, payload] of payloads.entries()) {
    work(payload);
    if (index % READ_AT_ONCE === READ_AT_ONCE - 1) yield;
  }
}

function onLoopback(address: string): { index: number; address: string; prefixLength: number } {
  return { index: LOOPBACK_INDEX, address, prefixLength: address.includes(":") ? 128 : 32 };
}

function routeTo(
  address: string,
  number: number,
  linkIndex: number,
): { destination: string; linkIndex: number; gateway: string } {
  return address.includes(":")
    ? { destination: `${address}/128`, linkIndex, gateway: tunnelAddress6(number) }
    : { destination: `${address}/32`, linkIndex, gateway: tunnelAddress(number) };
}
