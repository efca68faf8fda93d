/**
 * Streams cluster events to one client from this manager's own history. Edge: to @grpc/grpc-js.
 * Bounded: a client that reads slowly reads behind; when what it would read next is not kept any more, or a
 * snapshot has replaced the state, its stream ends with an error that names the gap. The headers say that the
 * stream has begun.
 */

import { Metadata, type ServerWritableStream } from "@grpc/grpc-js";
import { AbortedError, messageOf } from "../../base/errors/errors.js";
import { EVENTS_AT_KEY } from "../../base/grpc/events-at.js";
import { toGrpcStatus } from "../../base/grpc/grpc-errors.js";
import { drained } from "../../base/grpc/stream-drained.js";
import type { Logger } from "../../base/log/logger.js";
import { ComponentLoop } from "../../base/loop/component-loop.js";
import type { ClusterEvent, WatchEventsRequest } from "../../proto/gen/skein/v1/control.js";
import {
  type EventHistory,
  type EventNumber,
  eventNumber,
  isAfter,
  parseEventNumber,
} from "./event-history.js";

type EventCall = Pick<
  ServerWritableStream<WatchEventsRequest, ClusterEvent>,
  "request" | "sendMetadata" | "write" | "end" | "on" | "once" | "emit" | "removeListener"
>;

export function streamEvents(history: EventHistory, log: Logger, call: EventCall): void {
  const { after, past, sinceMs } = call.request;
  let place: number;
  let from: EventNumber | undefined;
  try {
    from = after === "" ? undefined : parseEventNumber(after);
    if (past) place = history.placeSince(sinceMs);
    else place = from === undefined ? history.end() : placeAfter(history, from);
  } catch (error) {
    call.emit("error", toGrpcStatus(error));
    return;
  }
  const until = past ? history.end() : Number.POSITIVE_INFINITY;
  const loop = new ComponentLoop({
    name: "watch-events",
    log,
    pass: async (signal) => {
      while (place < until) {
        const event = history.at(place);
        if (event === undefined) return;
        if (event === "gap") {
          fail(gapError("the last event read", history));
          return;
        }
        place += 1;
        // This replica may be behind the one that gave the number.
        if (from !== undefined && event.ordinal > 0 && !isAfter(event, from)) continue;
        if (!call.write(event)) await drained(call, signal);
        if (signal.aborted) return;
      }
      stop();
      call.end();
    },
  });
  const stopListening = history.onMore(() => loop.wake());
  const stop = (): void => {
    stopListening();
    loop.close().catch((error: unknown) => log.warn("a watch did not end", { error: messageOf(error) }));
  };
  const fail = (error: Error): void => {
    stop();
    call.emit("error", toGrpcStatus(error));
  };
  const headers = new Metadata();
  if (after === "" && !past) headers.set(EVENTS_AT_KEY, history.now());
  call.sendMetadata(headers);
  call.on("cancelled", stop);
  call.on("close", stop);
  loop.wake();
}

/** @throws {AbortedError} what follows it is not kept; {InvalidArgumentError} it is no number. */
function placeAfter(history: EventHistory, after: EventNumber): number {
  const place = history.placeAfter(after);
  if (place === undefined) throw gapError(eventNumber(after), history);
  return place;
}

function gapError(after: string, { floor }: EventHistory): AbortedError {
  return new AbortedError(
    `gap: not all events after ${after} are kept, but those after ${eventNumber(floor)}: ` +
      "follow from now on and read the state anew",
  );
}
