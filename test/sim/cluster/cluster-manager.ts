/**
 * One manager process of a simulated cluster: Raft with its log, the replicated store, the dispatcher, and,
 * while
 * it leads, all of a leader's duties. Real code on a simulated disk, clock and network. Pure.
 * Invariant: a process that crashed leaves nothing but its disk.
 */
import { NotLeaderError, UnavailableError } from "../../../base/errors/errors.js";
import { toGrpcStatus } from "../../../base/grpc/grpc-errors.js";
import type { Logger } from "../../../base/log/logger.js";
import type { Random } from "../../../base/random/random.js";
import { createControlHandlers } from "../../../manager/control/control-handlers.js";
import { createDispatcher, type Dispatcher } from "../../../manager/dispatcher/dispatcher.js";
import { createLeaderReportsHandlers } from "../../../manager/dispatcher/grpc-leader-reports.js";
import {
  createGrpcReportSink,
  type GrpcReportSink,
  type LeaderLink,
} from "../../../manager/dispatcher/grpc-report-sink.js";
import { StackControl } from "../../../manager/stacks/control/stack-control.js";
import { createMemoryStore, type MemoryStore } from "../../../manager/store/memory-store.js";
import type { Proposer } from "../../../manager/store/types.js";
import { LeaderDuties } from "../../../node/leader-duties.js";
import { ManagerDirectoryView } from "../../../node/manager-directory.js";
import type { ControlServer } from "../../../proto/gen/skein/v1/control.js";
import type {
  LeaderReportsServer,
  ReportReply,
  ReportRequest,
} from "../../../proto/gen/skein/v1/dispatcher.js";
import { openRaftNode, type RaftStart } from "../../../raft/host/host.js";
import type { RaftNode, StateMachine } from "../../../raft/host/raft-node.js";
import { HostClock } from "../host-clock.js";
import type { HostDisk } from "../host-disk.js";
import { HostLife } from "../host-life.js";
import { HostState, type HostStateFolder } from "../host-state.js";
import { type Directory, HostTransport } from "../host-transport.js";
import type { ClusterBug } from "./cluster-bugs.js";
import type { ClusterChecks } from "./cluster-checks.js";
import { type WireHost, type WireWorld, wireCall } from "./sim-wire.js";

export interface ManagerWorld extends WireWorld {
  readonly directory: Directory;
  readonly checks: ClusterChecks;
  readonly log: Logger;
  readonly bug: ClusterBug | undefined;
  /** The first objects are stored: whoever leads may do its duties. */
  readonly isFounded: boolean;
  managerAt(address: string): ManagerProcess | undefined;
  fail(error: unknown): void;
}

export interface ManagerPlace {
  readonly slot: number;
  readonly nodeId: string;
  readonly address: string;
  readonly start: RaftStart;
  readonly disk: HostDisk;
  readonly folder: HostStateFolder;
  readonly hasPower: () => boolean;
  readonly onStopped: (error: unknown) => void;
}

/** Small, so that snapshots and compactions happen. */
const SEGMENT_BYTES = 128 * 1024;
/** As the real sink has them: calls measure their time by the machine's own clock. */
const CALL_TIMEOUT_MS = 5_000;
const WORD_TIMEOUT_MS = 1_000;

export class ManagerProcess implements WireHost {
  readonly slot: number;
  readonly life: HostLife;
  readonly hasPower: () => boolean;
  readonly store: MemoryStore;
  raft: RaftNode | undefined;
  duties: LeaderDuties | undefined;
  dispatcher: Dispatcher | undefined;
  control: ControlServer | undefined;
  #stacks: StackControl | undefined;
  #sink: GrpcReportSink | undefined;
  #reports: LeaderReportsServer | undefined;
  readonly #world: ManagerWorld;
  readonly #place: ManagerPlace;
  readonly #clock: HostClock;
  readonly #random: Random;

  constructor(world: ManagerWorld, place: ManagerPlace, random: Random) {
    this.#world = world;
    this.#place = place;
    this.#random = random;
    this.slot = place.slot;
    this.hasPower = place.hasPower;
    this.life = new HostLife(world.queue);
    this.#clock = new HostClock(world.queue, this.life, 0.98 + 0.04 * random.float());
    this.#clock.jump(world.queue.now);
    const proposer: Proposer = {
      propose: (data, options) =>
        this.raft?.propose(data, options) ?? Promise.reject(new NotLeaderError("raft is not open yet")),
      ...{ isLeader: false },
    };
    this.store = createMemoryStore({
      proposer,
      clock: this.#clock,
      random: random.child("store"),
      log: world.log,
    });
  }

  get isLeading(): boolean {
    return this.raft?.isLeader === true && this.duties?.reports !== undefined;
  }

  /** Opens Raft, then everything that answers. */
  async open(): Promise<void> {
    const { disk, folder, start, address, nodeId, onStopped } = this.#place;
    const { life } = this;
    const { queue, network, directory, log } = this.#world;
    const transport = new HostTransport(
      { queue, network, directory, chance: () => this.#random.float(), isDeafToStrangers: false },
      life,
    );
    const raft = await openRaftNode({
      dir: "",
      clusterId: "simulated",
      nodeId,
      address,
      start,
      transport,
      stateMachine: this.#watched(),
      clock: this.#clock,
      random: this.#random.child("raft"),
      log,
      segmentBytes: SEGMENT_BYTES,
      snapshotInterval: 400,
      entriesKept: 100,
      reads: "read-index",
      onStopped,
      media: {
        disk: disk.portOf(life),
        openState: async () => new HostState(folder, disk, life),
      },
    });
    if (life.isDead) return;
    this.raft = raft;
    this.#serve(raft);
  }

  #watched(): StateMachine {
    const { store } = this;
    const { checks } = this.#world;
    return {
      apply: (entry) => {
        checks.applied(this.slot, entry);
        return store.apply(entry);
      },
      restore: (index, pairs) => store.restore(index, pairs),
    };
  }

