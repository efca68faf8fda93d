/**
 * Data keys: 32 random bytes under which everything of Raft is encrypted at rest. Edge: to node:crypto.
 * Invariant: a key never leaves this folder's files, nor memory. A lock (the unlock key of autolock) may wrap
 * them, so that the files alone open nothing.
 */
import { createCipheriv, createDecipheriv, hkdfSync } from "node:crypto";
import { DataLossError } from "../../base/errors/errors.js";
import type { Random } from "../../base/random/random.js";

export const DATA_KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** Nonces are drawn together: a draw of its own for each takes longer than the sealing. */
const NONCES_DRAWN = 256;
/** Bytes that sealing adds: nonce and tag. */
export const SEAL_BYTES = NONCE_BYTES + TAG_BYTES;

/** Wraps data keys under a key of somebody else's (autolock). */
export interface DataKeyLock {
  wrap(dataKeys: Uint8Array): Uint8Array;
  /** @throws {PermissionDeniedError} the key does not fit. */
  unwrap(wrapped: Uint8Array): Uint8Array;
}

/** Data keys by id, as those who seal need them; the ring is data-key-ring.ts. */
export interface DataKeys {
  /** Of the key that new files are sealed under. */
  readonly currentId: number;
  /** @throws {DataLossError} there is none of this id (any more). */
  key(id: number): Uint8Array;
}

/** One key for ever: for tests. */
export function singleDataKey(key: Uint8Array): DataKeys {
  return {
    currentId: 1,
    key: (id) => {
      if (id !== 1) throw new DataLossError(`there is no data key ${id}`);
      return key;
    },
  };
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
    this.#key = Buffer.from(hkdfSync("sha256", options.dataKey, salt, options.purpose, DATA_KEY_BYTES));
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
      decipher.final(); // checks the tag; this mode has nothing left to give
      return plain;
    } catch (error) {
      throw new DataLossError("sealed data does not open: it was changed, or the data key is another", {
        cause: error,
      });
    }
  }
}
