/**
 * What a power cut may leave of the last sync, sector by sector, and what rot may make of any byte:
 * the one is repaired, the other refused.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { DataLossError } from "../../base/errors/errors.js";
import { silentLogger } from "../../base/log/logger.js";
import { SeededRandom } from "../../base/random/seeded-random.js";
import { EntryKind } from "../../proto/gen/skein/v1/raft.js";
import type { Entry } from "../core/types.js";
import { singleDataKey } from "./data-key.js";
import type { Disk } from "./disk.js";
import { openFileWal } from "./file-wal.js";
import { MemoryDisk } from "./memory-disk.js";
import { SECTOR_BYTES } from "./wal-frame.js";
import { segmentName } from "./wal-segment.js";

const SEGMENT_BYTES = 8 * 1024;
const KEY = singleDataKey(new SeededRandom("key").bytes(32));
/** Up to so many sectors every subset is tried; beyond, some drawn ones. */
const SECTORS_EXHAUSTIVE_MAX = 8;

type Files = ReadonlyMap<string, Buffer>;

interface Write {
  readonly name: string;
  readonly position: number;
  readonly bytes: Buffer;
  /** A file that appears, or is exchanged, whole. */
  readonly isWhole: boolean;
}

/** Passes everything on and notes each durable change. */
class RecordingDisk implements Disk {
  readonly inner: Disk;
  writes: Write[] = [];

  constructor(inner: Disk) {
    this.inner = inner;
  }

  list(): Promise<readonly string[]> {
    return this.inner.list();
  }

  read(name: string): Promise<Buffer | undefined> {
    return this.inner.read(name);
  }

  async replace(name: string, bytes: Uint8Array, options: { sizeBytes?: number } = {}): Promise<void> {
    await this.inner.replace(name, bytes, options);
    const content = await this.inner.read(name);
    if (content !== undefined) this.writes.push({ name, position: 0, bytes: content, isWhole: true });
  }

  async open(name: string): ReturnType<Disk["open"]> {
    const file = await this.inner.open(name);
    return {
      writeDurably: async (position, bytes) => {
        await file.writeDurably(position, bytes);
        this.writes.push({ name, position, bytes: Buffer.from(bytes), isWhole: false });
      },
      close: () => file.close(),
    };
  }

  remove(name: string): Promise<void> {
    return this.inner.remove(name);
  }
}

async function filesOf(disk: Disk): Promise<Files> {
  const files = new Map<string, Buffer>();
  for (const name of await disk.list()) {
    const bytes = await disk.read(name);
    if (bytes !== undefined) files.set(name, bytes);
  }
  return files;
}

async function diskOf(files: Files): Promise<MemoryDisk> {
  const disk = new MemoryDisk();
  for (const [name, bytes] of files) await disk.replace(name, bytes);
  return disk;
}

/** The files after a write of which only some sectors arrived. */
function withWrite(files: Files, write: Write, arrived: (sector: number) => boolean): Files {
  const after = new Map([...files].map(([name, bytes]) => [name, Buffer.from(bytes)] as const));
  if (write.isWhole) {
    after.set(write.name, Buffer.from(write.bytes));
    return after;
  }
  const target = after.get(write.name);
  assert.ok(target);
  for (let at = 0; at < write.bytes.length; at += SECTOR_BYTES) {
    if (arrived(at / SECTOR_BYTES)) write.bytes.copy(target, write.position + at, at, at + SECTOR_BYTES);
  }
  return after;
}

const all = (): boolean => true;

/**
 * Which sectors may have arrived: every subset of a few, otherwise each prefix, each single gap, and drawn
 * ones.
 */
function* subsets(write: Write, random: SeededRandom, drawn = 40): Generator<(sector: number) => boolean> {
  const count = Math.ceil(write.bytes.length / SECTOR_BYTES);
  if (count <= SECTORS_EXHAUSTIVE_MAX) {
    for (let set = 0; set < 1 << count; set++) yield (sector) => (set & (1 << sector)) !== 0;
    return;
  }
  for (let at = 0; at <= count; at++) {
    yield (sector) => sector < at;
    yield (sector) => sector >= at;
    yield (sector) => sector !== at;
  }
  for (let i = 0; i < drawn; i++) {
    const kept = Array.from({ length: count }, () => random.int(0, 2) === 1);
    yield (sector) => kept[sector] === true;
  }
}

function entries(from: number, count: number, bytes: number): Entry[] {
  return Array.from({ length: count }, (_, i) => ({
    term: 1,
    index: from + i,
    kind: EntryKind.NORMAL,
    data: Buffer.alloc(bytes, 0x30 + ((from + i) % 10)),
  }));
}

function open(disk: Disk) {
  return openFileWal({
    disk,
    keys: KEY,
    random: new SeededRandom("n"),
    log: silentLogger,
    segmentBytes: SEGMENT_BYTES,
  });
}

async function lastIndexIn(disk: Disk): Promise<number> {
  const { wal, log } = await open(disk);
  await wal.close();
  return log.lastIndex;
}

interface Shape {
  readonly name: string;
  /** Entries before the last group, each in a group of its own. */
  readonly before: number;
  readonly count: number;
  readonly bytes: number;
}

const SHAPES: readonly Shape[] = [
  { name: "one sector", before: 2, count: 1, bytes: 20 },
  { name: "one frame of several sectors", before: 2, count: 1, bytes: 1_500 },
  { name: "several frames", before: 1, count: 4, bytes: 1_100 },
  { name: "the very first group", before: 0, count: 1, bytes: 900 },
  { name: "frames over two segments", before: 5, count: 5, bytes: 1_300 },
  { name: "frames over three segments", before: 5, count: 12, bytes: 1_300 },
];

