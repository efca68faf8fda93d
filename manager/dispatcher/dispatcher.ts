/**
 * The dispatcher of one manager: sessions with agents, served from this manager's own replica.
 * Pure: the gRPC handlers are made in grpc-dispatcher.ts. Invariants: one session per node, the newest;
 * a session never goes back in revision; a manager that has lost the leader ends its sessions,
 * so that its agents find another.
 */
import type { Clock, Timer } from "../../base/clock/clock.js";
import { AbortedError, messageOf, NotFoundError, UnavailableError } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import { ComponentLoop } from "../../base/loop/component-loop.js";
import { newId } from "../../base/random/ids.js";
import type { Random } from "../../base/random/random.js";
import type {
  AgentMessage,
  DispatcherServer,
  ManagerPeer,
  NodeReport,
  SessionUpdate,
} from "../../proto/gen/skein/v1/dispatcher.js";
import type { ReadStore, StoreWatch } from "../store/types.js";
import { type DrainRound, DrainRounds } from "./drain-rounds.js";
import type { SecretDrivers } from "./driver-secrets.js";
import { createDispatcherHandlers, type IdentifyNode } from "./grpc-dispatcher.js";
import type { ReportSink } from "./report-sink.js";
import { type Dirty, emptyDirty, ResourceIndex } from "./resource-index.js";
import { Session, type SessionHost, type SessionStream } from "./session.js";
import { Voucher } from "./voucher.js";

/** Milliseconds between heartbeats when the cluster names none. */
export const HEARTBEAT_PERIOD_MS = 1_000;
/** Periods without a word after which a session is dropped, and without the leader after which all are. */
export const SILENT_PERIODS_MAX = 3;
/** Milliseconds a session waits for a node that this replica does not know (yet). */
export const UNKNOWN_NODE_WAIT_MS = 5_000;

/** The managers an agent may turn to. */
export interface ManagerDirectory {
  list(): readonly ManagerPeer[];
  /** @returns what stops listening. */
  onChange(listener: () => void): () => void;
}

export interface DispatcherComponents {
  readonly store: ReadStore;
  readonly reports: ReportSink;
  readonly managers: ManagerDirectory;
  /** What nodes are to trust, and whose certificates they are to have. */
  readonly trust: () => { readonly rootCaPem: string; readonly issuerPublicKeySha256: string };
  /** Resolves when `store` holds every change acknowledged before the call. @throws {UnavailableError} */
  readonly readBarrier: () => Promise<unknown>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** @default every driver refuses */
  readonly secretDrivers?: SecretDrivers;
  /** Who calls. @default the node of the connection's certificate */
  readonly identify?: IdentifyNode;
}

export interface Dispatcher {
  readonly handlers: DispatcherServer;
  readonly sessionCount: number;
  /** Ends all sessions; their agents turn to other managers. */
  close(): Promise<void>;
}

/** What the transport calls for one stream. */
export interface OpenSession {
  receive(message: AgentMessage): void;
  drained(): void;
  closed(): void;
}

const NO_DRIVERS: SecretDrivers = {
  ask: async (driver) => {
    throw new NotFoundError(`there is no plugin ${driver} on this manager`);
  },
};

export function createDispatcher(components: DispatcherComponents): Dispatcher {
  return new ReplicaDispatcher(components);
}

class ReplicaDispatcher implements Dispatcher, SessionHost {
  readonly handlers: DispatcherServer;
  readonly clock: Clock;
  readonly log: Logger;
  readonly sink: ReportSink;
  readonly secretDrivers: SecretDrivers;
  index: ResourceIndex;
  revision: number;
  heartbeatPeriodMs = HEARTBEAT_PERIOD_MS;
  readonly drains: DrainRounds;
  readonly #components: DispatcherComponents;
  readonly #sessions = new Map<string, Session>();
  readonly #watch: StoreWatch;
  readonly #loop: ComponentLoop;
  readonly #stopListening: readonly (() => void)[];
  readonly #voucher: Voucher;
  #nodeDownAfterMs = 0;
  #timer: Timer;
  #nextWordMs: number;
  #closed = false;

