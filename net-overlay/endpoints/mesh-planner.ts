/**
 * The mesh's plan kept up to date: one service at a time instead of all anew.
 * Pure. Invariants: what `plan` returns equals `planMesh` of the same state, as long as every change was told
 * by `touch…`; a part that did not change is the same object as in the plan before, so that who renders the
 * difference may skip it.
 * Cost of a step: the changed services' endpoints, and one look at each service and published port.
 * Source: docs/design/network-ingress.md, "Cost".
 */
import type { MeshOptions, MeshPlan, ServiceShare } from "./mesh-plan.js";
import { assemble, peersOf, shareOf } from "./mesh-plan.js";
import type { NetworkState } from "./network-state.js";

export class MeshPlanner {
  readonly #shares = new Map<string, ServiceShare>();
  readonly #services = new Set<string>();
  readonly #nodes = new Set<string>();
  /** Node numbers as the shares saw them, by node id. */
  readonly #numbers = new Map<string, number>();
  #peers: ReadonlyMap<number, string> = new Map();
  #isWhole = true;

  /** Everything is to be looked at: identity, a complete set of resources, relays. */
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

  plan(state: NetworkState, options: MeshOptions): MeshPlan {
    if (this.#isWhole) this.#planAll(state, options);
    else this.#planTouched(state, options);
    this.#services.clear();
    this.#nodes.clear();
    this.#isWhole = false;
    return assemble(this.#shares.values(), { ...options, peers: this.#peers });
  }

  #planAll(state: NetworkState, options: MeshOptions): void {
    this.#shares.clear();
    for (const id of [...state.services.keys()].sort()) this.#setShare(state, id, options);
    this.#numbers.clear();
    for (const [nodeId, { number }] of state.peers) this.#numbers.set(nodeId, number);
    this.#peers = peersOf(state, options.identity);
  }

  #planTouched(state: NetworkState, options: MeshOptions): void {
    if (this.#nodes.size > 0) this.#planNodes(state, options);
    let isGrown = false;
    for (const id of this.#services) isGrown = this.#setShare(state, id, options) || isGrown;
    if (!isGrown) return;
    const sorted = [...this.#shares].sort(([a], [b]) => (a < b ? -1 : 1));
    this.#shares.clear();
    for (const [id, share] of sorted) this.#shares.set(id, share);
  }

  /** A node whose number changed, also from or to none, changes the services that have tasks there. */
  #planNodes(state: NetworkState, options: MeshOptions): void {
    const peers = peersOf(state, options.identity);
    const isSame =
      peers.size === this.#peers.size &&
      [...peers].every(([number, vtep]) => this.#peers.get(number) === vtep);
    if (!isSame) this.#peers = peers;
    const moved = new Set<string>();
    for (const nodeId of this.#nodes) {
      const number = state.peers.get(nodeId)?.number;
      if (number === this.#numbers.get(nodeId)) continue;
      moved.add(nodeId);
      if (number === undefined) this.#numbers.delete(nodeId);
      else this.#numbers.set(nodeId, number);
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
