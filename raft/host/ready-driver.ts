/**
 * Carries out what the core asks for, in the order that keeps its promises: saved before sent,
 * sent before applied.
 * Pure over its ports (storage, transport, state machine, clock). Source: the duties listed at `Ready` in
 * raft/core/types.ts; Raft paper 5, 7; thesis 10.2.
 *
 * Committed entries that an earlier Ready made durable are applied while this one's sync runs.
 * Applying is a queue of its own, so that a burst of entries does not delay heartbeats.
 */
import { messageOf, UnavailableError } from "../../base/errors/errors.js";
import { invariant } from "../../base/errors/invariant.js";
import { nextTurn } from "../../base/loop/process-turn.js";
import { MessageKind } from "../core/message.js";
import { RaftCore } from "../core/raft-core.js";
import type { Entry, Membership, RaftMessage, ReadState, Ready, SnapshotMeta } from "../core/types.js";
import { decodeConfChange } from "../log/conf-change-codec.js";
import { EntryKind } from "../log/make-entry.js";
import type { StateSnapshot } from "../storage/state-store.js";
import { StateWriter } from "../storage/state-writer.js";
import { Applier } from "./applier.js";
import { CommitNotices } from "./commit-notices.js";
import { DiskHealth } from "./disk-health.js";
import type { RaftHostComponents } from "./host.js";
import type { RaftMeters } from "./raft-meters.js";
import type { KeyValuePair } from "./raft-node.js";
import { Retention } from "./retention.js";
import { SnapshotExchange } from "./snapshot-exchange.js";

/** What the rest of the host wants to hear, in the driver's turn. */
export interface DriverHooks {
  /** The core's role, term or leader is another. */
  readonly softStateChanged: () => void;
  readonly membershipChanged: (membership: Membership) => void;
  /** Applied to the state machine. */
  readonly applied: (at: { readonly index: number; readonly term: number }) => void;
  /** A snapshot up to this entry took the state's place. */
  readonly installed: (at: { readonly index: number; readonly term: number }) => void;
  readonly readsAnswered: (states: readonly ReadState[]) => void;
  readonly readyDone: () => void;
  /** Something broke that only a restart from disk can mend. */
  readonly failed: (error: unknown) => void;
}

/** Half a second. */
const COMPACTION_REST_TICKS = 5;

export class ReadyDriver {
  readonly core: RaftCore;
  readonly snapshots: SnapshotExchange;
  readonly health: DiskHealth;
  readonly #components: RaftHostComponents;
  readonly #meters: RaftMeters;
  readonly #hooks: DriverHooks;
  readonly #writer: StateWriter;
  readonly #retention: Retention;
  /** Ticks until the log may be compacted again: what is kept for others makes it due for longer. */
  #compactionRest = 0;
  readonly #applier: Applier;
  readonly #notices: CommitNotices;
  #membership: Membership;
  #isDriving = false;
  #driving: Promise<void> = Promise.resolve();
  #compacting: Promise<void> | undefined;
  /** State and log are being replaced one after the other: no compaction meanwhile. */
  #installing = false;
  #stopped = false;