  constructor(components: DispatcherComponents) {
    this.#components = components;
    this.clock = components.clock;
    this.log = components.log;
    this.sink = components.reports;
    this.secretDrivers = components.secretDrivers ?? NO_DRIVERS;
    this.#loop = new ComponentLoop({ name: "dispatcher", log: components.log, pass: () => this.#pass() });
    this.#watch = components.store.watch({ wake: () => this.#loop.wake() });
    this.index = components.store.view((view) => ResourceIndex.of(view));
    this.revision = components.store.index;
    this.#readCluster();
    this.drains = new DrainRounds({
      tell: (revision) => this.sink.drained(revision),
      clock: this.clock,
      log: this.log,
    });
    this.drains.begin(this.revision); // others may wait for what was stopped before this manager began
    this.#voucher = new Voucher({
      sink: this.sink,
      epoch: newId(components.random),
      sessions: () => [...this.#sessions.values()].filter((session) => session.begun && !session.ended),
      clock: this.clock,
      log: this.log,
    });
    this.#stopListening = [
      components.managers.onChange(() => this.#advanceAll()),
      this.sink.onLeaderChange(() => {
        this.#voucher.speak();
        this.drains.repeat();
      }),
    ];
    this.#nextWordMs = this.clock.monotonicMs() + this.heartbeatPeriodMs;
    this.#timer = this.#setTimer();
    this.handlers = createDispatcherHandlers({
      open: (stream) => this.#open(stream),
      ...(components.identify === undefined ? {} : { identify: components.identify }),
    });
  }

  get sessionCount(): number {
    return this.#sessions.size;
  }

  sessionState(nodeId: string): SessionUpdate | undefined {
    const node = this.index.nodes.get(nodeId);
    if (node === undefined) return undefined;
    return {
      managers: this.#components.managers.list(),
      node,
      ...this.#components.trust(),
      heartbeatPeriodMs: this.heartbeatPeriodMs,
    };
  }

  told(session: Session): void {
    this.#voucher.told(session);
  }

  ended(session: Session): void {
    this.#voucher.ended(session);
    const report = this.#closed ? undefined : session.loss(this.clock.monotonicMs());
    if (report === undefined) return;
    this.sink.send([report]).catch((error: unknown) => {
      // The leader counts one session too many, and asks for all of them.
      this.log.debug("loss not reported", { node: session.nodeId, error: messageOf(error) });
    });
  }

  async caughtUp(): Promise<void> {
    await this.#components.readBarrier();
    if (!this.#closed) this.#pass();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#timer.cancel();
    for (const stop of this.#stopListening) stop();
    this.drains.close();
    this.#watch.close();
    for (const session of this.#sessions.values())
      session.end(new UnavailableError("this manager is stopping"));
    this.#sessions.clear();
    await this.#loop.close();
  }

  #open(stream: SessionStream): OpenSession {
    const session = new Session({ id: newId(this.#components.random), stream, host: this });
    const refusal = this.#closed
      ? "this manager is stopping"
      : this.#cutOff()
        ? "this manager has lost the leader"
        : "";
    if (refusal !== "") {
      session.end(new UnavailableError(refusal));
      return { receive: () => undefined, drained: () => undefined, closed: () => undefined };
    }
    const older = this.#sessions.get(session.nodeId);
    older?.end(new AbortedError(`a newer session of node ${session.nodeId} began`));
    this.#sessions.set(session.nodeId, session);
    const waiting = this.clock.setTimer(UNKNOWN_NODE_WAIT_MS, () => {
      if (this.sessionState(session.nodeId) !== undefined) return;
      const rule = "it was removed, and may leave and join again";
      session.end(new NotFoundError(`node ${session.nodeId} is not in the cluster: ${rule}`));
    });
    return {
      receive: (message) => session.receive(message),
      drained: () => session.drained(),
      closed: () => {
        waiting.cancel();
        session.end();
        if (this.#sessions.get(session.nodeId) === session) this.#sessions.delete(session.nodeId);
      },
    };
  }

  #pass(): void {
    const batches = this.#watch.take();
    this.revision = this.#components.store.index;
    if (batches.some((batch) => batch.reset)) {
      this.index = this.#components.store.view((view) => ResourceIndex.of(view));
      this.#readCluster();
      this.#spread(undefined, this.revision);
      return;
    }
    const dirty = emptyDirty();
    let drainRevision: number | undefined;
    for (const { index, changes } of batches) {
      const drains = dirty.drains.size;
      this.index.apply(changes, dirty);
      if (dirty.drains.size > drains) drainRevision = index;
      for (const change of changes) {
        if (change.table === "cluster") this.#readCluster();
        if (change.table === "node" && change.kind === "remove") {
          this.#sessions
            .get(change.id)
            ?.end(new NotFoundError(`node ${change.id} was removed from the cluster`));
        }
      }
    }
    this.#spread(dirty, drainRevision);
  }

  /** @param drainRevision the newest that stops tasks with traffic, if any does. */
  #spread(dirty: Dirty | undefined, drainRevision: number | undefined): void {
    const round: DrainRound | undefined =
      drainRevision === undefined ? undefined : this.drains.begin(drainRevision);
    for (const session of this.#sessions.values()) session.changed(dirty, round);
    if (round !== undefined) this.drains.advance(); // perhaps no session is concerned
  }

  #advanceAll(): void {
    for (const session of this.#sessions.values()) session.advance();
  }

  #readCluster(): void {
    const cluster = this.#components.store.view((view) => view.list("cluster")[0]);
    this.heartbeatPeriodMs = cluster?.spec?.heartbeatPeriodMs || HEARTBEAT_PERIOD_MS;
    this.#nodeDownAfterMs = cluster?.spec?.nodeDownAfterMs ?? 0;
  }

  /** Silence that ends a session: no longer than the cluster lets a node be silent. */
  get #silentMs(): number {
    const silentMs = SILENT_PERIODS_MAX * this.heartbeatPeriodMs;
    return this.#nodeDownAfterMs > 0 ? Math.min(silentMs, this.#nodeDownAfterMs) : silentMs;
  }

  /** For the next word, or for the first session that will have been silent for too long. */
  #setTimer(silentAtMs = Infinity): Timer {
    const waitMs = Math.min(this.#nextWordMs, silentAtMs) - this.clock.monotonicMs();
    return this.clock.setTimer(Math.max(1, waitMs), () => this.#tick());
  }

  /** Once a period: the word to the leader. Once a period or when one is due: silent sessions away. */
  #tick(): void {
    const nowMs = this.clock.monotonicMs();
    const silentAtMs = this.#endSilent(nowMs);
    if (nowMs >= this.#nextWordMs) {
      this.#nextWordMs = nowMs + this.heartbeatPeriodMs;
      this.#tellNews();
      this.#voucher.speak(); // also without a session: it shows whether the leader can be reached
    }
    if (this.#cutOff()) {
      for (const session of this.#sessions.values())
        session.end(new UnavailableError("this manager has lost the leader"));
    }
    this.#timer = this.#setTimer(silentAtMs);
  }

  /** @returns when the next session will have been silent for too long, if none is heard. */
  #endSilent(nowMs: number): number {
    const silentMs = this.#silentMs;
    let earliestMs = Infinity;
    for (const session of this.#sessions.values()) {
      if (session.ended) continue;
      const atMs = session.lastHeardMs + silentMs;
      // A node that is not known was not told how often to speak: it has its own time to become known.
      if (nowMs < atMs || this.sessionState(session.nodeId) === undefined) {
        if (nowMs < atMs) earliestMs = Math.min(earliestMs, atMs);
        continue;
      }
      session.end(new UnavailableError(`nothing heard from node ${session.nodeId} for ${silentMs} ms`));
    }
    return earliestMs;
  }

  #tellNews(): void {
    const reports: NodeReport[] = [];
    for (const session of this.#sessions.values()) {
      const report = session.news();
      if (report !== undefined) reports.push(report);
    }
    if (reports.length === 0) return;
    this.sink.send(reports).catch((error: unknown) => {
      this.log.debug("news of nodes not delivered", { nodes: reports.length, error: messageOf(error) });
    });
  }

  #cutOff(): boolean {
    const since = this.#voucher.unheardSinceMs;
    return (
      since !== undefined && this.clock.monotonicMs() - since > SILENT_PERIODS_MAX * this.heartbeatPeriodMs
    );
  }
}
