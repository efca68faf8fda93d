/**
 * Keys: both nodes of a pair derive the same, nobody else does; key pairs are what X25519 makes of them.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { SeededRandom } from "../../base/random/seeded-random.js";
import { createKeyPair, keyPairOf, parsePublicKey, publicKeyText } from "./key-pair.js";
import { pairKey } from "./pair-key.js";

const KEY = { generation: 1, key: new Uint8Array(32).fill(7) };

test("both nodes of a pair derive the same key; another pair, generation or cluster another one", () => {
  const key = Buffer.from(pairKey(KEY, ["a", "b"])).toString("hex");
  assert.equal(key.length, 64);
  assert.equal(Buffer.from(pairKey(KEY, ["b", "a"])).toString("hex"), key);
  const others = [
    pairKey(KEY, ["a", "c"]),
    pairKey({ ...KEY, generation: 2 }, ["a", "b"]),
    pairKey({ ...KEY, key: new Uint8Array(32).fill(8) }, ["a", "b"]),
    pairKey(KEY, ['a","b', "c"]),
    pairKey(KEY, ["a", 'b","c']),
    KEY.key,
  ].map((other) => Buffer.from(other).toString("hex"));
  assert.equal(new Set([key, ...others]).size, others.length + 1);
});

test("a key of another length and a pair of one node are refused without showing the key", () => {
  assert.throws(
    () => pairKey({ generation: 1, key: new Uint8Array(31).fill(7) }, ["a", "b"]),
    /32 bytes, got 31$/,
  );
  assert.throws(() => pairKey(KEY, ["a", "a"]), /two nodes/);
});

test("a public key is the one of RFC 7748, section 6.1", () => {
  const alice = "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a";
  assert.equal(
    Buffer.from(keyPairOf(Buffer.from(alice, "hex")).publicKey).toString("hex"),
    "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
  );
});

test("key pairs are clamped, differ, and survive their text", () => {
  const random = new SeededRandom("keys");
  const [one, two] = [createKeyPair(random), createKeyPair(random)];
  assert.notDeepEqual(one, two);
  assert.equal((one.privateKey[0] ?? 1) & 7, 0);
  assert.equal((one.privateKey[31] ?? 0) & 0xc0, 0x40);
  assert.deepEqual(keyPairOf(one.privateKey), one);
  assert.deepEqual(parsePublicKey(publicKeyText(one.publicKey)), one.publicKey);
  for (const text of ["", "abc", `${"A".repeat(43)}`, `${"A".repeat(42)}B=`, `${"!".repeat(43)}=`])
    assert.equal(parsePublicKey(text), undefined);
});
