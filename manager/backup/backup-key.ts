/**
 * What opens a backup: a passphrase of the operator's, or a recovery key made for it.
 * Edge: to node:crypto. Invariant: neither stands in a message, and no two files share a key, because each
 * has a salt of its own. Source: RFC 7914 (scrypt), RFC 5869 (HKDF).
 */
import { hkdfSync, scrypt } from "node:crypto";
import { InvalidArgumentError } from "../../base/errors/errors.js";
import type { Random } from "../../base/random/random.js";
import { type BackupHeader, type KeyKind, scryptBytes } from "./backup-header.js";

const PREFIX = "SKBAK-1-";
const RECOVERY_KEY = /^SKBAK-1-[A-Za-z0-9+/]{43}$/;
const KEY_BYTES = 32;
const PURPOSE = "skein backup 1";
export const PASSPHRASE_CHARS = { min: 8, max: 1024 } as const;

export interface BackupSecret {
  readonly kind: KeyKind;
  readonly text: string;
}

/** `SKBAK-1-` and 32 random bytes in base 64 without padding, as unlock keys look. */
export function createRecoveryKey(random: Random): string {
  return PREFIX + Buffer.from(random.bytes(KEY_BYTES)).toString("base64").replace(/=+$/, "");
}

/**
 * What a person gave: recovery keys are known by their form.
 * @throws {InvalidArgumentError} a mistyped recovery key, or a passphrase too short or too long.
 */
export function parseSecret(text: string): BackupSecret {
  if (text.startsWith(PREFIX)) {
    if (RECOVERY_KEY.test(text)) return { kind: "recovery-key", text };
    throw new InvalidArgumentError(`invalid recovery key: it must have the form ${PREFIX}<43 characters>`);
  }
  const chars = [...text].length;
  if (chars < PASSPHRASE_CHARS.min || chars > PASSPHRASE_CHARS.max) {
    throw new InvalidArgumentError(
      `a backup's passphrase must have ${PASSPHRASE_CHARS.min} to ${PASSPHRASE_CHARS.max} characters, ` +
        `got ${chars}`,
    );
  }
  return { kind: "passphrase", text };
}

/** The key of one file. @throws {InvalidArgumentError} the file wants the other kind of secret. */
export async function deriveKey(secret: BackupSecret, header: BackupHeader): Promise<Buffer> {
  if (secret.kind !== header.keyKind) {
    throw new InvalidArgumentError(
      header.keyKind === "passphrase"
        ? "the backup opens with the passphrase it was made with, not with a recovery key"
        : "the backup opens with the recovery key that was shown when it was made, not with a passphrase",
    );
  }
  const { salt } = header;
  const strong = secret.kind === "passphrase" ? await stretch(secret.text, header) : bytesOf(secret.text);
  return Buffer.from(hkdfSync("sha256", strong, salt, PURPOSE, KEY_BYTES));
}

function bytesOf(recoveryKey: string): Buffer {
  return Buffer.from(recoveryKey.slice(PREFIX.length), "base64");
}

function stretch(passphrase: string, { cost, salt }: BackupHeader): Promise<Buffer> {
  const options = { N: 2 ** cost.log2N, r: cost.r, p: cost.p, maxmem: scryptBytes(cost) + 1024 * 1024 };
  return new Promise((resolve, reject) => {
    scrypt(passphrase.normalize("NFC"), salt, KEY_BYTES, options, (error, key) =>
      error === null ? resolve(key) : reject(error),
    );
  });
}
