/**
 * Turns what happened since the last Ready into the next one, and takes note when it was carried out.
 * Pure. Invariant: nothing is handed out twice, and nothing counts as stable before `advance`.
 * Source: the contract in types.ts; thesis 10.2.1 for what may leave before the sync.
 */
import { invariant } from "../../base/errors/invariant.js";
import { EntryKind } from "../log/make-entry.js";
import { commitByCounting } from "./commit.js";
import { type CoreState, hardStateOf, roleOf, setMembership } from "./core-state.js";
import { maySendBeforeSync } from "./message.js";
import { startReadRound } from "./reads.js";
import { oweAppendToAll, replicate } from "./replication.js";
import { noteOwnProgress } from "./role.js";
import type { Entry, HardState, RaftMessage, Ready, SoftState } from "./types.js";

/** Committed entries in one Ready, so that applying them does not hold up heartbeats. */
const COMMITTED_BYTES_MAX = 1024 * 1024;

export class ReadyMaker {
  readonly #state: CoreState;
  #soft: SoftState;
  /** As the host wrote it last. */
  #hard: HardState;
  #outstanding: Ready | undefined;

  constructor(state: CoreState, stored: HardState) {
    this.#state = state;
    this.#hard = stored;
    // A restart tells the host its role in the first Ready.
    this.#soft = { role: "learner", leader: 0, term: -1 };
  }

  hasReady(): boolean {
    if (this.#outstanding !== undefined) return false;
    const state = this.#state;
    settle(state);
    return (
      state.outbox.length > 0 ||
      state.readStates.length > 0 ||
      state.log.unstable.length > 0 ||
      state.log.pendingSnapshot !== undefined ||
      state.log.hasUnapplied() ||
      this.#changedHardState() !== undefined ||
      this.#changedSoftState() !== undefined
    );
  }

  /** @throws {InvariantError} while the last one is not carried out. */
  take(): Ready {
    invariant(this.#outstanding === undefined, "ready() was called before advance()");
    const state = this.#state;
    settle(state);
    const softState = this.#changedSoftState();
    const hardState = this.#changedHardState();
    const snapshot = state.log.pendingSnapshot;
    const committedEntries = state.log.unapplied(COMMITTED_BYTES_MAX);
    const promises =
      (hardState !== undefined && this.#promisesMore(hardState)) || changesMembership(committedEntries);
    const messages = splitMessages(state.outbox, promises);
    const ready: Ready = {
      ...(softState && { softState }),
      ...(hardState && { hardState }),
      ...(snapshot && { snapshot }),
      entries: state.log.unstable.slice(),
      committedEntries,
      messagesBeforeSync: messages.before,
      messages: messages.after,
      readStates: state.readStates,
      mustSync: promises || state.log.unstable.length > 0,
    };
    state.outbox = [];
    state.readStates = [];
    if (softState !== undefined) this.#soft = softState;
    this.#outstanding = ready;
    return ready;
  }

  advance(): void {
    const ready = this.#outstanding;
    invariant(ready !== undefined, "advance() was called without a Ready");
    this.#outstanding = undefined;
    const state = this.#state;
    if (ready.hardState !== undefined) this.#hard = ready.hardState;
    const lastApplied = ready.committedEntries.at(-1);
    if (lastApplied !== undefined) state.log.appliedTo(lastApplied.index);
    const lastStable = ready.entries.at(-1);
    if (lastStable !== undefined) state.log.stableTo(lastStable.index, lastStable.term);
    if (ready.snapshot?.membership !== undefined && state.log.restored(ready.snapshot)) {
      setMembership(state, ready.snapshot.membership);
    }
    if (state.activity !== "leader") return;
    noteOwnProgress(state);
    if (commitByCounting(state)) oweAppendToAll(state);
  }

  #changedSoftState(): SoftState | undefined {
    const state = this.#state;
    const now: SoftState = { role: roleOf(state), leader: state.leader, term: state.term };
    const { role, leader, term } = this.#soft;
    return now.role === role && now.leader === leader && now.term === term ? undefined : now;
  }

  /**
   * With a snapshot pending the commit index stays behind:
   * a crash in between must not find it beyond the log.
   */
  #changedHardState(): HardState | undefined {
    const state = this.#state;
    const current = hardStateOf(state);
    const now = state.log.pendingSnapshot === undefined ? current : { ...current, commit: this.#hard.commit };
    const isSame =
      now.term === this.#hard.term && now.vote === this.#hard.vote && now.commit === this.#hard.commit;
    return isSame ? undefined : now;
  }

  /** A new term or vote is a promise to others. A commit index is not: it is found again. */
  #promisesMore(hardState: HardState): boolean {
    return hardState.term !== this.#hard.term || hardState.vote !== this.#hard.vote;
  }
}

/** Makes the messages that were put off until a Ready is wanted. */
function settle(state: CoreState): void {
  if (state.activity !== "leader") return;
  startReadRound(state);
  replicate(state);
}

/**
 * That a change is committed is synced before anybody hears of it.
 * Otherwise the removed one of two voters could shut down,
 * while the other one restarts without knowing that it may now decide alone.
 */
function changesMembership(committed: readonly Entry[]): boolean {
  return committed.some((entry) => entry.kind === EntryKind.CONF_CHANGE);
}

/**
 * While term and vote are not on disk nothing may leave: a sole voter leads at once,
 * and a crash would let it lead the same term again with other entries.
 */
function splitMessages(outbox: readonly RaftMessage[], holdAll: boolean) {
  const before: RaftMessage[] = [];
  const after: RaftMessage[] = [];
  for (const message of outbox) {
    (!holdAll && maySendBeforeSync(message.kind) ? before : after).push(message);
  }
  return { before, after };
}
