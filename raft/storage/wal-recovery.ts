/**
 * Reading the write-ahead log at start: all records in order, a torn tail found and named,
 * anything else refused.
 * Pure over the disk port.
 * Invariant: no record that was acknowledged as durable is dropped without a DataLossError.
 *
 * Frames are read while their sequence counts up. What stands behind the last of them was written by a sync
 * that never ended exactly when all of this holds; everything else is damage, and refused by name:
 *  - no later segment was written (one is written when all before it is durable),
 *  - no head of a later group follows in the segment,
 *  - of the frame that should follow, a whole sector is still zero: its first one, or, when that one is whole
 *    and says how far the frame reaches, another one.
 * Detected: any damage to any sector of any frame, the last group's too, that does not leave it all zero; any
 * loss, zeroed sectors too, before the last group; a segment that is missing, emptied or exchanged.
 * Not detected here: a disk that gives back zeros for sectors that the very last group wrote. Two things
 * bound that: an idle log appends a group of its own behind the last acknowledged one (`FileWal.maintain`),
 * and the materialised state knows up to where entries were committed (stable-log.ts).
 */
import { DataLossError } from "../../base/errors/errors.js";
import { invariant } from "../../base/errors/invariant.js";
import type { HardState } from "../core/types.js";
import { EntryLog, type LogPoint } from "./entry-log.js";
import { type FrameFound, findLaterGroup, openFrame, readFrame, upToSector } from "./wal-frame.js";
import { decodeRecords, type WalRecord } from "./wal-record.js";
import {
  openSegment,
  SEGMENT_HEAD_BYTES,
  type SegmentContext,
  type SegmentSeal,
  segmentName,
  segmentNumbers,
} from "./wal-segment.js";

/** Where writing goes on. */
export interface WalTail {
  readonly number: number;
  readonly seal: SegmentSeal;
  readonly sizeBytes: number;
  readonly position: number;
  /**
   * The frames of the newest group, as they were read: perhaps from memory of the system only, since a
   * process that died, or was told of an i/o error, may have left them there unsynced.
   */
  readonly newest: { readonly position: number; readonly bytes: Buffer };
  /** Zeros must be written from `position` up to here first; equal to `position` when nothing is torn. */
  readonly dirtyEnd: number;
}

export interface SegmentSummary {
  readonly number: number;
  /** The highest entry index recorded in it; 0: none. */
  readonly lastIndex: number;
  /** Of the data key it is sealed under. */
  readonly keyId: number;
}

export interface RecoveredWal {
  readonly hardState: HardState;
  readonly log: EntryLog;
  /** Segments that hold records, ascending. */
  readonly segments: readonly SegmentSummary[];
  readonly nextSequence: number;
  /** undefined: the folder holds no log yet. */
  readonly tail: WalTail | undefined;
  /**
   * Segments prepared ahead, or holding nothing but torn writes: to be zeroed up to `dirtyEnd`, which is
   * their head's end when there is nothing to zero, then removed.
   */
  readonly surplus: readonly { readonly number: number; readonly dirtyEnd: number }[];
}

/** Where the frames of a segment end, with something behind them. */
interface Doubt {
  readonly number: number;
  readonly at: number;
  /** undefined: a write that was torn leaves this. */
  readonly damage: string | undefined;
}

function damaged({ number, at, damage }: Doubt, what: string): DataLossError {
  const why = damage === undefined ? "" : `: ${damage}`;
  return new DataLossError(`log segment ${segmentName(number)} is damaged at byte ${at}${what}${why}`);
}

/** @throws {DataLossError} records are damaged or missing that may have been acknowledged. */
export async function recoverWal(context: SegmentContext): Promise<RecoveredWal> {
  const numbers = segmentNumbers(await context.disk.list());
  const replay = new Replay();
  const segments: SegmentSummary[] = [];
  const surplus: { number: number; dirtyEnd: number }[] = [];
  let tail: WalTail | undefined;
  let sequence: number | undefined;
  let doubt: Doubt | undefined;
  for (const number of numbers) {
    const bytes = await context.disk.read(segmentName(number));
    invariant(bytes !== undefined, `segment ${number} vanished while it was read`);
    const seal = openSegment(bytes, number, context);
    const end = dirtyEnd(bytes);
    let at = SEGMENT_HEAD_BYTES;
    let lastIndex = 0;
    let group = -1;
    let groupAt = at;
    let found = readFrame(bytes, at);
    if (end > at && surplus.length > 0)
      throw new DataLossError(`log segment ${segmentName(number - 1)} is empty`);
    if (end > at && doubt !== undefined) {
      // A segment is written when all before it is durable. The next number in the chain proves that nothing
      // is missing; then it does not matter what stands behind the last frame.
      const goesOn = found.kind === "frame" && found.head.sequence === sequence;
      if (!goesOn) throw damaged(doubt, ", and another segment follows");
      doubt = undefined;
    }
    for (; found.kind === "frame"; found = readFrame(bytes, at)) {
      const { head } = found;
      if (sequence !== undefined && head.sequence !== sequence) break;
      for (const record of decodeRecords(openFrame(bytes, at, head, seal.sealer))) {
        replay.take(record);
        if (record.kind === "entry") lastIndex = Math.max(lastIndex, record.entry.index);
      }
      if (head.group !== group) groupAt = at;
      group = head.group;
      sequence = head.sequence + 1;
      at = head.end;
    }
    if (end > at) {
      doubt = { number, at, damage: damageOf(found, sequence) };
      if (findLaterGroup(bytes, at, sequence ?? 1) !== undefined)
        throw damaged(doubt, ", and intact records follow");
    }
    if (at === SEGMENT_HEAD_BYTES && tail !== undefined) {
      surplus.push({ number, dirtyEnd: end });
      continue;
    }
    if (at === SEGMENT_HEAD_BYTES && number > 1) {
      throw new DataLossError(`the oldest log segment ${segmentName(number)} is empty`);
    }
    if (surplus.length > 0 || (tail !== undefined && number !== tail.number + 1)) {
      throw new DataLossError(`log segment ${segmentName(number - 1)} is missing`);
    }
    segments.push({ number, lastIndex, keyId: seal.keyId });
    const newest = { position: groupAt, bytes: bytes.subarray(groupAt, at) };
    tail = { number, seal, sizeBytes: bytes.length, position: at, newest, dirtyEnd: Math.max(at, end) };
  }
  if (doubt?.damage !== undefined) throw damaged(doubt, "");
  return { ...replay.finish(), segments, nextSequence: sequence ?? 1, tail, surplus };
}

/** What is wrong where the frames end; undefined when it is what a torn write leaves. */
function damageOf(found: FrameFound, sequence: number | undefined): string | undefined {
  switch (found.kind) {
    case "blank":
      return undefined;
    case "damaged":
      return found.why;
    case "torn":
    case "frame": {
      const { head } = found;
      const isNext = sequence === undefined || head.sequence === sequence;
      return isNext ? undefined : `frame ${head.sequence} stands where ${sequence} belongs`;
    }
  }
}

/** End of the last sector that is not all zero. */
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
  return upToSector(end);
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