  constructor(components: RaftHostComponents, meters: RaftMeters, hooks: DriverHooks) {
    const { identity, storage, stateMachine, clock, random, log, transport, createCore, leaseReads } =
      components;
    const appliedIndex = storage.state.meta.index;
    this.#components = components;
    this.#meters = meters;
    this.#hooks = hooks;
    this.#membership = storage.log.initialState().membership;
    const core = { id: identity.raftId, storage: storage.log, random, appliedIndex, leaseReads };
    this.core = createCore?.(core) ?? new RaftCore(core);
    const onError = hooks.failed;
    this.health = new DiskHealth(clock);
    this.#writer = new StateWriter({ store: storage.state });
    this.#retention = new Retention(clock);
    const onApplied = hooks.applied;
    this.#applier = new Applier({
      stateMachine,
      writer: this.#writer,
      clock,
      appliedIndex,
      onError,
      onApplied,
    });
    this.#notices = new CommitNotices({ transport, clock });
    this.snapshots = new SnapshotExchange({
      raftId: identity.raftId,
      state: storage.state,
      transport,
      clock,
      random: random.child("snapshots"),
      firstIndex: () => storage.log.firstIndex(),
      log,
      sent: (to, ok) => this.input(() => this.core.reportSnapshot(to, ok)),
      step: (message) => this.input(() => this.core.step(message)),
    });
  }

  /** In force by what is committed; the state machine may be a moment behind. */
  get membership(): Membership {
    return this.#membership;
  }

  get queues(): { applyEntries: number; applyBytes: number; snapshots: number } {
    return { ...this.#applier.waiting, snapshots: this.snapshots.sending };
  }

  get appliedIndex(): number {
    return this.#applier.appliedIndex;
  }

  /**
   * Gives the core an input and lets it work. What the core throws at an input is a bug, here or at a peer.
   */
  input(give: () => void): void {
    if (this.#stopped) return;
    try {
      give();
    } catch (error) {
      this.#hooks.failed(error);
      return;
    }
    this.drive();
  }

  /** Carries out what is ready, unless that is under way. */
  drive(): void {
    if (this.#isDriving || this.#stopped) return;
    this.#isDriving = true;
    this.#driving = this.#driveAll();
  }

  /** Resolves when nothing is under way. */
  async idle(): Promise<void> {
    await this.#driving;
    await this.#applier.idle();
  }

  /** Why storage will not do for ever as it does now; undefined: all is well. */
  get trouble(): string | undefined {
    return this.#components.storage.wal.trouble ?? this.#writer.trouble ?? this.snapshots.trouble;
  }

  /** Background work that is due now and then: writing the state, maintaining and compacting the log. */
  tick(): void {
    const { wal, log } = this.#components.storage;
    wal.maintain().catch(this.#hooks.failed);
    if (this.#installing) return;
    this.#writer.tick();
    this.#compactionRest -= 1;
    if (this.#compactionRest >= 0 || !log.compactionDue || this.#writer.trouble !== undefined) return;
    this.#compactionRest = COMPACTION_REST_TICKS;
    this.#compacting ??= this.#compact((stateIndex) => log.compact({ stateIndex, keepFrom: this.#keepFrom }));
  }

  /** For those who receive a snapshot, and those who follow slowly. */
  get #keepFrom(): number | undefined {
    const { progress, lastIndex } = this.core.status();
    const first = Math.min(
      this.snapshots.keepFrom ?? Number.POSITIVE_INFINITY,
      this.#retention.keepFrom(progress, lastIndex) ?? Number.POSITIVE_INFINITY,
    );
    return Number.isFinite(first) ? first : undefined;
  }

  /** Loads the state machine from the stored state. */
  async restore(): Promise<void> {
    const snapshot = await this.#components.storage.state.snapshot();
    try {
      await this.#components.stateMachine.restore(snapshot.meta.index, pairsOf(snapshot));
    } finally {
      await snapshot.close();
    }
  }

  /** Takes off the log's files what the state holds, so that the data keys of old ones can go. */
  async trimLog(): Promise<void> {
    while (this.#compacting !== undefined) await this.#compacting;
    if (this.#installing || this.#stopped) return;
    this.#compacting = this.#compact((stateIndex) => this.#components.storage.log.compactDisk(stateIndex));
    await this.#compacting;
  }

  /** What is applied now, frozen: the background writer is waited for, which lags by a tick or so. */
  async exportState(): Promise<StateSnapshot> {
    await this.#writer.flush();
    return this.#components.storage.state.snapshot();
  }

  /** Takes no input any more. */
  stop(): void {
    this.#stopped = true;
    this.#notices.stop();
    this.#applier.stop();
  }

  /** Waits for what is under way and writes what was applied. */
  async close(): Promise<void> {
    this.stop();
    await this.snapshots.close();
    await this.idle();
    await this.#compacting;
    try {
      await this.#writer.flush();
    } catch (error) {
      // The log holds it all.
      this.#components.log.warn("the state on disk stays behind the log", { error: messageOf(error) });
    }
  }

  async #driveAll(): Promise<void> {
    try {
      while (!this.#stopped && this.core.hasReady()) {
        const ready = this.core.ready();
        if (ready.snapshot === undefined) this.snapshots.dismiss();
        await this.#carryOut(ready);
        this.core.advance();
        this.#hooks.readyDone();
      }
      this.snapshots.dismiss();
    } catch (error) {
      this.#hooks.failed(error);
    } finally {
      this.#isDriving = false;
    }
  }

  async #carryOut(ready: Ready): Promise<void> {
    const { storage } = this.#components;
    if (ready.softState !== undefined) {
      if (ready.softState.role !== "leader") this.snapshots.leadershipLost();
      this.#meters.noteLeader(ready.softState.leader);
      this.#hooks.softStateChanged();
    }
    // Committed elsewhere and known: nothing about it depends on this member's disk.
    this.#hooks.readsAnswered(ready.readStates);
    this.#notices.send(ready.messagesBeforeSync);
    const early = ready.mustSync ? durableAlready(ready) : 0;
    if (ready.mustSync) {
      const sinceMs = this.#meters.nowMs();
      this.health.syncBegan(ready.entries.at(-1)?.index ?? 0);
      // What was sent leaves at the end of this turn; followers shall sync while this member does.
      if (ready.messagesBeforeSync.length > 0 && storage.wal.holdsThread) await nextTurn();
      const saved = storage.log.append(ready.entries, ready.hardState);
      this.#commit(ready.committedEntries.slice(0, early)); // while the disk works
      await saved;
      this.health.syncEnded();
      this.#meters.synced(sinceMs);
    } else if (ready.hardState !== undefined) storage.log.remember(ready.hardState);
    if (ready.snapshot !== undefined) await this.#install(ready.snapshot);
    this.#send(ready.messages);
    this.#commit(ready.committedEntries.slice(early));
    if (this.#applier.full) await this.#applier.idle();
  }

  /** A snapshot's announcement becomes the snapshot itself, on a stream of its own. */
  #send(messages: readonly RaftMessage[]): void {
    if (messages.length === 0) return;
    const isSnapshot = (message: RaftMessage): boolean => message.kind === MessageKind.SNAPSHOT;
    this.#components.transport.send(messages.filter((message) => !isSnapshot(message)));
    for (const message of messages.filter(isSnapshot)) this.snapshots.send(message);
  }

  /** Membership changes count at once, because the core waits for them; the rest is the applier's. */
  #commit(entries: readonly Entry[]): void {
    if (entries.length === 0) return;
    for (const entry of entries) {
      if (entry.kind === EntryKind.CONF_CHANGE) {
        this.#adopt(this.core.applyConfChange(decodeConfChange(entry.data)));
      }
      this.#applier.push(entry, this.#membership);
    }
    this.#applier.run();
  }

  #adopt(membership: Membership): void {
    if (membership === this.#membership) return;
    this.#membership = membership;
    this.#components.transport.setPeers(membership.members, membership.removed);
    this.snapshots.membershipChanged(membership);
    this.#hooks.membershipChanged(membership);
  }

  async #install(meta: SnapshotMeta): Promise<void> {
    const { storage, log } = this.#components;
    const staged = this.snapshots.take(meta);
    const { membership } = meta;
    invariant(staged !== undefined && membership !== undefined, `snapshot ${meta.index} was never received`);
    this.#installing = true;
    try {
      await this.#compacting;
      await this.#applier.idle();
      await this.#writer.idle();
      this.#writer.reset(); // or an export that flushes now would write what is older into the new state
      await staged.install.commit();
      this.#writer.reset();
      await this.restore();
      await storage.log.install(meta);
      this.#applier.restored(meta.index);
      this.#adopt(membership);
    } catch (error) {
      staged.done(error instanceof Error ? error : new UnavailableError(messageOf(error)));
      throw error;
    } finally {
      this.#installing = false;
    }
    staged.done(undefined);
    this.#hooks.installed(meta);
    log.info("installed a snapshot", { index: meta.index, term: meta.term });
  }

  async #compact(forget: (stateIndex: number) => Promise<void>): Promise<void> {
    const { log } = this.#components;
    try {
      try {
        await this.#writer.flush({ sync: true });
      } catch (error) {
        log.warn("the log is not compacted: the state cannot be written", { error: messageOf(error) });
        return;
      }
      await forget(this.#writer.syncedIndex);
    } catch (error) {
      this.#hooks.failed(error);
    } finally {
      this.#compacting = undefined;
    }
  }
}

/**
 * How many of the committed entries are durable before this batch's sync. A membership change ends them:
 * whom it removes shall still get this batch's messages.
 */
function durableAlready({ entries, committedEntries }: Ready): number {
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
