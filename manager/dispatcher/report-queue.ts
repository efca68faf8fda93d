/**
 * Gathers reports on their way to the leader: what arrives while deliveries run goes into the next one.
 * Pure: `deliver` crosses the network.
 * Invariants: a report is kept until a leader has committed it or the queue is closed; a failed delivery is
 * repeated, at once when the leader changes.
 */
import type { Clock, Timer } from "../../base/clock/clock.js";
import { CancelledError, messageOf, ResourceExhaustedError } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import { Backoff } from "../../base/loop/backoff.js";
import type { Random } from "../../base/random/random.js";
import type { NodeReport } from "../../proto/gen/skein/v1/dispatcher.js";

/**
 * Reports that wait or are under way; past it `send` refuses, the session ends,
 * and the agent keeps its statuses.
 */
export const REPORTS_QUEUED_MAX = 50_000;
/** Task statuses in one delivery: about 1 MiB. */
export const DELIVERY_UPDATES_MAX = 4_000;
/** Nodes in one delivery. */
export const DELIVERY_REPORTS_MAX = 4_000;
/** Deliveries at once: enough to hide a commit behind the next, few enough to keep batches large. */
export const DELIVERIES_MAX = 4;

interface Waiting {
  readonly reports: readonly NodeReport[];
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export interface ReportQueueComponents {
  readonly deliver: (reports: readonly NodeReport[]) => Promise<void>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export class ReportQueue {
  readonly #components: ReportQueueComponents;
  #queue: Waiting[] = [];
  #queuedCount = 0;
  #running = 0;
  #closed = false;
  #failingSinceMs: number | undefined;
  readonly #pauses = new Set<() => void>();

  constructor(components: ReportQueueComponents) {
    this.#components = components;
  }

  get failingSinceMs(): number | undefined {
    return this.#failingSinceMs;
  }

  send(reports: readonly NodeReport[]): Promise<void> {
    if (this.#closed) return Promise.reject(new CancelledError("the manager is stopping"));
    if (this.#queuedCount + reports.length > REPORTS_QUEUED_MAX) {
      const message = `reports to the leader: more than ${REPORTS_QUEUED_MAX} wait`;
      return Promise.reject(new ResourceExhaustedError(message));
    }
    this.#queuedCount += reports.length;
    return new Promise((resolve, reject) => {
      this.#queue.push({ reports, resolve, reject });
      if (this.#queue.length === 1) queueMicrotask(() => this.#start());
    });
  }

  /** There is a new leader, or a way to it: failed deliveries are repeated now. */
  leaderChanged(): void {
    for (const wake of [...this.#pauses]) wake();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.leaderChanged();
    for (const waiting of this.#queue) waiting.reject(new CancelledError("the manager is stopping"));
    this.#queue = [];
  }

  #start(): void {
    while (!this.#closed && this.#queue.length > 0 && this.#running < DELIVERIES_MAX) {
      this.#running += 1;
      const batch = this.#take();
      this.#deliver(batch).then(
        () => this.#finished(batch),
        (error: unknown) => this.#finished(batch, error),
      );
    }
  }

  #take(): readonly Waiting[] {
    let reports = 0;
    let updates = 0;
    let count = 0;
    for (const waiting of this.#queue) {
      reports += waiting.reports.length;
      for (const report of waiting.reports) updates += report.updates.length;
      if (count > 0 && (reports > DELIVERY_REPORTS_MAX || updates > DELIVERY_UPDATES_MAX)) break;
      count += 1;
    }
    return this.#queue.splice(0, count);
  }

  #finished(batch: readonly Waiting[], error?: unknown): void {
    this.#running -= 1;
    for (const waiting of batch) {
      this.#queuedCount -= waiting.reports.length;
      if (error === undefined) waiting.resolve();
      else waiting.reject(error);
    }
    this.#start();
  }

  async #deliver(batch: readonly Waiting[]): Promise<void> {
    const { clock, random, log, deliver } = this.#components;
    const backoff = new Backoff(random, { initialMs: 20, maxMs: 1_000 });
    const reports = batch.flatMap((waiting) => waiting.reports);
    for (;;) {
      if (this.#closed) throw new CancelledError("the manager is stopping");
      try {
        await deliver(reports);
        this.#failingSinceMs = undefined;
        return;
      } catch (error) {
        if (this.#failingSinceMs === undefined) {
          this.#failingSinceMs = clock.monotonicMs();
          log.warn("reports do not reach the leader", { reports: reports.length, error: messageOf(error) });
        }
      }
      await this.#pause(backoff.nextMs());
    }
  }

  #pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      let timer: Timer | undefined;
      const wake = (): void => {
        timer?.cancel();
        this.#pauses.delete(wake);
        resolve();
      };
      this.#pauses.add(wake);
      timer = this.#components.clock.setTimer(delayMs, wake);
    });
  }
}
