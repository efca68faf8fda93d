/**
 * The next segment between its making and its use, step by step: while the making is tried again, the data
 * key changes, the log is compacted or closed.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { UnavailableError } from "../../base/errors/errors.js";
import { silentLogger } from "../../base/log/logger.js";
import { SeededRandom } from "../../base/random/seeded-random.js";
import { EntryKind } from "../../proto/gen/skein/v1/raft.js";
import type { Entry } from "../core/types.js";
import type { DataKeys } from "./data-key.js";
import type { Disk, DiskFile } from "./disk.js";
import { type FileWal, openFileWal } from "./file-wal.js";
import { MemoryDisk } from "./memory-disk.js";
import { segmentName } from "./wal-segment.js";

type Step = "make" | "open" | "write" | "remove";

interface Held {
  readonly step: Step;
  readonly name: string;
  /** Lets it happen, or fail with this. */
  readonly go: (failure?: Error) => void;
}

/** Keeps the steps of one kind waiting, those of one file or of all, until each is let go. */
class SteppedDisk implements Disk {
  readonly inner: MemoryDisk;
  #holding: { readonly step: Step; readonly name: string | undefined }[] = [];
  held: Held[] = [];

  constructor(inner: MemoryDisk) {
    this.inner = inner;
  }

  hold(step: Step, name?: string): void {
    this.#holding.push({ step, name });
  }

  /** Holds nothing any more, and lets go what it held, in order. */
  async letGo(): Promise<void> {
    this.#holding = [];
    while (this.held.length > 0) {
      this.held.shift()?.go();
      await setImmediate();
    }
  }

  /** The oldest step that is held. */
  take(): Held {
    const held = this.held.shift();
    assert.ok(held, "nothing is held");
    return held;
  }

  async #pass(step: Step, name: string): Promise<void> {
    if (!this.#holding.some((held) => held.step === step && (held.name ?? name) === name)) return;
    await new Promise<void>((resolve, reject) => {
      const go = (failure?: Error): void => (failure === undefined ? resolve() : reject(failure));
      this.held.push({ step, name, go });
    });
  }

  list(): Promise<readonly string[]> {
    return this.inner.list();
  }

  read(name: string): Promise<Buffer | undefined> {
    return this.inner.read(name);
  }

  async replace(name: string, bytes: Uint8Array, options?: { sizeBytes?: number }): Promise<void> {
    await this.#pass("make", name);
    await this.inner.replace(name, bytes, options);
  }

  async open(name: string): Promise<DiskFile> {
    await this.#pass("open", name);
    const file = await this.inner.open(name);
    return {
      writeDurably: async (position, bytes) => {
        await this.#pass("write", name);
        await file.writeDurably(position, bytes);
      },
      close: () => file.close(),
    };
  }

  async remove(name: string): Promise<void> {
    await this.#pass("remove", name);
    await this.inner.remove(name);
  }
}

class TwoKeys implements DataKeys {
  currentId = 1;

  key(id: number): Uint8Array {
    return new SeededRandom(`key ${id}`).bytes(32);
  }
}

function open(disk: Disk, keys: DataKeys) {
  const random = new SeededRandom("nonces");
  return openFileWal({ disk, keys, random, log: silentLogger, segmentBytes: 8 * 1024 });
}

/** One fills three sectors: the first segment takes five, its middle is behind three, later ones take four. */
function entries(from: number, to: number): Entry[] {
  return Array.from({ length: to - from + 1 }, (_, i) => ({
    term: 1,
    index: from + i,
    kind: EntryKind.NORMAL,
    data: Buffer.alloc(1_100, from + i),
  }));
}

async function setUp(): Promise<{ disk: SteppedDisk; keys: TwoKeys; wal: FileWal }> {
  const disk = new SteppedDisk(new MemoryDisk());
  const keys = new TwoKeys();
  const { wal } = await open(disk, keys);
  return { disk, keys, wal };
}

/** What a start finds after the machine lost power now. */
async function lastIndexAfterCrash(disk: SteppedDisk, keys: DataKeys): Promise<number> {
  const { wal, log } = await open(disk.inner.crash(new SeededRandom("crash")), keys);
  await wal.close();
  return log.lastIndex;
}

