/**
 * Streams how a stack does to one client from this manager's own replica. Edge: to @grpc/grpc-js.
 * Bounds: what a slow client has not taken is replaced by what is newer; between two looks at a stack of many
 * tasks there is a pause of ten times what the last one took.
 */

import type { ServerWritableStream } from "@grpc/grpc-js";
import type { Clock } from "../../../base/clock/clock.js";
import { messageOf, UnavailableError } from "../../../base/errors/errors.js";
import { toGrpcStatus } from "../../../base/grpc/grpc-errors.js";
import { drained } from "../../../base/grpc/stream-drained.js";
import type { Logger } from "../../../base/log/logger.js";
import { ComponentLoop } from "../../../base/loop/component-loop.js";
import { StackUpdate, type WatchStackRequest } from "../../../proto/gen/skein/v1/stacks.js";
import type { ReadStore } from "../../store/types.js";
import { checkStackName } from "./check-definition.js";
import { stackNews } from "./stack-update.js";

export interface WatchParts {
  readonly store: ReadStore;
  readonly clock: Clock;
  readonly log: Logger;
  /** Resolves when this replica has applied all that was acknowledged before. */
  readonly readBarrier: (options: { signal: AbortSignal }) => Promise<unknown>;
}

type WatchCall = Pick<
  ServerWritableStream<WatchStackRequest, StackUpdate>,
  "request" | "write" | "end" | "on" | "once" | "emit" | "removeListener"
>;

/** Of the time that a look took: so much of the time is not spent on one watch. */
const PAUSE_FACTOR = 10;
/** How long a watch waits for a leader before it says that there is none. */
const BARRIER_MS_MAX = 10_000;

export function streamStack(parts: WatchParts, call: WatchCall): void {
  const { store, clock, log } = parts;
  const { name } = call.request;
  let told: Uint8Array | undefined;
  let isFresh = false;
  const loop = new ComponentLoop({
    name: "watch-stack",
    log,
    pass: async (signal) => {
      try {
        if (!isFresh) await caughtUp(parts, signal);
      } catch (error) {
        fail(error);
        return;
      }
      isFresh = true;
      if (signal.aborted) return;
      watch.take();
      const beganMs = clock.monotonicMs();
      const { update, isLast } = store.view((tx) => stackNews(tx, name));
      const bytes = StackUpdate.encode(update).finish();
      const tookMs = clock.monotonicMs() - beganMs;
      if (told === undefined || Buffer.compare(told, bytes) !== 0) {
        told = bytes;
        if (!call.write(update)) await drained(call, signal);
      }
      if (signal.aborted) return;
      if (isLast) {
        stop();
        call.end();
      } else if (tookMs > 1) {
        await clock.sleep(tookMs * PAUSE_FACTOR);
      }
    },
  });
  const watch = store.watch({
    tables: ["stack", "service", "task", "node"],
    wake: () => loop.wake(),
  });
  const stop = (): void => {
    watch.close();
    loop.close().catch((error: unknown) => log.warn("a watch did not end", { error: messageOf(error) }));
  };
  const fail = (error: unknown): void => {
    stop();
    call.emit("error", toGrpcStatus(error));
  };
  call.on("cancelled", stop);
  call.on("close", stop);
  try {
    checkStackName(name);
  } catch (error) {
    fail(error);
    return;
  }
  loop.wake();
}

/** @throws {UnavailableError} nobody leads for so long that nobody can say what is acknowledged. */
async function caughtUp({ readBarrier, clock }: WatchParts, signal: AbortSignal): Promise<void> {
  const abort = new AbortController();
  const give = (): void => abort.abort();
  const timer = clock.setTimer(BARRIER_MS_MAX, give);
  signal.addEventListener("abort", give, { once: true });
  try {
    await readBarrier({ signal: abort.signal });
  } catch (error) {
    if (!abort.signal.aborted) throw error;
    throw new UnavailableError(`the swarm had no leader for ${BARRIER_MS_MAX / 1_000} s`, { cause: error });
  } finally {
    timer.cancel();
    signal.removeEventListener("abort", give);
  }
}
