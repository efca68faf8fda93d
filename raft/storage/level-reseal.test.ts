import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { SeededRandom } from "../../base/random/seeded-random.js";
import type { KeyValuePair } from "../host/raft-node.js";
import { DATA_KEY_BYTES, type DataKeys } from "./data-key.js";
import type { Disk } from "./disk.js";
import { openFileDisk } from "./file-disk.js";
import { openLevelState } from "./level-state.js";
import type { StateSnapshot, StateStore } from "./state-store.js";

const random = new SeededRandom("reseal");

class Keys implements DataKeys {
  readonly #keys = new Map<number, Uint8Array>();
  currentId = 0;

  constructor() {
    this.rotate();
  }

  rotate(): void {
    this.currentId += 1;
    this.#keys.set(this.currentId, random.bytes(DATA_KEY_BYTES));
  }

  forget(id: number): void {
    this.#keys.delete(id);
  }

  key(id: number): Uint8Array {
    return this.#keys.get(id) ?? assert.fail(`data key ${id} is gone`);
  }
}

/** A disk whose replacements may be done and fail all the same, as when the folder cannot be synced. */
interface UnsureDisk extends Disk {
  isUnsure: boolean;
}

async function openUnsureDisk(path: string): Promise<UnsureDisk> {
  const disk = await openFileDisk(path);
  const unsure: UnsureDisk = {
    isUnsure: false,
    list: () => disk.list(),
    read: (name) => disk.read(name),
    open: (name) => disk.open(name),
    remove: (name) => disk.remove(name),
    replace: async (name, bytes, options) => {
      await disk.replace(name, bytes, options);
      if (unsure.isUnsure) throw new Error("EIO: i/o error, fsync");
    },
  };
  return unsure;
}

class Folder implements AsyncDisposable {
  readonly keys = new Keys();
  readonly path: string;
  readonly disk: UnsureDisk;
  readonly model = new Map<string, string>();
  store: StateStore;
  #index = 0;

  private constructor(path: string, disk: UnsureDisk, store: StateStore, keys: Keys) {
    this.path = path;
    this.disk = disk;
    this.store = store;
    this.keys = keys;
  }

  static async open(): Promise<Folder> {
    const path = await mkdtemp(join(tmpdir(), "skein-reseal-"));
    const keys = new Keys();
    const disk = await openUnsureDisk(path);
    return new Folder(path, disk, await openLevelState({ folder: path, disk, keys, random }), keys);
  }

  async reopen(): Promise<void> {
    await this.store.close();
    const { path, disk, keys } = this;
    this.store = await openLevelState({ folder: path, disk, keys, random });
  }

