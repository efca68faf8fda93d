/**
 * What an unlock key locks: bytes sealed so that the key alone opens them. Edge: to node:crypto.
 * The key has 256 random bits, so no slow derivation is needed; each purpose has a key of its own.
 * Invariant: neither key nor content ever stands in an error.
 */
import { createCipheriv, createDecipheriv, hkdfSync } from "node:crypto";
import { PermissionDeniedError } from "../../base/errors/errors.js";
import type { Random } from "../../base/random/random.js";
import type { DataKeyLock } from "../../raft/storage/data-key.js";
import { parseUnlockKey } from "../ca/unlock-key.js";

const NONCE_BYTES = 12;
const TAG_BYTES = 16;

export type LockPurpose = "raft data keys" | "node identity";

/** @throws {InvalidArgumentError} the text is no unlock key. */
export function lockOf(unlockKey: string, purpose: LockPurpose, random: Random): DataKeyLock {
  const secret = parseUnlockKey(unlockKey);
  const key = Buffer.from(hkdfSync("sha256", secret, new Uint8Array(0), `skein lock: ${purpose}`, 32));
  return {
    wrap: (plain) => {
      const nonce = random.bytes(NONCE_BYTES);
      const cipher = createCipheriv("aes-256-gcm", key, nonce);
      return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
    },
    unwrap: (wrapped) => {
      try {
        const end = wrapped.length - TAG_BYTES;
        const decipher = createDecipheriv("aes-256-gcm", key, wrapped.subarray(0, NONCE_BYTES));
        decipher.setAuthTag(wrapped.subarray(end));
        return Buffer.concat([decipher.update(wrapped.subarray(NONCE_BYTES, end)), decipher.final()]);
      } catch {
        throw new PermissionDeniedError("the unlock key does not fit"); // the cause says nothing more
      }
    },
  };
}

/** The lock of Raft's data keys; undefined for "": they stand open. */
export function dataKeyLockOf(unlockKey: string, random: Random): DataKeyLock | undefined {
  return unlockKey === "" ? undefined : lockOf(unlockKey, "raft data keys", random);
}
