/**
 * The loop that drives the core and keeps its promises: saved before sent, applied in order, answered once.
 * Pure over its ports (storage, transport, state machine, clock). Source: the duties listed at `Ready` in
 * raft/core/types.ts; Raft paper 5, 7, 8; thesis 6.4, 10.2.
 *
 * Committed entries that an earlier Ready made durable are applied while this one's sync runs. Applying is a queue of
 * its own, so that a burst of entries does not delay heartbeats.
 */
import type { Timer } from "../../base/clock/clock.js";
import {
  DeadlineExceededError,
  FailedPreconditionError,
  InvalidArgumentError,
  messageOf,
  NotLeaderError,
  ResourceExhaustedError,
  UnavailableError,
} from "../../base/errors/errors.js";
import { invariant } from "../../base/errors/invariant.js";
import type { ConfChangeKind } from "../../proto/gen/skein/v1/raft.js";
import { MessageKind } from "../core/message.js";
import { RaftCore } from "../core/raft-core.js";
import type {
  Entry,
  Membership,
  RaftId,
  RaftMember,
  RaftMessage,
  Ready,
  SnapshotMeta,
} from "../core/types.js";
import { decodeConfChange } from "../log/conf-change-codec.js";
import { EntryKind } from "../log/make-entry.js";
import type { StateSnapshot } from "../storage/state-store.js";
import { StateWriter } from "../storage/state-writer.js";
import type { TransportEvents } from "../transport/transport.js";
import { Applier } from "./applier.js";
import type { RaftHostComponents } from "./host.js";
import { Listeners } from "./listeners.js";
import { MembershipChanges } from "./membership-changes.js";
import { cancellable, PendingProposals, type Proposer } from "./pending-proposals.js";
import type { KeyValuePair, Leadership, RaftNode, RaftStatus } from "./raft-node.js";
import { ReadBarriers } from "./read-barriers.js";
import { SnapshotExchange } from "./snapshot-exchange.js";
import { TickWaits } from "./tick-waits.js";

const TICK_MS = 100;
/** The core gives a transfer one election timeout (10 ticks); after it the old leader goes on. */
const TRANSFER_TICKS = 15;
const HINT_DELAY_MS = { min: 4, max: 50 } as const;

export class RaftHost implements RaftNode {
  readonly raftId: RaftId;
  readonly #components: RaftHostComponents;
  readonly #core: RaftCore;
  readonly #writer: StateWriter;
  readonly #applier: Applier;
  readonly #proposals = new PendingProposals();
  readonly #barriers: ReadBarriers;
  readonly #snapshots: SnapshotExchange;
  readonly #changes: MembershipChanges;
  readonly #waits = new TickWaits();
  readonly #leadership: Listeners<Leadership>;
  readonly #members: Listeners<readonly RaftMember[]>;
  #membership: Membership;
  #unsent: { readonly data: Uint8Array; readonly proposer: Proposer }[] = [];
  #ticker: Timer | undefined;
  #isDriving = false;
  #driving: Promise<void> = Promise.resolve();
  #compacting: Promise<void> | undefined;
  /** State and log are being replaced one after the other: no compaction meanwhile. */
  #installing = false;
  /** Why nothing is accepted any more. */
  #stopped: UnavailableError | undefined;
  #closing: Promise<void> | undefined;

