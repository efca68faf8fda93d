/**
 * The plan of one overlay network, kept from step to step: a change costs what it touches, not what there is.
 * Pure. Invariants: after a step the plan equals `planOverlay`'s; what a step changed is told with what was
 * there before; an address that two tasks claim belongs to the one with the greater id, as when planned anew.
 * Source: docs/design/network-overlay.md, "Steps".
 */
import type { NetworkState, TouchedOverlay } from "./network-state.js";
import type { BalancedService, OverlayOptions, OverlayPlan, RemoteTask } from "./overlay-plan.js";
import { balancedService, headOf, localsOf, pathMtuOf, remoteOf, unreachableOf } from "./overlay-plan.js";

/** What a step changed, as it was before. */
export interface OverlayChanges {
  readonly services: ReadonlyMap<string, BalancedService | undefined>;
  readonly remoteNodes: ReadonlyMap<number, string | undefined>;
  readonly remoteTasks: ReadonlyMap<string, number | undefined>;
  readonly localTasks: readonly string[];
}

/** How many services or tasks are looked at between two pauses. */
const LOOKED_AT_ONCE = 200;

export class OverlayPlanner {
  readonly networkId: string;
  readonly #tasks = new Map<string, RemoteTask>();
  /** Address -> the task that has it. */
  readonly #owners = new Map<string, string>();
  /** Tasks that claim the same address, its owner included. */
  readonly #rivals = new Map<string, Set<string>>();
  /** Node id, and node number, -> how many of the tasks are there. */
  readonly #nodes = new Map<string, number>();
  readonly #numbers = new Map<number, number>();
  readonly #services = new Map<string, BalancedService>();
  readonly #remoteNodes = new Map<number, string>();
  readonly #remoteTasks = new Map<string, number>();
  #touched: { taskIds: Set<string>; serviceIds: Set<string> } = { taskIds: new Set(), serviceIds: new Set() };
  readonly #touchedNodes = new Set<string>();
  #all = true;
  #localTasks: readonly string[] = [];

  constructor(networkId: string) {
    this.networkId = networkId;
  }

  touch(overlay: TouchedOverlay): void {
    for (const taskId of overlay.taskIds) this.#touched.taskIds.add(taskId);
    for (const serviceId of overlay.serviceIds) this.#touched.serviceIds.add(serviceId);
  }

  touchNode(nodeId: string): void {
    this.#touchedNodes.add(nodeId);
  }

  /** The next step looks at everything. */
  touchAll(): void {
    this.#all = true;
  }

  /**
   * Looks at what was touched. Pauses are between slices of some milliseconds' work; resources and sandboxes
   * must not change before the end.
   * @returns undefined when the network is unknown or has no VNI yet. The plan's maps live on and change with
   * the next step.
   */
  *step(
    state: NetworkState,
    options: OverlayOptions,
  ): Generator<undefined, { readonly plan: OverlayPlan; readonly changes: OverlayChanges } | undefined> {
    const { identity, networkId } = options;
    const network = state.networks.get(networkId);
    if (network === undefined || network.vni === 0) {
      this.#all = true;
      return undefined;
    }
    const before = {
      services: new Map<string, BalancedService | undefined>(),
      remoteNodes: new Map<number, string | undefined>(),
      remoteTasks: new Map<string, number | undefined>(),
      localTasks: this.#localTasks,
    };
    const { taskIds, serviceIds } = this.#takeTouched(state);
    let looked = 0;
    for (const taskId of taskIds) {
      this.#setTask(taskId, remoteOf(state, taskId, { network, identity }), before);
      looked += 1;
      if (looked % LOOKED_AT_ONCE === 0) yield;
    }
    for (const id of serviceIds) {
      this.#setService(
        id,
        balancedService(state, id, { networkId, nodeId: identity.nodeId }),
        before.services,
      );
      looked += 1;
      if (looked % LOOKED_AT_ONCE === 0) yield;
    }
    const locals = localsOf(options);
    this.#localTasks = locals.localTasks;
    const plan: OverlayPlan = {
      ...headOf(network, identity),
      pathMtuBytes: pathMtuOf(state, [identity.nodeId, ...this.#nodes.keys()]),
      services: this.#services,
      remoteNodes: this.#remoteNodes,
      remoteTasks: this.#remoteTasks,
      ...locals,
      unreachable: unreachableOf(state, { network, identity }),
    };
    return { plan, changes: before };
  }

  #takeTouched(state: NetworkState): { taskIds: Set<string>; serviceIds: Set<string> } {
    const { taskIds, serviceIds } = this.#touched;
    this.#touched = { taskIds: new Set(), serviceIds: new Set() };
    if (this.#all) {
      for (const id of this.#tasks.keys()) taskIds.add(id);
      for (const id of this.#services.keys()) serviceIds.add(id);
      for (const id of state.serviceIdsOf(this.networkId)) serviceIds.add(id);
    }
    if (this.#all || this.#touchedNodes.size > 0) {
      for (const id of state.taskIdsOf(this.networkId)) {
        const nodeId = state.endpoints.get(id)?.nodeId ?? "";
        if (this.#all || this.#touchedNodes.has(nodeId)) taskIds.add(id);
      }
    }
    this.#all = false;
    this.#touchedNodes.clear();
    return { taskIds, serviceIds };
  }

  #setService(
    id: string,
    next: BalancedService | undefined,
    before: Map<string, BalancedService | undefined>,
  ): void {
    const last = this.#services.get(id);
    if (last === undefined && next === undefined) return;
    if (last !== undefined && next !== undefined && isSameService(last, next)) return;
    if (!before.has(id)) before.set(id, last);
    if (next === undefined) this.#services.delete(id);
    else this.#services.set(id, next);
  }

  #setTask(taskId: string, next: RemoteTask | undefined, before: Before): void {
    const last = this.#tasks.get(taskId);
    if (last !== undefined && next !== undefined && isSameRemote(last, next)) return;
    if (last !== undefined) {
      this.#tasks.delete(taskId);
      for (const address of last.addresses) this.#release(address, taskId, before);
      this.#leaveNode(last, before);
    }
    if (next === undefined) return;
    this.#tasks.set(taskId, next);
    this.#joinNode(next, before);
    for (const address of next.addresses) this.#claim(address, taskId, before);
  }

  #claim(address: string, taskId: string, before: Before): void {
    const owner = this.#owners.get(address);
    if (owner !== undefined && owner !== taskId) {
      const rivals = this.#rivals.get(address) ?? new Set([owner]);
      this.#rivals.set(address, rivals.add(taskId));
    }
    this.#own(address, owner !== undefined && owner > taskId ? owner : taskId, before);
  }

