/**
 * A segment of the write-ahead log: a preallocated file of zeros whose first sector names it, then frames.
 * Pure but for the codec of its head; the disk is a port.
 *
 *   0  magic "SKWSEG2\0"
 *   8  u64 number of the segment
 *  16  salt of the segment's own key, 16 bytes
 *  32  u32 id of the data key it is sealed under
 *  36  zeros
 * 508  u32 CRC-32 of bytes 0..507
 * 512  frames
 */
import { crc32 } from "node:zlib";
import { DataLossError, FailedPreconditionError } from "../../base/errors/errors.js";
import type { Random } from "../../base/random/random.js";
import { type DataKeys, Sealer } from "./data-key.js";
import type { Disk } from "./disk.js";
import { SECTOR_BYTES } from "./wal-frame.js";

const MAGIC = Buffer.from("SKWSEG2\0");
const OLD_MAGIC = Buffer.from("SKWSEG1\0");
const SALT_AT = 16;
const SALT_END = 32;
const KEY_ID_AT = 32;
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
  readonly keys: DataKeys;
  readonly random: Random;
}

/** What seals a segment's frames, and the data key that comes from. */
export interface SegmentSeal {
  readonly keyId: number;
  readonly sealer: Sealer;
}

/** Makes an empty segment, durably, under the data key that is current at the call. */
export async function createSegment(
  number: number,
  sizeBytes: number,
  context: SegmentContext,
): Promise<SegmentSeal> {
  const head = Buffer.alloc(SEGMENT_HEAD_BYTES);
  MAGIC.copy(head);
  head.writeBigUInt64LE(BigInt(number), MAGIC.length);
  head.set(context.random.bytes(SALT_END - SALT_AT), SALT_AT);
  head.writeUInt32LE(context.keys.currentId, KEY_ID_AT);
  head.writeUInt32LE(crc32(head.subarray(0, CRC_AT)), CRC_AT);
  await context.disk.replace(segmentName(number), head, { sizeBytes });
  return sealOf(head, context);
}

/**
 * @throws {DataLossError} the head is damaged (a segment appears under its name only when its head is
 * durable), or its data key is gone. {FailedPreconditionError} an older version wrote it.
 */
export function openSegment(bytes: Buffer, number: number, context: SegmentContext): SegmentSeal {
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
  return sealOf(bytes, context);
}

function sealOf(head: Buffer, { keys, random }: SegmentContext): SegmentSeal {
  const salt = new Uint8Array(head.subarray(SALT_AT, SALT_END));
  const keyId = head.readUInt32LE(KEY_ID_AT);
  const sealer = new Sealer({ dataKey: keys.key(keyId), purpose: "skein wal segment", salt, random });
  return { keyId, sealer };
}
