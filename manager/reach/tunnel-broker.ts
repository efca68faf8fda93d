/**
 * Orders tunnels: a client asks for a node, the node is told to dial back, and the two ends are brought
 * together.
 * Pure: streams, store and clock are handed in. Invariants: an order is answered by the node it was given to
 * and by nobody else; every order is answered, or refused in words, within a deadline; all that is counted is
 * given back.
 */
import type { Clock } from "../../base/clock/clock.js";
import {
  NotFoundError,
  PermissionDeniedError,
  ResourceExhaustedError,
  UnavailableError,
} from "../../base/errors/errors.js";
import { newId } from "../../base/random/ids.js";
import type { Random } from "../../base/random/random.js";
import { LogSubscription } from "../../proto/gen/skein/v1/logs.js";
import type { ContainerPlace } from "../../proto/gen/skein/v1/reach.js";
import { NodeState, type TaskState } from "../../proto/gen/skein/v1/types.js";
import type { ReadStore } from "../store/types.js";
import { findContainer } from "./find-container.js";
import type { NodeListeners } from "./node-listeners.js";
import { shortTaskName } from "./short-task-name.js";

/** Tunnels open or ordered at one manager. */
export const TUNNELS_MAX = 256;
/** Of them to one node. */
export const NODE_TUNNELS_MAX = 64;
/** Milliseconds within which a node must have dialled back. */
export const DIAL_BACK_MS = 5_000;

export interface TunnelBrokerComponents {
  readonly store: ReadStore;
  readonly listeners: NodeListeners;
  readonly clock: Clock;
  readonly random: Random;
}

/** Containers whose task is remembered. */
const FOUND_MAX = 256;

/** What a node's end is joined with. */
export interface TunnelOrder<End> {
  /** The node has dialled back. */
  readonly connected: (end: End) => void;
  /** It will not. Called at most once, and not after `connected`. */
  readonly refused: (error: Error) => void;
}

interface Pending<End> {
  readonly nodeId: string;
  readonly order: TunnelOrder<End>;
  readonly stop: () => void;
}

/** @typeParam End the node's end of a tunnel */
export class TunnelBroker<End> {
  readonly #components: TunnelBrokerComponents;
  readonly #pending = new Map<string, Pending<End>>();
  readonly #perNode = new Map<string, number>();
  /** Tasks of containers that were looked up by their whole id. */
  readonly #found = new Map<string, string>();
  #count = 0;

  constructor(components: TunnelBrokerComponents) {
    this.#components = components;
  }

  get count(): number {
    return this.#count;
  }

