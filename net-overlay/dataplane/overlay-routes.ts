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
  readonly discards: readonly Uint8Array[];
  readonly changes: readonly Uint8Array[];
}

/**
 * @param before of both only what may differ, for a step. options.ipv6: whether peers have next hops of IPv6.
 */
export function routeMessages(
  before: OverlayRoutes,
  after: OverlayRoutes,
  { tunnelIndex: linkIndex, ipv6 }: { readonly tunnelIndex: number; readonly ipv6: boolean },
): RouteMessages {
  const discards: Uint8Array[] = [];
  const changes: Uint8Array[] = [];
  const nextHops = (number: number): string[] => [
    tunnelAddress(number),
    ...(ipv6 ? [tunnelAddress6(number)] : []),
  ];
  for (const address of before.loopback)
    if (!after.loopback.has(address)) discards.push(deleteAddress(onLoopback(address)));
  for (const address of after.loopback)
    if (!before.loopback.has(address)) changes.push(setAddress(onLoopback(address)));
  for (const [address, number] of before.tasks)
    if (after.tasks.get(address) !== number) discards.push(deleteRoute(routeTo(address, number, linkIndex)));
  for (const [number, vtep] of before.peers) {
    if (after.peers.has(number)) continue;
    const mac = vtepMac(number);
    if (vtep !== "") discards.push(deleteForwarding({ linkIndex, mac, address: vtep }));
    for (const address of [tunnelAddress(number), tunnelAddress6(number)])
      discards.push(deleteNeighbour({ linkIndex, mac, address }));
  }
  for (const [number, vtep] of after.peers) {
    if (before.peers.get(number) === vtep) continue;
    const mac = vtepMac(number);
    changes.push(setForwarding({ linkIndex, mac, address: vtep }));
    for (const address of nextHops(number)) changes.push(setNeighbour({ linkIndex, mac, address }));
  }
  for (const [address, number] of after.tasks) {
    if (before.tasks.get(address) === number) continue;
    changes.push(setRoute({ ...routeTo(address, number, linkIndex), onlink: true }));
  }
  return { discards, changes };
}

/** Carries them out, with a pause after each slice. */
export function* sendRoutes(
  socket: RouteSocket,
  { discards, changes }: RouteMessages,
): Generator<undefined, void> {
  for (const [messages, isDiscarding] of [[discards, true] as const, [changes, false] as const]) {
    for (let from = 0; from < messages.length; from += READ_AT_ONCE) {
      socket.sendAll(messages.slice(from, from + READ_AT_ONCE), { discards: isDiscarding });
      if (messages.length > READ_AT_ONCE) yield;
    }
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
