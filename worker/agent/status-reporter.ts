/**
 * Statuses on their way to a manager: batched, and kept until acknowledged, whichever manager that is.
 * Pure. Invariants: per task only the newest status waits;
 * what was sent and not acknowledged goes out again when the session ends; what people wait for (running,
 * ended) does not queue behind what they do not.
 */
import type { TaskStatusBatch, TaskStatusUpdate } from "../../proto/gen/skein/v1/dispatcher.js";
import { TaskState } from "../../proto/gen/skein/v1/types.js";
import { rank } from "../exec/task-machine.js";

/** Updates per batch: some 300 KiB. */
export const BATCH_UPDATES_MAX = 1_000;
/** Batches awaiting their acknowledgement while someone waits for what is in the next. */
export const BATCHES_IN_FLIGHT_MAX = 16;

export class StatusReporter {
  readonly #pending = new Map<string, TaskStatusUpdate>();
  #inFlight: TaskStatusBatch[] = [];
  #send: ((batch: TaskStatusBatch) => void) | undefined;
  #sequence = 0;
  #scheduled = false;

  /** Tasks whose newest status no leader has confirmed. */
  get unacknowledgedCount(): number {
    const tasks = new Set(this.#pending.keys());
    for (const batch of this.#inFlight) for (const update of batch.updates) tasks.add(update.taskId);
    return tasks.size;
  }

  report(update: TaskStatusUpdate): void {
    this.#pending.set(update.taskId, update);
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#pump();
    });
  }

  /** A session is open: everything unconfirmed goes out. */
  attach(send: (batch: TaskStatusBatch) => void): void {
    this.detach();
    this.#send = send;
    this.#pump();
  }

  /** The session is over: what it did not acknowledge waits for the next, unless something newer is known. */
  detach(): void {
    this.#send = undefined;
    for (const batch of [...this.#inFlight].reverse()) {
      for (const update of batch.updates)
        if (!this.#pending.has(update.taskId)) this.#pending.set(update.taskId, update);
    }
    this.#inFlight = [];
  }

  /** The leader has committed every batch up to this one. */
  acknowledge(sequence: number): void {
    this.#inFlight = this.#inFlight.filter((batch) => batch.sequence > sequence);
    this.#pump();
  }

  #pump(): void {
    while (this.#send !== undefined && this.#pending.size > 0 && this.#mayStart()) {
      const updates = [...this.#pending.values()].slice(0, BATCH_UPDATES_MAX);
      for (const update of updates) this.#pending.delete(update.taskId);
      this.#sequence += 1;
      const batch = { sequence: this.#sequence, updates };
      this.#inFlight.push(batch);
      this.#send(batch);
    }
  }

  #mayStart(): boolean {
    if (this.#inFlight.length === 0) return true;
    if (this.#inFlight.length >= BATCHES_IN_FLIGHT_MAX) return false;
    for (const update of this.#pending.values()) if (isUrgent(update)) return true;
    return false;
  }
}

function isUrgent(update: TaskStatusUpdate): boolean {
  const state = update.status?.state ?? TaskState.NEW;
  return state === TaskState.READY || rank(state) >= rank(TaskState.RUNNING);
}