  /** @throws {NotFoundError} {FailedPreconditionError} {InvalidArgumentError} */
  find(name: string): ContainerPlace {
    return this.#components.store.view((view) => {
      // A look-up by container walks all tasks, and a command asks several times for one.
      const known = this.#found.get(name);
      const task = known === undefined ? undefined : view.get("task", known);
      if (task?.status?.container?.containerId === name) return findContainer(view, task.id);
      const place = findContainer(view, name);
      if (place.containerId === name) this.#remember(name, place.taskId);
      return place;
    });
  }

  /**
   * Orders a tunnel to the node. Whoever asked calls `closed` when it is over, whatever became of it.
   * @throws {UnavailableError} the node is down; {NotFoundError} no such node; {ResourceExhaustedError}.
   */
  open(target: { nodeId: string; taskId: string }, order: TunnelOrder<End>): { closed(): void } {
    const { nodeId } = target;
    this.#assertUp(target);
    const here = this.#perNode.get(nodeId) ?? 0;
    if (this.#count >= TUNNELS_MAX)
      throw new ResourceExhaustedError(`tunnels: ${TUNNELS_MAX} are open at this manager`);
    if (here >= NODE_TUNNELS_MAX)
      throw new ResourceExhaustedError(
        `tunnels: ${NODE_TUNNELS_MAX} are open to node ${this.#nameOf(nodeId)}`,
      );
    this.#count += 1;
    this.#perNode.set(nodeId, here + 1);
    const id = newId(this.#components.random);
    this.#order(id, target, order);
    let over = false;
    return {
      closed: () => {
        if (over) return;
        over = true;
        this.#take(id);
        this.#count -= 1;
        const left = (this.#perNode.get(nodeId) ?? 1) - 1;
        if (left === 0) this.#perNode.delete(nodeId);
        else this.#perNode.set(nodeId, left);
      },
    };
  }

  /** A node answers an order. @throws {NotFoundError} nobody waits for it; {PermissionDeniedError} not its own. */
  answer(nodeId: string, tunnelId: string, end: End, refusal = ""): void {
    const pending = this.#pending.get(tunnelId);
    if (pending === undefined) throw new NotFoundError(`nobody waits for tunnel ${tunnelId}`);
    if (pending.nodeId !== nodeId)
      throw new PermissionDeniedError(`tunnel ${tunnelId} was not ordered from node ${nodeId}`);
    this.#take(tunnelId);
    if (refusal === "") pending.order.connected(end);
    else pending.order.refused(new UnavailableError(`node ${this.#nameOf(nodeId)}: ${refusal}`));
  }

  close(): void {
    for (const [id, { order }] of [...this.#pending]) {
      this.#take(id);
      order.refused(new UnavailableError("this manager stops"));
    }
  }

  #remember(containerId: string, taskId: string): void {
    this.#found.delete(containerId);
    this.#found.set(containerId, taskId);
    const [oldest] = this.#found.keys();
    if (this.#found.size > FOUND_MAX && oldest !== undefined) this.#found.delete(oldest);
  }

  #order(id: string, target: { nodeId: string; taskId: string }, order: TunnelOrder<End>): void {
    const { clock, listeners } = this.#components;
    const { nodeId } = target;
    let asked = false;
    const ask = (): void => {
      const listener = listeners.get(nodeId);
      if (listener === undefined) return;
      asked = true;
      listener.send(LogSubscription.create({ tunnelId: id }));
    };
    const timer = clock.setTimer(DIAL_BACK_MS, () => {
      if (this.#take(id) === undefined) return;
      const what = asked ? "does not answer" : "is not connected to this manager";
      order.refused(new UnavailableError(this.#words(target, `${what}: tried for ${DIAL_BACK_MS / 1000} s`)));
    });
    // An ear that breaks off and opens again is told again; the first to dial back serves.
    const stopListening = listeners.onListening((who) => {
      if (who === nodeId) ask();
    });
    const stop = (): void => {
      timer.cancel();
      stopListening();
    };
    this.#pending.set(id, { nodeId, order, stop });
    ask();
  }

  #take(id: string): Pending<End> | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    pending?.stop();
    return pending;
  }

  #assertUp(target: { nodeId: string; taskId: string }): void {
    const node = this.#components.store.view((view) => view.get("node", target.nodeId));
    if (node === undefined) throw new NotFoundError(`node ${target.nodeId} not found`);
    if (node.status?.state !== NodeState.DOWN) return;
    const why = node.status.message === "" ? "" : ` (${node.status.message})`;
    throw new UnavailableError(this.#words(target, `is down${why}`));
  }

  /** "node host3 is down; its task web.2 was last seen running" */
  #words({ nodeId, taskId }: { nodeId: string; taskId: string }, what: string): string {
    const task = this.#components.store.view((view) => view.get("task", taskId));
    const head = `node ${this.#nameOf(nodeId)} ${what}`;
    if (task?.status === undefined) return head;
    return `${head}; its task ${shortTaskName(task)} was last seen ${wordOf(task.status.state)}`;
  }

  #nameOf(nodeId: string): string {
    const node = this.#components.store.view((view) => view.get("node", nodeId));
    return node?.description?.hostname || nodeId;
  }
}

function wordOf(state: TaskState): string {
  return state.replace(/^TASK_STATE_/, "").toLowerCase();
}
