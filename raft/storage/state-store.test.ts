import assert from "node:assert/strict";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { DataLossError } from "../../base/errors/errors.js";
import { SeededRandom } from "../../base/random/seeded-random.js";
import type { Membership, SnapshotMeta } from "../core/types.js";
import type { KeyValuePair } from "../host/raft-node.js";
import { singleDataKey } from "./data-key.js";
import { openFileDisk } from "./file-disk.js";
import { openLevelState } from "./level-state.js";
import { emptyStateFolder, MemoryState } from "./memory-state.js";
import type { StateSnapshot, StateStore } from "./state-store.js";
import { StateWriter } from "./state-writer.js";

const MEMBERSHIP: Membership = {
  members: [{ raftId: 5, nodeId: "n5", address: "127.0.0.1:1", learner: false }],
  removed: [9],
};
const KEY = singleDataKey(new SeededRandom("key").bytes(32));

function at(index: number): SnapshotMeta {
  return { index, term: 1, membership: MEMBERSHIP };
}

function pair(key: string, value: string): KeyValuePair {
  return { key, value: Buffer.from(value) };
}

async function readAll(snapshot: StateSnapshot, bytesMax = 1 << 20): Promise<string[]> {
  const found: string[] = [];
  for await (const portion of snapshot.portions(bytesMax)) {
    for (const { key, value } of portion) found.push(`${key}=${Buffer.from(value).toString()}`);
  }
  await snapshot.close();
  return found;
}

interface Folder {
  open(): Promise<StateStore>;
  remove(): Promise<void>;
}

async function levelFolder(): Promise<Folder> {
  const folder = await mkdtemp(join(tmpdir(), "skein-state-"));
  const disk = await openFileDisk(folder);
  return {
    open: () => openLevelState({ folder, disk, keys: KEY, random: new SeededRandom("n") }),
    remove: () => rm(folder, { recursive: true }),
  };
}

async function memoryFolder(): Promise<Folder> {
  const folder = emptyStateFolder();
  return { open: async () => new MemoryState(folder), remove: async () => undefined };
}

for (const [name, makeFolder] of Object.entries({ level: levelFolder, memory: memoryFolder })) {
  test(`${name} state keeps pairs and point over a restart`, async () => {
    const folder = await makeFolder();
    const store = await folder.open();
    assert.equal(store.meta.index, 0);
    await store.write({ meta: at(3), changes: [pair("b", "2"), pair("a", "1"), pair("c", "3")] });
    await store.write({ meta: at(4), changes: [{ key: "b", value: undefined }], sync: true });
    await store.close();
    const again = await folder.open();
    assert.deepEqual(again.meta, at(4));
    assert.deepEqual(await readAll(await again.snapshot()), ["a=1", "c=3"]);
    await again.close();
    await folder.remove();
  });

  test(`${name} state gives snapshots that later writes do not disturb, in bounded portions`, async () => {
    const folder = await makeFolder();
    const store = await folder.open();
    const pairs = Array.from({ length: 30 }, (_, i) =>
      pair(`k${String(i).padStart(2, "0")}`, "x".repeat(100)),
    );
    await store.write({ meta: at(1), changes: pairs });
    const snapshot = await store.snapshot();
    await store.write({ meta: at(2), changes: pairs.map(({ key }) => ({ key, value: undefined })) });
    assert.equal(snapshot.meta.index, 1);
    let portions = 0;
    let count = 0;
    for await (const portion of snapshot.portions(1000)) {
      portions += 1;
      count += portion.length;
      assert.ok(portion.reduce((sum, p) => sum + p.value.length, 0) <= 1000);
    }
    await snapshot.close();
    assert.equal(count, 30);
    assert.ok(portions >= 3);
    await store.close();
    await folder.remove();
  });

  test(`${name} state is replaced whole by an install, or not at all`, async () => {
    const folder = await makeFolder();
    const store = await folder.open();
    await store.write({ meta: at(1), changes: [pair("old", "1")] });
    const aborted = await store.beginInstall(at(50));
    await aborted.add([pair("half", "1")]);
    await aborted.abort();
    assert.deepEqual(await readAll(await store.snapshot()), ["old=1"]);
    const install = await store.beginInstall(at(60));
    await install.add([pair("x", "1")]);
    await install.add([pair("y", "2")]);
    assert.deepEqual(store.meta, at(1));
    await install.commit();
    await install.abort();
    assert.deepEqual(store.meta, at(60));
    await store.write({ meta: at(61), changes: [pair("z", "3")] });
    await store.close();
    const again = await folder.open();
    assert.deepEqual(again.meta, at(61));
    assert.deepEqual(await readAll(await again.snapshot()), ["x=1", "y=2", "z=3"]);
    await again.close();
    await folder.remove();
  });
}

