/**
 * Digests of secrets' and configs' data, counted once: data in the store never changes.
 * Pure.
 */
import { createHash } from "node:crypto";

const digests = new WeakMap<Uint8Array, string>();

/** @returns the SHA-256 in hex. */
export function dataDigest(data: Uint8Array): string {
  const known = digests.get(data);
  if (known !== undefined) return known;
  const digest = createHash("sha256").update(data).digest("hex");
  digests.set(data, digest);
  return digest;
}
