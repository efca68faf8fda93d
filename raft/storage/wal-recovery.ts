/**
 * Reading the write-ahead log at start: all records in order, a torn tail found and named,
 * anything else refused.
 * Pure over the disk port.
 * Invariant: no record that was acknowledged as durable is dropped without a DataLossError.
 * One case cannot be told from a torn write and is taken for one:
 * rot inside the very last group that was written.
 */
import { DataLossError } from "../../base/errors/errors.js";
import { invariant } from "../../base/errors/invariant.js";
import type { HardState } from "../core/types.js";
import type { Sealer } from "./data-key.js";
import { EntryLog, type LogPoint } from "./entry-log.js";
import { findLaterGroup, openFrame, readFrameHead } from "./wal-frame.js";
import { decodeRecords, type WalRecord } from "./wal-record.js";
import {
  openSegment,
  SEGMENT_HEAD_BYTES,
  type SegmentContext,
  segmentName,
  segmentNumbers,
} from "./wal-segment.js";

/** Where writing goes on. */
export interface WalTail {
  readonly number: number;
  readonly sealer: Sealer;
  readonly sizeBytes: number;
  readonly position: number;
  /** Zeros must be written from `position` up to here first; equal to `position` when nothing is torn. */
  readonly dirtyEnd: number;
}

export interface RecoveredWal {
  readonly hardState: HardState;
  readonly log: EntryLog;
  /** Segments that hold records, ascending, and the highest entry index recorded in each (0: none). */
  readonly segments: readonly { readonly number: number; readonly lastIndex: number }[];
  readonly nextSequence: number;
  /** undefined: the folder holds no log yet. */
  readonly tail: WalTail | undefined;
  /** Segments prepared ahead, or holding nothing but torn writes: to be removed. */
  readonly surplus: readonly number[];
}

export async function recoverWal(context: SegmentContext): Promise<RecoveredWal> {
  const numbers = segmentNumbers(await context.disk.list());
  const replay = new Replay();
  const segments: { number: number; lastIndex: number }[] = [];
  const surplus: number[] = [];
  let tail: WalTail | undefined;
  let sequence: number | undefined;
  for (const number of numbers) {
    const bytes = await context.disk.read(segmentName(number));
    invariant(bytes !== undefined, `segment ${number} vanished while it was read`);
    const sealer = openSegment(bytes, number, context);
    let at = SEGMENT_HEAD_BYTES;
    let lastIndex = 0;
    for (let head = readFrameHead(bytes, at); head !== undefined; head = readFrameHead(bytes, at)) {
      if (sequence !== undefined && head.sequence !== sequence) break;
      for (const record of decodeRecords(openFrame(bytes, at, head, sealer))) {
        replay.take(record);
        if (record.kind === "entry") lastIndex = Math.max(lastIndex, record.entry.index);
      }
      sequence = head.sequence + 1;
      at = head.end;
    }
    if (findLaterGroup(bytes, at, sequence ?? 1) !== undefined) {
      throw new DataLossError(
        `log segment ${segmentName(number)} is damaged at byte ${at}, and intact records follow`,
      );
    }
    if (at === SEGMENT_HEAD_BYTES && tail !== undefined) {
      surplus.push(number);
      continue;
    }
    if (surplus.length > 0 || (tail !== undefined && number !== tail.number + 1)) {
      throw new DataLossError(`log segment ${segmentName(number - 1)} is missing`);
    }
    segments.push({ number, lastIndex });
    tail = { number, sealer, sizeBytes: bytes.length, position: at, dirtyEnd: Math.max(at, dirtyEnd(bytes)) };
  }
  return { ...replay.finish(), segments, nextSequence: sequence ?? 1, tail, surplus };
}

/** One past the last byte that is not zero. */
function dirtyEnd(bytes: Buffer): number {
  const step = 4096;
  const zeros = Buffer.alloc(step);
  let end = bytes.length;
  while (end > 0) {
    const start = Math.max(0, end - step);
    if (!bytes.subarray(start, end).equals(zeros.subarray(0, end - start))) break;
    end = start;
  }
  while (end > 0 && bytes[end - 1] === 0) end -= 1;
  return end;
}

/** Term of a point that the oldest segment implies but does not name; a later `base` record must name it. */
const UNKNOWN_TERM = -1;

class Replay {
  #hardState: HardState = { term: 0, vote: 0, commit: 0 };
  #log = new EntryLog({ index: 0, term: 0 });
  #sawEntry = false;

  take(record: WalRecord): void {
    switch (record.kind) {
      case "hard-state":
        this.#hardState = record.hardState;
        return;
      case "base":
        this.#takeBase(record.base);
        return;
      case "entry": {
        const { index } = record.entry;
        // Older segments were removed after a compaction that this one records further on.
        if (!this.#sawEntry && index > this.#log.lastIndex + 1) {
          this.#log = new EntryLog({ index: index - 1, term: UNKNOWN_TERM });
        }
        if (index > this.#log.lastIndex + 1) {
          throw new DataLossError(`the log has a gap: entry ${index} after ${this.#log.lastIndex}`);
        }
        this.#sawEntry = true;
        this.#log.append([record.entry]);
        return;
      }
    }
  }

  #takeBase(base: LogPoint): void {
    const implied = this.#log.base;
    if (implied.term === UNKNOWN_TERM && implied.index === base.index) {
      const held = this.#log.slice(implied.index + 1, this.#log.lastIndex + 1, Number.POSITIVE_INFINITY);
      this.#log = new EntryLog(base, held);
    } else {
      this.#log.setBase(base);
    }
  }

  finish(): { hardState: HardState; log: EntryLog } {
    const base: LogPoint = this.#log.base;
    if (base.term === UNKNOWN_TERM)
      throw new DataLossError(`the log begins at ${base.index + 1} without its start`);
    return { hardState: this.#hardState, log: this.#log };
  }
}
