/**
 * A running member: the driver of the core, the ticks, and everybody who waits for something.
 * Pure over its ports. Invariant: whoever asks is answered exactly once, also when the node stops in between.
 */
import type { Timer } from "../../base/clock/clock.js";
import {
  DeadlineExceededError,
  messageOf,
  NotLeaderError,
  UnavailableError,
} from "../../base/errors/errors.js";
import { Scope } from "../../base/lifecycle/scope.js";
import type { RaftInspection } from "../../proto/gen/skein/v1/debug.js";
import type { Membership, RaftId, RaftMember } from "../core/types.js";
import type { DataKeyLock } from "../storage/data-key.js";
import type { LogLimits } from "../storage/stable-log.js";
import type { StateSnapshot } from "../storage/state-store.js";
import type { TransportEvents } from "../transport/transport.js";
import { DataKeyUpkeep } from "./data-key-upkeep.js";
import { HandOver } from "./hand-over.js";
import type { RaftHostComponents } from "./host.js";
import { inspectRaft } from "./inspect-raft.js";
import { LeadershipTransfer } from "./leadership-transfer.js";
import { Listeners } from "./listeners.js";
import { MembershipChanges } from "./membership-changes.js";
import { Proposals } from "./proposals.js";
import { RaftMeters } from "./raft-meters.js";
import type { Leadership, RaftNode, RaftStatus } from "./raft-node.js";
import { closeRaftStorage } from "./raft-storage.js";
import { ReadBarriers } from "./read-barriers.js";
import { ReadyDriver } from "./ready-driver.js";
import { TickWaits } from "./tick-waits.js";

/** What a tick of the core lasts unless the host is told otherwise. */
export const TICK_MS = 100;
/** The news of an orderly removal may still be on its way when a peer refuses us. */
const REMOVAL_GRACE_MS = 1_000;
/** From the last message to a peer until the streams close. */
const LAST_WORDS_MS = 50;
/** On closing, how long those who wait for an answer of the next leader are waited for. */
const SETTLE_TICKS = 10;
const HINT_DELAY_MS = { min: 4, max: 50 } as const;

export class RaftHost implements RaftNode {
  readonly raftId: RaftId;
  readonly #components: RaftHostComponents;
  readonly #driver: ReadyDriver;
  readonly #proposals: Proposals;
  readonly #barriers: ReadBarriers;
  readonly #changes: MembershipChanges;
  readonly #transfer: LeadershipTransfer;
  readonly #handOver: HandOver;
  readonly #dataKeys: DataKeyUpkeep;
  readonly #waits = new TickWaits();
  readonly #meters: RaftMeters;
  readonly #leadership: Listeners<Leadership>;
  readonly #members: Listeners<readonly RaftMember[]>;
  #ticker: Timer | undefined;
  #ticks = 0;
  /** Why nothing is accepted any more. */
  #stopped: UnavailableError | undefined;
  #closing: Promise<void> | undefined;
  /** Closing, and leadership was handed over if anybody took it: whatever is proposed now is another's. */
  #leaving = false;
  #removal: Timer | undefined;

