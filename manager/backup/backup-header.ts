/**
 * The first 72 bytes of a backup file: what it is, and how the key is made. Pure but for a hash.
 * Invariant: magic and version stay where they are in every version, so that any Skein can say that a file is
 * newer than itself. Layout: docs/design/backup.md.
 *
 *   0  8  "SKBACKUP"             11  1  log2 of scrypt's N          16 32  salt
 *   8  2  format version         12  1  scrypt's r                  48 16  zero
 *  10  1  kind of key            13  1  scrypt's p                  64  8  start of SHA-256 of bytes 0 to 63
 *                                14  2  KiB of plain text per chunk
 */
import { createHash } from "node:crypto";
import { InvalidArgumentError } from "../../base/errors/errors.js";

export const FORMAT_VERSION = 1;
export const HEADER_BYTES = 72;
export const SALT_BYTES = 32;
const MAGIC = Buffer.from("SKBACKUP", "latin1");
const AT = {
  version: 8,
  kind: 10,
  log2N: 11,
  r: 12,
  p: 13,
  chunkKib: 14,
  salt: 16,
  zero: 48,
  sum: 64,
} as const;

export interface ScryptCost {
  readonly log2N: number;
  readonly r: number;
  readonly p: number;
}

/** 64 MiB and about 0.4 s of one core: what OWASP's table gives for that much memory. */
export const SCRYPT_COST: ScryptCost = { log2N: 16, r: 8, p: 2 };
/** A file may ask for this much memory before anything of it is authenticated. */
const SCRYPT_BYTES_MAX = 256 * 1024 * 1024;
const SCRYPT_P_MAX = 16;
export const CHUNK_KIB = 64;
const CHUNK_KIB_MAX = 1024;

const KINDS = { passphrase: 1, "recovery-key": 2 } as const;
export type KeyKind = keyof typeof KINDS;

export interface BackupHeader {
  readonly keyKind: KeyKind;
  /** Zeros for a recovery key. */
  readonly cost: ScryptCost;
  readonly chunkKib: number;
  readonly salt: Uint8Array;
}

export function encodeHeader({ keyKind, cost, chunkKib, salt }: BackupHeader): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES);
  bytes.set(MAGIC, 0);
  bytes.writeUInt16BE(FORMAT_VERSION, AT.version);
  bytes.writeUInt8(KINDS[keyKind], AT.kind);
  bytes.writeUInt8(cost.log2N, AT.log2N);
  bytes.writeUInt8(cost.r, AT.r);
  bytes.writeUInt8(cost.p, AT.p);
  bytes.writeUInt16BE(chunkKib, AT.chunkKib);
  bytes.set(salt, AT.salt);
  bytes.set(checksum(bytes), AT.sum);
  return bytes;
}

/** @throws {InvalidArgumentError} no backup, a newer one, or a damaged one. */
export function parseHeader(bytes: Buffer): BackupHeader {
  if (bytes.length < MAGIC.length || !bytes.subarray(0, MAGIC.length).equals(MAGIC))
    throw new InvalidArgumentError("this is no Skein backup: it does not begin like one");
  if (bytes.length < HEADER_BYTES)
    throw new InvalidArgumentError(`the backup is cut off: it has only ${bytes.length} bytes`);
  const version = bytes.readUInt16BE(AT.version);
  if (version > FORMAT_VERSION) {
    throw new InvalidArgumentError(
      `the backup has format ${version}, this Skein reads formats up to ${FORMAT_VERSION}: ` +
        "restore it with the release that wrote it, or a later one",
    );
  }
  if (!bytes.subarray(AT.sum, HEADER_BYTES).equals(checksum(bytes))) throw damagedHeader();
  const kind = bytes.readUInt8(AT.kind);
  const keyKind = (Object.keys(KINDS) as KeyKind[]).find((name) => KINDS[name] === kind);
  const cost = {
    log2N: bytes.readUInt8(AT.log2N),
    r: bytes.readUInt8(AT.r),
    p: bytes.readUInt8(AT.p),
  };
  const chunkKib = bytes.readUInt16BE(AT.chunkKib);
  if (version === 0 || keyKind === undefined || chunkKib === 0 || chunkKib > CHUNK_KIB_MAX)
    throw damagedHeader();
  if (keyKind === "passphrase" && !isPayable(cost)) throw damagedHeader();
  if (bytes.subarray(AT.zero, AT.sum).some((byte) => byte !== 0)) throw damagedHeader();
  return { keyKind, cost, chunkKib, salt: new Uint8Array(bytes.subarray(AT.salt, AT.zero)) };
}

/** Bytes of memory that scrypt takes. */
export function scryptBytes({ log2N, r, p }: ScryptCost): number {
  return 128 * r * (2 ** log2N + p);
}

function isPayable(cost: ScryptCost): boolean {
  const { log2N, r, p } = cost;
  return log2N > 0 && r > 0 && p > 0 && p <= SCRYPT_P_MAX && scryptBytes(cost) <= SCRYPT_BYTES_MAX;
}

function checksum(bytes: Buffer): Buffer {
  return createHash("sha256")
    .update(bytes.subarray(0, AT.sum))
    .digest()
    .subarray(0, HEADER_BYTES - AT.sum);
}

function damagedHeader(): InvalidArgumentError {
  return new InvalidArgumentError("the backup is damaged: its first 72 bytes are not as they were written");
}
