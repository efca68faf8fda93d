/**
 * Applies committed entries to the state machine, in order and in slices,
 * and hands the changes to the state writer.
 * Pure over its parts.
 * Invariant: `appliedIndex` only grows; an entry is applied exactly once per life of the state machine.
 * Bound: `full` at 8 MiB of entries; the host then waits before it takes more from the core.
 */
import type { Clock } from "../../base/clock/clock.js";
import { nextTurn } from "../../base/loop/process-turn.js";
import type { Entry, Membership } from "../core/types.js";
import { EntryKind } from "../log/make-entry.js";
import { entryMemoryBytes } from "../storage/entry-log.js";
import type { StateWriter } from "../storage/state-writer.js";
import type { StateMachine } from "./raft-node.js";

const QUEUE_BYTES_MAX = 8 * 1024 * 1024;
/**
 * Nothing may hold the event loop for more than 20 ms: this leaves room for what else runs in the same turn.
 */
const SLICE_MS = 8;

export interface ApplierOptions {
  readonly stateMachine: StateMachine;
  readonly writer: StateWriter;
  readonly clock: Clock;
  readonly appliedIndex: number;
  readonly onApplied: (entry: Entry) => void;
  /** Called once for what the state machine throws; nothing is applied afterwards. */
  readonly onError: (error: unknown) => void;
}

interface Committed {
  readonly entry: Entry;
  /** The one in force after this entry. */
  readonly membership: Membership;
}

export class Applier {
  readonly #options: ApplierOptions;
  #queue: Committed[] = [];
  #queueBytes = 0;
  #appliedIndex: number;
  #running: Promise<void> | undefined;
  #isRunning = false;
  #failed = false;

  constructor(options: ApplierOptions) {
    this.#options = options;
    this.#appliedIndex = options.appliedIndex;
  }

  get appliedIndex(): number {
    return this.#appliedIndex;
  }

  get full(): boolean {
    return this.#queueBytes >= QUEUE_BYTES_MAX;
  }

  /** Committed and not applied yet. */
  get waiting(): { readonly applyEntries: number; readonly applyBytes: number } {
    return { applyEntries: this.#queue.length, applyBytes: this.#queueBytes };
  }

  push(entry: Entry, membership: Membership): void {
    this.#queue.push({ entry, membership });
    this.#queueBytes += entryMemoryBytes(entry);
  }

  /** Applies what was pushed: the first slice at once, the rest in turns of its own. */
  run(): void {
    if (!this.#isRunning && !this.#failed && this.#queue.length > 0) this.#running = this.#applyAll();
  }

  /** Resolves when nothing waits. */
  async idle(): Promise<void> {
    while (this.#isRunning) await this.#running;
  }

  /** The state machine was restored at this index. */
  restored(index: number): void {
    this.#appliedIndex = index;
  }

  /** Forgets what waits: nobody will ask for it any more. */
  stop(): void {
    this.#failed = true;
    this.#queue = [];
  }

  async #applyAll(): Promise<void> {
    this.#isRunning = true;
    try {
      let sliceEndMs = this.#options.clock.monotonicMs() + SLICE_MS;
      let at = 0;
      while (at < this.#queue.length) {
        const next = this.#queue[at];
        if (next === undefined) break;
        at += 1;
        this.#apply(next);
        if (this.#options.writer.full) await this.#options.writer.flush();
        if (this.#options.clock.monotonicMs() < sliceEndMs) continue;
        this.#queue.splice(0, at);
        at = 0;
        await nextTurn();
        sliceEndMs = this.#options.clock.monotonicMs() + SLICE_MS;
      }
      this.#queue.splice(0, at);
    } catch (error) {
      this.stop();
      this.#options.onError(error);
    } finally {
      this.#isRunning = false;
    }
  }

  #apply({ entry, membership }: Committed): void {
    const isCommand = entry.kind === EntryKind.NORMAL && entry.data.length > 0;
    const changes = isCommand ? this.#options.stateMachine.apply(entry) : [];
    this.#appliedIndex = entry.index;
    this.#queueBytes -= entryMemoryBytes(entry);
    this.#options.writer.add(entry, membership, changes);
    this.#options.onApplied(entry);
  }
}
