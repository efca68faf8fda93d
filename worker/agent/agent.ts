/**
 * The agent of one node: a session with any manager, what it assigns applied to network and tasks,
 * statuses back.
 * Pure: connections, executor, network, state and clock are handed in.
 * Invariants: the network knows a revision before its tasks start; a task found running after a restart goes
 * on untouched, with or without a manager; a status is reported until a leader has committed it.
 */
import type { Duplex } from "node:stream";
import type { Clock } from "../../base/clock/clock.js";
import { CancelledError, codeOf, type ErrorCode, messageOf } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import { Backoff } from "../../base/loop/backoff.js";
import type { Random } from "../../base/random/random.js";
import type {
  AttachmentNews,
  ManagerAttachments,
} from "../../net-overlay/attachments/manager-attachments.js";
import type { NetworkPlane } from "../../net-overlay/network-plane.js";
import type { DispatcherMessage, SessionUpdate } from "../../proto/gen/skein/v1/dispatcher.js";
import type { NodeDescription } from "../../proto/gen/skein/v1/types.js";
import type { Executor } from "../exec/controller.js";
import type { RemovedLogs } from "../reach/fs-removed-logs.js";
import { TunnelDialler } from "../reach/grpc-tunnel-dialler.js";
import type { AgentState } from "../state/agent-state.js";
import { AssignmentApplier } from "./assignment-applier.js";
import { GrpcAttachments } from "./grpc-attachment-calls.js";
import { LogPublisher } from "./grpc-log-publisher.js";
import { ManagerSession } from "./grpc-manager-session.js";
import type { KnownCluster } from "./known-cluster.js";
import { ConnectionPool, type Dial } from "./manager-connection.js";
import { ManagerList } from "./manager-list.js";
import { StatusReporter } from "./status-reporter.js";

const PROTOCOL_VERSION = 1;

