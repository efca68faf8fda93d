/**
 * The data key: 32 random bytes under which everything of Raft is encrypted at rest,
 * made at first start and kept in the file `dek`, readable by its owner only. Edge: to node:crypto.
 * Invariant: the key itself never leaves this folder's files, nor memory. A lock (later:
 * the unlock key of autolock) may wrap it, so that the file alone opens nothing.
 */
import { createCipheriv, createDecipheriv, hkdfSync } from "node:crypto";
import { DataLossError, FailedPreconditionError } from "../../base/errors/errors.js";
import type { Random } from "../../base/random/random.js";
import type { Disk } from "./disk.js";

const FILE = "dek";
const MAGIC = Buffer.from("SKDEK1");
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** Nonces are drawn together: a draw of its own for each takes longer than the sealing. */
const NONCES_DRAWN = 256;
/** Bytes that sealing adds: nonce and tag. */
export const SEAL_BYTES = NONCE_BYTES + TAG_BYTES;

/** Wraps the data key under a key of somebody else's (autolock). */
export interface DataKeyLock {
  wrap(dataKey: Uint8Array): Uint8Array;
  /** @throws {PermissionDeniedError} the key does not fit. */
  unwrap(wrapped: Uint8Array): Uint8Array;
}

export interface DataKeyOptions {
  readonly disk: Disk;
  readonly random: Random;
  /** Absent: the key stands in the file as it is. */
  readonly lock?: DataKeyLock | undefined;
}

/**
 * Loads the data key, or makes one when the folder has none.
 * @throws {FailedPreconditionError} locked. {DataLossError}
 */
export async function openDataKey(options: DataKeyOptions): Promise<Uint8Array> {
  const stored = await options.disk.read(FILE);
  if (stored === undefined) {
    const key = options.random.bytes(KEY_BYTES);
    await storeDataKey(key, options);
    return key;
  }
  const wrapped = stored[MAGIC.length] === 1;
  const body = new Uint8Array(stored.subarray(MAGIC.length + 1));
  if (!stored.subarray(0, MAGIC.length).equals(MAGIC))
    throw new DataLossError("the data key file is damaged");
  if (wrapped && options.lock === undefined) {
    throw new FailedPreconditionError("the Raft data is locked: an unlock key is needed");
  }
  const key = wrapped && options.lock !== undefined ? options.lock.unwrap(body) : body;
  if (key.length !== KEY_BYTES) throw new DataLossError("the data key file is damaged");
  return key;
}

/** Writes the key anew, under the given lock or none: locking and unlocking encrypt no data again. */
export async function storeDataKey(key: Uint8Array, options: DataKeyOptions): Promise<void> {
  const kind = Buffer.from([options.lock === undefined ? 0 : 1]);
  await options.disk.replace(FILE, Buffer.concat([MAGIC, kind, options.lock?.wrap(key) ?? key]));
}

/**
 * Authenticated encryption under one key derived from the data key. Nonces are random:
 * at most 2^32 seals per purpose.
 */
export class Sealer {
  readonly #key: Buffer;
  readonly #random: Random;
  #nonces: Uint8Array = new Uint8Array(0);
  #nonceAt = 0;

  /** @param options.purpose names what the key is for; with `salt` it makes a key of its own. */
  constructor(options: { dataKey: Uint8Array; purpose: string; salt?: Uint8Array; random: Random }) {
    const salt = options.salt ?? new Uint8Array(0);
    this.#key = Buffer.from(hkdfSync("sha256", options.dataKey, salt, options.purpose, KEY_BYTES));
    this.#random = options.random;
  }

  /** @returns nonce, ciphertext, tag. `context` is authenticated, not stored. */
  seal(plain: Uint8Array, context: Uint8Array): Buffer {
    const nonce = this.#nextNonce();
    const cipher = createCipheriv("aes-256-gcm", this.#key, nonce);
    cipher.setAAD(context);
    return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
  }

  #nextNonce(): Uint8Array {
    if (this.#nonceAt + NONCE_BYTES > this.#nonces.length) {
      this.#nonces = this.#random.bytes(NONCE_BYTES * NONCES_DRAWN);
      this.#nonceAt = 0;
    }
    const nonce = this.#nonces.subarray(this.#nonceAt, this.#nonceAt + NONCE_BYTES);
    this.#nonceAt += NONCE_BYTES;
    return nonce;
  }

  /** @throws {DataLossError} the bytes, the context or the key are not those of `seal`. */
  open(sealed: Uint8Array, context: Uint8Array): Buffer {
    if (sealed.length < SEAL_BYTES) throw new DataLossError("sealed data is too short");
    const end = sealed.length - TAG_BYTES;
    const decipher = createDecipheriv("aes-256-gcm", this.#key, sealed.subarray(0, NONCE_BYTES));
    decipher.setAAD(context);
    decipher.setAuthTag(sealed.subarray(end));
    const plain = decipher.update(sealed.subarray(NONCE_BYTES, end));
    try {
      return Buffer.concat([plain, decipher.final()]);
    } catch (error) {
      throw new DataLossError("sealed data does not open: it was changed, or the data key is another", {
        cause: error,
      });
    }
  }
}