  #release(address: string, taskId: string, before: Before): void {
    const rivals = this.#rivals.get(address);
    rivals?.delete(taskId);
    if (rivals?.size === 1) this.#rivals.delete(address);
    this.#own(address, [...(rivals ?? [])].sort().at(-1), before);
  }

  #own(address: string, owner: string | undefined, { remoteTasks }: Before): void {
    if (!remoteTasks.has(address)) remoteTasks.set(address, this.#remoteTasks.get(address));
    const number = owner === undefined ? undefined : this.#tasks.get(owner)?.number;
    if (owner === undefined || number === undefined) {
      this.#owners.delete(address);
      this.#remoteTasks.delete(address);
      return;
    }
    this.#owners.set(address, owner);
    this.#remoteTasks.set(address, number);
  }

  #joinNode({ nodeId, number, vtep }: RemoteTask, { remoteNodes }: Before): void {
    this.#nodes.set(nodeId, (this.#nodes.get(nodeId) ?? 0) + 1);
    this.#numbers.set(number, (this.#numbers.get(number) ?? 0) + 1);
    if (this.#remoteNodes.get(number) === vtep) return;
    if (!remoteNodes.has(number)) remoteNodes.set(number, this.#remoteNodes.get(number));
    this.#remoteNodes.set(number, vtep);
  }

  #leaveNode({ nodeId, number }: RemoteTask, { remoteNodes }: Before): void {
    countDown(this.#nodes, nodeId);
    if (countDown(this.#numbers, number) > 0) return;
    if (!remoteNodes.has(number)) remoteNodes.set(number, this.#remoteNodes.get(number));
    this.#remoteNodes.delete(number);
  }
}

/** @returns what is left. */
function countDown<K>(counts: Map<K, number>, key: K): number {
  const count = (counts.get(key) ?? 0) - 1;
  if (count > 0) counts.set(key, count);
  else counts.delete(key);
  return count;
}

interface Before {
  readonly remoteNodes: Map<number, string | undefined>;
  readonly remoteTasks: Map<string, number | undefined>;
}

function isSameService(a: BalancedService, b: BalancedService): boolean {
  return (
    a.balance === b.balance &&
    isSameList(a.vips, b.vips) &&
    isSameList(a.backends, b.backends) &&
    isSameList(a.local ?? [], b.local ?? [])
  );
}

function isSameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((value, index) => value === b[index]);
}

function isSameRemote(a: RemoteTask, b: RemoteTask): boolean {
  return (
    a.nodeId === b.nodeId &&
    a.number === b.number &&
    a.vtep === b.vtep &&
    isSameList(a.addresses, b.addresses)
  );
}
