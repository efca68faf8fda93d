/**
 * Lines of the CRI log format, and the joining of pieces into lines.
 * Pure. `2026-11-20T22:00:59.066641879+00:00 stdout F text`;
 * P marks a piece that goes on in the next record of its stream.
 * Invariant: at most `LINE_BYTES_MAX` of a line are held; a longer one leaves in pieces.
 * Source: CRI logging, as conmon writes it.
 */
import type { LogRecord } from "./container-manager.js";

export const LINE_BYTES_MAX = 1024 * 1024;

export interface CriPiece {
  readonly stream: "stdout" | "stderr";
  readonly timestamp: string;
  readonly whole: boolean;
  readonly text: Uint8Array;
}

const SPACE = 0x20;
const NEWLINE = 0x0a;

/** @param line without its newline. @returns undefined for what is no record (a torn write after a crash). */
export function parseCriLine(line: Buffer): CriPiece | undefined {
  const first = line.indexOf(SPACE);
  const second = line.indexOf(SPACE, first + 1);
  const third = line.indexOf(SPACE, second + 1);
  if (first < 20 || second < 0 || third < 0) return undefined;
  const stream = line.toString("latin1", first + 1, second);
  const tag = line.toString("latin1", second + 1, third);
  if (stream !== "stdout" && stream !== "stderr") return undefined;
  if (tag !== "F" && tag !== "P") return undefined;
  const timestamp = line.toString("latin1", 0, first).replace(/\+00:00$/, "Z");
  return { stream, timestamp, whole: tag === "F", text: line.subarray(third + 1) };
}

/** The lines of a block, without their newlines; what follows the last newline is left out. */
export function* linesOf(block: Buffer): Generator<Buffer> {
  let start = 0;
  for (let end = block.indexOf(NEWLINE); end >= 0; end = block.indexOf(NEWLINE, start)) {
    yield block.subarray(start, end);
    start = end + 1;
  }
}

/** Joins the pieces of each stream. The time of a line is that of its first piece. */
export class LineJoiner {
  readonly #open = new Map<string, { timestamp: string; parts: Uint8Array[]; bytes: number }>();

  /** @returns a finished line, or the pieces so far when they grow too long. */
  push(piece: CriPiece): LogRecord | undefined {
    const open = this.#open.get(piece.stream) ?? { timestamp: piece.timestamp, parts: [], bytes: 0 };
    open.parts.push(piece.whole && open.parts.length === 0 ? piece.text : Buffer.from(piece.text));
    open.bytes += piece.text.length;
    if (!piece.whole && open.bytes < LINE_BYTES_MAX) {
      this.#open.set(piece.stream, open);
      return undefined;
    }
    this.#open.delete(piece.stream);
    const parts = piece.whole ? [...open.parts, Buffer.of(NEWLINE)] : open.parts;
    return { stream: piece.stream, timestamp: open.timestamp, data: Buffer.concat(parts) };
  }

  /** A line has begun and not ended. */
  get holding(): boolean {
    return this.#open.size > 0;
  }

  /** What is left when the log ends without a newline. */
  flush(): LogRecord[] {
    const left = [...this.#open].map(([stream, open]) => ({
      stream: stream as LogRecord["stream"], // keys come from pieces
      timestamp: open.timestamp,
      data: Buffer.concat(open.parts),
    }));
    this.#open.clear();
    return left;
  }
}
