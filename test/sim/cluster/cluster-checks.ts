/**
 * What must hold at every commit and at every start of a container, whatever fails. Pure.
 * A store of its own applies each entry when the first manager does: the truth that all others are held
 * against.
 */
import { InternalError } from "../../../base/errors/errors.js";
import { silentLogger } from "../../../base/log/logger.js";
import { SeededRandom } from "../../../base/random/seeded-random.js";
import { isTerminal, stateRank } from "../../../manager/orchestrator/task-state.js";
import { createMemoryStore, type MemoryStore } from "../../../manager/store/memory-store.js";
import type { StoreChange, StoreWatch } from "../../../manager/store/types.js";
import type { Service, Task } from "../../../proto/gen/skein/v1/objects.js";
import { NodeState, TaskState, UpdateOrder } from "../../../proto/gen/skein/v1/types.js";
import type { EventQueue } from "../event-queue.js";
import { HostClock } from "../host-clock.js";
import { HostLife } from "../host-life.js";
import { brokenByStack } from "./cluster-stacks.js";
import type { ContainerWatch, SimContainer } from "./sim-containers.js";

export class ClusterViolation extends Error {
  readonly promise: string;

  constructor(promise: string, words: string) {
    super(`${promise}: ${words}`);
    this.promise = promise;
    this.name = "ClusterViolation";
  }
}

/** What the checks must know of machines: whether a container there is anybody's fault. */
export interface MachinesView {
  /**
   * Simulated milliseconds since which the machine's daemon runs and nothing cuts it off; undefined: it is
   * not so.
   */
  reachableSinceMs(slot: number): number | undefined;
  slotOf(nodeId: string): number | undefined;
  runningEverywhere(): readonly { readonly slot: number; readonly container: SimContainer }[];
}

/** After it is heard again a node needs time to learn what it should not run any more, and to stop it. */
const RETURN_MS = 16_000;

export class ClusterChecks implements ContainerWatch {
  readonly store: MemoryStore;
  readonly #watch: StoreWatch;
  readonly #queue: EventQueue;
  readonly #fail: (error: Error) => void;
  readonly #entries = new Map<number, string>();
  /** "network address" to the object that holds it. */
  readonly #holders = new Map<string, string>();
  readonly #held = new Map<string, readonly string[]>();
  /** Services that were ever updated start-first: two tasks of a slot may run at once. */
  readonly #startFirst = new Set<string>();
  /** Simulated instant since which a node is READY. */
  readonly #readySinceMs = new Map<string, number>();
  /** Simulated instant at which a task was told to stop. */
  readonly #stoppingSinceMs = new Map<string, number>();
  machines: MachinesView | undefined;
  commits = 0;
  starts = 0;

  constructor(queue: EventQueue, fail: (error: Error) => void) {
    this.#queue = queue;
    this.#fail = fail;
    const clock = new HostClock(queue, new HostLife(queue), 1);
    const refuse = (): Promise<never> => Promise.reject(new InternalError("the checker writes nothing"));
    this.store = createMemoryStore({
      proposer: { isLeader: false, propose: refuse },
      clock,
      random: new SeededRandom("checks"),
      log: silentLogger,
    });
    this.#watch = this.store.watch({ wake: () => undefined });
  }

