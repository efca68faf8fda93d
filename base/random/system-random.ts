/**
 * Randomness of the operating system, fit for keys and tokens. Edge: to node:crypto.
 */
import { randomFillSync, randomInt } from "node:crypto";
import type { Random } from "./random.js";

/** Ids and nonces are drawn together: a draw costs microseconds, whatever its size. */
const POOL_BYTES = 4_096;
/** Longer ones, keys among them, are drawn by themselves and leave no copy here. */
const POOLED_BYTES_MAX = 16;

const pool = Buffer.alloc(POOL_BYTES);
let used = POOL_BYTES;

/** Bytes that nobody has got or will get again. */
function drawn(count: number): Uint8Array {
  if (count > POOLED_BYTES_MAX) return randomFillSync(new Uint8Array(count));
  if (used + count > POOL_BYTES) {
    randomFillSync(pool);
    used = 0;
  }
  const bytes = new Uint8Array(pool.subarray(used, used + count)); // a copy
  pool.fill(0, used, used + count);
  used += count;
  return bytes;
}

export const systemRandom: Random = {
  uint32: () => Buffer.from(drawn(4).buffer).readUInt32LE(0),
  float: () => randomInt(0, 2 ** 40) / 2 ** 40,
  int: (min, max) => randomInt(min, max),
  bytes: drawn,
  child: () => systemRandom,
};
