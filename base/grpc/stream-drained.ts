/**
 * Waiting until a stream of answers takes more. Edge: to @grpc/grpc-js's streams.
 * Invariant: no listener is left behind, whichever came first.
 */
import type { EventEmitter } from "node:events";

type Drainable = Pick<EventEmitter, "once" | "removeListener">;

/** Resolves when the stream takes more, or when the loop stops. */
export function drained(stream: Drainable, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      stream.removeListener("drain", done);
      signal.removeEventListener("abort", done);
      resolve();
    };
    if (signal.aborted) {
      resolve();
      return;
    }
    stream.once("drain", done);
    signal.addEventListener("abort", done, { once: true });
  });
}
