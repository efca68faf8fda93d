/**
 * Randomness of the operating system, fit for keys and tokens. Edge: to node:crypto.
 */
import { randomBytes, randomInt } from "node:crypto";
import type { Random } from "./random.js";

export const systemRandom: Random = {
  uint32: () => randomBytes(4).readUInt32LE(0),
  float: () => randomInt(0, 2 ** 40) / 2 ** 40,
  int: (min, max) => randomInt(min, max),
  bytes: (count) => new Uint8Array(randomBytes(count)),
  child: () => systemRandom,
};
