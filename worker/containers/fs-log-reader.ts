/**
 * Reads a container's log line by line: all of it or its tail, across rotations, and on as it grows.
 * Edge: to the file system.
 * Invariants: lines come in the order they were written; a follower loses nothing by a rotation unless it is
 * slower than all kept files together. Memory: one block and one unfinished line per stream.
 */
import type { LogReadOptions, LogRecord } from "./container-manager.js";
import { LineJoiner, linesOf, parseCriLine } from "./cri-log.js";
import { LogCursor } from "./fs-log-cursor.js";
import { followLog, type LogSource } from "./fs-log-follow.js";

export type { LogSource } from "./fs-log-follow.js";

export async function* readLog(source: LogSource, options: LogReadOptions): AsyncGenerator<LogRecord> {
  const wanted = (stream: "stdout" | "stderr"): boolean =>
    stream === "stdout" ? options.stdout : options.stderr;
  const cursor = new LogCursor(source.path);
  const joiner = new LineJoiner();
  try {
    await cursor.open(options.tail, () => true); // as in Docker, lines of both streams count
    for await (const block of followLog(source, cursor, options)) {
      for (const line of linesOf(block)) {
        const piece = parseCriLine(line);
        const record = piece === undefined ? undefined : joiner.push(piece);
        if (record === undefined) continue;
        if (options.signal?.aborted === true) return;
        const atMs = Date.parse(record.timestamp);
        if (options.untilMs !== undefined && options.untilMs > 0 && atMs > options.untilMs) return;
        if (wanted(record.stream) && atMs >= options.sinceMs) yield record;
      }
    }
    for (const record of joiner.flush()) if (wanted(record.stream)) yield record;
  } finally {
    await cursor.close();
  }
}
