/**
 * Streams cluster events to one client from this manager's own replica. Edge: to @grpc/grpc-js.
 * Bounded: while the client reads slowly the changes wait in the store's watch queue; when that overflows,
 * or a snapshot replaces the state, the stream ends with an error, because events were lost. There is no
 * history: a stream begins now, and its headers say that it has begun.
 */
import { Metadata, type ServerWritableStream } from "@grpc/grpc-js";
import { AbortedError } from "../../base/errors/errors.js";
import { toGrpcStatus } from "../../base/grpc/grpc-errors.js";
import { ComponentLoop } from "../../base/loop/component-loop.js";
import type { ClusterEvent, WatchEventsRequest } from "../../proto/gen/skein/v1/control.js";
import { EVENT_TABLES, eventOf } from "./cluster-events.js";
import type { ControlComponents } from "./control-components.js";

type EventCall = Pick<
  ServerWritableStream<WatchEventsRequest, ClusterEvent>,
  "sendMetadata" | "write" | "end" | "on" | "once" | "emit" | "removeListener"
>;

export function streamEvents(
  components: Pick<ControlComponents, "store" | "clock" | "log">,
  call: EventCall,
): void {
  const { store, clock, log } = components;
  const loop = new ComponentLoop({
    name: "watch-events",
    log,
    pass: async (signal) => {
      for (const { index, changes, reset } of watch.take()) {
        if (reset) {
          stop();
          call.emit(
            "error",
            toGrpcStatus(new AbortedError("events were lost: subscribe again and read the state anew")),
          );
          return;
        }
        for (const change of changes) {
          const event = eventOf(change, { index, timeMs: change.after?.meta?.updatedAtMs ?? clock.nowMs() });
          if (event !== undefined && !call.write(event)) await drained(call, signal);
          if (signal.aborted) return;
        }
      }
    },
  });
  const watch = store.watch({ tables: EVENT_TABLES, wake: () => loop.wake() });
  const stop = (): void => {
    watch.close();
    void loop.close();
  };
  call.sendMetadata(new Metadata());
  call.on("cancelled", stop);
  call.on("close", stop);
}

/** Resolves when the stream takes more, or when the loop stops. */
function drained(call: EventCall, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      call.removeListener("drain", done);
      signal.removeEventListener("abort", done);
      resolve();
    };
    if (signal.aborted) {
      resolve();
      return;
    }
    call.once("drain", done);
    signal.addEventListener("abort", done, { once: true });
  });
}
