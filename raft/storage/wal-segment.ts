/**
 * A segment of the write-ahead log: a preallocated file of zeros whose first sector names it, then frames.
 * Pure but for the codec of its head; the disk is a port.
 *
 *   0  magic "SKWSEG2\0"
 *   8  u64 number of the segment
 *  16  salt of the segment's own key, 16 bytes
 *  32  zeros
 * 508  u32 CRC-32 of bytes 0..507
 * 512  frames
 */
import { crc32 } from "node:zlib";
import { DataLossError, FailedPreconditionError } from "../../base/errors/errors.js";
import type { Random } from "../../base/random/random.js";
import { Sealer } from "./data-key.js";
import type { Disk } from "./disk.js";
import { SECTOR_BYTES } from "./wal-frame.js";

const MAGIC = Buffer.from("SKWSEG2\0");
const OLD_MAGIC = Buffer.from("SKWSEG1\0");
const SALT_AT = 16;
const SALT_END = 32;
const CRC_AT = 508;
export const SEGMENT_HEAD_BYTES = SECTOR_BYTES;
const NAME = /^wal-([0-9a-f]{12})\.log$/;

export function segmentName(number: number): string {
  return `wal-${number.toString(16).padStart(12, "0")}.log`;
}

/** Numbers of the segments among file names, ascending. */
export function segmentNumbers(names: readonly string[]): readonly number[] {
  return names
    .map((name) => NAME.exec(name)?.[1])
    .filter((hex) => hex !== undefined)
    .map((hex) => Number.parseInt(hex, 16))
    .sort((a, b) => a - b);
}

export interface SegmentContext {
  readonly disk: Disk;
  readonly dataKey: Uint8Array;
  readonly random: Random;
}

/** Makes an empty segment, durably. @returns the sealer of its frames. */
export async function createSegment(
  number: number,
  sizeBytes: number,
  context: SegmentContext,
): Promise<Sealer> {
  const head = Buffer.alloc(SEGMENT_HEAD_BYTES);
  MAGIC.copy(head);
  head.writeBigUInt64LE(BigInt(number), MAGIC.length);
  head.set(context.random.bytes(SALT_END - SALT_AT), SALT_AT);
  head.writeUInt32LE(crc32(head.subarray(0, CRC_AT)), CRC_AT);
  await context.disk.replace(segmentName(number), head, { sizeBytes });
  return sealerOf(head, context);
}

/**
 * @throws {DataLossError} the head is damaged (a segment appears under its name only when its head is
 * durable). {FailedPreconditionError} an older version wrote it.
 */
export function openSegment(bytes: Buffer, number: number, context: SegmentContext): Sealer {
  const magic = bytes.subarray(0, MAGIC.length);
  if (magic.equals(OLD_MAGIC)) {
    throw new FailedPreconditionError(`log segment ${segmentName(number)} is of a version before 0.1.0`);
  }
  const whole = bytes.length >= SEGMENT_HEAD_BYTES && magic.equals(MAGIC);
  if (!whole || crc32(bytes.subarray(0, CRC_AT)) !== bytes.readUInt32LE(CRC_AT)) {
    throw new DataLossError(`the head of log segment ${segmentName(number)} is damaged`);
  }
  if (bytes.readBigUInt64LE(MAGIC.length) !== BigInt(number)) {
    throw new DataLossError(`log segment ${segmentName(number)} carries another segment's number`);
  }
  return sealerOf(bytes, context);
}

function sealerOf(head: Buffer, context: SegmentContext): Sealer {
  const salt = new Uint8Array(head.subarray(SALT_AT, SALT_END));
  return new Sealer({ dataKey: context.dataKey, purpose: "skein wal segment", salt, random: context.random });
}
