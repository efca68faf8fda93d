/**
 * What the clients did, kept in memory for the checks and as JSON lines on disk for people. Edge: to node:fs.
 * Bound: the memory of one run; about 400 bytes per operation.
 */
import { createWriteStream, type WriteStream } from "node:fs";
import type { Operation } from "../support/history/operation.js";
import type { CollectionInput, CollectionOutput } from "../support/history/unique-values-model.js";
import type { ConfigInput, ConfigOutput } from "./config-model.js";
import type { Outcome } from "./outcome.js";

export type ConfigOperation = Operation<ConfigInput, ConfigOutput>;
export type SetOperation = Operation<CollectionInput, CollectionOutput>;

export interface SoakOperation<I, O> {
  readonly client: string;
  readonly host: string;
  readonly input: I;
  readonly outcome: Outcome;
  /** Undefined unless the outcome is ok. */
  readonly output?: O | undefined;
  readonly callAt: number;
  readonly returnAt: number;
  /** The answer's words, unless it is ok. */
  readonly why?: string;
  /** Version of the object that a read showed. */
  readonly version?: number;
}

export type ConfigRecord = SoakOperation<ConfigInput, ConfigOutput>;
export type SetRecord = SoakOperation<CollectionInput, CollectionOutput>;

export class SoakRecorder {
  readonly configs: ConfigRecord[] = [];
  readonly sets: SetRecord[] = [];
  /** Milliseconds of the run: the newest answer to an acknowledged write, and the newest call of one. */
  lastWriteAt = 0;
  lastWriteCalledAt = 0;
  longestWithoutWriteMs = 0;
  readonly #file: WriteStream;
  readonly #startedMs = performance.now();

  constructor(path: string) {
    this.#file = createWriteStream(path);
  }

  /** Milliseconds since the recorder was made, monotonic: the clock of the whole history. */
  now(): number {
    return Math.round((performance.now() - this.#startedMs) * 1000) / 1000;
  }

  config(record: ConfigRecord): void {
    this.configs.push(record);
    this.#keep(record, record.input.kind === "read");
  }

  set(record: SetRecord): void {
    this.sets.push(record);
    this.#keep(record, record.input.kind === "read");
  }

  fault(line: string): void {
    this.#file.write(`${JSON.stringify({ at: this.now(), fault: line })}\n`);
  }

  async close(): Promise<void> {
    await new Promise<void>((done) => this.#file.end(() => done()));
  }

  #keep(record: SoakOperation<unknown, unknown>, isRead: boolean): void {
    this.#file.write(`${JSON.stringify(record)}\n`);
    if (isRead || record.outcome !== "ok") return;
    this.longestWithoutWriteMs = Math.max(this.longestWithoutWriteMs, record.returnAt - this.lastWriteAt);
    this.lastWriteAt = Math.max(this.lastWriteAt, record.returnAt);
    this.lastWriteCalledAt = Math.max(this.lastWriteCalledAt, record.callAt);
  }
}

/** For the checker: definite refusals and failed reads are left out, an unknown outcome never returns. */
export function historyOf<I extends { readonly kind: string }, O>(
  records: readonly SoakOperation<I, O>[],
): Operation<I, O>[] {
  return records.flatMap(({ client, input, outcome, output, callAt, returnAt }) => {
    if (outcome === "ok") return [{ client, input, output, callAt, returnAt }];
    if (outcome === "refused" || input.kind === "read") return [];
    return [{ client, input, output: undefined, callAt, returnAt: Number.POSITIVE_INFINITY }];
  });
}
