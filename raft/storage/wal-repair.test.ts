/** A torn write that is made zeros: killed meanwhile, on a full or failing disk, with any note left behind. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { MemoryLogger } from "../../base/log/logger.js";
import type { Random } from "../../base/random/random.js";
import { SeededRandom } from "../../base/random/seeded-random.js";
import { EntryKind } from "../../proto/gen/skein/v1/raft.js";
import type { Entry } from "../core/types.js";
import { singleDataKey } from "./data-key.js";
import type { Disk } from "./disk.js";
import { openFileWal } from "./file-wal.js";
import { MemoryDisk } from "./memory-disk.js";
import { SECTOR_BYTES } from "./wal-frame.js";
import { segmentName } from "./wal-segment.js";

const KEY = singleDataKey(new SeededRandom("key").bytes(32));
const NOTE = "wal-repair";
const SEGMENT_BYTES = 8 * 1024;

/** Draws the same end of every range: all that was under way reads as written, or none of it is durable. */
function always(end: "highest" | "lowest"): Random {
  return Object.assign(new SeededRandom("bytes"), {
    int: (min: number, max: number) => (end === "highest" ? max - 1 : min),
  });
}

function open(disk: Disk, log = new MemoryLogger()) {
  return openFileWal({ disk, keys: KEY, random: new SeededRandom("n"), log, segmentBytes: SEGMENT_BYTES });
}

function entry(index: number, bytes = 100): Entry {
  return { term: 1, index, kind: EntryKind.NORMAL, data: Buffer.alloc(bytes, index) };
}

async function lastIndexIn(disk: Disk): Promise<number> {
  const { wal, log } = await open(disk);
  await wal.close();
  return log.lastIndex;
}

/** One whole entry, and a torn one of five sectors: the first is missing, the others are there. */
async function tornDisk(): Promise<MemoryDisk> {
  const disk = new MemoryDisk();
  const { wal } = await open(disk);
  await wal.append({ entries: [entry(1)] });
  await wal.append({ entries: [entry(2, 2_000)] });
  await wal.close();
  const bytes = await segment(disk);
  bytes.fill(0, 2 * SECTOR_BYTES, 3 * SECTOR_BYTES);
  await disk.replace(segmentName(1), bytes);
  return disk;
}

async function segment(disk: Disk, number = 1): Promise<Buffer> {
  const bytes = await disk.read(segmentName(number));
  assert.ok(bytes);
  return bytes;
}

/** A process is killed in its first write of zeros: all of them read as written, none is durable. */
async function killedInRepair(disk: MemoryDisk): Promise<MemoryDisk> {
  const killing: Disk = {
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
  void open(killing); // for ever
  await setImmediate();
  const next = disk.die(always("highest"));
  const bytes = await segment(next);
  assert.ok(
    bytes.subarray(2 * SECTOR_BYTES).every((byte) => byte === 0),
    "nothing torn can be read any more",
  );
  return next;
}

/** Another entry is acknowledged, then the power fails and all that is not durable comes back. */
async function lastIndexAfterNextLife(disk: MemoryDisk): Promise<number> {
  const { wal } = await open(disk);
  assert.equal(await disk.read(NOTE), undefined, "the note goes when the zeros are durable");
  await wal.append({ entries: [entry(2)] });
  return lastIndexIn(disk.crash(always("lowest")));
}

test("zeros that a killed process left are written again before the log goes on", async () => {
  assert.equal(await lastIndexAfterNextLife(await killedInRepair(await tornDisk())), 2);
});

test("they are however often it is killed", async () => {
  let disk = await tornDisk();
  for (let life = 0; life < 3; life++) disk = await killedInRepair(disk);
  assert.equal(await lastIndexAfterNextLife(disk), 2);
});

test("they are when their writing failed and reads as done", async () => {
  const disk = await tornDisk();
  const failing: Disk = {
    list: () => disk.list(),
    read: (name) => disk.read(name),
    replace: (name, bytes, options) => disk.replace(name, bytes, options),
    remove: (name) => disk.remove(name),
    open: async (name) => {
      disk.failNextWriteUnseen();
      return disk.open(name);
    },
  };
  await disk.replace(NOTE, Buffer.from(`1 ${SEGMENT_BYTES}`)); // so that the write that fails is the zeros'
  await assert.rejects(open(failing), /EIO/);
  assert.equal(await lastIndexAfterNextLife(disk), 2);
});

test("a note that cannot be read means the whole segment", async () => {
  for (const rotten of ["", "1", "1 x", "nonsense", "1 9e9"]) {
    const disk = await killedInRepair(await tornDisk());
    await disk.replace(NOTE, Buffer.from(rotten));
    assert.equal(await lastIndexAfterNextLife(disk), 2, `note ${JSON.stringify(rotten)}`);
    // And nothing torn that can be seen is overlooked.
    const torn = await tornDisk();
    await torn.replace(NOTE, Buffer.from(rotten));
    assert.equal(await lastIndexAfterNextLife(torn), 2, `note ${JSON.stringify(rotten)}`);
  }
});

test("a note that was left behind touches no record, and goes", async () => {
  for (const stale of ["1 0", `1 ${SEGMENT_BYTES}`, "1 99999999999", "2 8192", "99 1024", "rot"]) {
    const disk = new MemoryDisk();
    const { wal } = await open(disk);
    for (let index = 1; index <= 20; index++) await wal.append({ entries: [entry(index, 700)] });
    await wal.close();
    await disk.replace(NOTE, Buffer.from(stale));
    assert.equal(await lastIndexIn(disk), 20, stale);
    assert.equal(await disk.read(NOTE), undefined, stale);
    const { wal: again } = await open(disk);
    await again.append({ entries: [entry(21)] });
    assert.equal(await lastIndexIn(disk.crash(always("lowest"))), 21, stale);
  }
});

test("a full disk has no room for a note, and the log opens", async () => {
  const disk = await tornDisk();
  disk.capacityBytes = disk.usedBytes;
  const log = new MemoryLogger();
  const { wal } = await open(disk, log);
  assert.match(JSON.stringify(log.lines), /cannot note that the end of the log is being repaired/);
  await wal.append({ entries: [entry(2)] });
  assert.equal(await lastIndexIn(disk.crash(always("lowest"))), 2);
});

test("what a killed process made or removed in the folder is durable before the log goes on", async () => {
  const disk = new MemoryDisk();
  const { wal } = await open(disk);
  await wal.append({ entries: [entry(1)] });
  await wal.close();
  let folderIsDurable = false; // as after a kill between a change of the folder and its sync
  const watching: Disk = {
    list: () => disk.list(),
    read: (name) => disk.read(name),
    replace: async (name, bytes, options) => {
      await disk.replace(name, bytes, options);
      folderIsDurable = true;
    },
    remove: async (name) => {
      await disk.remove(name);
      folderIsDurable = true;
    },
    open: (name) => disk.open(name),
  };
  const { wal: again } = await open(watching);
  assert.equal(folderIsDurable, true);
  await again.close();
});