  #serve(raft: RaftNode): void {
    const { store } = this;
    const clock = this.#clock;
    const { log } = this.#world;
    const random = this.#random;
    const directory = new ManagerDirectoryView(raft);
    const sink = createGrpcReportSink({
      managerNodeId: this.#place.nodeId,
      leader: () => this.#leaderLink(raft),
      clock,
      random: random.child("reports"),
      log,
    });
    raft.onLeadership(() => sink.leaderChanged());
    this.#sink = sink;
    this.#reports = createLeaderReportsHandlers(() => this.duties?.reports);
    this.dispatcher = createDispatcher({
      store,
      reports: sink,
      managers: directory,
      trust: () => ({ rootCaPem: "root", issuerPublicKeySha256: "" }),
      readBarrier: () => raft.readBarrier(),
      clock,
      random: random.child("dispatcher"),
      log,
      identify: (call) => callerOf(call),
    });
    this.#stacks = new StackControl({ store, clock, random: random.child("stacks") });
    this.control = createControlHandlers({ store, clock, random: random.child("control"), log, raft });
    if (this.#world.isFounded) this.takeDuties();
  }

  /** From now on it does what a leader does, whenever it leads. */
  takeDuties(): void {
    const { raft, store } = this;
    if (raft === undefined || this.duties !== undefined) return;
    const parts = {
      store,
      raft,
      clock: this.#clock,
      random: this.#random.child("duties"),
      log: this.#world.log,
    };
    this.duties = new LeaderDuties(parts, { onChange: () => this.#sink?.leaderChanged() });
  }

  #leaderLink(raft: RaftNode): LeaderLink {
    const reports = this.duties?.reports;
    if (raft.isLeader) return reports === undefined ? { kind: "none" } : { kind: "local", reports };
    const address = raft.leaderMember?.address;
    if (address === undefined) return { kind: "none" };
    const client = {
      report: (request: never, _metadata: unknown, _options: unknown, callback: never): never => {
        const back = callback as (error: unknown, reply?: ReportReply) => void; // as grpc-js types it
        wireCall<ReportReply>(
          this.#world,
          { client: this, server: this.#world.managerAt(address) },
          {
            timeoutMs: (request as ReportRequest).word === undefined ? CALL_TIMEOUT_MS : WORD_TIMEOUT_MS,
            serve: (answer) => this.#world.managerAt(address)?.takeReport(request, answer),
            back,
          },
        );
        return { cancel: () => undefined } as never; // callUnary needs no more of it
      },
    };
    return { kind: "remote", client: client as never }; // of the client only this call is made
  }

  takeReport(request: unknown, answer: (error: unknown, reply?: ReportReply) => void): void {
    if (this.#reports === undefined) {
      answer(toGrpcStatus(new UnavailableError("the manager is starting")));
      return;
    }
    // the handler reads the request alone
    const call = { request: this.#spoiled(request as ReportRequest) } as Parameters<
      LeaderReportsServer["report"]
    >[0];
    this.#reports.report(call, (error, reply) => answer(error, reply ?? undefined));
  }

  /** What a leader with a planted bug makes of reports. */
  #spoiled(request: ReportRequest): ReportRequest {
    if (this.#world.bug !== "status-lost") return request;
    const isKept = (): boolean => this.#random.float() > 0.2;
    const reports = request.reports.map((one) => ({ ...one, updates: one.updates.filter(isKept) }));
    return { ...request, reports };
  }

  /** As the handlers of the Stacks service ask; never answers when the process dies. */
  askStacks(ask: (stacks: StackControl) => Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      const stacks = this.#stacks;
      if (stacks === undefined) {
        reject(new UnavailableError("the manager is starting"));
        return;
      }
      this.life.through(() => {
        ask(stacks).then(
          () => this.life.isDead || resolve(),
          (error: unknown) => this.life.isDead || reject(error),
        );
      });
    });
  }

  /** A unary call of the control API, as somebody beside this manager makes it. */
  ask<K extends keyof ControlServer>(method: K, request: unknown): Promise<unknown> {
    const { control } = this;
    return new Promise((resolve, reject) => {
      if (control === undefined) {
        reject(toGrpcStatus(new UnavailableError("the manager is starting")));
        return;
      }
      this.life.through(() => {
        const handler = control[method] as unknown as (
          call: unknown,
          callback: (error: unknown, reply: unknown) => void,
        ) => void; // each method has types of its own
        handler({ request }, (error, reply) => {
          if (this.life.isDead) return;
          if (error === null) resolve(reply);
          else reject(error);
        });
      });
    });
  }
}

/** Streams of simulated agents carry the node's name. */
function callerOf(call: unknown): string | undefined {
  return (call as { readonly nodeId?: string }).nodeId; // set by the agent's side of the wire
}
