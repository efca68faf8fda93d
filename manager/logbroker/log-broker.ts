/**
 * Brings the logs of tasks from the nodes where they run to whoever asks at this manager.
 * Pure: streams, store and clock are handed in. Every agent listens at every manager,
 * so a subscription reaches all nodes from the manager where it was made, without a hop between managers.
 * Invariants: a one-off subscription always ends; what is missing is said in words; a slow reader slows its
 * own publishers, and nobody else.
 */
import type { Clock } from "../../base/clock/clock.js";
import { NotFoundError, ResourceExhaustedError } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import { ComponentLoop } from "../../base/loop/component-loop.js";
import { newId } from "../../base/random/ids.js";
import type { Random } from "../../base/random/random.js";
import type {
  LogBrokerServer,
  LogsServer,
  PublishedLogs,
  SubscribeLogsRequest,
} from "../../proto/gen/skein/v1/logs.js";
import type { Task } from "../../proto/gen/skein/v1/objects.js";
import { type NodeListener, NodeListeners } from "../reach/node-listeners.js";
import type { ReadStore, StoreWatch } from "../store/types.js";
import { createLogBrokerHandlers, createLogsHandlers, type IdentifyNode } from "./grpc-log-broker.js";
import { feedIdOf, LogFeed, type LogOutput } from "./log-feed.js";
import { isSelected, selectedTasks, tasksOfRemovedService } from "./log-selection.js";
import { RemovedTasks } from "./removed-tasks.js";

/** Subscriptions open at one manager. */
export const SUBSCRIPTIONS_MAX = 1_000;

export interface LogBrokerComponents {
  readonly store: ReadStore;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Who publishes. @default the node of the connection's certificate */
  readonly identify?: IdentifyNode;
  /** The ears of agents, shared with whatever else is ordered on them. @default its own */
  readonly listeners?: NodeListeners;
}

export interface LogBroker {
  /** For agents; any node certificate. */
  readonly brokerHandlers: LogBrokerServer;
  /** For the API; manager certificates. */
  readonly logsHandlers: LogsServer;
  close(): Promise<void>;
}

/** What an agent's publishing stream calls. */
export interface Publication {
  /** @returns false when the reader is slow: wait for `onResume`. */
  receive(logs: PublishedLogs): boolean;
  onResume(listener: () => void): void;
  closed(): void;
}

export function createLogBroker(components: LogBrokerComponents): LogBroker {
  return new ManagerLogBroker(components);
}

export class ManagerLogBroker implements LogBroker {
  readonly brokerHandlers: LogBrokerServer;
  readonly logsHandlers: LogsServer;
  readonly #components: LogBrokerComponents;
  readonly #listeners: NodeListeners;
  readonly #feeds = new Map<string, LogFeed>();
  readonly #removed: RemovedTasks;
  readonly #watch: StoreWatch;
  readonly #loop: ComponentLoop;

  constructor(components: LogBrokerComponents) {
    this.#components = components;
    const { log, store, identify } = components;
    this.#removed = new RemovedTasks(() => components.clock.nowMs());
    this.#listeners = components.listeners ?? new NodeListeners();
    this.#listeners.onListening((nodeId) => {
      for (const feed of [...this.#feeds.values()]) feed.listening(nodeId);
    });
    this.#loop = new ComponentLoop({ name: "log broker", log, pass: () => this.#pass() });
    this.#watch = store.watch({ tables: ["task", "node"], wake: () => this.#loop.wake() });
    this.brokerHandlers = createLogBrokerHandlers(this, identify);
    this.logsHandlers = createLogsHandlers(this);
  }

  /**
   * @throws {NotFoundError} nothing by that id;
   * {InvalidArgumentError} nothing selected; {ResourceExhaustedError}.
   */
  subscribe(request: SubscribeLogsRequest, output: LogOutput): { closed(): void; drained(): void } {
    const { store, clock, random } = this.#components;
    if (this.#feeds.size >= SUBSCRIPTIONS_MAX) {
      throw new ResourceExhaustedError(`log subscriptions: ${SUBSCRIPTIONS_MAX} are open at this manager`);
    }
    this.#pass(); // or a task that went just now would be neither in the store nor among the removed
    const selector = request.selector ?? { serviceIds: [], taskIds: [] };
    const removed = this.#removed;
    const tasks = store.view((view) => selectedTasks(view, selector, { strict: true, removed }));
    const id = newId(random);
    const feed = new LogFeed({
      id,
      selector,
      options: request.options,
      output,
      clock,
      listener: (nodeId) => this.#listeners.get(nodeId),
      node: (nodeId) => store.view((view) => view.get("node", nodeId)),
      task: (taskId) => store.view((view) => view.get("task", taskId)) ?? removed.get(taskId),
      onEnded: () => this.#feeds.delete(id),
    });
    this.#feeds.set(id, feed);
    feed.include(tasks);
    return { closed: () => feed.end(), drained: () => feed.drained() };
  }

  listen(nodeId: string, listener: NodeListener): { closed(): void } {
    return this.#listeners.add(nodeId, listener);
  }

  /** @returns undefined when nobody waits for that subscription any more. */
  publish(nodeId: string, subscriptionId: string): Publication | undefined {
    return this.#feeds.get(feedIdOf(subscriptionId))?.publication(nodeId, subscriptionId);
  }

  /** Tasks that were removed not long ago, or still stop, oldest first. @throws {NotFoundError} none is meant. */
  findRemoved(reference: string): readonly Task[] {
    this.#pass();
    const gone = this.#removed.find(reference);
    const leaving = this.#components.store.view((view) => tasksOfRemovedService(view, reference));
    const serviceId = (leaving.at(-1) ?? gone.at(-1))?.serviceId;
    const tasks = [...gone, ...leaving].filter((task) => task.serviceId === serviceId);
    if (tasks.length === 0) throw new NotFoundError(`task ${reference} not found`);
    return tasks;
  }

  async close(): Promise<void> {
    this.#watch.close();
    await this.#loop.close();
    for (const feed of [...this.#feeds.values()]) feed.end();
    this.#listeners.close();
  }

  #pass(): void {
    const batches = this.#watch.take();
    if (batches.length === 0) return;
    const changed: Task[] = [];
    for (const { changes } of batches)
      for (const change of changes) {
        if (change.table !== "task") continue;
        if (change.after !== undefined) changed.push(change.after);
        else if (change.before !== undefined) this.#removed.note(change.before);
      }
    const isReset = batches.some(({ reset }) => reset);
    const haveNodesChanged = batches.some(({ changes }) => changes.some(({ table }) => table === "node"));
    for (const feed of [...this.#feeds.values()]) {
      if (feed.follow)
        feed.include(
          isReset ? this.#selectedNow(feed) : changed.filter((task) => isSelected(task, feed.selector)),
        );
      if (isReset || haveNodesChanged) feed.nodesChanged();
    }
  }

  /** All of them: what has changed is looked at where it is known, for a service may have very many. */
  #selectedNow({ selector }: LogFeed): readonly Task[] {
    const removed = this.#removed;
    return this.#components.store.view((view) => selectedTasks(view, selector, { strict: false, removed }));
  }
}