  constructor(components: RaftHostComponents) {
    const { identity, storage, stateMachine, clock, random, log } = components;
    const appliedIndex = storage.state.meta.index;
    this.#components = components;
    this.raftId = identity.raftId;
    this.#membership = storage.log.initialState().membership;
    this.#core = new RaftCore({ id: identity.raftId, storage: storage.log, random, appliedIndex });
    this.#leadership = new Listeners<Leadership>({ isLeader: false, term: 0, leader: undefined }, log);
    this.#members = new Listeners<readonly RaftMember[]>(this.#membership.members, log);
    const onError = (error: unknown): void => this.#fail(error);
    this.#writer = new StateWriter({ store: storage.state, onError });
    this.#applier = new Applier({
      stateMachine,
      writer: this.#writer,
      clock,
      appliedIndex,
      onError,
      onApplied: (entry) => {
        this.#proposals.applied(entry);
        this.#barriers.applied();
      },
    });
    this.#barriers = new ReadBarriers({
      random,
      appliedIndex: () => this.#applier.appliedIndex,
      readIndex: (context) => {
        this.#core.readIndex(context);
        this.#drive();
      },
    });
    this.#snapshots = new SnapshotExchange({
      raftId: this.raftId,
      state: storage.state,
      transport: components.transport,
      log,
      sent: (to, ok) => this.#input(() => this.#core.reportSnapshot(to, ok)),
      step: (message) => this.#input(() => this.#core.step(message)),
    });
    this.#changes = new MembershipChanges({
      status: () => this.#core.status(),
      change: (kind, member) => this.#change(kind, member),
      isReachable: (peer) => components.transport.isReachable(peer),
      transferAway: () => this.transferLeadership(),
      notLeader: () => this.#notLeader(),
      nextTick: () => this.#nextTick(),
      random,
      log,
    });
  }

  /** Restores the state machine, replays what is known to be committed, and begins to take part. */
  async start(): Promise<void> {
    const { transport, identity, clock, tickMs } = this.#components;
    await this.#restore();
    transport.start({ raftId: this.raftId, clusterId: identity.clusterId }, this.#events());
    transport.setPeers(this.#membership.members, this.#membership.removed);
    this.#drive();
    await this.#driving;
    await this.#applier.idle();
    this.#ticker = clock.setInterval(tickMs ?? TICK_MS, () => this.#tick());
    const voters = this.#membership.members.filter((member) => !member.learner);
    if (voters.length === 1 && voters[0]?.raftId === this.raftId) this.#input(() => this.#core.campaign());
  }

  propose(
    data: Uint8Array,
    options: { signal?: AbortSignal } = {},
  ): Promise<{ index: number; term: number }> {
    const bytesMax = this.#components.storage.wal.entryBytesMax;
    if (this.#stopped !== undefined) return Promise.reject(this.#stopped);
    if (data.length === 0 || data.length > bytesMax) {
      const rule = `a proposal has 1 to ${bytesMax} bytes, got ${data.length}`;
      return Promise.reject(new InvalidArgumentError(`propose: ${rule}`));
    }
    return cancellable(options.signal, (proposer) => {
      this.#unsent.push({ data, proposer });
      if (this.#unsent.length === 1) queueMicrotask(() => this.#proposeUnsent());
    });
  }

  readBarrier(options: { signal?: AbortSignal } = {}): Promise<number> {
    if (this.#stopped !== undefined) return Promise.reject(this.#stopped);
    return this.#barriers.ask(options.signal);
  }

  status(): RaftStatus {
    const { transport } = this.#components;
    const status = this.#core.status();
    const reachable = new Map(
      status.membership.members.map(({ raftId }) => [
        raftId,
        raftId === this.raftId || transport.isReachable(raftId),
      ]),
    );
    const leader = this.#stopped === undefined ? status.leader : 0;
    return {
      ...status,
      leader,
      appliedIndex: this.#applier.appliedIndex,
      leaderMember: this.#member(leader),
      reachable,
    };
  }

  addMember(member: { nodeId: string; address: string }): ReturnType<RaftNode["addMember"]> {
    return this.#stopped === undefined ? this.#changes.add(member) : Promise.reject(this.#stopped);
  }

  removeMember(raftId: RaftId, options: { force?: boolean } = {}): Promise<void> {
    return this.#stopped === undefined
      ? this.#changes.remove(raftId, options)
      : Promise.reject(this.#stopped);
  }

  async transferLeadership(options: { to?: RaftId } = {}): Promise<void> {
    if (this.#stopped !== undefined) throw this.#stopped;
    const to = options.to ?? this.#successor();
    if (to === undefined)
      throw new FailedPreconditionError("transfer leadership: no other voter can be reached");
    this.#core.transferLeadership(to);
    this.#drive();
    await this.#waits.until(() => this.#leadership.value.leader?.raftId === to, {
      ticks: TRANSFER_TICKS,
      timeout: () => new DeadlineExceededError(`transfer leadership: member ${to} did not take over`),
    });
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
    if (this.#stopped === undefined && this.#leadership.value.isLeader && this.#successor() !== undefined) {
      try {
        await this.transferLeadership();
      } catch (error) {
        log.warn("closing without having handed over leadership", { error: messageOf(error) });
      }
    }
    this.#stop(new UnavailableError("this manager is stopping"));
    await this.#snapshots.close();
    await this.#driving;
    await this.#applier.idle();
    await this.#compacting;
    await this.#writer.flush();
    await transport.close();
    await storage.wal.close();
    await storage.state.close();
  }

  /** Something broke that only a restart from disk can mend. */
  #fail(error: unknown): void {
    if (this.#stopped !== undefined) return;
    const { log, onStopped, transport } = this.#components;
    log.error("raft stops", { error: messageOf(error) });
    this.#stop(new UnavailableError(`raft has stopped: ${messageOf(error)}`, { cause: error }));
    transport.close().then(
      () => onStopped?.(error),
      () => onStopped?.(error),
    );
  }

  /** Accepts nothing any more and answers everybody who waits. */
  #stop(reason: UnavailableError): void {
    if (this.#stopped !== undefined) return;
    this.#stopped = reason;
    this.#ticker?.cancel();
    this.#applier.stop();
    for (const { proposer } of this.#unsent) proposer.reject(reason);
    this.#unsent = [];
    this.#proposals.rejectAll(reason);
    this.#barriers.rejectAll(reason);
    this.#waits.stop(reason);
    this.#leadership.tell({ isLeader: false, term: this.#leadership.value.term, leader: undefined });
  }

  #events(): TransportEvents {
    return {
      receive: (messages) =>
        this.#input(() => {
          for (const message of messages) this.#core.step(message);
        }),
      connectionLost: (peer) => this.#hintSoon(peer),
      unreachable: (peer) => this.#input(() => this.#core.reportUnreachable(peer)),
      receiveSnapshot: (from, snapshot) =>
        this.#stopped === undefined ? this.#snapshots.receive(from, snapshot) : Promise.reject(this.#stopped),
      refused: (_peer, reason) => this.#components.onRefused?.(reason),
    };
  }

  /**
   * Waits a few milliseconds, a different number on each member: peers shall have noticed the loss, too, and not two
   * of them stand for election at the same moment.
   */
  #hintSoon(peer: RaftId): void {
    if (this.#stopped !== undefined) return;
    const { clock, random } = this.#components;
    clock.setTimer(random.int(HINT_DELAY_MS.min, HINT_DELAY_MS.max), () => {
      this.#input(() => this.#core.connectionLost(peer));
    });
  }

  /** Gives the core an input and lets it work. What the core throws at an input is a bug or a peer's: the node stops. */
  #input(give: () => void): void {
    if (this.#stopped !== undefined) return;
    try {
      give();
    } catch (error) {
      this.#fail(error);
      return;
    }
    this.#drive();
  }

  #tick(): void {
    this.#input(() => this.#core.tick());
    this.#barriers.tick();
    this.#waits.tick();
    this.#writer.kick();
    if (!this.#installing && this.#components.storage.log.compactionDue) this.#compacting ??= this.#compact();
  }

  async #nextTick(): Promise<void> {
    let ticked = false;
    await this.#waits.until(
      () => {
        const before = ticked;
        ticked = true;
        return before;
      },
      { ticks: 2, timeout: () => new DeadlineExceededError("a tick did not come") },
    );
  }

  #drive(): void {
    if (this.#isDriving || this.#stopped !== undefined) return;
    this.#isDriving = true;
    this.#driving = this.#driveAll();
  }

  async #driveAll(): Promise<void> {
    try {
      while (this.#stopped === undefined && this.#core.hasReady()) {
        const ready = this.#core.ready();
        if (ready.snapshot === undefined) this.#snapshots.dismiss();
        await this.#carryOut(ready);
        this.#core.advance();
        this.#changes.promoteCaughtUp();
      }
      this.#snapshots.dismiss();
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#isDriving = false;
    }
  }

  async #carryOut(ready: Ready): Promise<void> {
    const { transport, storage } = this.#components;
    if (ready.softState !== undefined) this.#noteLeadership();
    transport.send(ready.messagesBeforeSync);
    const early = ready.mustSync ? appliedBeforeSync(ready) : 0;
    this.#commit(ready.committedEntries.slice(0, early));
    if (ready.mustSync) await storage.log.append(ready.entries, ready.hardState);
    else if (ready.hardState !== undefined) storage.log.remember(ready.hardState);
    if (ready.snapshot !== undefined) await this.#install(ready.snapshot);
    this.#send(ready.messages);
    this.#commit(ready.committedEntries.slice(early));
    this.#barriers.answered(ready.readStates);
    if (this.#applier.full) await this.#applier.idle();
  }

  #send(messages: readonly RaftMessage[]): void {
    const isSnapshot = (message: RaftMessage): boolean => message.kind === MessageKind.SNAPSHOT;
    this.#components.transport.send(messages.filter((message) => !isSnapshot(message)));
    for (const message of messages.filter(isSnapshot)) this.#snapshots.send(message);
  }

  /** Membership changes count at once, because the core waits for them; the rest is the applier's. */
  #commit(entries: readonly Entry[]): void {
    for (const entry of entries) {
      if (entry.kind === EntryKind.CONF_CHANGE) {
        this.#adoptMembership(this.#core.applyConfChange(decodeConfChange(entry.data)));
      }
      this.#applier.push(entry, this.#membership);
    }
    this.#applier.run();
  }

  #adoptMembership(membership: Membership): void {
    if (membership === this.#membership) return;
    this.#membership = membership;
    this.#components.transport.setPeers(membership.members, membership.removed);
    this.#noteLeadership();
    this.#members.tell(membership.members);
    if (membership.removed.includes(this.raftId)) this.#components.onRefused?.("this member was removed");
  }

  #noteLeadership(): void {
    const { role, term, leader } = this.#core.status();
    const was = this.#leadership.value;
    const now: Leadership = { isLeader: role === "leader", term, leader: this.#member(leader) };
    if (was.isLeader && !(now.isLeader && now.term === was.term))
      this.#proposals.rejectAll(this.#notLeader());
    if (was.isLeader === now.isLeader && was.term === term && was.leader?.raftId === now.leader?.raftId)
      return;
    this.#components.log.info("raft leadership", { role, term, leader, leaderAddress: now.leader?.address });
    this.#leadership.tell(now);
    this.#waits.check();
    if (now.leader !== undefined) queueMicrotask(() => this.#barriers.leaderChanged());
  }

  #proposeUnsent(): void {
    const unsent = this.#unsent;
    this.#unsent = [];
    if (unsent.length === 0) return;
    if (!this.#tryPropose(unsent)) {
      // Together they are too many: as many as fit, one by one.
      for (const one of unsent) this.#tryPropose([one]);
    }
    this.#drive();
  }

  /** @returns false when the batch should be tried in smaller ones. */
  #tryPropose(batch: readonly { readonly data: Uint8Array; readonly proposer: Proposer }[]): boolean {
    try {
      const { term, firstIndex } = this.#core.propose(batch.map(({ data }) => data));
      batch.forEach(({ proposer }, at) => {
        this.#proposals.add({ index: firstIndex + at, term }, proposer);
      });
    } catch (error) {
      if (error instanceof ResourceExhaustedError && batch.length > 1) return false;
      for (const { proposer } of batch) proposer.reject(error);
    }
    return true;
  }

  #change(kind: ConfChangeKind, member: RaftMember): Promise<void> {
    return new Promise((resolve, reject) => {
      const at = this.#core.proposeConfChange({ kind, member, context: new Uint8Array(0) });
      this.#proposals.add(at, { resolve: () => resolve(), reject });
      this.#drive();
    });
  }

  async #install(meta: SnapshotMeta): Promise<void> {
    const { storage, log } = this.#components;
    const staged = this.#snapshots.take(meta);
    invariant(
      staged !== undefined && meta.membership !== undefined,
      `snapshot ${meta.index} is to be installed unseen`,
    );
    this.#installing = true;
    try {
      await this.#compacting;
      await this.#applier.idle();
      await this.#writer.flush();
      await staged.install.commit();
      this.#writer.reset();
      await this.#restore();
      await storage.log.install(meta);
      this.#applier.restored(meta.index);
      this.#adoptMembership(meta.membership);
    } catch (error) {
      staged.done(error instanceof Error ? error : new UnavailableError(messageOf(error)));
      throw error;
    } finally {
      this.#installing = false;
    }
    staged.done(undefined);
    this.#barriers.applied();
    log.info("installed a snapshot", { index: meta.index, term: meta.term });
  }

  async #restore(): Promise<void> {
    const snapshot = await this.#components.storage.state.snapshot();
    try {
      await this.#components.stateMachine.restore(snapshot.meta.index, pairsOf(snapshot));
    } finally {
      await snapshot.close();
    }
  }

  async #compact(): Promise<void> {
    const { storage } = this.#components;
    try {
      await this.#writer.flush({ sync: true });
      await storage.log.compact({ stateIndex: storage.state.meta.index, keepFrom: this.#snapshots.keepFrom });
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#compacting = undefined;
    }
  }

  #member(raftId: RaftId): RaftMember | undefined {
    return this.#membership.members.find((member) => member.raftId === raftId);
  }

  #notLeader(): NotLeaderError {
    const { leader } = this.#core.status();
    const leaderAddress = leader === this.raftId ? undefined : this.#member(leader)?.address;
    return new NotLeaderError("this manager does not lead (any more)", { leaderAddress });
  }

  /** The reachable voter that has most of the log. */
  #successor(): RaftId | undefined {
    const { progress } = this.#core.status();
    const candidates = progress.filter(
      (peer) =>
        !peer.learner && peer.raftId !== this.raftId && this.#components.transport.isReachable(peer.raftId),
    );
    return candidates.sort((a, b) => b.match - a.match || a.raftId - b.raftId)[0]?.raftId;
  }
}

/**
 * How many of the committed entries are durable already. A membership change ends them: whom it removes shall still get
 * this batch's messages.
 */
function appliedBeforeSync({ entries, committedEntries }: Ready): number {
  const firstNew = entries[0]?.index ?? Number.POSITIVE_INFINITY;
  const end = committedEntries.findIndex(
    ({ index, kind }) => index >= firstNew || kind === EntryKind.CONF_CHANGE,
  );
  return end === -1 ? committedEntries.length : end;
}

const RESTORE_PORTION_BYTES = 256 * 1024;

async function* pairsOf(snapshot: StateSnapshot): AsyncGenerator<KeyValuePair> {
  for await (const portion of snapshot.portions(RESTORE_PORTION_BYTES)) yield* portion;
}
