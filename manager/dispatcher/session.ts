/**
 * One agent's session at this manager: what it was told, what it said, when it was last heard.
 * Pure: the stream, the index and the sink are handed in.
 * Invariants: the welcome is the first answer; assignments never show a state older than the agent's own
 * revision; a status is acknowledged only once the leader has committed it; acks are cumulative, so a batch
 * is acknowledged after all before it.
 */
import { isDeepStrictEqual } from "node:util";
import type { Clock } from "../../base/clock/clock.js";
import {
  FailedPreconditionError,
  InvalidArgumentError,
  messageOf,
  ResourceExhaustedError,
} from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import type {
  AgentMessage,
  DispatcherMessage,
  NodeReport,
  NodeResource,
  SessionUpdate,
} from "../../proto/gen/skein/v1/dispatcher.js";
import type { NodeDescription } from "../../proto/gen/skein/v1/types.js";
import { assignmentParts } from "./assignment-parts.js";
import { ClockSkew } from "./clock-skew.js";
import { DRAIN_WAIT_MS, type DrainRound, type DrainRounds } from "./drain-rounds.js";
import { DriverSecrets, type SecretDrivers } from "./driver-secrets.js";
import { NodeView } from "./node-resources.js";
import { boundedUpdates, checkDescription } from "./report-bounds.js";
import type { ReportSink } from "./report-sink.js";
import { isLive, isToStop } from "./resource-build.js";
import { type Dirty, emptyDirty, type ResourceIndex } from "./resource-index.js";
import { SessionDrains } from "./session-drains.js";

export const PROTOCOL_VERSION = 1;
/** Status batches of one agent under way to the leader; an agent that sends more breaks the protocol. */
export const BATCHES_IN_FLIGHT_MAX = 64;
/** Keys remembered for a slow stream; past it the session compares everything at the next chance. */
export const DIRTY_KEYS_MAX = 10_000;

/** The agent's stream without its transport. */
export interface SessionStream {
  readonly nodeId: string;
  /** IP the agent comes from. */
  readonly address: string;
  /** @returns false when the transport asks to wait for `onDrain`. */
  send(message: DispatcherMessage): boolean;
  end(error?: Error): void;
}

/** What a session asks of the dispatcher that holds it. */
export interface SessionHost {
  readonly clock: Clock;
  readonly log: Logger;
  readonly sink: ReportSink;
  readonly index: ResourceIndex;
  /** Store revision that `index` shows. */
  readonly revision: number;
  readonly heartbeatPeriodMs: number;
  /** The leader has confirmed that the session began. */
  told(session: Session): void;
  readonly drains: DrainRounds;
  readonly secretDrivers: SecretDrivers;
  /** Once, when the session is over. */
  ended(session: Session): void;
  /**
   * Resolves when `index` shows every change acknowledged before the call.
   * @throws {UnavailableError} there is no quorum to ask, or nobody to ask it.
   */
  caughtUp(): Promise<void>;
  /** @returns undefined while the replica does not know the node. */
  sessionState(nodeId: string): SessionUpdate | undefined;
}

export class Session {
  readonly nodeId: string;
  readonly id: string;
  readonly #stream: SessionStream;
  readonly #host: SessionHost;
  #view: NodeView | undefined;
  #dirty: Dirty | undefined;
  #reset = false;
  #blocked = false;
  #catchingUp = false;
  #welcomed: SessionUpdate | undefined;
  #helloRevision: number | undefined;
  #sentRevision = 0;
  #appliedRevision = 0;
  #ackedSequence = 0;
  readonly #drains: SessionDrains;
  readonly #driverSecrets: DriverSecrets;
  #inFlight: { readonly sequence: number; done: boolean }[] = [];
  #ended = false;
  readonly #skew = new ClockSkew();
  #toldSkewMs = 0;
  #isGoodbye = false;
  /** Monotonic instant of the last message. */
  lastHeardMs: number;

