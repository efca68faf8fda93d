/**
 * The agent of one node: a session with any manager, what it assigns applied to network and tasks, statuses back.
 * Pure: connections, executor, network, state and clock are handed in. Invariants: the network knows a revision before
 * its tasks start; a task found running after a restart goes on untouched, with or without a manager; a status is
 * reported until a leader has committed it.
 */
import type { Clock } from "../../base/clock/clock.js";
import { CancelledError, messageOf } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import { Backoff } from "../../base/loop/backoff.js";
import { ComponentLoop } from "../../base/loop/component-loop.js";
import type { Random } from "../../base/random/random.js";
import type { NetworkPlane, NodeNetworkIdentity } from "../../net-overlay/network-plane.js";
import {
  type DispatcherMessage,
  type NodeResource,
  ResourceKind,
  type SessionUpdate,
  type TaskStatusUpdate,
} from "../../proto/gen/skein/v1/dispatcher.js";
import type { Node } from "../../proto/gen/skein/v1/objects.js";
import { type NodeDescription, TaskState } from "../../proto/gen/skein/v1/types.js";
import type { Executor } from "../exec/controller.js";
import { rank } from "../exec/task-machine.js";
import type { AgentState } from "../state/agent-state.js";
import { AssignmentBook, type BookChanges, keyText } from "./assignment-book.js";
import { LogPublisher } from "./grpc-log-publisher.js";
import { ManagerSession } from "./grpc-manager-session.js";
import { ConnectionPool, type Dial } from "./manager-connection.js";
import { ManagerList } from "./manager-list.js";
import { StatusReporter } from "./status-reporter.js";
import { TaskSet } from "./task-set.js";

const PROTOCOL_VERSION = 1;
/** IANA's VXLAN port, until a network says otherwise. */
const VXLAN_UDP_PORT = 4789;

