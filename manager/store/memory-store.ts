/**
 * The replicated store of one manager: committed objects in memory, changed only by applying log entries.
 * Pure (consensus, time and randomness are handed in). Invariants: reads see committed state only;
 * an update resolves after its entry was applied here;
 * two updates of this process that touch the same object are proposed one after the other,
 * so that voided entries are the exception.
 */
import type { Clock } from "../../base/clock/clock.js";
import {
  AbortedError,
  AlreadyExistsError,
  CancelledError,
  DataLossError,
  FailedPreconditionError,
  InternalError,
  InvalidArgumentError,
  type SkeinError,
} from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import { nextTurn } from "../../base/loop/process-turn.js";
import { newHexId } from "../../base/random/ids.js";
import type { Random } from "../../base/random/random.js";
import { StoreObject, Transaction } from "../../proto/gen/skein/v1/objects.js";
import { type ApplyOutcome, applyTransaction } from "./apply-transaction.js";
import { encodeTransaction } from "./encode-transaction.js";
import type { Violation } from "./integrity.js";
import { type StateChange, toStateChange } from "./state-change.js";
import { StoreState } from "./store-state.js";
import { isTableName, storeKey, type TableRow } from "./tables.js";
import type { Proposer, ReadTx, Store, StoreWatch, TableName, UpdateOptions, WriteTx } from "./types.js";
import { Watchers } from "./watch-queue.js";
import { type Proposal, WriteTransaction } from "./write-transaction.js";

export type { StateChange };

export interface StatePair {
  readonly key: string;
  readonly value: Uint8Array;
}

/** The store, and the state machine that consensus drives. */
export interface MemoryStore extends Store {
  /** @throws {DataLossError} when the entry cannot be understood. */
  apply(entry: {
    readonly index: number;
    readonly term: number;
    readonly data: Uint8Array;
  }): readonly StateChange[];
  /** Replaces everything by the state at `index`; readers see the old state until all pairs are read. */
  restore(index: number, pairs: AsyncIterable<StatePair>): Promise<void>;
}

export interface MemoryStoreComponents {
  readonly proposer: Proposer;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

/**
 * Largest encoded transaction of one update, in bytes:
 * above the largest config (1000 KiB) with room for the rest.
 */
export const TRANSACTION_BYTES_MAX = 4 * 1024 * 1024;
/** Where `batch` cuts: actions and encoded bytes of one transaction. */
export const BATCH_ACTIONS_MAX = 200;
export const BATCH_BYTES_MAX = 1024 * 1024;
/**
 * Transactions of one `batch` in flight: enough to fill a log sync,
 * few enough to keep the event loop responsive.
 */
const BATCH_IN_FLIGHT_MAX = 4;
/** A state is loaded, and a batch is filled, in slices, between which others are served. */
const SLICE_MS = 4;
const ATTEMPTS_DEFAULT = 5;
/** How often one update waits for others to finish with its objects before it gives up. */
const WAITS_MAX = 10_000;

export function createMemoryStore(components: MemoryStoreComponents): MemoryStore {
  return new ReplicatedStore(components);
}

/** A proposal of this process that is not settled. */
interface Pending {
  /** What was encoded into the proposed bytes. */
  readonly transaction: Transaction;
  outcome: ApplyOutcome | undefined;
}

type Tried =
  | { readonly kind: "applied" }
  | { readonly kind: "busy" } // another update was changing one of the objects; it has ended
  | { readonly kind: "void"; readonly violation: Violation };

class ReplicatedStore implements MemoryStore {
  readonly #components: MemoryStoreComponents;
  readonly #watchers: Watchers;
  /** By proposal id. */
  readonly #pending = new Map<string, Pending>();
  /** By the very bytes that were proposed: an entry that holds these needs no decoding. */
  readonly #own = new Map<Uint8Array, Pending>();
  /** Store keys that a proposal in flight changes, with its end. */
  readonly #inFlight = new Map<string, Promise<void>>();
  readonly #proposalPrefix: string;
  #proposals = 0;
  #state = new StoreState();
  #index = 0;

  constructor(components: MemoryStoreComponents) {
    this.#components = components;
    this.#watchers = new Watchers(components.log);
    this.#proposalPrefix = newHexId(components.random, 16);
  }

  get index(): number {
    return this.#index;
  }