  /** A manager applies an entry: the first to do so is believed, all others must agree. */
  applied(slot: number, entry: { index: number; term: number; data: Uint8Array }): void {
    const digest = `${entry.term} ${digestOf(entry.data)}`;
    const known = this.#entries.get(entry.index);
    if (known !== undefined) {
      if (known !== digest)
        this.#break("one history", `manager ${slot} applied another entry ${entry.index}`);
      return;
    }
    this.#entries.set(entry.index, digest);
    if (entry.index <= this.store.index) return;
    this.store.apply(entry);
    this.commits += 1;
    for (const { changes } of this.#watch.take()) for (const change of changes) this.#look(change);
  }

  started(slot: number, { taskId, task }: SimContainer): void {
    this.starts += 1;
    if (task.slot === 0 || this.machines === undefined) return;
    const others = this.machines
      .runningEverywhere()
      .filter(
        ({ container }) =>
          container.taskId !== taskId &&
          container.task.serviceId === task.serviceId &&
          container.task.slot === task.slot &&
          !this.#isExcused(container),
      );
    const allowed = this.#startFirst.has(task.serviceId) ? 1 : 0;
    if (others.length <= allowed) return;
    const list = others.map((other) => `${other.container.taskId} on ${other.slot}`).join(", ");
    this.#break("one task per slot", `${taskId} started on ${slot} beside ${list} (slot ${task.slot})`);
  }

  ended(): void {}

  nodeIsReady(nodeId: string): boolean {
    return this.#readySinceMs.has(nodeId);
  }

  /**
   * A container that nobody can be blamed for: its node was silent, or had no time yet to hear what it is
   * to do.
   */
  #isExcused({ taskId, task }: SimContainer): boolean {
    const slot = this.machines?.slotOf(task.nodeId);
    const sinceMs = slot === undefined ? undefined : this.machines?.reachableSinceMs(slot);
    if (sinceMs === undefined || this.#queue.now - sinceMs < RETURN_MS) return true;
    const readySinceMs = this.#readySinceMs.get(task.nodeId);
    if (readySinceMs === undefined || this.#queue.now - readySinceMs < RETURN_MS) return true;
    const stored = this.store.view((tx) => tx.get("task", taskId));
    // Its end is known to the leader before the truth reaches everybody, or it was waited for long enough.
    return stored === undefined || isTerminal(stored);
  }

  #look(change: StoreChange): void {
    const broken = this.store.view((tx) => brokenByStack(tx, change));
    if (broken !== undefined) this.#break("stacks go in order", broken);
    switch (change.table) {
      case "task":
        this.#lookAtTask(change.before, change.after, change.id);
        return;
      case "service":
        this.#lookAtService(change.after, change.id);
        return;
      case "node": {
        const isReady = change.after?.status?.state === NodeState.READY;
        if (!isReady) this.#readySinceMs.delete(change.id);
        else if (!this.#readySinceMs.has(change.id)) this.#readySinceMs.set(change.id, this.#queue.now);
      }
    }
  }

  #lookAtTask(before: Task | undefined, after: Task | undefined, id: string): void {
    if (before !== undefined && after !== undefined) {
      const [was, is] = [before.status?.state ?? TaskState.NEW, after.status?.state ?? TaskState.NEW];
      if (stateRank(is) < stateRank(was))
        this.#break("states go forward", `task ${id} went from ${was} to ${is}`);
      const [wanted, wants] = [before.desiredState, after.desiredState];
      if (stateRank(wants) < stateRank(wanted))
        this.#break("states go forward", `the wish for task ${id} went from ${wanted} to ${wants}`);
      if (before.nodeId !== "" && before.nodeId !== after.nodeId)
        this.#break("states go forward", `task ${id} moved from ${before.nodeId} to ${after.nodeId}`);
    }
    if (after !== undefined && stateRank(after.desiredState) > stateRank(TaskState.RUNNING)) {
      if (!this.#stoppingSinceMs.has(id)) this.#stoppingSinceMs.set(id, this.#queue.now);
    }
    if (after === undefined) this.#stoppingSinceMs.delete(id);
    const isAlive = after !== undefined && !isTerminal(after);
    const addresses = isAlive
      ? after.networks.flatMap((network) => network.addresses.map((it) => `${network.networkId} ${bare(it)}`))
      : [];
    this.#hold(`task ${id}`, addresses);
  }

  #lookAtService(after: Service | undefined, id: string): void {
    const isStartFirst =
      after?.spec?.update?.order === UpdateOrder.START_FIRST ||
      after?.spec?.rollback?.order === UpdateOrder.START_FIRST;
    if (isStartFirst) this.#startFirst.add(id);
    const vips = after?.endpoint?.virtualIps ?? [];
    this.#hold(
      `service ${id}`,
      vips.map((vip) => `${vip.networkId} ${bare(vip.address)}`),
    );
  }

  #hold(owner: string, addresses: readonly string[]): void {
    for (const old of this.#held.get(owner) ?? [])
      if (this.#holders.get(old) === owner) this.#holders.delete(old);
    if (addresses.length === 0) this.#held.delete(owner);
    else this.#held.set(owner, addresses);
    for (const address of addresses) {
      const holder = this.#holders.get(address);
      if (holder !== undefined && holder !== owner)
        this.#break("an address has one holder", `${address} is given to ${owner} and ${holder}`);
      this.#holders.set(address, owner);
    }
  }

  #break(promise: string, words: string): void {
    this.#fail(new ClusterViolation(promise, words));
  }
}

function bare(address: string): string {
  return address.replace(/\/.*$/, "");
}

function digestOf(data: Uint8Array): string {
  let hash = 0x811c9dc5;
  for (const byte of data) hash = Math.imul(hash ^ byte, 0x01000193);
  return `${data.length} ${hash >>> 0}`;
}
