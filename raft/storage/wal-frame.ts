/**
 * A frame of the write-ahead log: some records, sealed together, with what recovery needs in the clear.
 * Edge: to node:zlib (checksum). Pure otherwise.
 *
 *   0  magic "SKWF"
 *   4  u32 length of the sealed body
 *   8  u64 sequence: frames count up by one through all segments
 *  16  u64 group: sequence of the first frame that was written in the same sync
 *  24  u32 CRC-32 of bytes 0..23 and the body
 *  28  u32 zero, checked: a frame has no byte whose damage goes unseen
 *  32  body: nonce, AES-256-GCM ciphertext of records, tag; bytes 0..23 are authenticated with it
 *
 * Why the group: the frames of one sync may reach the disk in any order,
 * those of an earlier sync were all there before. So a damaged frame is a torn tail exactly when no intact
 * frame of a later group follows it.
 */
import { crc32 } from "node:zlib";
import { SEAL_BYTES, type Sealer } from "./data-key.js";

export const FRAME_HEAD_BYTES = 32;
/** Bytes that a frame adds to its records. */
export const FRAME_OVERHEAD_BYTES = FRAME_HEAD_BYTES + SEAL_BYTES;
const MAGIC = Buffer.from("SKWF");
const CHECKED_BYTES = 24;

export interface FrameHead {
  readonly sequence: number;
  readonly group: number;
  /** Where the next frame begins. */
  readonly end: number;
}

export function encodeFrame(
  place: { sequence: number; group: number },
  records: Uint8Array,
  sealer: Sealer,
): Buffer {
  const head = Buffer.alloc(FRAME_HEAD_BYTES);
  MAGIC.copy(head, 0);
  head.writeUInt32LE(records.length + SEAL_BYTES, 4);
  head.writeBigUInt64LE(BigInt(place.sequence), 8);
  head.writeBigUInt64LE(BigInt(place.group), 16);
  const body = sealer.seal(records, head.subarray(0, CHECKED_BYTES));
  head.writeUInt32LE(crc32(body, crc32(head.subarray(0, CHECKED_BYTES))), CHECKED_BYTES);
  return Buffer.concat([head, body]);
}

/** The head of an intact frame at `at`; undefined when there is none. */
export function readFrameHead(bytes: Buffer, at: number): FrameHead | undefined {
  if (at + FRAME_HEAD_BYTES > bytes.length || !bytes.subarray(at, at + MAGIC.length).equals(MAGIC))
    return undefined;
  const end = at + FRAME_HEAD_BYTES + bytes.readUInt32LE(at + 4);
  if (end > bytes.length || bytes.readUInt32LE(at + CHECKED_BYTES + 4) !== 0) return undefined;
  const sum = crc32(
    bytes.subarray(at + FRAME_HEAD_BYTES, end),
    crc32(bytes.subarray(at, at + CHECKED_BYTES)),
  );
  if (sum !== bytes.readUInt32LE(at + CHECKED_BYTES)) return undefined;
  const sequence = Number(bytes.readBigUInt64LE(at + 8));
  return { sequence, group: Number(bytes.readBigUInt64LE(at + 16)), end };
}

/** @throws {DataLossError} the frame was changed, or the data key is another one. */
export function openFrame(bytes: Buffer, at: number, head: FrameHead, sealer: Sealer): Buffer {
  return sealer.open(bytes.subarray(at + FRAME_HEAD_BYTES, head.end), bytes.subarray(at, at + CHECKED_BYTES));
}

/**
 * The first intact frame at or after `from` that a later sync wrote than the one frame `sequence` belonged
 * to.
 */
export function findLaterGroup(bytes: Buffer, from: number, sequence: number): number | undefined {
  for (let at = bytes.indexOf(MAGIC, from); at >= 0; at = bytes.indexOf(MAGIC, at + 1)) {
    const head = readFrameHead(bytes, at);
    if (head !== undefined && head.group > sequence) return at;
  }
  return undefined;
}