test("level state forgets an install that a crash interrupted, and keeps no value in the clear", async () => {
  const folder = await mkdtemp(join(tmpdir(), "skein-state-"));
  const disk = await openFileDisk(folder);
  const options = { folder, disk, keys: KEY, random: new SeededRandom("n") };
  const store = await openLevelState(options);
  await store.write({ meta: at(1), changes: [pair("k", "a-secret-word")], sync: true });
  await store.close();
  const files = await readdir(join(folder, "state-1"));
  for (const file of files) {
    assert.equal((await readFile(join(folder, "state-1", file))).includes("a-secret-word"), false, file);
  }
  await mkdir(join(folder, "state-2"));
  await writeFile(join(folder, "state-2", "half"), "");
  await (await openLevelState(options)).close();
  assert.deepEqual((await readdir(folder)).sort(), ["state", "state-1"]);
  await assert.rejects(
    openLevelState({ ...options, keys: singleDataKey(new SeededRandom("other").bytes(32)) }),
    DataLossError,
  );
  await rm(folder, { recursive: true });
});

test("the state writer merges what arrives during a write and never lets the point run ahead", async () => {
  const written: { index: number; keys: number; sync: boolean }[] = [];
  let release: (() => void) | undefined;
  const inner = new MemoryState();
  const store: StateStore = {
    keyIds: [],
    reseal: async () => undefined,
    get meta() {
      return inner.meta;
    },
    write: async (batch) => {
      if (written.length === 0) await new Promise<void>((resolve) => (release = resolve));
      written.push({ index: batch.meta.index, keys: batch.changes.length, sync: batch.sync ?? false });
      await inner.write(batch);
    },
    snapshot: () => inner.snapshot(),
    beginInstall: (meta) => inner.beginInstall(meta),
    close: () => inner.close(),
  };
  const writer = new StateWriter({ store });
  writer.add({ index: 1, term: 1 }, MEMBERSHIP, [pair("a", "1")]);
  writer.tick();
  await Promise.resolve();
  await Promise.resolve();
  for (let i = 2; i <= 9; i++) writer.add({ index: i, term: 1 }, MEMBERSHIP, [pair("a", String(i))]);
  release?.();
  await writer.flush({ sync: true });
  assert.deepEqual(written, [
    { index: 1, keys: 1, sync: false },
    { index: 9, keys: 1, sync: true },
  ]);
});

test("the state writer forgets what waits when a snapshot takes its place, and writes nothing of it", async () => {
  const store = new MemoryState();
  const writer = new StateWriter({ store });
  writer.add({ index: 1, term: 1 }, MEMBERSHIP, [pair("a", "old")]);
  writer.reset();
  const install = await store.beginInstall({ index: 7, term: 2, membership: MEMBERSHIP });
  await install.add([pair("a", "new")]);
  await Promise.all([install.commit(), writer.flush()]);
  writer.reset();
  await writer.flush({ sync: true });
  assert.deepEqual([store.meta.index, await readAll(await store.snapshot())], [7, ["a=new"]]);
});

test("what is written right behind a synced write does not count as synced", async () => {
  const inner = new MemoryState();
  const synced: number[] = [];
  const store: StateStore = Object.create(inner, {
    meta: { get: () => inner.meta },
    write: {
      value: async (batch: Parameters<StateStore["write"]>[0]) => {
        if (batch.sync === true) {
          synced.push(batch.meta.index);
          await Promise.resolve();
          // enough to be written at once
          writer.add({ index: 2, term: 1 }, MEMBERSHIP, [pair("b", "x".repeat(2 ** 20))]);
        }
        await inner.write(batch);
      },
    },
  });
  const writer = new StateWriter({ store });
  writer.add({ index: 1, term: 1 }, MEMBERSHIP, [pair("a", "1")]);
  await writer.flush({ sync: true });
  assert.deepEqual([synced, inner.meta.index], [[1], 2]);
  assert.equal(writer.syncedIndex, 1, "the log must keep entry 2: a power cut may take it out of the state");
});

test("the state writer keeps what a full disk refused, merges it with what comes, and tries again", async () => {
  const inner = new MemoryState();
  const attempts: number[] = [];
  let isFull = true;
  const store: StateStore = Object.create(inner, {
    meta: { get: () => inner.meta },
    write: {
      value: async (batch: Parameters<StateStore["write"]>[0]) => {
        attempts.push(batch.changes.length);
        if (isFull) throw new Error("ENOSPC: no space left on device");
        await inner.write(batch);
      },
    },
  });
  const writer = new StateWriter({ store });
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  writer.add({ index: 1, term: 1 }, MEMBERSHIP, [pair("a", "1"), pair("b", "1")]);
  for (let tick = 0; tick < 40; tick++) {
    writer.tick();
    await turn();
  }
  assert.ok(attempts.length >= 3 && attempts.length <= 6, `a growing pause, got ${attempts.length} attempts`);
  assert.match(writer.trouble ?? "", /state cannot be written: ENOSPC/);
  writer.add({ index: 2, term: 1 }, MEMBERSHIP, [pair("b", "2"), { key: "c", value: undefined }]);
  await assert.rejects(writer.flush(), /ENOSPC/);
  isFull = false;
  for (let tick = 0; tick < 110 && writer.trouble !== undefined; tick++) {
    writer.tick();
    await turn();
  }
  assert.equal(writer.trouble, undefined);
  assert.equal(inner.meta.index, 2);
  assert.deepEqual(await readAll(await inner.snapshot()), ["a=1", "b=2"]);
});