export interface AgentComponents {
  readonly executor: Executor;
  readonly network: NetworkPlane;
  readonly state: AgentState;
  readonly dial: Dial;
  readonly describe: () => Promise<NodeDescription>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export interface AgentInit {
  readonly nodeId: string;
  /** host:port of the managers known from before, or from the join; those saved are added. */
  readonly managers: readonly string[];
  /** Managers, this node, the root certificate: certificates, promotion and demotion follow from it. */
  readonly onSessionUpdate?: (update: SessionUpdate) => void;
  /** The manager this node talks to; undefined: none at the moment. */
  readonly onConnected?: (address: string | undefined) => void;
}

export interface Agent {
  /** Loads the state, adopts what runs, then looks for a manager. Resolves when adopted. */
  start(): Promise<void>;
  /** Store revision that network and tasks here follow. */
  readonly appliedRevision: number;
  /** Address of the manager of the open session. */
  readonly manager: string | undefined;
  /** Tells the manager what changed about this node. */
  describeAgain(): Promise<void>;
  /** Ends the session, so that the next one uses new certificates. */
  reconnect(reason: string): void;
  /** Stops and removes all tasks and their sandboxes: before leaving the cluster. */
  removeTasks(): Promise<void>;
  /**
   * Stops; containers go on. Says goodbye, upon which the node counts as down and its tasks are replaced at once, unless
   * `silent`: a daemon that is back within three heartbeats was then never away.
   */
  close(options?: { leaving?: boolean; silent?: boolean }): Promise<void>;
}

export function createAgent(components: AgentComponents, init: AgentInit): Agent {
  return new NodeAgent(components, init);
}

class NodeAgent implements Agent {
  readonly #components: AgentComponents;
  readonly #init: AgentInit;
  readonly #abort = new AbortController();
  readonly #book = new AssignmentBook();
  readonly #reporter = new StatusReporter();
  readonly #tasks: TaskSet;
  readonly #managers: ManagerList;
  readonly #pool: ConnectionPool;
  readonly #logs: LogPublisher;
  readonly #applyLoop: ComponentLoop;
  readonly #saveLoop: ComponentLoop;
  readonly #unsaved = new Map<string, TaskStatusUpdate | undefined>();
  readonly #applyBackoff: Backoff;
  readonly #saved = new Map<string, TaskStatusUpdate>();
  #session: ManagerSession | undefined;
  #sessionAddress: string | undefined;
  #node: Node | undefined;
  #identity: NodeNetworkIdentity | undefined;
  #appliedRevision = 0;
  #told = false;
  #retained = false;
  /** Nothing is taken on any more. */
  #leaving = false;
  #running: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  constructor(components: AgentComponents, init: AgentInit) {
    this.#components = components;
    this.#init = init;
    const { clock, random, log } = components;
    this.#managers = new ManagerList(random, init.managers);
    this.#pool = new ConnectionPool(components.dial);
    this.#applyBackoff = new Backoff(random, { initialMs: 100, maxMs: 5_000 });
    this.#applyLoop = new ComponentLoop({ name: "agent apply", log, pass: () => this.#apply() });
    this.#saveLoop = new ComponentLoop({ name: "agent save", log, pass: () => this.#saveStatuses() });
    this.#tasks = new TaskSet({
      executor: components.executor,
      book: this.#book,
      clock,
      random,
      log,
      onStatus: (update) => this.#onStatus(update),
      onGone: (taskId) => {
        this.#unsaved.set(taskId, undefined);
        this.#saveLoop.wake();
      },
    });
    this.#logs = new LogPublisher({
      nodeId: init.nodeId,
      pool: this.#pool,
      tasks: this.#tasks,
      clock,
      random,
      log,
    });
  }

  get appliedRevision(): number {
    return this.#appliedRevision;
  }

  get manager(): string | undefined {
    return this.#sessionAddress;
  }

  async start(): Promise<void> {
    const saved = await this.#components.state.load();
    this.#managers.update([...this.#init.managers, ...saved.managers.map((manager) => manager.address)]);
    for (const update of saved.statuses) this.#saved.set(update.taskId, update);
    if (saved.revision > 0) {
      this.#book.accept({
        complete: true,
        baseRevision: 0,
        revision: saved.revision,
        upserts: saved.resources,
        removals: [],
        more: false,
      });
      this.#node = saved.node;
      this.#applyLoop.wake();
      await this.#applyLoop.idle();
    }
    this.#running = this.#connectForever();
  }

  async describeAgain(): Promise<void> {
    const description = await this.#components.describe();
    this.#session?.send({ $case: "description", value: description });
  }

  reconnect(reason: string): void {
    this.#session?.cut(new CancelledError(reason));
  }

  async removeTasks(): Promise<void> {
    this.#leaving = true;
    await this.#applyLoop.idle();
    this.#tasks.retain(new Set());
    await this.#tasks.empty();
  }

  close(options: { leaving?: boolean; silent?: boolean } = {}): Promise<void> {
    this.#closing ??= this.#close(options);
    return this.#closing;
  }

  async #close(options: { leaving?: boolean; silent?: boolean }): Promise<void> {
    this.#abort.abort();
    await this.#logs.close();
    if (options.silent) this.#session?.cut(new CancelledError("the agent is closed"));
    else await this.#session?.goodbye(options.leaving ?? false);
    await this.#running;
    await this.#applyLoop.close();
    await this.#tasks.close();
    await this.#saveLoop.idle();
    await this.#saveLoop.close();
    this.#pool.close();
  }

  async #connectForever(): Promise<void> {
    const { clock, log, random } = this.#components;
    const { signal } = this.#abort;
    const backoff = new Backoff(random, { initialMs: 50, maxMs: 2_000 });
    let last = "";
    while (!signal.aborted) {
      const { address, round } = this.#managers.next();
      if (round || address === undefined) {
        try {
          await clock.sleep(backoff.nextMs(), { signal });
        } catch (error) {
          if (signal.aborted) return;
          throw error;
        }
      }
      if (address === undefined) continue;
      const { welcomed, error } = await this.#runSession(address);
      if (signal.aborted) return;
      if (welcomed) backoff.reset();
      const words = messageOf(error);
      if (welcomed || words !== last)
        log.warn("session with a manager ended", { manager: address, error: words });
      last = words;
    }
  }

  async #runSession(address: string): Promise<{ welcomed: boolean; error: Error }> {
    const { clock, describe } = this.#components;
    let welcomed = false;
    let description: NodeDescription;
    try {
      description = await describe();
    } catch (error) {
      return { welcomed, error: new Error(`describing this node: ${messageOf(error)}`, { cause: error }) };
    }
    if (this.#abort.signal.aborted) return { welcomed, error: new CancelledError("the agent is closed") };
    this.#book.begin();
    const session = new ManagerSession({
      connection: this.#pool.get(address),
      clock,
      hello: { description, appliedRevision: this.#book.revision, protocolVersion: PROTOCOL_VERSION },
      appliedRevision: () => this.#appliedRevision,
      onMessage: (message, open) => {
        if (message.$case === "welcome") {
          welcomed = true;
          this.#sessionAddress = address;
          this.#managers.succeeded(address);
          this.#init.onConnected?.(address);
          this.#reporter.attach((batch) => open.send({ $case: "statuses", value: batch }));
        }
        this.#receive(message);
      },
    });
    this.#session = session;
    const error = await session.ended;
    this.#session = undefined;
    this.#sessionAddress = undefined;
    this.#reporter.detach();
    this.#pool.drop(address);
    if (welcomed) this.#init.onConnected?.(undefined);
    return { welcomed, error };
  }

  #receive(message: NonNullable<DispatcherMessage["message"]>): void {
    switch (message.$case) {
      case "welcome":
        if (message.value.state !== undefined) this.#updateSession(message.value.state);
        return;
      case "update":
        this.#updateSession(message.value);
        return;
      case "statusAck":
        this.#reporter.acknowledge(message.value.sequence);
        return;
      case "assignments":
        if (!this.#book.accept(message.value)) return;
        this.#told = true;
        this.#applyLoop.wake();
    }
  }

  #updateSession(update: SessionUpdate): void {
    const { state, log } = this.#components;
    this.#node = update.node;
    this.#managers.update(update.managers.map((manager) => manager.address));
    this.#logs.listenTo(this.#managers.addresses);
    this.#init.onSessionUpdate?.(update);
    this.#applyLoop.wake(); // the node may have got its number
    state.saveSession({ managers: update.managers, node: update.node }).catch((error: unknown) => {
      log.warn("managers not saved", { error: messageOf(error) });
    });
  }

  /** One pass: network first, then what must survive a restart, then tasks. */
  async #apply(): Promise<void> {
    if (this.#leaving) return;
    const identity = this.#nextIdentity();
    if (identity === undefined || (!this.#book.pending && identity === this.#identity)) return;
    const { network, state, log, clock } = this.#components;
    try {
      if (identity !== this.#identity) {
        await network.configure(identity);
        if (this.#identity !== undefined) this.#book.repeatAll();
        this.#identity = identity;
      }
    } catch (error) {
      log.error("network not configured; trying again", { error: messageOf(error) });
      this.#retryApply(clock);
      return;
    }
    const changes = this.#book.take();
    if (changes === undefined) return;
    let networkApplied = true;
    try {
      await network.apply(networkPart(changes));
    } catch (error) {
      networkApplied = false;
      log.error("network state not applied; trying again", {
        revision: changes.revision,
        error: messageOf(error),
      });
    }
    await state.saveResources({ ...changes, removals: changes.removals.map(keyText) });
    if (this.#told && !this.#retained) this.#retain(changes);
    this.#applyTasks(changes);
    if (this.#retained) this.#forgetSaved();
    if (networkApplied) {
      this.#applyBackoff.reset();
      this.#appliedRevision = changes.revision;
    } else {
      this.#book.repeatAll();
      this.#retryApply(clock);
    }
  }

  #retryApply(clock: Clock): void {
    clock.setTimer(this.#applyBackoff.nextMs(), () => this.#applyLoop.wake());
  }

  #applyTasks(changes: BookChanges): void {
    const tasks = changes.upserts.flatMap(({ resource }) =>
      resource?.$case === "task" ? [resource.value] : [],
    );
    for (const task of tasks) {
      const saved = this.#saved.get(task.id);
      // Before a manager has spoken, only what has a container is taken up: the rest may lack its secrets.
      if (!this.#told && rank(saved?.status?.state ?? TaskState.NEW) < rank(TaskState.READY)) continue;
      this.#tasks.assign(task, saved);
      this.#saved.delete(task.id);
      if (saved !== undefined) this.#reporter.report(saved); // it may never have reached a leader
    }
    if (changes.complete) this.#tasks.retain(new Set(tasks.map((task) => task.id)));
    for (const key of changes.removals) if (key.kind === ResourceKind.TASK) this.#tasks.unassign(key.id);
  }

  /**
   * Once, when a manager has said what is ours: what else was left from before goes. Begun before new tasks are, so that
   * nothing of theirs is taken for a leftover; not waited for, because stopping a container may take its time.
   */
  #retain(changes: BookChanges): void {
    this.#retained = true;
    const ids = new Set(this.#tasks.ids());
    for (const { resource } of changes.upserts) if (resource?.$case === "task") ids.add(resource.value.id);
    this.#components.executor.retain(ids).catch((error: unknown) => {
      this.#components.log.warn("leftovers not removed", { error: messageOf(error) });
    });
  }

  /** Statuses saved for tasks that no manager counts as ours. */
  #forgetSaved(): void {
    if (this.#saved.size === 0) return;
    for (const taskId of this.#saved.keys()) this.#unsaved.set(taskId, undefined);
    this.#saved.clear();
    this.#saveLoop.wake();
  }

  #onStatus(update: TaskStatusUpdate): void {
    this.#reporter.report(update);
    this.#unsaved.set(update.taskId, update);
    this.#saveLoop.wake();
  }

  async #saveStatuses(): Promise<void> {
    const unsaved = [...this.#unsaved];
    this.#unsaved.clear();
    const updates = unsaved.flatMap(([, update]) => (update === undefined ? [] : [update]));
    if (updates.length > 0) await this.#components.state.saveStatuses(updates);
    for (const [taskId, update] of unsaved)
      if (update === undefined) await this.#components.state.removeStatus(taskId);
  }

  /** @returns the same object while nothing changed; undefined until the cluster has given this node its number. */
  #nextIdentity(): NodeNetworkIdentity | undefined {
    const node = this.#node;
    if (node === undefined || node.number === 0) return this.#identity;
    const next: NodeNetworkIdentity = {
      nodeId: node.id,
      number: node.number,
      dataPathAddress: node.description?.dataPathAddress || node.status?.address || "",
      vxlanUdpPort: this.#vxlanUdpPort(),
    };
    const now = this.#identity;
    const same =
      now !== undefined &&
      now.nodeId === next.nodeId &&
      now.number === next.number &&
      now.dataPathAddress === next.dataPathAddress &&
      now.vxlanUdpPort === next.vxlanUdpPort;
    return same ? now : next;
  }

  #vxlanUdpPort(): number {
    for (const { resource } of this.#book.resources()) {
      if (resource?.$case === "network" && resource.value.vxlanUdpPort > 0)
        return resource.value.vxlanUdpPort;
    }
    return VXLAN_UDP_PORT;
  }
}

const NETWORK_CASES = new Set(["network", "endpoint", "service", "peer"]);
const NETWORK_KINDS = new Set<ResourceKind>([
  ResourceKind.NETWORK,
  ResourceKind.ENDPOINT,
  ResourceKind.SERVICE,
  ResourceKind.PEER,
]);

function networkPart(changes: BookChanges): BookChanges {
  const isNetwork = ({ resource }: NodeResource): boolean =>
    resource !== undefined && NETWORK_CASES.has(resource.$case);
  return {
    ...changes,
    upserts: changes.upserts.filter(isNetwork),
    removals: changes.removals.filter((key) => NETWORK_KINDS.has(key.kind)),
  };
}
