/**
 * A frame of the write-ahead log: some records, sealed together, with what recovery needs in the clear.
 * Edge: to node:zlib (checksum). Pure otherwise.
 *
 *   0  magic "SKWF"
 *   4  u32 length of the sealed body
 *   8  u64 sequence: frames count up by one through all segments
 *  16  u64 group: sequence of the first frame that was written in the same sync
 *  24  u32 CRC-32 of bytes 0..23
 *  28  u32 CRC-32 of bytes 0..27 and of everything from 32 on
 *  32  body: nonce, AES-256-GCM ciphertext of records, tag; bytes 0..23 are authenticated with it
 *   …  bytes 0xff up to the next sector boundary
 *
 * A frame begins and ends at a boundary of 512 bytes, and what lies ahead in a segment is zero. So a sector
 * of a frame either was written and is not zero (the first holds the magic, the last at least one byte of tag
 * or filler, those between are ciphertext), or was not and is zero: what a write left out can be seen. The
 * assumption is that a sector of 512 bytes reaches the disk whole or not at all.
 *
 * Why the group: the sectors of one sync may reach the disk in any order, those of an earlier sync were all
 * there before. The head of a later group therefore proves every earlier frame.
 */
import { crc32 } from "node:zlib";
import { SEAL_BYTES, type Sealer } from "./data-key.js";

/** What a disk writes whole or not at all. */
export const SECTOR_BYTES = 512;
const FRAME_HEAD_BYTES = 32;
const MAGIC = Buffer.from("SKWF");
const AUTHENTICATED_BYTES = 24;
const HEAD_CRC_AT = 24;
const CRC_AT = 28;
const FILLER = 0xff;
const ZEROS = Buffer.alloc(SECTOR_BYTES);

export interface FrameHead {
  readonly sequence: number;
  readonly group: number;
  /** Where the body ends. */
  readonly bodyEnd: number;
  /** Where the next frame begins. */
  readonly end: number;
}

/** What stands where a frame may begin. */
export type FrameFound =
  | { readonly kind: "frame"; readonly head: FrameHead }
  /** Nothing was written here, or its first sector was not. */
  | { readonly kind: "blank" }
  /** A sector of it never reached the disk. */
  | { readonly kind: "torn"; readonly head: FrameHead }
  /** All of it was written, and it is not what was written. */
  | { readonly kind: "damaged"; readonly why: string };

export function upToSector(position: number): number {
  return Math.ceil(position / SECTOR_BYTES) * SECTOR_BYTES;
}

/** Bytes of a frame whose records have so many. */
export function frameBytes(recordBytes: number): number {
  return upToSector(FRAME_HEAD_BYTES + SEAL_BYTES + recordBytes);
}

export function encodeFrame(
  place: { sequence: number; group: number },
  records: Uint8Array,
  sealer: Sealer,
): Buffer {
  const frame = Buffer.allocUnsafe(frameBytes(records.length));
  MAGIC.copy(frame, 0);
  frame.writeUInt32LE(records.length + SEAL_BYTES, 4);
  frame.writeBigUInt64LE(BigInt(place.sequence), 8);
  frame.writeBigUInt64LE(BigInt(place.group), 16);
  frame.writeUInt32LE(crc32(frame.subarray(0, HEAD_CRC_AT)), HEAD_CRC_AT);
  const body = sealer.seal(records, frame.subarray(0, AUTHENTICATED_BYTES));
  body.copy(frame, FRAME_HEAD_BYTES);
  frame.fill(FILLER, FRAME_HEAD_BYTES + body.length);
  frame.writeUInt32LE(crcOf(frame, 0, frame.length), CRC_AT);
  return frame;
}

/** @param at a sector boundary. */
export function readFrame(bytes: Buffer, at: number): FrameFound {
  if (at + SECTOR_BYTES > bytes.length || isZero(bytes, at)) return { kind: "blank" };
  const head = readHead(bytes, at);
  if (head === undefined) return { kind: "damaged", why: "a frame's head is not whole" };
  for (let sector = at + SECTOR_BYTES; sector < head.end; sector += SECTOR_BYTES) {
    if (isZero(bytes, sector)) return { kind: "torn", head };
  }
  if (crcOf(bytes, at, head.end) !== bytes.readUInt32LE(at + CRC_AT)) {
    return { kind: "damaged", why: "a frame does not match its checksum" };
  }
  return { kind: "frame", head };
}

/** @throws {DataLossError} the frame was changed, or the data key is another one. */
export function openFrame(bytes: Buffer, at: number, head: FrameHead, sealer: Sealer): Buffer {
  const body = bytes.subarray(at + FRAME_HEAD_BYTES, head.bodyEnd);
  return sealer.open(body, bytes.subarray(at, at + AUTHENTICATED_BYTES));
}

/** The first frame's head at or after `from` that a later sync wrote than the one `sequence` belonged to. */
export function findLaterGroup(bytes: Buffer, from: number, sequence: number): number | undefined {
  for (let at = from; at + SECTOR_BYTES <= bytes.length; at += SECTOR_BYTES) {
    const head = readHead(bytes, at);
    if (head !== undefined && head.group > sequence) return at;
  }
  return undefined;
}

function readHead(bytes: Buffer, at: number): FrameHead | undefined {
  if (MAGIC.compare(bytes, at, at + MAGIC.length) !== 0) return undefined;
  const sum = crc32(bytes.subarray(at, at + HEAD_CRC_AT));
  if (sum !== bytes.readUInt32LE(at + HEAD_CRC_AT)) return undefined;
  const bodyEnd = at + FRAME_HEAD_BYTES + bytes.readUInt32LE(at + 4);
  const end = upToSector(bodyEnd);
  if (end > bytes.length) return undefined;
  const sequence = Number(bytes.readBigUInt64LE(at + 8));
  return { sequence, group: Number(bytes.readBigUInt64LE(at + 16)), bodyEnd, end };
}

function crcOf(bytes: Buffer, at: number, end: number): number {
  return crc32(bytes.subarray(at + FRAME_HEAD_BYTES, end), crc32(bytes.subarray(at, at + CRC_AT)));
}

function isZero(bytes: Buffer, sector: number): boolean {
  return ZEROS.compare(bytes, sector, sector + SECTOR_BYTES) === 0;
}