async function ticks(wal: FileWal, count: number): Promise<void> {
  for (let call = 0; call < count; call++) void wal.maintain();
  await setImmediate();
}

function noSpace(): Error {
  return Object.assign(new Error("ENOSPC: no space left on device"), { code: "ENOSPC" });
}

test("a making that is tried again while its segment is taken into use makes none a second time", async () => {
  const { disk, keys, wal } = await setUp();
  disk.hold("make");
  await wal.append({ entries: entries(1, 3) });
  disk.take().go(noSpace());
  await setImmediate();
  assert.match(wal.trouble ?? "", /no space left/);
  const appended = wal.append({ entries: entries(4, 6) });
  await setImmediate();
  assert.equal(disk.held.length, 1, "the segment is made for those who wait");
  await ticks(wal, 60);
  assert.equal(disk.held.length, 1);
  disk.take().go();
  await appended;
  await disk.letGo();
  assert.equal(await lastIndexAfterCrash(disk, keys), 6);
});

test("a data key that changes while the next segment is opened loses nothing of it", async () => {
  const { disk, keys, wal } = await setUp();
  await wal.append({ entries: entries(1, 3) });
  await setImmediate();
  disk.hold("open", segmentName(2));
  const appended = wal.append({ entries: entries(4, 6) });
  await setImmediate();
  assert.equal(disk.held.length, 1);
  keys.currentId = 2;
  disk.hold("make");
  const rolled = wal.rollOver();
  await setImmediate();
  assert.deepEqual(wal.keyIds, [1, 1], "the key of the segment on its way is needed");
  disk.take().go();
  await appended;
  await disk.letGo();
  await rolled;
  assert.equal(wal.keyIds.at(-1), 2);
  assert.equal(await lastIndexAfterCrash(disk, keys), 6);
});

test("a data key that changes on a disk without room for a segment does not end the log", async () => {
  const { disk, keys, wal } = await setUp();
  disk.hold("make");
  await wal.append({ entries: entries(1, 3) });
  const appended = wal.append({ entries: entries(4, 7) }); // to the middle of the second segment
  await setImmediate();
  keys.currentId = 2;
  const rolled = wal.rollOver();
  disk.take().go();
  await appended;
  await setImmediate();
  const third = disk.take();
  assert.equal(third.name, segmentName(3));
  // The roll that was asked for in the meantime waits for this one, not the log.
  const next = wal.append({ entries: entries(8, 8) });
  await setImmediate();
  third.go(noSpace());
  await assert.rejects(rolled, /ENOSPC/);
  await next;
  await wal.append({ entries: entries(9, 9) });
  assert.equal(await lastIndexAfterCrash(disk, keys), 9);
});

test("a closed log makes no segment, whose log it may be now", async () => {
  const { disk, keys, wal } = await setUp();
  await wal.append({ entries: entries(1, 1) });
  await wal.close();
  keys.currentId = 2;
  await assert.rejects(wal.rollOver(), UnavailableError);
  await ticks(wal, 60);
  assert.deepEqual(await disk.list(), [segmentName(1)]);
});

test("closing waits for the making that is under way", async () => {
  const { disk, wal } = await setUp();
  disk.hold("make");
  await wal.append({ entries: entries(1, 3) });
  let closed = false;
  const closing = wal.close().then(() => {
    closed = true;
  });
  await setImmediate();
  assert.equal(closed, false);
  await disk.letGo();
  await closing;
});

test("a segment goes only when the one after it holds the hard state and the base durably", async () => {
  const { disk, keys, wal } = await setUp();
  await wal.append({ entries: entries(1, 6), hardState: { term: 1, vote: 3, commit: 0 } });
  await wal.append({ entries: entries(7, 9) });
  assert.equal(wal.segmentCount, 2);
  disk.hold("remove");
  const compacted = wal.compact({ index: 9, term: 1 });
  await setImmediate();
  disk.hold("write", segmentName(3));
  void wal.append({ entries: entries(10, 10) });
  await setImmediate();
  const [removal, write] = disk.held;
  assert.deepEqual([removal?.step, write?.step, wal.segmentCount], ["remove", "write", 3]);
  disk.take().go();
  await setImmediate();
  for (const { step, go } of disk.held) if (step === "remove") go();
  await compacted;
  assert.ok((await lastIndexAfterCrash(disk, keys)) >= 9);
});
