/**
 * The ways of an overlay's subnets inside of a task's namespace.
 * Pure. Invariants: every subnet of the network is reached by the task's own interface, whichever of them the
 * task's address is from; of IPv6 nobody is asked by multicast: all go to one router whose MAC is known.
 * Source: docs/design/network-overlay.md, "Inside a task".
 */
import { setNeighbour, setRoute } from "./rtnetlink-messages.js";

/** The host end of a task's interface, as the task's next hop of IPv6. It has no such address, nor needs one. */
export const OVERLAY_ROUTER_IPV6 = "fe80::ffff";

/** The same on all host ends, so that a task that moves leaves no stale entry in its peers. */
export const HOST_END_MAC = "02:42:00:00:00:01";

export interface InsideOptions {
  readonly linkIndex: number;
  /** Of the task on this network. */
  readonly addresses: readonly string[];
  readonly subnets: readonly string[];
  /** Of the host end. */
  readonly routerMac: string;
}

/** For an interface that is up and has its addresses; fine to send again. */
export function insideMessages({ linkIndex, addresses, subnets, routerMac }: InsideOptions): Uint8Array[] {
  const source4 = addresses.find((address) => !address.includes(":"));
  const source6 = addresses.find((address) => address.includes(":"));
  const messages: Uint8Array[] = [];
  if (source6 !== undefined)
    messages.push(setNeighbour({ linkIndex, address: OVERLAY_ROUTER_IPV6, mac: routerMac }));
  for (const destination of subnets) {
    if (!destination.includes(":")) {
      if (source4 !== undefined) messages.push(setRoute({ destination, linkIndex, source: source4 }));
    } else if (source6 !== undefined) {
      const way = { destination, linkIndex, gateway: OVERLAY_ROUTER_IPV6, onlink: true };
      messages.push(setRoute({ ...way, source: source6 }));
    }
  }
  return messages;
}
