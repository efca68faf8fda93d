import assert from "node:assert/strict";
import { cpSync } from "node:fs";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { PermissionDeniedError } from "../../base/errors/errors.js";
import { silentLogger } from "../../base/log/logger.js";
import { SeededRandom } from "../../base/random/seeded-random.js";
import { EntryKind } from "../../proto/gen/skein/v1/raft.js";
import type { Entry } from "../core/types.js";
import type { DataKeyLock } from "../storage/data-key.js";
import type { Disk } from "../storage/disk.js";
import { openFileDisk } from "../storage/file-disk.js";
import { openLevelState } from "../storage/level-state.js";
import { MemoryDisk } from "../storage/memory-disk.js";
import { MemoryState } from "../storage/memory-state.js";
import { DataKeyUpkeep } from "./data-key-upkeep.js";
import type { KeyValueChange } from "./raft-node.js";
import { openRaftStorage, type RaftStorage, type StorageMedia } from "./raft-storage.js";

const MEMBERSHIP = { members: [], removed: [] };
const ENTRIES = 40;

const LOCK: DataKeyLock = {
  wrap: (keys) => keys.map((byte) => byte ^ 0xff),
  unwrap: (wrapped) => {
    if (wrapped[0] === 0) throw new PermissionDeniedError("not locked by this");
    return wrapped.map((byte) => byte ^ 0xff);
  },
};

function entry(index: number): Entry {
  return { index, term: 1, kind: EntryKind.NORMAL, data: Buffer.from(`entry ${index}`.padEnd(300, ".")) };
}

function changesOf({ index, data }: Entry): readonly KeyValueChange[] {
  return [{ key: String(index).padStart(6, "0"), value: data }];
}

function open(media: StorageMedia, lock?: DataKeyLock): Promise<RaftStorage> {
  return openRaftStorage(media, {
    random: new SeededRandom("storage"),
    log: silentLogger,
    lock,
    segmentBytes: 16 * 1024,
    initialMembership: MEMBERSHIP,
  });
}

/** Makes entries durable and applies all but the newest three, as a running member has it. */
async function write(storage: RaftStorage, from: number, to: number): Promise<void> {
  for (let index = from; index <= to; index++) {
    await storage.log.append([entry(index)], { term: 1, vote: 1, commit: index });
  }
  await apply(storage, to - 3);
}

async function apply({ state }: RaftStorage, to: number): Promise<void> {
  while (state.meta.index < to) {
    const index = state.meta.index + 1;
    await state.write({ meta: { index, term: 1, membership: MEMBERSHIP }, changes: changesOf(entry(index)) });
  }
}

function upkeepOf(storage: RaftStorage): DataKeyUpkeep {
  return new DataKeyUpkeep({
    storage,
    trimLog: async () => {
      await storage.state.write({ meta: storage.state.meta, changes: [], sync: true });
      await storage.log.compactDisk(storage.state.meta.index);
    },
    log: silentLogger,
  });
}

/** Applies what is left and lets the upkeep come to its end. */
async function finish(storage: RaftStorage): Promise<void> {
  await apply(storage, storage.log.lastIndex());
  const upkeep = upkeepOf(storage);
  upkeep.tick();
  await upkeep.idle();
}

async function close(storage: RaftStorage): Promise<void> {
  await storage.wal.close();
  await storage.state.close();
}

async function textOf(storage: RaftStorage): Promise<string> {
  const held = new Map<string, string>();
  const snapshot = await storage.state.snapshot();
  for await (const portion of snapshot.portions(4096)) {
    for (const { key, value } of portion) held.set(key, Buffer.from(value).toString());
  }
  await snapshot.close();
  const { log } = storage;
  for (const later of log.entries(log.firstIndex(), log.lastIndex() + 1, Number.POSITIVE_INFINITY)) {
    for (const { key, value } of changesOf(later)) held.set(key, Buffer.from(value ?? "").toString());
  }
  return [...held].map(([key, value]) => `${key} ${value}`).join("\n");
}

function expected(count: number): string {
  return Array.from({ length: count }, (_, i) => entry(i + 1))
    .flatMap(changesOf)
    .map(({ key, value }) => `${key} ${Buffer.from(value ?? "").toString()}`)
    .join("\n");
}

