import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SeededRandom } from "../../base/random/seeded-random.js";
import { BackupHead } from "../../proto/gen/skein/v1/backup.js";
import type { SnapshotPair } from "../../proto/gen/skein/v1/raft.js";
import { HEADER_TAG_BYTES } from "./backup-cipher.js";
import { encodeHeader, HEADER_BYTES, parseHeader, SCRYPT_COST, scryptBytes } from "./backup-header.js";
import { type BackupSecret, createRecoveryKey, parseSecret } from "./backup-key.js";
import { ByteReader } from "./byte-reader.js";
import { openBackup } from "./read-backup.js";
import { writeBackup } from "./write-backup.js";

const random = new SeededRandom("backup");
const KEY: BackupSecret = { kind: "recovery-key", text: createRecoveryKey(random) };
const HEAD = BackupHead.fromPartial({
  clusterId: "c1",
  index: 77,
  term: 3,
  skeinVersion: "0.1.0",
  nodeId: "n1",
});
const SEALED_CHUNK_BYTES = 1024 + 16;
const BODY_AT = HEADER_BYTES + HEADER_TAG_BYTES;

async function* inPieces(bytes: Uint8Array, pieceBytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
}

async function* portionsOf(pairs: readonly SnapshotPair[], count: number): AsyncGenerator<SnapshotPair[]> {
  for (let at = 0; at < pairs.length; at += count) yield pairs.slice(at, at + count);
}

async function backup(pairs: readonly SnapshotPair[], secret = KEY): Promise<Buffer> {
  const parts: Buffer[] = [];
  const options = { head: HEAD, portions: portionsOf(pairs, 3), secret, random, chunkKib: 1 };
  for await (const { data } of writeBackup(options)) parts.push(data);
  return Buffer.concat(parts);
}

async function restore(
  bytes: Uint8Array,
  secret = KEY,
  pieceBytes = 500,
): Promise<{ head: BackupHead; pairs: SnapshotPair[] }> {
  const { head, portions } = await openBackup(inPieces(bytes, pieceBytes), secret);
  const pairs: SnapshotPair[] = [];
  for await (const portion of portions) pairs.push(...portion);
  return { head, pairs };
}

const someBytes = (count: number): Uint8Array => random.bytes(count);
const PAIRS: readonly SnapshotPair[] = Array.from({ length: 40 }, (_, i) => ({
  key: `task/${i}`,
  value: someBytes(i * 17),
}));

const pairArbitrary = fc.record({
  key: fc.string({ minLength: 1, maxLength: 40 }),
  value: fc.uint8Array({ maxLength: 3000 }),
});

test("a backup gives back what was put in, however it is cut into pieces on the way", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(pairArbitrary, { maxLength: 12 }),
      fc.integer({ min: 1, max: 5000 }),
      async (pairs, pieceBytes) => {
        const { head, pairs: found } = await restore(await backup(pairs), KEY, pieceBytes);
        assert.deepEqual(head, HEAD);
        assert.deepEqual(
          found.map(({ key, value }) => [key, Buffer.from(value).toString("hex")]),
          pairs.map(({ key, value }) => [key, Buffer.from(value).toString("hex")]),
        );
      },
    ),
    { numRuns: 60 },
  );
});

test("a backup with any byte changed is refused", async () => {
  const bytes = await backup(PAIRS);
  const places = new Set<number>();
  for (let at = 0; at < BODY_AT + 40; at++) places.add(at); // header, tag and the beginning: every byte
  for (let at = bytes.length - 40; at < bytes.length; at++) places.add(at);
  for (let i = 0; i < 300; i++) places.add(random.int(0, bytes.length));
  for (const at of places) {
    const changed = Buffer.from(bytes);
    changed[at] = (changed[at] ?? 0) ^ (1 << random.int(0, 8));
    await assert.rejects(restore(changed), { name: "InvalidArgumentError" }, `byte ${at}`);
  }
});

