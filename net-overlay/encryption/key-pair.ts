/**
 * The node's own key pair for WireGuard: made by the node, kept in memory and in the kernel's device.
 * Pure over the randomness given. Invariant: the private key leaves it towards the kernel alone.
 * Source: RFC 7748 section 5 (clamping), RFC 8410 section 7 (how OpenSSL takes such a key).
 */
import { createPrivateKey, createPublicKey } from "node:crypto";
import type { Random } from "../../base/random/random.js";

export const KEY_BYTES = 32;
/** PKCS #8 of an X25519 key, up to the key itself. */
const PKCS8_HEAD = Buffer.from("302e020100300506032b656e04220420", "hex");

export interface KeyPair {
  readonly privateKey: Uint8Array;
  readonly publicKey: Uint8Array;
}

export function createKeyPair(random: Random): KeyPair {
  const privateKey = random.bytes(KEY_BYTES);
  privateKey[0] = (privateKey[0] ?? 0) & 248;
  privateKey[31] = ((privateKey[31] ?? 0) & 127) | 64;
  return keyPairOf(privateKey);
}

/** @param privateKey 32 bytes. */
export function keyPairOf(privateKey: Uint8Array): KeyPair {
  const der = Buffer.concat([PKCS8_HEAD, privateKey]);
  const publicDer = createPublicKey(createPrivateKey({ key: der, format: "der", type: "pkcs8" })).export({
    format: "der",
    type: "spki",
  });
  der.fill(0);
  return { privateKey, publicKey: new Uint8Array(publicDer.subarray(-KEY_BYTES)) };
}

/** @returns the key; undefined when the text is not base64 of 32 bytes. */
export function parsePublicKey(text: string): Uint8Array | undefined {
  if (!/^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/.test(text)) return undefined;
  return new Uint8Array(Buffer.from(text, "base64"));
}

export function publicKeyText(key: Uint8Array): string {
  return Buffer.from(key).toString("base64");
}
