/**
 * What two nodes share beyond their key pairs: derived by both from the cluster's key, told to nobody.
 * Pure. Invariants: both nodes derive the same; no other pair and no other generation has it; from it the
 * cluster's key does not follow.
 * Source: RFC 5869 (HKDF); docs/design/network-encryption.md, "Keys".
 */
import { hkdfSync } from "node:crypto";
import { InvalidArgumentError } from "../../base/errors/errors.js";

const KEY_BYTES = 32;

/** A generation of the cluster's key. */
export interface NetworkKey {
  readonly generation: number;
  /** 32 bytes. */
  readonly key: Uint8Array;
}

/** @returns 32 bytes. @throws {InvalidArgumentError} a key of another length, or a node with itself. */
export function pairKey({ generation, key }: NetworkKey, nodeIds: readonly [string, string]): Uint8Array {
  const [first, second] = [...nodeIds].sort();
  if (key.length !== KEY_BYTES)
    throw new InvalidArgumentError(`a network key must have ${KEY_BYTES} bytes, got ${key.length}`);
  if (first === second) throw new InvalidArgumentError(`a pair needs two nodes, got ${first} twice`);
  // as JSON no two lists of ids look the same
  const info = JSON.stringify(["skein pair key", 1, generation, first, second]);
  return new Uint8Array(hkdfSync("sha256", key, new Uint8Array(), info, KEY_BYTES));
}
