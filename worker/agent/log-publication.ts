/**
 * Answers one log subscription: reads the logs of the tasks it means and hands them out in batches.
 * Pure: the stream is handed in. Invariants: lines keep their order per task;
 * readers wait while the stream does; every reader's failure is told; a one-off publication ends with `done`.
 */
import { messageOf } from "../../base/errors/errors.js";
import type { LogMessage, LogSubscription, PublishedLogs } from "../../proto/gen/skein/v1/logs.js";
import type { RemovedLogs } from "../reach/fs-removed-logs.js";
import { behind, isMeant, type LogOrigin, ofManager, ofRemoved } from "./log-origins.js";
import type { TaskSet } from "./task-set.js";

/** Lines that wait for the stream; readers pause there. */
export const LINES_QUEUED_MAX = 1_000;
/** Bytes of lines in one message: some lines may be long, gRPC's limit is 4 MiB. */
export const MESSAGE_BYTES_MAX = 256 * 1024;

export interface PublishStream {
  /** Resolves when more may be written. @throws when the stream is over. */
  write(logs: PublishedLogs): Promise<void>;
}

export interface LogPublicationOptions {
  readonly nodeId: string;
  readonly subscription: LogSubscription;
  readonly tasks: TaskSet;
  /** Of tasks that are gone; absent: none are kept. */
  readonly removed: Pick<RemovedLogs, "list" | "read"> | undefined;
  readonly stream: PublishStream;
  /** Fires when the subscription is closed or the stream is over. */
  readonly signal: AbortSignal;
}

export class LogPublication {
  readonly #options: LogPublicationOptions;
  readonly #readers = new Set<Promise<void>>();
  #queue: LogMessage[] = [];
  #errors: string[] = [];
  #flushing: Promise<void> | undefined;
  #broken: unknown;

  constructor(options: LogPublicationOptions) {
    this.#options = options;
  }

  /** Resolves when all was handed out, or the signal fired. @throws what the stream throws. */
  async run(): Promise<void> {
    const { tasks, removed, subscription, signal } = this.#options;
    const follow = subscription.options?.follow ?? false;
    const tail = subscription.options?.tail ?? -1;
    const stop = follow ? tasks.onAdded((manager) => this.#begin(ofManager(manager), -1)) : () => undefined;
    try {
      // A log is kept before its container goes: from then on it is read there, not from under the removal.
      const kept = new Map(
        removed === undefined ? [] : ofRemoved(removed).map((gone) => [gone.taskId, gone]),
      );
      for (const manager of tasks.managers())
        if (!kept.has(manager.task.id)) this.#begin(ofManager(manager), tail);
      for (const gone of kept.values()) this.#begin(gone, tail);
      if (follow) await fired(signal);
      while (this.#readers.size > 0) await Promise.all(this.#readers);
      await this.#flushed();
      if (this.#broken !== undefined) throw this.#broken;
      if (!signal.aborted) await this.#write([], true);
    } finally {
      stop();
    }
  }

  #begin(origin: LogOrigin, tail: number): void {
    if (!isMeant(origin, this.#options.subscription.selector)) return;
    const reader = this.#read(origin, tail).finally(() => this.#readers.delete(reader));
    this.#readers.add(reader);
  }

  async #read(origin: LogOrigin, tail: number): Promise<void> {
    const { signal, subscription, nodeId } = this.#options;
    const { options } = subscription;
    const { taskId, serviceId } = origin;
    const taken = subscription.taken[taskId];
    try {
      if (options?.follow) await origin.ready(signal);
      const records = origin.read({
        follow: options?.follow ?? false,
        tail: taken === undefined ? tail : -1,
        sinceMs: taken === undefined ? (options?.sinceMs ?? 0) : Date.parse(taken.timestamp),
        untilMs: options?.untilMs ?? 0,
        stdout: options?.stdout ?? true,
        stderr: options?.stderr ?? true,
        signal,
      });
      const attributes = options?.details ? origin.attributes() : {};
      for await (const record of behind(records, taken)) {
        if (signal.aborted || this.#broken !== undefined) return;
        const { stream, timestamp, data } = record;
        const message = {
          taskId,
          serviceId,
          nodeId,
          stream,
          timestamp,
          data: Buffer.from(data),
          attributes,
        };
        await this.#push(message);
      }
    } catch (error) {
      if (!signal.aborted) this.#errors.push(`logs of ${origin.name}: ${messageOf(error)}`);
    }
  }

  async #push(message: LogMessage): Promise<void> {
    this.#queue.push(message);
    this.#flushing ??= this.#flush();
    if (this.#queue.length >= LINES_QUEUED_MAX) await this.#flushing;
  }

  async #flushed(): Promise<void> {
    if (this.#errors.length > 0) this.#flushing ??= this.#flush();
    await this.#flushing;
  }

  async #flush(): Promise<void> {
    await Promise.resolve(); // what is read in this turn goes together
    try {
      while (this.#queue.length > 0 || this.#errors.length > 0) {
        let bytes = 0;
        let count = 0;
        for (const message of this.#queue) {
          bytes += message.data.length;
          if (count > 0 && bytes > MESSAGE_BYTES_MAX) break;
          count += 1;
        }
        await this.#write(this.#queue.splice(0, count), false);
      }
    } catch (error) {
      this.#broken = error;
      this.#queue = [];
      this.#errors = [];
    } finally {
      this.#flushing = undefined;
    }
  }

  #write(messages: readonly LogMessage[], done: boolean): Promise<void> {
    const error = this.#errors.join("; ");
    this.#errors = [];
    return this.#options.stream.write({
      subscriptionId: this.#options.subscription.id,
      messages,
      done,
      error,
    });
  }
}

function fired(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
