/**
 * The mesh's plan kept up to date: one service at a time instead of all anew.
 * Pure. Invariants: what `plan` returns equals `planMesh` of the same state, as long as every change was told
 * by `touch…`; a part that did not change is the same object as in the plan before, so that who renders the
 * difference may skip it.
 * Cost of a step: the changed services' endpoints, and one look at each service and published port.
 * Source: docs/design/network-ingress.md, "Cost".
 */
import type { PeerResource } from "../../proto/gen/skein/v1/dispatcher.js";
import type { MeshNodes, MeshOptions, MeshPlan, ServiceShare } from "./mesh-plan.js";
import { assemble, nodesOf, shareOf } from "./mesh-plan.js";
import type { NetworkState } from "./network-state.js";
import { hasIpv6 } from "./own-addresses.js";

export class MeshPlanner {
  readonly #shares = new Map<string, ServiceShare>();
  readonly #services = new Set<string>();
  readonly #nodes = new Set<string>();
  /** What the shares saw of nodes, by node id: number, and whether there is IPv6. */
  readonly #seen = new Map<string, string>();
  #known: MeshNodes = { peers: new Map(), addresses: [] };
  #isWhole = true;

  /** Everything is to be looked at: identity, own addresses, a complete set of resources, relays. */
  touchAll(): void {
    this.#isWhole = true;
  }

  /** Its ports or the tasks behind them changed, or a sandbox of its tasks here did. */
  touchService(serviceId: string): void {
    this.#services.add(serviceId);
  }

  /** A node came, went or changed. */
  touchNode(nodeId: string): void {
    this.#nodes.add(nodeId);
  }

  /** In slices, between which state and sandboxes must not change. */
  *plan(state: NetworkState, options: MeshOptions): Generator<undefined, MeshPlan> {
    if (this.#isWhole) yield* this.#planAll(state, options);
    else yield* this.#planTouched(state, options);
    this.#services.clear();
    this.#nodes.clear();
    this.#isWhole = false;
    return assemble(this.#shares.values(), { ...options, nodes: this.#known });
  }

  *#planAll(state: NetworkState, options: MeshOptions): Generator<undefined, void> {
    this.#shares.clear();
    for (const id of [...state.services.keys()].sort()) {
      this.#setShare(state, id, options);
      yield;
    }
    this.#seen.clear();
    for (const [nodeId, peer] of state.peers) this.#seen.set(nodeId, seenOf(peer));
    this.#known = nodesOf(state, options);
  }

  *#planTouched(state: NetworkState, options: MeshOptions): Generator<undefined, void> {
    if (this.#nodes.size > 0) this.#planNodes(state, options);
    let isGrown = false;
    for (const id of this.#services) {
      isGrown = this.#setShare(state, id, options) || isGrown;
      yield;
    }
    if (!isGrown) return;
    const sorted = [...this.#shares].sort(([a], [b]) => (a < b ? -1 : 1));
    this.#shares.clear();
    for (const [id, share] of sorted) this.#shares.set(id, share);
  }

  /** A node whose number or IPv6 changed, also from or to none, changes the services that have tasks there. */
  #planNodes(state: NetworkState, options: MeshOptions): void {
    const { peers, addresses } = nodesOf(state, options);
    const before = this.#known;
    const isSame =
      peers.size === before.peers.size && [...peers].every(([n, vtep]) => before.peers.get(n) === vtep);
    this.#known = {
      peers: isSame ? before.peers : peers,
      addresses: addresses.join() === before.addresses.join() ? before.addresses : addresses,
    };
    const moved = new Set<string>();
    for (const nodeId of this.#nodes) {
      const peer = state.peers.get(nodeId);
      const seen = peer === undefined ? undefined : seenOf(peer);
      if (seen === this.#seen.get(nodeId)) continue;
      moved.add(nodeId);
      if (seen === undefined) this.#seen.delete(nodeId);
      else this.#seen.set(nodeId, seen);
    }
    if (moved.size === 0) return;
    for (const { nodeId, serviceId } of state.endpoints.values()) {
      if (moved.has(nodeId)) this.#services.add(serviceId);
    }
  }

  /** @returns whether the service was not there before. Services without a published port take no room. */
  #setShare(state: NetworkState, id: string, options: MeshOptions): boolean {
    const isKnown = this.#shares.has(id);
    const share = shareOf(state, id, options);
    if (share.ports.length === 0) {
      this.#shares.delete(id);
      return false;
    }
    this.#shares.set(id, share);
    return !isKnown;
  }
}

function seenOf({ number, nodeAddresses }: PeerResource): string {
  return `${number} ${hasIpv6(nodeAddresses)}`;
}
