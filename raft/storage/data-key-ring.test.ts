import assert from "node:assert/strict";
import { test } from "node:test";
import { DataLossError, PermissionDeniedError } from "../../base/errors/errors.js";
import { SeededRandom } from "../../base/random/seeded-random.js";
import type { DataKeyLock } from "./data-key.js";
import { DATA_KEY_FILE, isDataKeyLocked, openDataKeyRing, readDataKeyRing } from "./data-key-ring.js";
import { MemoryDisk } from "./memory-disk.js";

const random = new SeededRandom("ring");

/** Says its name in front of what it wraps, and inverts the bytes. */
function lockOf(name: string): DataKeyLock {
  const flip = (bytes: Uint8Array): Uint8Array => bytes.map((byte) => byte ^ 0xff);
  return {
    wrap: (keys) => Buffer.concat([Buffer.from(name), flip(keys)]),
    unwrap: (wrapped) => {
      if (Buffer.from(wrapped.subarray(0, name.length)).toString() !== name)
        throw new PermissionDeniedError("another lock");
      return flip(wrapped.subarray(name.length));
    },
  };
}

async function stored(disk: MemoryDisk): Promise<Buffer> {
  return (await disk.read(DATA_KEY_FILE)) ?? Buffer.alloc(0);
}

test("a ring keeps its keys, their ids and the epoch over a restart", async () => {
  const disk = new MemoryDisk();
  const ring = await openDataKeyRing({ disk, random });
  assert.deepEqual([ring.ids, ring.currentId, ring.epoch], [[1], 1, 0]);
  assert.equal(await ring.rotate(4), false, "the first epoch it hears of is its own");
  assert.equal(await ring.rotate(5), true);
  assert.equal(await ring.rotate(5), false);
  assert.equal(await ring.rotate(3), false);
  const again = await openDataKeyRing({ disk, random });
  assert.deepEqual([again.ids, again.currentId, again.epoch], [[1, 2], 2, 5]);
  assert.deepEqual(again.key(1), ring.key(1));
  assert.deepEqual(again.key(2), ring.key(2));
  assert.notDeepEqual(again.key(1), again.key(2));
});

test("a key goes when nothing needs it, its id never comes back", async () => {
  const disk = new MemoryDisk();
  const ring = await openDataKeyRing({ disk, random });
  await ring.rotate(1);
  await ring.rotate(2);
  await ring.rotate(3);
  assert.deepEqual(await ring.forgetUnused(() => [2]), [1]);
  assert.deepEqual(ring.ids, [2, 3]);
  assert.throws(() => ring.key(1), DataLossError);
  assert.deepEqual(await ring.forgetUnused(() => []), [2]);
  const again = await openDataKeyRing({ disk, random });
  await again.rotate(9);
  assert.equal(again.currentId, 4);
});

test("a locked ring is opened by its lock alone; unlocking needs no new key, locking one", async () => {
  const disk = new MemoryDisk();
  const red = lockOf("red");
  const ring = await openDataKeyRing({ disk, random, lock: red });
  const key = ring.key(1);
  assert.equal(ring.isLocked, true);
  assert.equal(await isDataKeyLocked(disk), true);
  assert.equal((await stored(disk)).includes(Buffer.from(key)), false);
  await assert.rejects(openDataKeyRing({ disk, random }), { code: "failed-precondition" });
  await assert.rejects(openDataKeyRing({ disk, random, lock: lockOf("blue") }), {
    code: "permission-denied",
  });
  assert.deepEqual((await readDataKeyRing(disk, [lockOf("blue"), red])).key(1), key);

  const blue = lockOf("blue");
  assert.equal(await ring.relock(blue), false);
  assert.deepEqual((await openDataKeyRing({ disk, random, lock: blue })).key(1), key);
  assert.equal(await ring.relock(undefined), false);
  assert.equal((await openDataKeyRing({ disk, random })).currentId, 1);
  assert.equal(await ring.relock(red), true, "what stood open may have been read");
  assert.deepEqual([ring.ids, ring.currentId], [[1, 2], 2]);
});

test("a lock that was changed halfway is found among the former ones, and the file follows", async () => {
  const disk = new MemoryDisk();
  const [red, blue] = [lockOf("red"), lockOf("blue")];
  await openDataKeyRing({ disk, random, lock: red });
  await openDataKeyRing({ disk, random, lock: blue, formerLocks: [red] });
  await assert.rejects(openDataKeyRing({ disk, random, lock: red }), { code: "permission-denied" });
  await openDataKeyRing({ disk, random, formerLocks: [blue] });
  assert.equal(await isDataKeyLocked(disk), false);
  const locked = await openDataKeyRing({ disk, random, lock: red });
  assert.equal(locked.currentId, 2);
  assert.equal(await isDataKeyLocked(disk), true);
});

test("the key file of versions before opens as a ring of one", async () => {
  const disk = new MemoryDisk();
  const key = random.bytes(32);
  await disk.replace(DATA_KEY_FILE, Buffer.concat([Buffer.from("SKDEK1\0"), key]));
  const ring = await openDataKeyRing({ disk, random });
  assert.deepEqual([ring.ids, ring.epoch], [[1], 0]);
  assert.deepEqual(ring.key(1), key);
  await ring.rotate(1);
  await ring.rotate(2);
  assert.deepEqual((await openDataKeyRing({ disk, random })).ids, [1, 2]);
});

test("no changed byte of the key file passes, and damage is told from a key that does not fit", async () => {
  for (const lock of [undefined, lockOf("red")]) {
    const disk = new MemoryDisk();
    await openDataKeyRing({ disk, random, lock });
    const size = (await stored(disk)).length;
    for (let at = 0; at < size; at++) {
      disk.rot(DATA_KEY_FILE, at);
      await assert.rejects(openDataKeyRing({ disk, random, lock }), DataLossError, `byte ${at}`);
      disk.rot(DATA_KEY_FILE, at);
    }
  }
});

test("a ring that cannot be written stays as it was", async () => {
  const disk = new MemoryDisk();
  const ring = await openDataKeyRing({ disk, random });
  await ring.rotate(1);
  disk.failNextWrite("ENOSPC");
  await assert.rejects(ring.rotate(2), { code: "ENOSPC" });
  disk.failNextWrite("EIO");
  await assert.rejects(ring.relock(lockOf("red")), { code: "EIO" });
  assert.deepEqual([ring.ids, ring.epoch, ring.isLocked], [[1], 1, false]);
  assert.equal(await ring.rotate(2), true);
});

test("no key is added to a ring of 64, until some go; locking still works", async () => {
  const ring = await openDataKeyRing({ disk: new MemoryDisk(), random });
  for (let epoch = 1; epoch <= 64; epoch++) await ring.rotate(epoch);
  assert.equal(ring.ids.length, 64);
  await assert.rejects(ring.rotate(65), { code: "resource-exhausted" });
  assert.equal(await ring.relock(lockOf("red")), true);
  await ring.forgetUnused(() => []);
  assert.equal(await ring.rotate(65), true);
});
