/**
 * Snapshots on streams of their own, so that heartbeats never queue behind them. Edge: to @grpc/grpc-js.
 * Chunks are answered one by one; the sender keeps a few unanswered,
 * which makes the receiver's disk set the pace.
 */
import type { ServerDuplexStream } from "@grpc/grpc-js";
import type { Clock } from "../../base/clock/clock.js";
import {
  CancelledError,
  DeadlineExceededError,
  InvalidArgumentError,
  type SkeinError,
  UnavailableError,
} from "../../base/errors/errors.js";
import { fromGrpcError, toGrpcStatus } from "../../base/grpc/grpc-errors.js";
import { BoundedQueue } from "../../base/loop/bounded-queue.js";
import type { RaftClient, SnapshotChunk, SnapshotReply } from "../../proto/gen/skein/v1/raft.js";
import type { RaftId } from "../core/types.js";
import type { KeyValuePair } from "../host/raft-node.js";
import type { SnapshotTransfer, TransportEvents } from "./transport.js";

/** Unanswered chunks of 128 KiB, or one value each. */
const CHUNKS_AHEAD_MAX = 8;
/** Without an answer for so long the transfer is given up; the leader will try again. */
const PROGRESS_TIMEOUT_MS = 30_000;

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/**
 * Sends one snapshot.
 * @throws {SkeinError} as the peer said; {UnavailableError}; {DeadlineExceededError}; {CancelledError}
 */
export async function sendSnapshotOver(
  client: RaftClient,
  from: RaftId,
  snapshot: SnapshotTransfer,
  options: { signal: AbortSignal; clock: Clock },
): Promise<void> {
  const call = client.installSnapshot();
  const replies = new ReplyWaiter();
  call.on("data", (reply: SnapshotReply) => replies.take(reply));
  call.on("error", (error: Error) => replies.fail(fromGrpcError(error)));
  call.on("end", () => replies.fail(new UnavailableError("the snapshot stream ended early")));
  const onAbort = (): void => replies.fail(new CancelledError("the snapshot transfer was cancelled"));
  options.signal.addEventListener("abort", onAbort, { once: true });
  if (options.signal.aborted) onAbort();
  let sequence = 1;
  const send = async (pairs: readonly KeyValuePair[], last: boolean): Promise<void> => {
    call.write({
      meta: undefined,
      transfer: 0,
      from,
      sequence,
      pairs: pairs.map(({ key, value }) => ({ key, value: asBuffer(value) })),
      last,
      term: snapshot.term,
    });
    sequence += 1;
    await replies.until((reply) => reply.nextSequence > sequence - CHUNKS_AHEAD_MAX, options.clock);
  };
  try {
    const { meta, term, id } = snapshot;
    call.write({ meta, transfer: id, from, sequence: 0, pairs: [], last: false, term });
    const { afterKey } = await replies.until((reply) => reply.nextSequence > 0, options.clock);
    const portions = snapshot.portions(afterKey === "" ? undefined : afterKey);
    for await (const portion of portions) await send(portion, false);
    await send([], true);
    await replies.until((reply) => reply.installed, options.clock);
    call.end();
  } catch (error) {
    call.cancel();
    throw error;
  } finally {
    options.signal.removeEventListener("abort", onAbort);
  }
}

/** The newest answer, and whoever waits for a later one. */
class ReplyWaiter {
  #newest: SnapshotReply = { nextSequence: 0, installed: false, afterKey: "" };
  #failure: Error | undefined;
  #wake: (() => void) | undefined;

  take(reply: SnapshotReply): void {
    this.#newest = reply;
    this.#wake?.();
  }

  fail(error: Error): void {
    this.#failure ??= error;
    this.#wake?.();
  }

  async until(reached: (reply: SnapshotReply) => boolean, clock: Clock): Promise<SnapshotReply> {
    while (!reached(this.#newest)) {
      if (this.#failure !== undefined) throw this.#failure;
      const timer = clock.setTimer(PROGRESS_TIMEOUT_MS, () => {
        this.fail(new DeadlineExceededError(`the snapshot made no progress for ${PROGRESS_TIMEOUT_MS} ms`));
      });
      await new Promise<void>((resolve) => (this.#wake = resolve));
      timer.cancel();
    }
    return this.#newest;
  }
}

/** Serves one incoming snapshot stream: passes its content on, answers each chunk when it was taken. */
export async function receiveSnapshotOver(
  call: ServerDuplexStream<SnapshotChunk, SnapshotReply>,
  events: TransportEvents,
  refusal: (from: RaftId) => SkeinError | undefined,
): Promise<void> {
  // The sender keeps no more unanswered: a queue that fills up is a peer that does not follow the protocol.
  const chunks = new BoundedQueue<SnapshotChunk>({ capacityMax: CHUNKS_AHEAD_MAX + 1 });
  call.on("data", (chunk: SnapshotChunk) => {
    if (!chunks.push(chunk))
      chunks.end(new InvalidArgumentError("more snapshot chunks unanswered than allowed"));
    if (chunk.last) chunks.end();
  });
  const broken = (): void => chunks.end(new UnavailableError("the snapshot stream broke"));
  call.on("cancelled", broken);
  call.on("error", broken);
  call.on("end", broken);
  try {
    await passOn(call, chunks, events, refusal);
    call.end();
  } catch (error) {
    call.emit("error", toGrpcStatus(error));
  }
}

async function passOn(
  call: ServerDuplexStream<SnapshotChunk, SnapshotReply>,
  chunks: AsyncIterable<SnapshotChunk>,
  events: TransportEvents,
  refusal: (from: RaftId) => SkeinError | undefined,
): Promise<void> {
  const iterator = chunks[Symbol.asyncIterator]();
  const first = await iterator.next();
  if (first.done === true || first.value.meta === undefined) {
    throw new InvalidArgumentError("the first chunk of a snapshot must carry its meta");
  }
  const { meta, from, term, transfer } = first.value;
  const refused = refusal(from);
  if (refused !== undefined) throw refused;
  async function* portions(): AsyncGenerator<readonly KeyValuePair[]> {
    for (let sequence = 1; ; sequence++) {
      const next = await iterator.next();
      if (next.done === true) throw new UnavailableError("the snapshot stream ended early");
      const chunk = next.value;
      if (chunk.sequence !== sequence) {
        throw new InvalidArgumentError(`snapshot chunk ${sequence} expected, got ${chunk.sequence}`);
      }
      if (chunk.pairs.length > 0) yield chunk.pairs;
      call.write({ nextSequence: sequence + 1, installed: false, afterKey: "" });
      if (chunk.last) return;
    }
  }
  const begin = (after: string | undefined): AsyncIterable<readonly KeyValuePair[]> => {
    call.write({ nextSequence: 1, installed: false, afterKey: after ?? "" });
    return portions();
  };
  await events.receiveSnapshot(from, { meta, term, id: transfer, portions: begin });
  call.write({ nextSequence: Number.MAX_SAFE_INTEGER, installed: true, afterKey: "" });
}
