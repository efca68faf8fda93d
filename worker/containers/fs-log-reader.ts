/**
 * Reads a container's log: all of it or its tail, across rotations, and on as it grows.
 * Edge: to the file system and fs.watch.
 * Invariants: lines come in the order they were written;
 * a follower loses nothing by a rotation unless it is slower than all kept files together. Memory: one block
 * and one unfinished line per stream.
 */
import { type FSWatcher, watch } from "node:fs";
import { dirname } from "node:path";
import type { LogReadOptions, LogRecord } from "./container-manager.js";
import { LineJoiner, LineSplitter, parseCriLine } from "./cri-log.js";
import { type OpenLog, openLog, openLogs, tailOffset } from "./fs-log-files.js";

const BLOCK_BYTES = 64 * 1024;

export interface LogSource {
  readonly path: string;
  /** No more will be written. */
  ended(): boolean;
  /** Tells when `ended` may have changed. @returns the way to stop telling. */
  onEnd(listener: () => void): () => void;
}

export async function* readLog(source: LogSource, options: LogReadOptions): AsyncGenerator<LogRecord> {
  const wanted = (stream: "stdout" | "stderr"): boolean =>
    stream === "stdout" ? options.stdout : options.stderr;
  const wake = new Wake();
  const stops: (() => void)[] = [];
  const reader = new LogCursor(source.path);
  try {
    if (options.follow) {
      const watcher: FSWatcher = watch(dirname(source.path), { persistent: false }, () => wake.ring());
      watcher.on("error", () => wake.ring()); // the folder went away with its container: `ended` tells
      stops.push(
        () => watcher.close(),
        source.onEnd(() => wake.ring()),
      );
      const abort = (): void => wake.ring();
      options.signal?.addEventListener("abort", abort);
      stops.push(() => options.signal?.removeEventListener("abort", abort));
    }
    await reader.open(options.tail, wanted);
    for (;;) {
      const ended = source.ended(); // asked before reading: what is written until the end is then read
      for await (const record of reader.records()) {
        if (options.signal?.aborted === true) return;
        const atMs = Date.parse(record.timestamp);
        if (options.untilMs !== undefined && options.untilMs > 0 && atMs > options.untilMs) return;
        if (wanted(record.stream) && atMs >= options.sinceMs) yield record;
      }
      if (!options.follow || ended || options.signal?.aborted === true) break;
      await wake.wait();
    }
    for (const record of reader.flush()) if (wanted(record.stream)) yield record;
  } finally {
    for (const stop of stops) stop();
    await reader.close();
  }
}

/** A bell that stays rung until somebody has heard it. */
class Wake {
  #rung = false;
  #waiter: (() => void) | undefined;

  ring(): void {
    this.#rung = true;
    this.#waiter?.();
  }

  async wait(): Promise<void> {
    if (!this.#rung) {
      await new Promise<void>((resolve) => {
        this.#waiter = resolve;
      });
    }
    this.#rung = false;
    this.#waiter = undefined;
  }
}

/** A place in the chain of files. */
class LogCursor {
  readonly #path: string;
  readonly #joiner = new LineJoiner();
  #splitter = new LineSplitter();
  #logs: OpenLog[] = [];
  #offset = 0;

  constructor(path: string) {
    this.#path = path;
  }

  async open(tail: number, wanted: (stream: "stdout" | "stderr") => boolean): Promise<void> {
    const logs = await openLogs(this.#path);
    this.#logs = logs;
    if (tail < 0) return;
    let missing = tail;
    for (let index = logs.length - 1; index >= 0; index--) {
      const log = logs[index];
      if (log === undefined) break;
      const { offset, found } = await tailOffset(log.file, missing, wanted);
      missing -= found;
      this.#offset = offset;
      if (missing > 0 && index > 0) continue;
      for (const skipped of logs.splice(0, index)) await skipped.file.close();
      break;
    }
  }

  /** Everything written so far from the place on. */
  async *records(): AsyncGenerator<LogRecord> {
    const block = Buffer.alloc(BLOCK_BYTES);
    for (;;) {
      if (this.#logs.length === 0 && !(await this.#next(undefined))) return;
      const current = this.#logs[0];
      if (current === undefined) return;
      const hasNext = this.#logs.length > 1 || (await this.#rotated(current));
      // after looking for a newer file: the older one is whole by then
      yield* this.#readToEnd(current, block);
      if (!hasNext || !(await this.#next(current))) return;
    }
  }

  async *#readToEnd(current: OpenLog, block: Buffer): AsyncGenerator<LogRecord> {
    for (;;) {
      const { bytesRead } = await current.file.read(block, 0, block.length, this.#offset);
      if (bytesRead === 0) return;
      this.#offset += bytesRead;
      for (const line of this.#splitter.push(block.subarray(0, bytesRead))) {
        const piece = parseCriLine(line);
        const record = piece === undefined ? undefined : this.#joiner.push(piece);
        if (record !== undefined) yield record;
      }
    }
  }

  async #rotated(current: OpenLog): Promise<boolean> {
    const live = await openLog(this.#path);
    if (live === undefined) return false; // renamed, not yet reopened: the old one is still written to
    await live.file.close();
    return live.inode !== current.inode;
  }

  /** Goes to the file after the given one. @returns false when there is none. */
  async #next(current: OpenLog | undefined): Promise<boolean> {
    if (current !== undefined && this.#logs.length > 1) {
      this.#logs.shift();
    } else {
      const logs = await openLogs(this.#path);
      // not found: rotated away, go on with the oldest kept
      const at = logs.findIndex((log) => log.inode === current?.inode);
      for (const passed of logs.splice(0, at + 1)) await passed.file.close();
      if (logs.length === 0) return false;
      this.#logs = logs;
    }
    await current?.file.close();
    this.#offset = 0;
    this.#splitter = new LineSplitter();
    return true;
  }

  flush(): LogRecord[] {
    return this.#joiner.flush();
  }

  async close(): Promise<void> {
    for (const log of this.#logs) await log.file.close();
    this.#logs = [];
  }
}