  view<T>(read: (tx: ReadTx) => T): T {
    return read(this.#state);
  }

  watch(options: { tables?: readonly TableName[]; wake: () => void }): StoreWatch {
    return this.#watchers.open(options);
  }

  apply(entry: {
    readonly index: number;
    readonly term: number;
    readonly data: Uint8Array;
  }): readonly StateChange[] {
    this.#index = entry.index;
    if (entry.data.length === 0) return [];
    const own = this.#own.get(entry.data);
    const transaction = own?.transaction ?? decodeTransaction(entry.data);
    const outcome = applyTransaction(this.#state, transaction, entry.index);
    const pending = own ?? this.#pending.get(transaction.proposalId);
    if (pending !== undefined) pending.outcome = outcome;
    if (outcome.kind === "void") return [];
    this.#watchers.push(entry.index, outcome.changes);
    const bytesAbout = Math.ceil(entry.data.length / transaction.actions.length);
    return outcome.changes.map((change) => toStateChange(change, bytesAbout));
  }

  async restore(index: number, pairs: AsyncIterable<StatePair>): Promise<void> {
    const state = new StoreState();
    const { clock } = this.#components;
    let sliceEndMs = clock.monotonicMs() + SLICE_MS;
    for await (const { key, value } of pairs) {
      restorePair(state, key, value);
      if (clock.monotonicMs() < sliceEndMs) continue;
      await nextTurn();
      sliceEndMs = clock.monotonicMs() + SLICE_MS;
    }
    this.#state = state;
    this.#index = index;
    this.#watchers.reset(index);
  }

  async update<T>(write: (tx: WriteTx) => T, options: UpdateOptions = {}): Promise<T> {
    const attemptsMax = options.attemptsMax ?? ATTEMPTS_DEFAULT;
    let attempts = 0;
    for (let waits = 0; waits < WAITS_MAX; waits++) {
      assertNotAborted(options.signal);
      const tx = this.#begin();
      const result = write(tx);
      const tried = await this.#tryCommit(tx, options.signal);
      if (tried.kind === "applied") return result;
      if (tried.kind === "busy") continue;
      attempts += 1;
      if (attempts >= attemptsMax) throw violationError(tried.violation, attempts);
    }
    throw new AbortedError(`the object stayed busy: gave up after waiting ${WAITS_MAX} times`);
  }

  async batch<I>(
    items: readonly I[],
    step: (tx: WriteTx, item: I) => void,
    options: UpdateOptions = {},
  ): Promise<void> {
    const running = new Set<Promise<void>>();
    const failures: unknown[] = [];
    const { clock } = this.#components;
    let sliceEndMs = clock.monotonicMs() + SLICE_MS;
    for (let next = 0; next < items.length && failures.length === 0; ) {
      const slice = this.#fill(items, next, step);
      const done: Promise<void> = this.#commitSlice(slice, step, options, 1)
        .catch((error: unknown) => {
          failures.push(error);
        })
        .finally(() => running.delete(done));
      running.add(done);
      next += slice.items.length;
      if (running.size >= BATCH_IN_FLIGHT_MAX) await Promise.race(running);
      if (clock.monotonicMs() < sliceEndMs || next >= items.length) continue;
      await nextTurn();
      sliceEndMs = clock.monotonicMs() + SLICE_MS;
    }
    await Promise.all(running);
    if (failures.length > 0) throw failures[0];
  }

  #begin(): WriteTransaction {
    return new WriteTransaction(this.#state, { nowMs: this.#components.clock.nowMs() });
  }

  /** Runs as many items as fit into one transaction, at least one. */
  #fill<I>(items: readonly I[], from: number, step: (tx: WriteTx, item: I) => void): Slice<I> {
    const tx = this.#begin();
    const taken: I[] = [];
    let bytes = 0;
    for (let at = from; at < items.length; at++) {
      const item = items[at] as I; // at < items.length
      const mark = tx.mark();
      step(tx, item);
      bytes += tx.encodedBytesSince(mark);
      if (taken.length > 0 && (tx.size > BATCH_ACTIONS_MAX || bytes > BATCH_BYTES_MAX)) {
        tx.rollback(mark);
        break;
      }
      taken.push(item);
      if (tx.size >= BATCH_ACTIONS_MAX) break;
    }
    return { tx, items: taken };
  }

  /**
   * Commits a slice; in a conflict runs its items again, in ever smaller slices,
   * so that one busy object delays few.
   */
  async #commitSlice<I>(
    slice: Slice<I>,
    step: (tx: WriteTx, item: I) => void,
    options: UpdateOptions,
    attempt: number,
  ): Promise<void> {
    assertNotAborted(options.signal);
    const tried = await this.#tryCommit(slice.tx, options.signal);
    if (tried.kind === "applied") return;
    const { items } = slice;
    if (tried.kind === "void" && items.length === 1 && attempt >= (options.attemptsMax ?? ATTEMPTS_DEFAULT)) {
      throw violationError(tried.violation, attempt);
    }
    const part = tried.kind === "void" && items.length > 1 ? Math.ceil(items.length / 2) : items.length;
    const nextAttempt = tried.kind === "void" && items.length === 1 ? attempt + 1 : attempt;
    for (let from = 0; from < items.length; ) {
      const again = this.#fill(items.slice(0, Math.min(items.length, from + part)), from, step);
      await this.#commitSlice(again, step, options, nextAttempt);
      from += again.items.length;
    }
  }