/** A log as it was before its last group, the writes of that group, and the log after it. */
async function build(
  shape: Shape,
): Promise<{ acknowledged: number; files: Files; writes: readonly Write[] }> {
  const disk = new RecordingDisk(new MemoryDisk());
  const { wal } = await open(disk);
  for (let i = 1; i <= shape.before; i++) {
    await wal.append({ entries: entries(i, 1, 700), hardState: { term: 1, vote: 1, commit: i - 1 } });
  }
  // The next segment, if it is due.
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
  const files = await filesOf(disk);
  disk.writes = [];
  await wal.append({ entries: entries(shape.before + 1, shape.count, shape.bytes) });
  const writes = disk.writes.slice(); // without the segment that is prepared next
  await wal.close();
  return { acknowledged: shape.before, files, writes };
}

for (const shape of SHAPES) {
  test(`${shape.name}: whichever sectors of the last sync arrived, nothing acknowledged is lost`, async () => {
    const random = new SeededRandom(shape.name);
    const { acknowledged, files, writes } = await build(shape);
    let before = files;
    let tried = 0;
    for (const write of writes) {
      for (const arrived of write.isWhole ? [all] : subsets(write, random)) {
        const torn = withWrite(before, write, arrived);
        const disk = await diskOf(torn);
        const recording = new RecordingDisk(disk);
        const { wal, log } = await open(recording);
        assert.ok(log.lastIndex >= acknowledged && log.lastIndex <= acknowledged + shape.count);
        const kept = log.lastIndex;
        const repairs = recording.writes.slice();
        await wal.append({ entries: entries(kept + 1, 3, 900) });
        await wal.close();
        assert.equal(await lastIndexIn(disk), kept + 3);
        tried += 1;
        // Power fails again while the torn sectors are zeroed.
        let mending = torn;
        for (const repair of tried % 5 === 0 ? repairs : []) {
          for (const mended of subsets(repair, random, 5)) {
            assert.equal(await lastIndexIn(await diskOf(withWrite(mending, repair, mended))), kept);
          }
          mending = withWrite(mending, repair, all);
        }
      }
      before = withWrite(before, write, all);
    }
    assert.equal(await lastIndexIn(await diskOf(before)), acknowledged + shape.count);
  });

  test(`${shape.name}: a byte of a written sector that changed is refused, in the last group, too`, async () => {
    const { acknowledged, files, writes } = await build(shape);
    const whole = writes.reduce((before, write) => withWrite(before, write, all), files);
    const disk = await diskOf(whole);
    const last = acknowledged + shape.count;
    for (const [name, bytes] of whole) {
      for (let at = 0; at < bytes.length; at += at % SECTOR_BYTES < 40 ? 1 : 13) {
        const isWritten =
          bytes.subarray(at - (at % SECTOR_BYTES), at).some((byte) => byte !== 0) || bytes[at] !== 0;
        await disk.replace(name, bytes);
        disk.rot(name, at);
        const found = await lastIndexIn(disk).catch((error: unknown) => error);
        if (isWritten) assert.ok(found instanceof DataLossError, `${name} byte ${at}: ${String(found)}`);
        else if (!(found instanceof DataLossError)) assert.equal(found, last);
      }
      await disk.replace(name, bytes);
    }
  });

  test(`${shape.name}: zeros, garbage or old bytes in a part of a sector are refused`, async () => {
    const random = new SeededRandom(shape.name);
    const { files, writes } = await build(shape);
    const whole = writes.reduce((before, write) => withWrite(before, write, all), files);
    for (let run = 0; run < 150; run++) {
      const write = writes[random.int(0, writes.length)];
      assert.ok(write);
      const bytes = Buffer.from(whole.get(write.name) ?? []);
      const sectors = write.isWhole ? 1 : write.bytes.length / SECTOR_BYTES;
      const sector = write.position + random.int(0, sectors) * SECTOR_BYTES;
      const from = sector + random.int(0, SECTOR_BYTES - 1);
      const to = random.int(from + 1, sector + SECTOR_BYTES + (from === sector ? 0 : 1));
      if (run % 2 === 0) bytes.fill(0, from, to);
      else bytes.set(random.bytes(to - from), from);
      if (bytes.equals(whole.get(write.name) ?? Buffer.alloc(0))) continue;
      const disk = await diskOf(new Map([...whole, [write.name, bytes]]));
      await assert.rejects(lastIndexIn(disk), DataLossError, `${write.name} ${from} to ${to}`);
    }
  });
}

test("any sector before the last group that reads as zeros is refused", async () => {
  const { files, writes } = await build({ name: "", before: 14, count: 1, bytes: 20 });
  const whole = writes.reduce((before, write) => withWrite(before, write, all), files);
  assert.ok(whole.size > 1, "more than one segment");
  for (const [name, bytes] of files) {
    for (let at = 0; at < bytes.length; at += SECTOR_BYTES) {
      if (bytes.subarray(at, at + SECTOR_BYTES).every((byte) => byte === 0)) continue;
      const holed = Buffer.from(whole.get(name) ?? []);
      holed.fill(0, at, at + SECTOR_BYTES);
      const disk = await diskOf(new Map([...whole, [name, holed]]));
      await assert.rejects(lastIndexIn(disk), DataLossError, `${name} at ${at}`);
    }
  }
});

test("an oldest segment without records is refused: something removed them", async () => {
  const { files } = await build({ name: "", before: 14, count: 1, bytes: 20 });
  const disk = await diskOf(files);
  await disk.remove(segmentName(1));
  const second = await disk.read(segmentName(2));
  assert.ok(second);
  second.fill(0, SECTOR_BYTES);
  await disk.replace(segmentName(2), second);
  await assert.rejects(lastIndexIn(disk), DataLossError);
});