export interface AgentComponents {
  readonly executor: Executor;
  readonly network: NetworkPlane;
  readonly state: AgentState;
  readonly dial: Dial;
  /** Containers that are no tasks on the cluster's overlays. @default there are none */
  readonly attachments?: AttachmentKeeper;
  readonly describe: () => Promise<NodeDescription>;
  /** Logs of tasks that are gone. @default none are kept */
  readonly removedLogs?: Pick<RemovedLogs, "list" | "read">;
  /** Takes connections that managers reach for tasks' containers by. @default none is served */
  readonly serveTunnel?: (connection: Duplex) => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

/** Hears what the managers count as attachments of this node, and asks them for more. */
export interface AttachmentKeeper {
  /** undefined: the agent is closed. */
  connect(managers: ManagerAttachments | undefined): void;
  assigned(news: AttachmentNews): void;
}

export interface AgentInit {
  readonly nodeId: string;
  /** host:port of the managers known from before, or from the join; those saved are added. */
  readonly managers: readonly string[];
  /** Managers, this node, the root certificate: certificates, promotion and demotion follow from it. */
  readonly onSessionUpdate?: (update: SessionUpdate) => void;
  /** The manager this node talks to; undefined: none at the moment. */
  readonly onConnected?: (address: string | undefined) => void;
  /** A manager does not want this node: its certificate is not accepted, or it was removed. It is tried again. */
  readonly onRefused?: (error: Error) => void;
}

export interface Agent {
  /** Loads the state, adopts what runs, then looks for a manager. Resolves when adopted. */
  start(): Promise<void>;
  /** Store revision that network and tasks here follow. */
  readonly appliedRevision: number;
  /** What this node has been told of networks and tasks. */
  readonly known: KnownCluster;
  /** Address of the manager of the open session. */
  readonly manager: string | undefined;
  /** Tells the manager what changed about this node. */
  describeAgain(): Promise<void>;
  /** Ends the session, so that the next one uses new certificates. */
  reconnect(reason: string): void;
  /** Stops and removes all tasks and their sandboxes: before leaving the cluster. */
  removeTasks(): Promise<void>;
  /**
   * Stops; containers go on. Says goodbye, upon which nothing new is placed here and the node has longer to
   * come back; when `leaving`, it is down at once and its tasks are replaced. `silent`: says nothing.
   */
  close(options?: { leaving?: boolean; silent?: boolean }): Promise<void>;
}

const REFUSALS: ReadonlySet<ErrorCode> = new Set(["unauthenticated", "permission-denied", "not-found"]);

export function createAgent(components: AgentComponents, init: AgentInit): Agent {
  return new NodeAgent(components, init);
}

class NodeAgent implements Agent {
  readonly #components: AgentComponents;
  readonly #init: AgentInit;
  readonly #abort = new AbortController();
  readonly #reporter = new StatusReporter();
  readonly #applier: AssignmentApplier;
  readonly #managers: ManagerList;
  readonly #pool: ConnectionPool;
  readonly #tunnels: TunnelDialler;
  readonly #logs: LogPublisher;
  readonly #attachments: GrpcAttachments;
  #session: ManagerSession | undefined;
  #sessionAddress: string | undefined;
  #running: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  constructor(components: AgentComponents, init: AgentInit) {
    this.#components = components;
    this.#init = init;
    const { dial, clock, random, log } = components;
    this.#managers = new ManagerList(random, init.managers);
    this.#pool = new ConnectionPool(dial);
    this.#attachments = new GrpcAttachments({
      manager: () =>
        this.#sessionAddress === undefined ? undefined : this.#pool.get(this.#sessionAddress).attachments?.(),
      clock,
    });
    this.#applier = new AssignmentApplier({
      ...components,
      onAttachments: (news) => components.attachments?.assigned(news),
      onStatus: (update) => this.#reporter.report(update),
      onDrainApplied: (appliedRevision) =>
        this.#session?.send({ $case: "heartbeat", value: { appliedRevision, sentAtMs: clock.nowMs() } }),
    });
    const { tasks } = this.#applier;
    this.#tunnels = new TunnelDialler({ serve: components.serveTunnel, log });
    this.#logs = new LogPublisher({
      nodeId: init.nodeId,
      pool: this.#pool,
      tasks,
      tunnels: this.#tunnels,
      ...(components.removedLogs === undefined ? {} : { removed: components.removedLogs }),
      clock,
      random,
      log,
    });
  }

  get appliedRevision(): number {
    return this.#applier.appliedRevision;
  }

  get known(): KnownCluster {
    return this.#applier.known;
  }

  get manager(): string | undefined {
    return this.#sessionAddress;
  }

  async start(): Promise<void> {
    this.#components.attachments?.connect(this.#attachments);
    const saved = await this.#components.state.load();
    this.#managers.update([...this.#init.managers, ...saved.managers.map((manager) => manager.address)]);
    await this.#applier.adopt(saved);
    this.#running = this.#connectForever();
  }

  async describeAgain(): Promise<void> {
    const description = await this.#components.describe();
    this.#session?.send({ $case: "description", value: description });
  }

  reconnect(reason: string): void {
    this.#session?.cut(new CancelledError(reason));
  }

  removeTasks(): Promise<void> {
    return this.#applier.leave();
  }

  close(options: { leaving?: boolean; silent?: boolean } = {}): Promise<void> {
    this.#closing ??= this.#close(options);
    return this.#closing;
  }

  async #close(options: { leaving?: boolean; silent?: boolean }): Promise<void> {
    this.#abort.abort();
    this.#components.attachments?.connect(undefined);
    this.#attachments.close();
    await this.#logs.close();
    this.#tunnels.close();
    if (options.silent) this.#session?.cut(new CancelledError("the agent is closed"));
    else await this.#session?.goodbye(options.leaving ?? false);
    await this.#running;
    await this.#applier.close();
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
      else if (REFUSALS.has(codeOf(error))) this.#init.onRefused?.(error);
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
    this.#applier.begin();
    const session = new ManagerSession({
      connection: this.#pool.get(address),
      clock,
      hello: { description, appliedRevision: this.#applier.revision, protocolVersion: PROTOCOL_VERSION },
      appliedRevision: () => this.#applier.appliedRevision,
      onMessage: (message, open) => {
        if (message.$case === "welcome") {
          welcomed = true;
          this.#sessionAddress = address;
          this.#managers.succeeded(address);
          this.#attachments.connected();
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
      case "drained":
        this.#applier.drained(message.value.revision);
        return;
      case "assignments":
        this.#applier.accept(message.value);
    }
  }

  #updateSession(update: SessionUpdate): void {
    const { state, log } = this.#components;
    this.#managers.update(update.managers.map((manager) => manager.address));
    this.#logs.listenTo(this.#managers.addresses);
    this.#init.onSessionUpdate?.(update);
    this.#applier.setNode(update.node);
    state.saveSession({ managers: update.managers, node: update.node }).catch((error: unknown) => {
      log.warn("managers not saved", { error: messageOf(error) });
    });
  }
}