/** Calls back after every operation that changes the folder. */
function watched(disk: Disk, done: () => void): Disk {
  return {
    list: () => disk.list(),
    read: (name) => disk.read(name),
    open: async (name) => {
      const file = await disk.open(name);
      return {
        close: () => file.close(),
        writeDurably: async (position, bytes) => {
          await file.writeDurably(position, bytes);
          done();
        },
      };
    },
    replace: async (name, bytes, options) => {
      await disk.replace(name, bytes, options);
      done();
    },
    remove: async (name) => {
      await disk.remove(name);
      done();
    },
  };
}

async function mediaOf(folder: string, done: () => void = () => undefined): Promise<StorageMedia> {
  const disk = watched(await openFileDisk(folder), done);
  const random = new SeededRandom("state");
  return { disk, openState: (keys) => openLevelState({ folder, disk, keys, random }) };
}

test("a process that dies after any operation of a rotation or a locking finds all its data", async () => {
  const root = await mkdtemp(join(tmpdir(), "skein-keys-"));
  try {
    const images: { folder: string; lock: DataKeyLock | undefined }[] = [];
    let lock: DataKeyLock | undefined;
    let taking = false;
    const storage = await open(
      await mediaOf(join(root, "raft"), () => {
        if (!taking) return;
        const folder = join(root, `image-${images.length}`);
        cpSync(join(root, "raft"), folder, { recursive: true });
        images.push({ folder, lock });
      }),
    );
    await write(storage, 1, ENTRIES);
    await storage.keys.rotate(1);
    taking = true;
    const upkeep = upkeepOf(storage);
    await upkeep.rotate(2);
    await upkeep.idle();
    assert.deepEqual(
      [storage.keys.ids, storage.keys.currentId],
      [[1, 2], 2],
      "entries 38 to 40 stand in an old segment",
    );
    lock = LOCK;
    await upkeep.relock(lock);
    await upkeep.idle();
    taking = false;
    const whole = expected(ENTRIES);
    assert.equal(await textOf(storage), whole);
    await close(storage);

    assert.ok(images.length > 10, `${images.length} operations`);
    for (const [at, image] of images.entries()) {
      const again = await open(await mediaOf(image.folder), image.lock);
      assert.equal(await textOf(again), whole, `after operation ${at}`);
      await finish(again);
      assert.deepEqual(again.keys.ids, [again.keys.currentId], `after operation ${at}`);
      assert.deepEqual(new Set([...again.wal.keyIds, ...again.state.keyIds]), new Set(again.keys.ids));
      assert.equal(await textOf(again), whole, `after operation ${at}`);
      await close(again);
      const folders = (await readdir(image.folder)).filter((name) => name.startsWith("state-"));
      assert.equal(folders.length, 1, `after operation ${at}: ${folders.join()}`);
    }
  } finally {
    await rm(root, { recursive: true });
  }
});

test("a power cut in any write of a rotation loses nothing that was acknowledged", async () => {
  const random = new SeededRandom("cut");
  for (let cutAt = 1, isCut = true; isCut; cutAt++) {
    isCut = false;
    let writes = 0;
    let counting = false;
    let cut: (() => void) | undefined;
    const power = new Promise<void>((resolve) => (cut = resolve));
    const disk = new MemoryDisk({
      latency: async () => {
        if (!counting || ++writes !== cutAt) return;
        isCut = true;
        cut?.();
        await new Promise<never>(() => undefined);
      },
    });
    const state = new MemoryState();
    const storage = await open({ disk, openState: async () => state });
    await write(storage, 1, ENTRIES);
    await storage.keys.rotate(1);
    counting = true;
    let acknowledged = ENTRIES;
    const done = (async () => {
      await upkeepOf(storage).rotate(2);
      await write(storage, ENTRIES + 1, ENTRIES + 5);
      acknowledged = ENTRIES + 5;
      await finish(storage);
    })();
    await Promise.race([power, done]);
    counting = false;
    const found = await open({ disk: disk.crash(random), openState: async () => state });
    assert.ok(found.log.lastIndex() >= acknowledged, `cut at write ${cutAt}: ${found.log.lastIndex()}`);
    assert.equal(await textOf(found), expected(found.log.lastIndex()), `cut at write ${cutAt}`);
    await finish(found);
    assert.equal(found.keys.ids.length, 1, `cut at write ${cutAt}`);
    assert.ok(cutAt < 100, "the rotation never ends");
  }
});
