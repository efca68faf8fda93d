/** What reads as written and is not on the disk: left by a process that died, or by a failed write-back. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { UnavailableError } from "../../base/errors/errors.js";
import { silentLogger } from "../../base/log/logger.js";
import { SeededRandom } from "../../base/random/seeded-random.js";
import { EntryKind } from "../../proto/gen/skein/v1/raft.js";
import type { Entry } from "../core/types.js";
import type { Disk } from "./disk.js";
import { openFileWal } from "./file-wal.js";
import { MemoryDisk } from "./memory-disk.js";
import { segmentName } from "./wal-segment.js";

const KEY = new SeededRandom("key").bytes(32);
const keys = { currentId: 1, key: () => KEY };

function open(disk: Disk) {
  const random = new SeededRandom("n");
  return openFileWal({ disk, keys, random, log: silentLogger, segmentBytes: 8 * 1024 });
}

function entry(index: number, bytes = 600): Entry {
  return { term: 1, index, kind: EntryKind.NORMAL, data: Buffer.alloc(bytes, index) };
}

async function lastIndexIn(disk: MemoryDisk): Promise<number> {
  const { wal, log } = await open(disk);
  await wal.close();
  return log.lastIndex;
}

test("what a process that died left unsynced is durable once the log is open, or not there", async () => {
  const ends = new Set<number>();
  for (let seed = 0; seed < 40; seed++) {
    const random = new SeededRandom(seed);
    const disk = new MemoryDisk();
    const { wal } = await open(disk);
    for (let index = 1; index <= 1 + (seed % 9); index++) await wal.append({ entries: [entry(index)] });
    const last = 1 + (seed % 9);
    disk.hang();
    void wal.append({ entries: [entry(last + 1, 1_500)] });
    for (let i = 0; i < 10; i++) await Promise.resolve();
    const second = disk.die(random);
    const { log } = await open(second);
    ends.add(log.lastIndex - last);
    assert.equal(await lastIndexIn(second.crash(random)), log.lastIndex, `seed ${seed}`);
  }
  assert.deepEqual([...ends].sort(), [0, 1]);
});

/** The disk hangs at the first write of zeros, as if the process were killed in it. */
function hangingAtZeros(disk: MemoryDisk): Disk {
  return {
    list: () => disk.list(),
    read: (name) => disk.read(name),
    replace: (name, bytes, options) => disk.replace(name, bytes, options),
    remove: (name) => disk.remove(name),
    open: async (name) => {
      const file = await disk.open(name);
      const writeDurably = (position: number, bytes: Uint8Array): Promise<void> => {
        if (bytes.every((byte) => byte === 0)) disk.hang();
        return file.writeDurably(position, bytes);
      };
      return { writeDurably, close: () => file.close() };
    },
  };
}

test("a torn write does not come back behind later ones when the process died while it was zeroed", async () => {
  let torn = 0;
  for (let seed = 0; seed < 80; seed++) {
    const random = new SeededRandom(seed);
    const disk = new MemoryDisk();
    const { wal } = await open(disk);
    await wal.append({ entries: [entry(1)] });
    disk.hang();
    void wal.append({ entries: [entry(2, 2_000)] });
    for (let i = 0; i < 10; i++) await Promise.resolve();
    const second = disk.crash(random);
    void open(hangingAtZeros(second)); // for ever, when there is anything to zero
    await setImmediate();
    if ((await second.read("wal-repair")) === undefined) continue;
    torn += 1;
    const third = second.die(random);
    const { wal: again } = await open(third);
    await again.append({ entries: [entry(2, 100)] });
    assert.equal(await lastIndexIn(third.crash(random)), 2, `seed ${seed}`);
  }
  assert.ok(torn > 20, `too few torn writes: ${torn}`);
});

test("after an i/o error whose bytes read as written, they are written again before they count", async () => {
  for (let seed = 0; seed < 20; seed++) {
    const disk = new MemoryDisk();
    const { wal } = await open(disk);
    await wal.append({ entries: [entry(1)] });
    disk.failNextWriteUnseen();
    await assert.rejects(wal.append({ entries: [entry(2)] }), UnavailableError);
    await wal.close();
    const { log } = await open(disk);
    assert.equal(log.lastIndex, 2);
    assert.equal(await lastIndexIn(disk.crash(new SeededRandom(seed))), 2);
  }
});

test("an idle log proves its newest group by another one, once", async () => {
  const disk = new MemoryDisk();
  const { wal } = await open(disk);
  await wal.append({ entries: [entry(1)], hardState: { term: 1, vote: 1, commit: 0 } });
  const writes = disk.writeCount;
  await wal.maintain();
  assert.equal(disk.writeCount, writes, "not at the first call after an append");
  for (let call = 0; call < 50; call++) await wal.maintain();
  assert.equal(disk.writeCount, writes + 1);
  await wal.append({ entries: [entry(2)] });
  await wal.maintain();
  await wal.maintain();
  await wal.maintain();
  assert.equal(disk.writeCount, writes + 3);
  await wal.close();
  // Now even zeros where the last entry was are noticed.
  const bytes = await disk.read(segmentName(1));
  assert.ok(bytes);
  const end = bytes.findLastIndex((byte) => byte !== 0) + 1;
  bytes.fill(0, end - 1024, end - 512);
  await disk.replace(segmentName(1), bytes);
  await assert.rejects(open(disk), /is damaged at byte \d+, and intact records follow/);
});

test("a segment that cannot be prepared is trouble, and none any more when there is room", async () => {
  const disk = new MemoryDisk();
  const { wal } = await open(disk);
  disk.capacityBytes = disk.usedBytes;
  for (let index = 1; index <= 4; index++) await wal.append({ entries: [entry(index)] });
  for (let i = 0; i < 10; i++) await Promise.resolve();
  assert.match(wal.trouble ?? "", /cannot be given more room: ENOSPC/);
  disk.capacityBytes = Number.POSITIVE_INFINITY;
  for (let call = 0; call < 60 && wal.trouble !== undefined; call++) await wal.maintain();
  assert.equal(wal.trouble, undefined);
  for (let index = 5; index <= 20; index++) await wal.append({ entries: [entry(index)] });
  await wal.close();
  assert.equal(await lastIndexIn(disk), 20);
});