  /**
   * Proposes what the transaction changed, unless one of its objects is being changed right now:
   * then waits for that.
   */
  async #tryCommit(tx: WriteTransaction, signal: AbortSignal | undefined): Promise<Tried> {
    tx.seal();
    const proposal = tx.proposal();
    if (proposal.actions.length === 0) return { kind: "applied" };
    const keys = [...tx.keys];
    for (const key of keys) {
      const busy = this.#inFlight.get(key);
      if (busy !== undefined) {
        await busy;
        return { kind: "busy" };
      }
    }
    let release: () => void = () => undefined;
    const end = new Promise<void>((resolve) => {
      release = resolve;
    });
    for (const key of keys) this.#inFlight.set(key, end);
    try {
      return await this.#propose(proposal, signal);
    } finally {
      for (const key of keys) this.#inFlight.delete(key);
      release();
    }
  }

  async #propose(proposal: Proposal, signal: AbortSignal | undefined): Promise<Tried> {
    this.#proposals += 1;
    const head = {
      proposalId: `${this.#proposalPrefix}-${this.#proposals.toString(36)}`,
      proposedAtMs: this.#components.clock.nowMs(),
    };
    const data = encodeTransaction(head, proposal);
    if (data.length > TRANSACTION_BYTES_MAX) {
      throw new InvalidArgumentError(`a change may have ${TRANSACTION_BYTES_MAX} bytes, got ${data.length}`);
    }
    const { preconditions } = proposal;
    const actions = proposal.actions.map(({ action }) => action);
    const pending: Pending = { transaction: { ...head, preconditions, actions }, outcome: undefined };
    this.#pending.set(head.proposalId, pending);
    // What others would read differently is read from the bytes here, too.
    if (proposal.actions.every(({ isExact }) => isExact)) this.#own.set(data, pending);
    try {
      await this.#components.proposer.propose(data, signal === undefined ? {} : { signal });
    } catch (error) {
      if (pending.outcome === undefined) throw error; // applied all the same: the outcome counts
    } finally {
      this.#pending.delete(head.proposalId);
      this.#own.delete(data);
    }
    const { outcome } = pending;
    if (outcome === undefined)
      throw new InternalError("consensus acknowledged an entry that was not applied here");
    return outcome.kind === "applied" ? { kind: "applied" } : outcome;
  }
}

interface Slice<I> {
  readonly tx: WriteTransaction;
  readonly items: readonly I[];
}

function assertNotAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw new CancelledError("the update was cancelled before it was proposed");
}

function violationError(violation: Violation, attempts: number): SkeinError {
  switch (violation.kind) {
    case "changed":
      return new AbortedError(`gave up after ${attempts} attempts: ${violation.message}`);
    case "name":
      return new AlreadyExistsError(violation.message);
    case "reference":
      return new FailedPreconditionError(violation.message);
    case "port":
      return new InvalidArgumentError(violation.message);
  }
}

function decodeTransaction(data: Uint8Array): Transaction {
  try {
    return Transaction.decode(data);
  } catch (error) {
    throw new DataLossError("log entry is not a transaction", { cause: error });
  }
}

function restorePair(state: StoreState, key: string, value: Uint8Array): void {
  const row = StoreObject.decode(value).object;
  if (row === undefined || !isTableName(row.$case) || storeKey(row.$case, row.value.id) !== key) {
    throw new DataLossError(`stored object under ${key} cannot be read`);
  }
  putRow(state, row.$case, row.value);
}

function putRow<K extends TableName>(state: StoreState, table: K, value: TableRow["value"]): void {
  // table and value are one row
  state.table(table).put(value as Parameters<ReturnType<typeof state.table<K>>["put"]>[0]);
}