test("a backup cut off anywhere is refused, at the borders of chunks, too", async () => {
  const bytes = await backup(PAIRS);
  const places = new Set([0, 1, 8, HEADER_BYTES - 1, HEADER_BYTES, BODY_AT - 1, BODY_AT, bytes.length - 1]);
  for (let at = BODY_AT; at < bytes.length; at += SEALED_CHUNK_BYTES) places.add(at);
  for (let i = 0; i < 200; i++) places.add(random.int(0, bytes.length));
  for (const at of places)
    await assert.rejects(restore(bytes.subarray(0, at)), { name: "InvalidArgumentError" }, `cut at ${at}`);
  await assert.rejects(
    restore(bytes.subarray(0, BODY_AT + 3 * SEALED_CHUNK_BYTES)),
    /cut off after 3208 bytes/,
  );
  await assert.rejects(restore(Buffer.concat([bytes, Buffer.from("x")])), /appended|damaged/);
  await assert.rejects(restore(Buffer.concat([bytes, bytes])), /appended|damaged/);
});

test("chunks swapped, repeated, left out or taken from another backup are refused", async () => {
  const bytes = await backup(PAIRS);
  const other = await backup(PAIRS);
  const chunk = (of: Buffer, i: number): Buffer =>
    of.subarray(BODY_AT + i * SEALED_CHUNK_BYTES, BODY_AT + (i + 1) * SEALED_CHUNK_BYTES);
  const head = bytes.subarray(0, BODY_AT);
  const rest = (from: number): Buffer => bytes.subarray(BODY_AT + from * SEALED_CHUNK_BYTES);
  const wrong = {
    swapped: [head, chunk(bytes, 1), chunk(bytes, 0), rest(2)],
    repeated: [head, chunk(bytes, 0), chunk(bytes, 0), rest(1)],
    "left out": [head, chunk(bytes, 0), rest(2)],
    "another's": [head, chunk(other, 0), rest(1)],
    "another's head": [other.subarray(0, BODY_AT), rest(0)],
  };
  for (const [what, parts] of Object.entries(wrong))
    await assert.rejects(restore(Buffer.concat(parts)), /the backup is damaged/, what);
});

test("a wrong key and the wrong kind of key are told apart from damage", async () => {
  const bytes = await backup(PAIRS);
  const otherKey = { ...KEY, text: createRecoveryKey(random) };
  await assert.rejects(restore(bytes, otherKey), /wrong recovery key/);
  await assert.rejects(restore(bytes, parseSecret("correct horse")), /opens with the recovery key/);
});

test("a passphrase opens its backup, however its characters are composed, and no other does", async () => {
  const bytes = await backup(PAIRS.slice(0, 3), parseSecret("caf\u00e9 au lait"));
  assert.equal((await restore(bytes, parseSecret("cafe\u0301 au lait"))).pairs.length, 3);
  await assert.rejects(restore(bytes, parseSecret("cafe au lait")), /wrong passphrase/);
  await assert.rejects(restore(bytes), /opens with the passphrase/);
});

test("secrets are checked for their form before anything is done with them", () => {
  assert.equal(parseSecret(KEY.text).kind, "recovery-key");
  assert.throws(() => parseSecret("SKBAK-1-short"), /must have the form SKBAK-1-/);
  assert.throws(() => parseSecret("short"), /8 to 1024 characters, got 5/);
  assert.throws(() => parseSecret("x".repeat(1025)), /got 1025/);
});

test("a newer format, foreign files and greedy parameters are refused by name", async () => {
  const newer = Buffer.from(await backup(PAIRS));
  newer.writeUInt16BE(2, 8);
  await assert.rejects(restore(newer), /has format 2, this Skein reads formats up to 1/);
  await assert.rejects(restore(Buffer.from("a tar archive, say")), /no Skein backup/);
  const greedy = { keyKind: "passphrase", cost: { log2N: 30, r: 8, p: 1 }, chunkKib: 64 } as const;
  assert.throws(() => parseHeader(encodeHeader({ ...greedy, salt: new Uint8Array(32) })), /damaged/);
  assert.equal(scryptBytes(SCRYPT_COST), 64 * 1024 * 1024 + 2048);
});

test("a reader of bytes gives exact sizes and only the rest at the end", async () => {
  const reader = new ByteReader(inPieces(Buffer.from("abcdefghij"), 3));
  assert.equal((await reader.read(4)).toString(), "abcd");
  assert.equal(await reader.atEnd(), false);
  assert.equal((await reader.read(0)).toString(), "");
  assert.equal((await reader.read(99)).toString(), "efghij");
  assert.equal(await reader.atEnd(), true);
});
