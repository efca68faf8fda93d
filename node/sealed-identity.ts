/**
 * A node's identity as its file holds it: open, or with the private key sealed under the unlock key. Pure
 * but for the lock's cipher. Invariant: whoever holds the newest unlock key opens everything here, because
 * the sealed part carries the keys that other files may be locked under still.
 *
 *   open    { keyPem, certificatePem, rootCaPem, formerUnlockKeys? }
 *   locked  { locked, certificatePem, rootCaPem }
 *           locked: { keyPem, formerUnlockKeys? } under the lock, in base 64
 *
 * An open identity with former keys stands on the disk for the moment between two writes when autolock is
 * turned off: what those keys lock is about to be opened, too.
 */
import { DataLossError } from "../base/errors/errors.js";
import type { Random } from "../base/random/random.js";
import { lockOf } from "../manager/keys/unlock-lock.js";
import type { TlsIdentity } from "./rpc-host.js";

/** What a manager's files are locked under. */
export interface FileLock {
  /** "": nothing. */
  readonly unlockKey: string;
  /** Newest first: keys that some file may be locked under still. */
  readonly former: readonly string[];
}

export const NO_LOCK: FileLock = { unlockKey: "", former: [] };

/** As read, before anybody gave a key. */
export interface SealedIdentity {
  readonly locked: string;
  readonly certificatePem: string;
  readonly rootCaPem: string;
}

export interface OpenIdentity {
  readonly identity: TlsIdentity;
  readonly lock: FileLock;
}

interface OpenJson extends TlsIdentity {
  readonly formerUnlockKeys?: readonly string[];
}

export function encodeIdentity({ identity, lock }: OpenIdentity, random: Random): string {
  const { keyPem, certificatePem, rootCaPem } = identity;
  const former = lock.former.length === 0 ? {} : { formerUnlockKeys: lock.former };
  if (lock.unlockKey === "") return `${JSON.stringify({ keyPem, certificatePem, rootCaPem, ...former })}\n`;
  const secret = Buffer.from(JSON.stringify({ keyPem, ...former }));
  const sealed = lockOf(lock.unlockKey, "node identity", random).wrap(secret);
  const locked = Buffer.from(sealed).toString("base64");
  return `${JSON.stringify({ locked, certificatePem, rootCaPem })}\n`;
}

/** @param json what the file parsed to. */
export function decodeIdentity(json: OpenJson | SealedIdentity): OpenIdentity | SealedIdentity {
  if (typeof json !== "object" || json === null) throw new DataLossError("the identity is no JSON object");
  if ("locked" in json) return json;
  const { keyPem, certificatePem, rootCaPem, formerUnlockKeys } = json;
  return {
    identity: { keyPem, certificatePem, rootCaPem },
    lock: { unlockKey: "", former: formerUnlockKeys ?? [] },
  };
}

/**
 * @throws {InvalidArgumentError} the text is no unlock key. {PermissionDeniedError} it does not fit.
 * {DataLossError}
 */
export function openIdentity(sealed: SealedIdentity, unlockKey: string, random: Random): OpenIdentity {
  const lock = lockOf(unlockKey, "node identity", random);
  const secret = lock.unwrap(new Uint8Array(Buffer.from(sealed.locked, "base64")));
  const { keyPem, formerUnlockKeys } = parsed(Buffer.from(secret).toString());
  const { certificatePem, rootCaPem } = sealed;
  return {
    identity: { keyPem, certificatePem, rootCaPem },
    lock: { unlockKey, former: formerUnlockKeys ?? [] },
  };
}

/** The parser's own words are left out: they quote the text, which is a key. */
function parsed(text: string): Pick<OpenJson, "keyPem" | "formerUnlockKeys"> {
  try {
    return JSON.parse(text) as OpenJson; // written above
  } catch {
    throw new DataLossError("the sealed identity is not JSON");
  }
}
