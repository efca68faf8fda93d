/**
 * Keys that unlock a manager's data at rest: `SWMKEY-1-` and 32 random bytes in base 64 without padding.
 * Pure. Source: SwarmKit's format.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import type { Random } from "../../base/random/random.js";

const PREFIX = "SWMKEY-1-";

export function createUnlockKey(random: Random): string {
  return PREFIX + Buffer.from(random.bytes(32)).toString("base64").replace(/=+$/, "");
}

/** @returns the 32 bytes. @throws {InvalidArgumentError} when the text has not the form of an unlock key. */
export function parseUnlockKey(text: string): Uint8Array {
  const body = text.startsWith(PREFIX) ? text.slice(PREFIX.length) : "";
  if (!/^[A-Za-z0-9+/]{43}$/.test(body)) {
    throw new InvalidArgumentError("invalid unlock key: it must have the form SWMKEY-1-<key>");
  }
  return new Uint8Array(Buffer.from(body, "base64"));
}
