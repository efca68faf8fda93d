/**
 * The plans of this node's overlay networks, each kept from step to step, and their way to the data plane.
 * Pure (the world comes as ports). Invariants: the data plane hears of a step only when it has what was
 * before; after a failure, or as another node, it is given the whole plan without saying what changed.
 * Source: docs/design/network-overlay.md, "Steps".
 */
import type { Touched } from "./endpoints/network-state.js";
import type { OverlayPlan } from "./endpoints/overlay-plan.js";
import type { OverlayChanges } from "./endpoints/overlay-planner.js";
import { OverlayPlanner } from "./endpoints/overlay-planner.js";
import type { NetworkGround } from "./network-ground.js";
import type { NodeNetworkIdentity } from "./network-plane.js";
import { inSlices } from "./slices.js";

const TROUBLE_PREFIX = "overlay ";

interface Kept {
  readonly planner: OverlayPlanner;
  /** Whether the data plane has what the planner planned last. */
  isCarriedOut: boolean;
}

export interface PlannedOverlay {
  readonly plan: OverlayPlan;
  /** Undefined: not known. */
  readonly changes: OverlayChanges | undefined;
}

export class OverlayPlans {
  readonly #ground: NetworkGround;
  readonly #kept = new Map<string, Kept>();
  #identity: NodeNetworkIdentity | undefined;

  constructor(ground: NetworkGround) {
    this.#ground = ground;
  }

  touch({ overlays, peerNodeIds }: Pick<Touched, "overlays" | "peerNodeIds">): void {
    for (const [networkId, overlay] of overlays) this.#kept.get(networkId)?.planner.touch(overlay);
    if (peerNodeIds.size === 0) return;
    for (const { planner } of this.#kept.values())
      for (const nodeId of peerNodeIds) planner.touchNode(nodeId);
  }

  /**
   * Resources and sandboxes must not change until it has resolved.
   * @returns undefined when the network is unknown, has no VNI yet, or the node no identity.
   */
  async plan(networkId: string): Promise<PlannedOverlay | undefined> {
    const { identity, state, sandboxes, clock } = this.#ground;
    if (identity === undefined) return undefined;
    if (this.#identity !== identity) this.#kept.clear();
    this.#identity = identity;
    const last = this.#kept.get(networkId);
    this.#kept.delete(networkId); // a step that fails half way is not gone on with
    const planner = last?.planner ?? new OverlayPlanner(networkId);
    const options = { networkId, identity, sandboxes: sandboxes.values() };
    const planned = await inSlices(planner.step(state, options), clock);
    if (planned === undefined) {
      this.#ground.troubles.clear(`${TROUBLE_PREFIX}${networkId}`);
      return undefined;
    }
    this.#kept.set(networkId, { planner, isCarriedOut: false });
    return { plan: planned.plan, changes: last?.isCarriedOut === true ? planned.changes : undefined };
  }

  /** The data plane has the network's last plan. */
  carriedOut({ networkId, unreachable }: OverlayPlan): void {
    const kept = this.#kept.get(networkId);
    if (kept !== undefined) kept.isCarriedOut = true;
    const { troubles, state } = this.#ground;
    const key = `${TROUBLE_PREFIX}${networkId}`;
    if (unreachable.length === 0) {
      troubles.clear(key);
      return;
    }
    const name = state.networks.get(networkId)?.name || networkId;
    const others = unreachable.length === 1 ? "" : ` and ${unreachable.length - 1} more`;
    troubles.set(
      key,
      `network ${name} does not reach ${unreachable[0]}${others}: data path addresses are of different families`,
    );
  }

  clear(): void {
    this.#kept.clear();
  }
}
