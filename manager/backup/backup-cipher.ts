/**
 * The encrypted body of a backup: chunks of AES-256-GCM whose nonce counts them and marks the last one.
 * Edge: to node:crypto. Invariant: a stream that was cut, joined, reordered or changed anywhere does not
 * open; a chunk's plain text is handed on only after its own tag was checked, and nobody acts on it before
 * the last.
 * Source: STREAM (Hoang, Reyhanitabar, Rogaway, Vizár, "Online Authenticated-Encryption and its Nonce-Reuse
 * Misuse-Resistance", 2015).
 */
import { createCipheriv, createDecipheriv } from "node:crypto";
import { InvalidArgumentError } from "../../base/errors/errors.js";
import type { BackupHeader } from "./backup-header.js";
import type { ByteReader } from "./byte-reader.js";

const TAG_BYTES = 16;
const NONCE_BYTES = 12;
/** The nonce of the header's tag, which no chunk has. */
const HEADER_NONCE = Buffer.alloc(NONCE_BYTES, 0xff);
export const HEADER_TAG_BYTES = TAG_BYTES;

/** Counter in eight bytes, then three zeros, then 1 for the last chunk. */
function nonceOf(counter: number, last: boolean): Buffer {
  const nonce = Buffer.alloc(NONCE_BYTES);
  nonce.writeBigUInt64BE(BigInt(counter), 0);
  nonce[NONCE_BYTES - 1] = last ? 1 : 0;
  return nonce;
}

function seal(key: Buffer, nonce: Buffer, plain: Uint8Array, context?: Buffer): Buffer {
  const cipher = createCipheriv("aes-256-gcm", key, nonce);
  if (context !== undefined) cipher.setAAD(context);
  return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

/** @returns undefined when key, nonce, context or bytes are not those of `seal`. */
function open(key: Buffer, nonce: Buffer, sealed: Buffer, context?: Buffer): Buffer | undefined {
  if (sealed.length < TAG_BYTES) return undefined;
  const end = sealed.length - TAG_BYTES;
  const decipher = createDecipheriv("aes-256-gcm", key, nonce);
  if (context !== undefined) decipher.setAAD(context);
  decipher.setAuthTag(sealed.subarray(end));
  const plain = decipher.update(sealed.subarray(0, end));
  try {
    return Buffer.concat([plain, decipher.final()]);
  } catch {
    return undefined; // node says "unable to authenticate" and no more; the caller knows what it means here
  }
}

/** Sixteen bytes that follow the header: they prove both it and the key. */
export function sealHeader(key: Buffer, headerBytes: Buffer): Buffer {
  return seal(key, HEADER_NONCE, new Uint8Array(0), headerBytes);
}

/** @throws {InvalidArgumentError} the key is another's. */
export function checkHeader(key: Buffer, headerBytes: Buffer, tag: Buffer, header: BackupHeader): void {
  if (tag.length < TAG_BYTES) throw new InvalidArgumentError("the backup is cut off within its header");
  if (open(key, HEADER_NONCE, tag, headerBytes) !== undefined) return;
  throw new InvalidArgumentError(
    header.keyKind === "passphrase"
      ? "wrong passphrase: it does not open this backup"
      : "wrong recovery key: it does not open this backup",
  );
}

/** Collects plain bytes and seals them chunk by chunk; the newest is held back, for it may be the last. */
export class ChunkSealer {
  readonly #key: Buffer;
  readonly #chunkBytes: number;
  #held: Buffer[] = [];
  #heldBytes = 0;
  #counter = 0;

  constructor(key: Buffer, chunkBytes: number) {
    this.#key = key;
    this.#chunkBytes = chunkBytes;
  }

  /** @returns the chunks that are full now; often none. */
  push(plain: Buffer): Buffer {
    this.#held.push(plain);
    this.#heldBytes += plain.length;
    if (this.#heldBytes <= this.#chunkBytes) return Buffer.alloc(0);
    const all = Buffer.concat(this.#held);
    const sealed: Buffer[] = [];
    let at = 0;
    for (; all.length - at > this.#chunkBytes; at += this.#chunkBytes) {
      sealed.push(this.#seal(all.subarray(at, at + this.#chunkBytes), false));
    }
    this.#held = [all.subarray(at)];
    this.#heldBytes = all.length - at;
    return Buffer.concat(sealed);
  }

  finish(): Buffer {
    return this.#seal(Buffer.concat(this.#held), true);
  }

  #seal(plain: Buffer, last: boolean): Buffer {
    const nonce = nonceOf(this.#counter, last);
    this.#counter += 1;
    return seal(this.#key, nonce, plain);
  }
}

/**
 * The plain text of the chunks, in order; ends only after the last one was seen and nothing follows.
 * @throws {InvalidArgumentError} damaged or cut off, and where.
 */
export async function* openChunks(
  reader: ByteReader,
  key: Buffer,
  options: { chunkBytes: number; startAt: number },
): AsyncGenerator<Buffer> {
  const sealedBytes = options.chunkBytes + TAG_BYTES;
  for (let counter = 0; ; counter++) {
    const at = options.startAt + counter * sealedBytes;
    const sealed = await reader.read(sealedBytes);
    const last = await reader.atEnd();
    const plain = open(key, nonceOf(counter, last), sealed);
    if (plain === undefined) throw refusal({ reader, key, sealed, counter, last, at });
    yield plain;
    if (last) return;
  }
}

function refusal(found: {
  reader: ByteReader;
  key: Buffer;
  sealed: Buffer;
  counter: number;
  last: boolean;
  at: number;
}): InvalidArgumentError {
  const { key, sealed, counter, last, at } = found;
  if (last && (sealed.length === 0 || open(key, nonceOf(counter, false), sealed) !== undefined))
    return new InvalidArgumentError(`the backup is cut off after ${at + sealed.length} bytes`);
  if (!last && open(key, nonceOf(counter, true), sealed) !== undefined)
    return new InvalidArgumentError(`something was appended to the backup after ${at + sealed.length} bytes`);
  return new InvalidArgumentError(
    `the backup is damaged, or cut off, between bytes ${at} and ${at + sealed.length}: ` +
      "nothing of it was used; take another copy",
  );
}