  constructor(options: { id: string; stream: SessionStream; host: SessionHost }) {
    this.id = options.id;
    this.#stream = options.stream;
    this.#host = options.host;
    this.nodeId = options.stream.nodeId;
    this.#drains = new SessionDrains(options.host.drains, (revision) =>
      this.#send({ $case: "drained", value: { revision } }),
    );
    this.#driverSecrets = new DriverSecrets({
      drivers: options.host.secretDrivers,
      log: options.host.log,
      onAnswer: (key) => this.changed({ ...emptyDirty(), secrets: new Set([key]) }),
    });
    this.lastHeardMs = options.host.clock.monotonicMs();
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** The hello has come. */
  get begun(): boolean {
    return this.#helloRevision !== undefined;
  }

  receive({ message }: AgentMessage): void {
    if (this.#ended || message === undefined) return;
    this.lastHeardMs = this.#host.clock.monotonicMs();
    if (!this.begun && message.$case !== "hello") {
      this.end(
        new InvalidArgumentError(`the first message of a session must be hello, got ${message.$case}`),
      );
      return;
    }
    try {
      this.#take(message);
    } catch (error) {
      if (!(error instanceof InvalidArgumentError)) throw error;
      this.end(error);
    }
  }

  /** @throws {InvalidArgumentError} more than an agent may say at once. */
  #take(message: NonNullable<AgentMessage["message"]>): void {
    switch (message.$case) {
      case "hello": {
        const { protocolVersion, appliedRevision, description } = message.value;
        if (protocolVersion !== PROTOCOL_VERSION) {
          const rule = `protocol version must be ${PROTOCOL_VERSION}, got ${protocolVersion}`;
          this.end(new FailedPreconditionError(rule));
          return;
        }
        checkDescription(description);
        this.#helloRevision = appliedRevision;
        this.#appliedRevision = appliedRevision;
        this.#report({ alive: true, began: true, description }, () => {
          if (!this.#ended) this.#host.told(this);
        });
        this.advance();
        return;
      }
      case "heartbeat":
        this.#appliedRevision = message.value.appliedRevision;
        this.#drains.applied(this.#appliedRevision);
        this.#skew.heard(message.value.sentAtMs, this.#host.clock.nowMs());
        this.#ack(); // the answer tells the agent that this manager is alive
        if (this.#view === undefined) this.advance();
        return;
      case "statuses":
        this.#receiveStatuses(message.value.sequence, { updates: boundedUpdates(message.value.updates) });
        return;
      case "description":
        checkDescription(message.value);
        this.#report({ alive: true, description: message.value });
        return;
      case "goodbye":
        this.#isGoodbye = true;
        this.#report({ goodbye: true, leaving: message.value.leaving });
        this.end();
    }
  }

  /** What is new since the leader was told; undefined: nothing that has no report of its own. */
  news(): NodeReport | undefined {
    const skewMs = this.#skew.ms ?? 0;
    if (!this.begun || this.#ended || skewMs === this.#toldSkewMs) return undefined;
    this.#toldSkewMs = skewMs;
    return this.#nodeReport({ alive: true });
  }

  /** The session goes on. */
  presence(): NodeReport {
    return this.#nodeReport({ alive: true, began: true });
  }

  /** The session is over without a goodbye; undefined when there is nothing to be told. */
  loss(nowMs: number): NodeReport | undefined {
    if (!this.begun || this.#isGoodbye) return undefined;
    return this.#nodeReport({ lost: true, silentMs: nowMs - this.lastHeardMs });
  }

  /** The index has moved on; `undefined` means it was replaced. */
  changed(dirty: Dirty | undefined, round?: DrainRound): void {
    const isLater = dirty === undefined || this.#blocked || this.#view === undefined;
    if (round !== undefined && isLater && this.begun && !this.#ended) this.#drains.postpone(round);
    if (dirty === undefined) this.#reset = true;
    else if (this.#blocked) this.#remember(dirty);
    else this.#sendChanges(dirty, round);
    this.advance();
  }

  drained(): void {
    this.#blocked = false;
    this.advance();
  }

  /**
   * Sends whatever has become possible: the welcome, the first set, news of the session, changes left over.
   */
  advance(): void {
    if (this.#ended || this.#helloRevision === undefined || this.#blocked) return;
    const state = this.#host.sessionState(this.nodeId);
    if (state === undefined) return;
    if (this.#welcomed === undefined) {
      const { heartbeatPeriodMs } = state;
      this.#send({ $case: "welcome", value: { sessionId: this.id, heartbeatPeriodMs, state } });
    } else if (!sameState(this.#welcomed, state)) {
      this.#send({ $case: "update", value: state });
    }
    this.#welcomed = state;
    if (this.#view === undefined) {
      if (this.#host.revision < this.#helloRevision) {
        this.#catchUp(); // our replica is behind what the agent has seen
        return;
      }
      this.#view = new NodeView(this.#host.index, this.nodeId, this.#driverSecrets);
      this.#drains.joinAll();
      this.#sendSet({ upserts: this.#view.complete(), removals: [] }, true);
    } else if (this.#reset) {
      this.#reset = false;
      this.#dirty = undefined;
      this.#sendSet(this.#view.reset(this.#host.index), false);
    } else if (this.#dirty !== undefined) {
      const dirty = this.#dirty;
      this.#dirty = undefined;
      this.#sendChanges(dirty);
    }
  }

  /**
   * An agent may have seen more than there is: of a history that ended when a new cluster was forced from a
   * survivor, or a backup was restored. A replica that holds all that was acknowledged knows; the agent then
   * gets everything anew.
   */
  #catchUp(): void {
    if (this.#catchingUp) return;
    this.#catchingUp = true;
    this.#host.caughtUp().then(
      () => {
        this.#catchingUp = false;
        if (this.#ended || this.#helloRevision === undefined) return;
        const { revision, log } = this.#host;
        if (revision < this.#helloRevision)
          log.info("a node has seen a later state than there is", { node: this.nodeId, revision });
        this.#helloRevision = Math.min(this.#helloRevision, revision);
        this.advance();
      },
      (error: unknown) => {
        this.#catchingUp = false; // asked again with the next heartbeat
        this.#host.log.debug("not caught up yet", { node: this.nodeId, error: messageOf(error) });
      },
    );
  }

  end(error?: Error): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#drains.end();
    this.#driverSecrets.close();
    this.#host.ended(this);
    this.#stream.end(error);
  }

  #sendChanges(dirty: Dirty, round?: DrainRound): void {
    const changes = this.#view?.changes(dirty);
    if (changes === undefined) return;
    if (round !== undefined && changes.upserts.some((upsert) => isDrain(upsert, dirty)))
      this.#drains.postpone(round);
    this.#sendSet(changes, false);
  }

  #sendSet(changes: Parameters<typeof assignmentParts>[0], complete: boolean): void {
    const drains = this.#drains.isOwing;
    if (!complete && !drains && changes.upserts.length + changes.removals.length === 0) return;
    const { revision } = this.#host;
    const options = { complete, baseRevision: this.#sentRevision, revision };
    const parts = assignmentParts(changes, drains ? { ...options, drainWaitMs: DRAIN_WAIT_MS } : options);
    for (const part of parts) this.#send({ $case: "assignments", value: part });
    this.#sentRevision = revision;
    if (drains) this.#drains.sent(revision, changes.upserts.some(isStop));
  }

  #send(message: NonNullable<DispatcherMessage["message"]>): void {
    if (!this.#ended && !this.#stream.send({ message })) this.#blocked = true;
  }

  #remember(dirty: Dirty): void {
    if (this.#view === undefined || this.#reset) return; // the whole state will be looked at
    this.#dirty ??= emptyDirty();
    let count = 0;
    for (const name of Object.keys(dirty) as (keyof Dirty)[]) {
      for (const id of dirty[name]) this.#dirty[name].add(id);
      count += this.#dirty[name].size;
    }
    if (count > DIRTY_KEYS_MAX) this.#reset = true;
  }

  #receiveStatuses(sequence: number, facts: Partial<NodeReport>): void {
    if (this.#inFlight.length >= BATCHES_IN_FLIGHT_MAX) {
      const rule = `at most ${BATCHES_IN_FLIGHT_MAX} status batches may wait for their acknowledgement`;
      this.end(new ResourceExhaustedError(rule));
      return;
    }
    const batch = { sequence, done: false };
    this.#inFlight.push(batch);
    this.#report({ alive: true, ...facts }, () => {
      batch.done = true;
      let acked = false;
      for (let first = this.#inFlight[0]; first?.done === true; first = this.#inFlight[0]) {
        this.#ackedSequence = Math.max(this.#ackedSequence, first.sequence);
        this.#inFlight.shift();
        acked = true;
      }
      if (acked) this.#ack();
    });
  }

  #ack(): void {
    this.#send({ $case: "statusAck", value: { sequence: this.#ackedSequence } });
  }

  #report(facts: Partial<NodeReport>, committed?: () => void): void {
    this.#host.sink.send([this.#nodeReport(facts)]).then(committed, (error: unknown) => {
      this.#host.log.warn("report not delivered", { node: this.nodeId, error: messageOf(error) });
      this.end(error instanceof Error ? error : undefined); // the agent sends it again, to another manager
    });
  }

  #nodeReport(facts: Partial<NodeReport> & { description?: NodeDescription | undefined }): NodeReport {
    return {
      nodeId: this.nodeId,
      sessionId: this.id,
      alive: false,
      goodbye: false,
      leaving: false,
      began: false,
      lost: false,
      silentMs: 0,
      description: undefined,
      address: this.#stream.address,
      updates: [],
      appliedRevision: this.#appliedRevision,
      ...(this.#skew.ms === undefined ? {} : { clockSkewMs: this.#skew.ms }),
      ...facts,
    };
  }
}

function isDrain({ resource }: NodeResource, { drains }: Dirty): boolean {
  return resource?.$case === "endpoint" && drains.has(resource.value.taskId);
}

function isStop({ resource }: NodeResource): boolean {
  return resource?.$case === "task" && isToStop(resource.value) && isLive(resource.value);
}

function sameState(a: SessionUpdate, b: SessionUpdate): boolean {
  return (
    a.node === b.node &&
    isDeepStrictEqual(a.managers, b.managers) &&
    a.rootCaPem === b.rootCaPem &&
    a.issuerPublicKeySha256 === b.issuerPublicKeySha256 &&
    a.heartbeatPeriodMs === b.heartbeatPeriodMs
  );
}
