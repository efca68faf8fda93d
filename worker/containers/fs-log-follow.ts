/**
 * Drives a cursor over a container's log: to its end, and on as it grows. Edge: to fs.watch.
 * Invariant: what is written until the container has ended is given out before the end.
 */
import { type FSWatcher, watch } from "node:fs";
import { dirname } from "node:path";
import type { LogCursor } from "./fs-log-cursor.js";

export interface LogSource {
  readonly path: string;
  /** No more will be written. */
  ended(): boolean;
  /** Tells when `ended` may have changed. @returns the way to stop telling. */
  onEnd(listener: () => void): () => void;
}

/** @returns blocks of whole lines, until the end or the signal. The cursor stays the caller's. */
export async function* followLog(
  source: LogSource,
  cursor: LogCursor,
  options: { readonly follow: boolean; readonly signal?: AbortSignal | undefined },
): AsyncGenerator<Buffer> {
  const { follow, signal } = options;
  const wake = new Wake();
  const stops: (() => void)[] = [];
  try {
    if (follow) {
      const watcher: FSWatcher = watch(dirname(source.path), { persistent: false }, () => wake.ring());
      watcher.on("error", () => wake.ring()); // the folder went away with its container: `ended` tells
      const abort = (): void => wake.ring();
      signal?.addEventListener("abort", abort);
      stops.push(
        () => watcher.close(),
        source.onEnd(() => wake.ring()),
        () => signal?.removeEventListener("abort", abort),
      );
    }
    for (;;) {
      const ended = source.ended(); // asked before reading: what is written until the end is then read
      for await (const block of cursor.blocks()) {
        if (signal?.aborted === true) return;
        yield block;
      }
      if (!follow || ended || signal?.aborted === true) return;
      await wake.wait();
    }
  } finally {
    for (const stop of stops) stop();
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