  async write(count: number): Promise<void> {
    const changes = Array.from({ length: count }, () => {
      const key = `key ${String(random.int(0, 3_000)).padStart(5, "0")}`;
      if (random.int(0, 5) === 0) {
        this.model.delete(key);
        return { key, value: undefined };
      }
      const value = `value ${random.uint32()}`.padEnd(random.int(20, 400), ".");
      this.model.set(key, value);
      return { key, value: Buffer.from(value) };
    });
    this.#index += 1;
    await this.store.write({ meta: { index: this.#index, term: 1, membership: undefined }, changes });
  }

  async assertWhole(what: string): Promise<void> {
    assert.deepEqual(await contentOf(await this.store.snapshot()), new Map([...this.model].sort()), what);
    assert.equal(this.store.meta.index, this.#index, what);
  }

  async folders(): Promise<string[]> {
    return (await readdir(this.path)).filter((name) => name.startsWith("state-"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.store.close();
    await rm(this.path, { recursive: true });
  }
}

async function contentOf(snapshot: StateSnapshot): Promise<Map<string, string>> {
  const content = new Map<string, string>();
  for await (const portion of snapshot.portions(8_192)) {
    for (const { key, value } of portion) content.set(key, Buffer.from(value).toString());
  }
  await snapshot.close();
  return content;
}

test("a state sealed anew beside writes and readers holds everything, under the new key alone", async () => {
  await using folder = await Folder.open();
  for (let i = 0; i < 20; i++) await folder.write(100);
  const before = new Map([...folder.model].sort());
  const reader = await folder.store.snapshot();
  folder.keys.rotate();
  let done = false;
  const resealed = folder.store.reseal().then(() => {
    done = true;
  });
  let beside = 0;
  while (!done) {
    await folder.write(random.int(1, 60));
    beside += 1;
    await setImmediate();
  }
  await resealed;
  assert.ok(beside > 1, "writes went on meanwhile");
  assert.deepEqual(folder.store.keyIds, [2]);
  await folder.assertWhole("sealed anew");
  assert.deepEqual(await contentOf(reader), before, "who read the old folder reads it to the end");
  folder.keys.forget(1);
  await folder.reopen();
  await folder.assertWhole("after a restart without the old key");
  assert.deepEqual(await folder.folders(), ["state-2"]);
  assert.equal(await readFile(join(folder.path, "state"), "utf8"), "2 2\n");
});

test("a snapshot installed while the state is sealed anew wins, and is under the new key", async () => {
  await using folder = await Folder.open();
  for (let i = 0; i < 20; i++) await folder.write(100);
  folder.keys.rotate();
  const resealing = folder.store.reseal();
  const install = await folder.store.beginInstall({ index: 900, term: 2, membership: undefined });
  const pairs: KeyValuePair[] = [{ key: "only", value: Buffer.from("this") }];
  await install.add(pairs);
  await install.commit();
  await resealing;
  assert.deepEqual(await contentOf(await folder.store.snapshot()), new Map([["only", "this"]]));
  assert.deepEqual(folder.store.keyIds, [2]);
  folder.keys.forget(1);
  await folder.reopen();
  assert.equal(folder.store.meta.index, 900);
  assert.equal((await folder.folders()).length, 1);
});

test("sealing anew can be stopped, begun again, and done twice", async () => {
  await using folder = await Folder.open();
  for (let i = 0; i < 10; i++) await folder.write(100);
  folder.keys.rotate();
  const abort = new AbortController();
  const stopped = folder.store.reseal({ signal: abort.signal });
  abort.abort();
  await stopped;
  assert.deepEqual(folder.store.keyIds, [1]);
  assert.deepEqual(await folder.folders(), ["state-1"]);
  await folder.store.reseal();
  folder.keys.rotate();
  const pending = await folder.store.beginInstall({ index: 900, term: 2, membership: undefined });
  folder.keys.rotate();
  assert.deepEqual(folder.store.keyIds, [2, 3], "what is being received needs its key, too");
  await folder.store.reseal();
  assert.deepEqual(folder.store.keyIds, [4, 3]);
  await pending.abort();
  await folder.assertWhole("sealed anew twice");
});

test("a switch of folders that may have been done or not loses nothing, whichever the next start finds", async () => {
  await using folder = await Folder.open();
  await folder.write(300);
  folder.keys.rotate();
  folder.disk.isUnsure = true;
  await assert.rejects(folder.store.reseal(), /EIO/);
  await assert.rejects(folder.store.write({ meta: folder.store.meta, changes: [] }), /EIO/, "not yet sure");
  assert.deepEqual(await folder.folders(), ["state-1", "state-2"]);
  await folder.assertWhole("the old folder goes on");
  folder.disk.isUnsure = false;
  await folder.write(50);
  assert.equal(await readFile(join(folder.path, "state"), "utf8"), "1 1\n", "sure again");
  await folder.reopen();
  await folder.assertWhole("after a restart");

  folder.disk.isUnsure = true;
  await assert.rejects(folder.store.reseal(), /EIO/);
  folder.disk.isUnsure = false;
  await folder.reopen();
  assert.deepEqual(folder.store.keyIds, [2], "the new folder is in use");
  await folder.assertWhole("after a restart that finds the new folder");
});