  constructor(components: RaftHostComponents) {
    const { identity, storage, transport, random, log } = components;
    this.#components = components;
    this.raftId = identity.raftId;
    const meters = new RaftMeters(components.clock);
    this.#meters = meters;
    const driver = new ReadyDriver(components, meters, {
      softStateChanged: () => this.#noteLeadership(),
      membershipChanged: (membership) => this.#noteMembership(membership),
      applied: (at) => {
        this.#proposals.applied(at);
        this.#barriers.applied();
        this.#waits.check();
      },
      installed: (at) => {
        this.#proposals.installed(at);
        this.#barriers.applied();
      },
      readsAnswered: (states) => this.#barriers.answered(states),
      readyDone: () => {
        this.#changes.promoteCaughtUp();
        this.#changes.correctAddresses();
      },
      failed: (error) => this.#fail(error),
    });
    this.#driver = driver;
    const bytesMax = storage.wal.entryBytesMax;
    this.#proposals = new Proposals({ core: driver.core, drive: () => driver.drive(), bytesMax, meters });
    this.#barriers = new ReadBarriers({
      random,
      appliedIndex: () => driver.appliedIndex,
      readIndex: (context) => {
        driver.core.readIndex(context);
        driver.drive();
      },
    });
    this.#changes = new MembershipChanges({
      status: () => driver.core.status(),
      isLeader: () => driver.core.leads,
      membership: () => driver.membership,
      change: (kind, member) => this.#proposals.change(kind, member),
      isReachable: (peer) => transport.isReachable(peer),
      transferAway: () => this.transferLeadership(),
      notLeader: () => this.#notLeader(),
      nextTick: () => this.#nextTick(),
      random,
      log,
    });
    this.#transfer = new LeadershipTransfer({
      raftId: identity.raftId,
      status: () => driver.core.status(),
      transfer: (to) => {
        driver.core.transferLeadership(to);
        driver.drive();
      },
      leader: () => this.#leadership.value.leader?.raftId,
      isReachable: (peer) => transport.isReachable(peer),
      waits: this.#waits,
      log,
    });
    this.#handOver = new HandOver({
      status: () => driver.core.status(),
      transport,
      health: driver.health,
      trouble: () => driver.trouble,
      transfer: (to) => this.transferLeadership({ to }),
      forfeitLease: () => driver.core.forfeitLease(),
      clock: components.clock,
      log,
    });
    this.#dataKeys = new DataKeyUpkeep({ storage, trimLog: () => driver.trimLog(), log });
    this.#leadership = new Listeners<Leadership>({ isLeader: false, term: 0, leader: undefined }, log);
    this.#members = new Listeners<readonly RaftMember[]>(driver.membership.members, log);
  }

  /**
   * Restores the state machine, replays what is known to be committed, and begins to take part.
   * @throws what stopped it meanwhile.
   */
  async start(): Promise<void> {
    const { transport, identity, clock, tickMs } = this.#components;
    const driver = this.#driver;
    await driver.restore();
    const { address } = this.#components;
    this.#changes.noteAddress(this.raftId, address);
    transport.start({ raftId: this.raftId, clusterId: identity.clusterId, address }, this.#events());
    transport.setPeers(driver.membership.members, driver.membership.removed);
    driver.drive();
    await driver.idle();
    if (this.#stopped !== undefined) throw this.#stopped;
    this.#ticker = clock.setInterval(tickMs ?? TICK_MS, () => this.#tick());
    const voters = driver.membership.members.filter((member) => !member.learner);
    if (voters.length === 1 && voters[0]?.raftId === this.raftId) driver.input(() => driver.core.campaign());
  }

  propose(
    data: Uint8Array,
    options: { signal?: AbortSignal } = {},
  ): Promise<{ index: number; term: number }> {
    // Certainly not done, so that it is tried at the next leader.
    if (this.#leaving) return Promise.reject(this.#notLeader());
    return this.#stopped === undefined
      ? this.#proposals.propose(data, options.signal)
      : Promise.reject(this.#stopped);
  }

  readBarrier(options: { signal?: AbortSignal } = {}): Promise<number> {
    return this.#stopped === undefined ? this.#barriers.ask(options.signal) : Promise.reject(this.#stopped);
  }

  addMember(member: { nodeId: string; address: string }): ReturnType<RaftNode["addMember"]> {
    return this.#stopped === undefined ? this.#changes.add(member) : Promise.reject(this.#stopped);
  }

  removeMember(raftId: RaftId, options: { force?: boolean } = {}): Promise<void> {
    return this.#stopped === undefined
      ? this.#changes.remove(raftId, options)
      : Promise.reject(this.#stopped);
  }

  get isLeader(): boolean {
    return this.#stopped === undefined && this.#driver.core.leads;
  }

  get leaderMember(): RaftMember | undefined {
    return this.#member(this.#knownLeader());
  }

  status(): RaftStatus {
    const status = this.#driver.core.status();
    const { members } = status.membership;
    const isReachable = (raftId: RaftId): boolean =>
      raftId === this.raftId || this.#components.transport.isReachable(raftId);
    const { appliedIndex } = this.#driver;
    const found = this.#driver.health.trouble ?? this.#driver.trouble;
    const trouble = found === undefined ? {} : { trouble: found };
    const reachable = new Map(members.map(({ raftId }) => [raftId, isReachable(raftId)]));
    if (this.#stopped !== undefined) {
      const role = status.role === "learner" ? status.role : "follower";
      const leader = this.#knownLeader();
      const nobody = { leader, leaderMember: this.#member(leader), progress: [] };
      const { message } = this.#stopped;
      return { ...status, ...nobody, role, appliedIndex, reachable, trouble: message };
    }
    return { ...status, ...trouble, appliedIndex, leaderMember: this.#member(status.leader), reachable };
  }

  /** After an orderly hand-over the calls that still come in are passed on to the next leader. */
  #knownLeader(): RaftId {
    const { leader } = this.#driver.core;
    if (this.#stopped === undefined) return leader;
    return this.#closing === undefined || leader === this.raftId ? 0 : leader;
  }

  inspect(): RaftInspection {
    const { identity, storage } = this.#components;
    const driver = this.#driver;
    return inspectRaft({
      identity,
      status: this.status(),
      firstIndex: storage.log.firstIndex(),
      meters: this.#meters,
      queues: {
        proposals: this.#proposals.waiting,
        reads: this.#barriers.waiting,
        ...driver.queues,
        logBatches: storage.wal.waiting,
      },
    });
  }

  async transferLeadership(options: { to?: RaftId } = {}): Promise<void> {
    if (this.#stopped !== undefined) throw this.#stopped;
    if (this.#driver.core.status().leader !== this.raftId) throw this.#notLeader();
    await this.#transfer.run(options.to);
  }

  exportState(): Promise<StateSnapshot> {
    return this.#stopped === undefined ? this.#driver.exportState() : Promise.reject(this.#stopped);
  }

  setLogLimits(limits: LogLimits): void {
    this.#components.storage.log.setLimits(limits);
  }

  rotateDataKey(epoch: number): Promise<void> {
    return this.#stopped === undefined ? this.#dataKeys.rotate(epoch) : Promise.reject(this.#stopped);
  }

  relock(lock: DataKeyLock | undefined): Promise<void> {
    return this.#stopped === undefined ? this.#dataKeys.relock(lock) : Promise.reject(this.#stopped);
  }

  onLeadership(listener: (leadership: Leadership) => void): () => void {
    return this.#leadership.add(listener);
  }

  onMembership(listener: (members: readonly RaftMember[]) => void): () => void {
    return this.#members.add(listener);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const { transport, storage, log } = this.#components;
    if (this.#stopped === undefined && this.#leadership.value.isLeader && this.#transfer.hasSuccessor) {
      try {
        await this.transferLeadership();
      } catch (error) {
        log.warn("closing without having handed over leadership", { error: messageOf(error) });
      }
    }
    this.#leaving = this.#stopped === undefined;
    await this.#settled();
    this.#stop(new UnavailableError("this manager is stopping"));
    const parts = new Scope(); // closed from the last one to the first, each whatever becomes of the others
    parts.defer(() => closeRaftStorage(storage));
    for (const part of [transport, this.#driver, this.#dataKeys]) parts.own(part);
    await parts.close();
  }

  /**
   * Whoever waits is answered if a leader is there to answer: proposals that this member made while it led,
   * and reads.
   */
  async #settled(): Promise<void> {
    if (this.#stopped !== undefined || this.#leadership.value.leader === undefined) return;
    const isSettled = (): boolean => this.#proposals.waiting === 0 && this.#barriers.waiting === 0;
    try {
      await this.#waits.until(isSettled, { ticks: SETTLE_TICKS, timeout: () => undefined });
    } catch (error) {
      this.#components.log.info("raft stopped while it was closing", { error: messageOf(error) });
    }
  }

  /** Something broke that only a restart from disk can mend. */
  #fail(error: unknown): void {
    if (this.#stopped !== undefined) return;
    const { log, onStopped, transport } = this.#components;
    log.error("raft stops", { error: messageOf(error) });
    const isHandedOver = this.#handOver.logFailed();
    this.#stop(new UnavailableError(`raft has stopped: ${messageOf(error)}`, { cause: error }));
    const tell = (): void => onStopped?.(error);
    const end = (): void => {
      transport.close().then(tell, tell);
    };
    if (isHandedOver) this.#components.clock.setTimer(LAST_WORDS_MS, end);
    else end();
  }

  /** Accepts nothing any more and answers everybody who waits. */
  #stop(reason: UnavailableError): void {
    if (this.#stopped !== undefined) return;
    this.#stopped = reason;
    this.#removal?.cancel();
    this.#ticker?.cancel();
    this.#driver.stop();
    this.#proposals.rejectAll(reason);
    this.#barriers.rejectAll(reason);
    this.#waits.stop(reason);
    this.#leadership.tell({ isLeader: false, term: this.#leadership.value.term, leader: undefined });
  }

  #events(): TransportEvents {
    const { core, snapshots } = this.#driver;
    const input = (give: () => void): void => this.#driver.input(give);
    return {
      receive: (messages) => {
        input(() => {
          for (const message of messages) core.step(message);
        });
      },
      connectionLost: (peer) => this.#hintSoon(peer),
      unreachable: (peer) => input(() => core.reportUnreachable(peer)),
      receiveSnapshot: (from, snapshot) =>
        this.#stopped === undefined ? snapshots.receive(from, snapshot) : Promise.reject(this.#stopped),
      refused: (_peer, reason, { removed }) => {
        this.#components.onRefused?.(reason);
        if (removed) this.#removedSoon();
      },
      announced: (peer, address) => {
        this.#changes.noteAddress(peer, address);
        this.#changes.correctAddresses();
      },
    };
  }

  /**
   * Waits a few milliseconds, a different number on each member: peers shall have noticed the loss, too,
   * and not two of them stand for election at the same moment.
   */
  #hintSoon(peer: RaftId): void {
    const { clock, random } = this.#components;
    clock.setTimer(random.int(HINT_DELAY_MS.min, HINT_DELAY_MS.max), () => {
      this.#driver.input(() => this.#driver.core.connectionLost(peer));
    });
  }

  /**
   * A peer says that our removal is committed. Whoever was removed in an orderly way learns it from its own
   * log, and goes when its daemon says so; whoever was away meanwhile, or was dropped by a forced new
   * cluster, must neither vote nor lead: the others count without it.
   */
  #removedSoon(): void {
    if (this.#removal !== undefined) return;
    this.#removal = this.#components.clock.setTimer(REMOVAL_GRACE_MS, () => {
      if (this.#stopped !== undefined || this.#driver.membership.removed.includes(this.raftId)) return;
      const reason = "this manager was removed from the swarm while it was away";
      this.#components.log.error("raft stops", { error: reason });
      this.#stop(new UnavailableError(reason));
      this.#components.onRemoved?.(reason);
    });
  }

  #tick(): void {
    this.#ticks += 1;
    this.#driver.input(() => this.#driver.core.tick());
    this.#barriers.tick();
    this.#proposals.tick();
    this.#waits.tick();
    this.#driver.tick();
    this.#changes.correctAddresses();
    this.#dataKeys.tick();
    // Nobody hears of a new leader from a driver that waits for a sync.
    if (this.#driver.health.trouble !== undefined) this.#noteLeadership();
    this.#handOver.tick();
  }

  async #nextTick(): Promise<void> {
    const now = this.#ticks;
    const timeout = (): Error => new DeadlineExceededError("a tick did not come");
    await this.#waits.until(() => this.#ticks > now, { ticks: 2, timeout });
  }

  #noteMembership({ members, removed }: Membership): void {
    this.#noteLeadership(); // the leader may have another address
    this.#members.tell(members);
    if (removed.includes(this.raftId)) this.#components.onRefused?.("this member was removed");
  }

  #noteLeadership(): void {
    const { role, term, leader } = this.#driver.core.status();
    const was = this.#leadership.value;
    const now: Leadership = { isLeader: role === "leader", term, leader: this.#member(leader) };
    const isLost = was.isLeader && !(now.isLeader && now.term === was.term);
    if (isLost) this.#proposals.leadershipLost(was.term, this.#notLeader());
    if (was.isLeader === now.isLeader && was.term === term && was.leader === now.leader) return;
    const leaderAddress = now.leader?.address;
    this.#components.log.info("raft leadership", { role, term, leader, leaderAddress });
    this.#leadership.tell(now);
    this.#waits.check();
    if (now.leader !== undefined) queueMicrotask(() => this.#barriers.leaderChanged());
  }

  #member(raftId: RaftId): RaftMember | undefined {
    return this.#driver.membership.members.find((member) => member.raftId === raftId);
  }

  #notLeader(): NotLeaderError {
    const { leader } = this.#driver.core.status();
    const leaderAddress = leader === this.raftId ? undefined : this.#member(leader)?.address;
    return new NotLeaderError("this manager does not lead (any more)", { leaderAddress });
  }
}
