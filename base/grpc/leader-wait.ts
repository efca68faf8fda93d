/**
 * How long a call may wait for a cluster without a leader, when its caller is in more of a hurry than most.
 * Edge: to @grpc/grpc-js. Travels as the metadata key `skein-leader-wait-ms`.
 */
import { Metadata } from "@grpc/grpc-js";

const KEY = "skein-leader-wait-ms";

/** Metadata for a call that gives up after so many milliseconds without a leader. */
export function leaderWait(ms: number): Metadata {
  const metadata = new Metadata();
  metadata.set(KEY, String(ms));
  return metadata;
}

/** @returns what the caller asked for, at most `maxMs`, which it is when nothing was asked. */
export function leaderWaitOf(metadata: Metadata, maxMs: number): number {
  const text = metadata.get(KEY)[0]?.toString() ?? "";
  return /^\d{1,9}$/.test(text) ? Math.min(Number(text), maxMs) : maxMs;
}
