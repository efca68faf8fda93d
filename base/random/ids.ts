/**
 * Object ids: 25 characters of base 36, 125 random bits, as SwarmKit's ids look,
 * so that clients' patterns fit.
 * Pure.
 */
import type { Random } from "./random.js";

export const ID_LENGTH = 25;

/** @returns 25 characters of 0-9a-z. */
export function newId(random: Random): string {
  let value = 0n;
  for (const byte of random.bytes(16)) value = (value << 8n) | BigInt(byte);
  return (value >> 3n).toString(36).padStart(ID_LENGTH, "0").slice(-ID_LENGTH);
}

/** @returns `count` characters of lower-case hexadecimal: container and image style ids use 64. */
export function newHexId(random: Random, count = 64): string {
  return Buffer.from(random.bytes(Math.ceil(count / 2)))
    .toString("hex")
    .slice(0, count);
}
