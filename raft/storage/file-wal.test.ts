import assert from "node:assert/strict";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { DataLossError, InvalidArgumentError, UnavailableError } from "../../base/errors/errors.js";
import { MemoryLogger, silentLogger } from "../../base/log/logger.js";
import { SeededRandom } from "../../base/random/seeded-random.js";
import { systemRandom } from "../../base/random/system-random.js";
import { EntryKind } from "../../proto/gen/skein/v1/raft.js";
import type { Entry, HardState } from "../core/types.js";
import { type DataKeys, singleDataKey } from "./data-key.js";
import { openDataKeyRing } from "./data-key-ring.js";
import type { Disk } from "./disk.js";
import { openFileDisk } from "./file-disk.js";
import { openFileWal } from "./file-wal.js";
import { MemoryDisk } from "./memory-disk.js";
import { SECTOR_BYTES } from "./wal-frame.js";
import { segmentName, segmentNumbers } from "./wal-segment.js";

const SEGMENT_BYTES = 8 * 1024;
const KEY = singleDataKey(new SeededRandom("key").bytes(32));

function entry(index: number, term = 1, data = `entry ${index}`): Entry {
  return { index, term, kind: EntryKind.NORMAL, data: Buffer.from(data) };
}

function entries(from: number, to: number, term = 1, bytes = 20): Entry[] {
  return Array.from({ length: to - from + 1 }, (_, i) => entry(from + i, term, "x".repeat(bytes)));
}

function open(disk: Disk, keys: DataKeys = KEY, log = silentLogger) {
  return openFileWal({ disk, keys, random: new SeededRandom("nonce"), log, segmentBytes: SEGMENT_BYTES });
}

async function contents(
  disk: Disk,
): Promise<{ hardState: HardState; terms: number[]; base: number; last: number }> {
  const { wal, hardState, log } = await open(disk);
  await wal.close();
  const held = log.slice(log.firstIndex, log.lastIndex + 1, Number.POSITIVE_INFINITY);
  return { hardState, terms: held.map((e) => e.term), base: log.base.index, last: log.lastIndex };
}

test("the log, reopened, gives back entries, hard state and replaced entries", async () => {
  const disk = new MemoryDisk();
  const { wal } = await open(disk);
  await wal.append({ entries: entries(1, 5), hardState: { term: 1, vote: 7, commit: 2 } });
  await wal.append({ entries: entries(4, 4, 2), hardState: { term: 2, vote: 0, commit: 3 } });
  await wal.close();
  const found = await contents(disk);
  assert.deepEqual(found, {
    hardState: { term: 2, vote: 0, commit: 3 },
    terms: [1, 1, 1, 2],
    base: 0,
    last: 4,
  });
});

test("the log on a real folder survives reopening and is readable by its owner only", async () => {
  const folder = await mkdtemp(join(tmpdir(), "skein-wal-"));
  try {
    const disk = await openFileDisk(join(folder, "raft"));
    const dataKey = await openDataKeyRing({ disk, random: systemRandom });
    const { wal } = await open(disk, dataKey);
    await wal.append({ entries: entries(1, 300) });
    await wal.close();
    const again = await open(disk, await openDataKeyRing({ disk, random: systemRandom }));
    assert.equal(again.log.lastIndex, 300);
    await again.wal.close();
    assert.equal((await stat(join(folder, "raft", "dek"))).mode & 0o777, 0o600);
    assert.equal((await stat(join(folder, "raft", segmentName(1)))).size, SEGMENT_BYTES);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("appends made during a sync share the next one", async () => {
  let release = (): void => undefined;
  let hold = false;
  const disk = new MemoryDisk({
    latency: () => (hold ? new Promise((resolve) => (release = resolve)) : Promise.resolve()),
  });
  const { wal } = await open(disk);
  const before = disk.writeCount;
  hold = true;
  const first = wal.append({ entries: entries(1, 1) });
  const rest = entries(2, 20).map((e) => wal.append({ entries: [e] }));
  hold = false;
  await Promise.resolve();
  release();
  await Promise.all([first, ...rest]);
  assert.equal(disk.writeCount - before, 2);
  await wal.close();
  assert.equal((await contents(disk)).last, 20);
});

test("nothing of an entry stands on the disk in the clear", async () => {
  const disk = new MemoryDisk();
  const { wal } = await open(disk);
  await wal.append({ entries: [entry(1, 1, "a-secret-word")] });
  await wal.close();
  assert.equal((await disk.read(segmentName(1)))?.includes("a-secret-word"), false);
});

test("another data key is refused, not taken for a torn tail", async () => {
  const disk = new MemoryDisk();
  const { wal } = await open(disk);
  await wal.append({ entries: entries(1, 3) });
  await wal.close();
  await assert.rejects(open(disk, singleDataKey(new SeededRandom("other").bytes(32))), DataLossError);
});

test("a remembered commit is written with the next sync, or at close", async () => {
  const disk = new MemoryDisk();
  const { wal } = await open(disk);
  await wal.append({ entries: entries(1, 3), hardState: { term: 1, vote: 1, commit: 0 } });
  const writes = disk.writeCount;
  wal.remember({ term: 1, vote: 1, commit: 3 });
  assert.equal(disk.writeCount, writes);
  await wal.close();
  assert.equal((await contents(disk)).hardState.commit, 3);
});

test("compaction removes whole segments and keeps what follows the base, over restarts", async () => {
  const disk = new MemoryDisk();
  const { wal } = await open(disk);
  for (let i = 1; i <= 40; i++) {
    await wal.append({
      entries: entries(i * 10 - 9, i * 10, 1, 100),
      hardState: { term: 1, vote: 3, commit: i },
    });
  }
  const segments = wal.segmentCount;
  assert.ok(segments > 4, `several segments, got ${segments}`);
  await wal.compact({ index: 333, term: 1 });
  assert.ok(wal.segmentCount < segments);
  await wal.append({ entries: entries(401, 402, 2) });
  await wal.close();
  const found = await contents(disk);
  assert.deepEqual([found.base, found.last, found.hardState.vote], [333, 402, 3]);
  assert.deepEqual(await contents(disk), found);
});

test("a base the log does not hold empties it: a snapshot was installed", async () => {
  const disk = new MemoryDisk();
  const { wal } = await open(disk);
  await wal.append({ entries: entries(1, 9) });
  await wal.append({ base: { index: 1000, term: 4 } });
  await wal.append({ entries: entries(1001, 1002, 5) });
  await wal.close();
  assert.deepEqual((await contents(disk)).terms, [5, 5]);
});

test("a full disk fails the append with `unavailable`, and the log works again when there is room", async () => {
  const disk = new MemoryDisk();
  const { wal } = await open(disk);
  disk.capacityBytes = disk.usedBytes;
  let acknowledged = 0;
  const error = await (async () => {
    for (let i = 1; ; i++) {
      try {
        await wal.append({ entries: entries(i, i, 1, 500) });
        acknowledged = i;
      } catch (failure) {
        return failure;
      }
    }
  })();
  assert.ok(error instanceof UnavailableError);
  assert.match(error.message, /no space left on device/);
  await assert.rejects(
    wal.append({ entries: entries(acknowledged + 1, acknowledged + 1) }),
    UnavailableError,
  );
  await wal.close();
  disk.capacityBytes = Number.POSITIVE_INFINITY;
  const again = await open(disk);
  assert.equal(again.log.lastIndex, acknowledged);
  await again.wal.append({ entries: entries(acknowledged + 1, acknowledged + 40, 1, 500) });
  await again.wal.close();
  assert.equal((await contents(disk)).last, acknowledged + 40);
});

test("an i/o error stops the log for good", async () => {
  const disk = new MemoryDisk();
  const { wal } = await open(disk);
  await wal.append({ entries: entries(1, 1) });
  disk.failNextWrite("EIO");
  await assert.rejects(wal.append({ entries: entries(2, 2) }), /i\/o error/);
  await assert.rejects(wal.append({ entries: entries(2, 2) }), UnavailableError);
  await wal.close();
  assert.equal((await contents(disk)).last, 1);
});

test("an entry larger than half a segment is refused by its size", async () => {
  const { wal } = await open(new MemoryDisk());
  await assert.rejects(
    wal.append({ entries: [entry(1, 1, "x".repeat(SEGMENT_BYTES))] }),
    InvalidArgumentError,
  );
  await wal.append({ entries: entries(1, 1) });
  await wal.close();
});

test("a missing segment in the middle is refused", async () => {
  const disk = new MemoryDisk();
  const { wal } = await open(disk);
  for (let i = 1; i <= 30; i++) await wal.append({ entries: entries(i, i, 1, 700) });
  await wal.close();
  await disk.remove(segmentName(2));
  await assert.rejects(open(disk), DataLossError);
});

test("a torn tail is cut with a warning, and what was written before stays", async () => {
  const disk = new MemoryDisk();
  const { wal } = await open(disk);
  await wal.append({ entries: entries(1, 5) });
  await wal.append({ entries: entries(6, 6, 1, 1_000) });
  await wal.close();
  const bytes = await disk.read(segmentName(1));
  assert.ok(bytes);
  const end = bytes.findLastIndex((byte) => byte !== 0) + 1;
  bytes.fill(0, end - SECTOR_BYTES, end);
  await disk.replace(segmentName(1), bytes);
  const log = new MemoryLogger();
  const again = await open(disk, KEY, log);
  assert.equal(again.log.lastIndex, 5);
  assert.equal(log.lines.length, 1);
  await again.wal.append({ entries: entries(6, 7, 2) });
  await again.wal.close();
  assert.deepEqual((await contents(disk)).terms, [1, 1, 1, 1, 1, 2, 2]);
});

test("one flipped bit anywhere before the last group is refused, never skipped", async () => {
  const disk = new MemoryDisk();
  const { wal } = await open(disk);
  for (let i = 1; i <= 60; i++) await wal.append({ entries: entries(i, i, 1, 200) });
  await wal.close();
  const numbers = segmentNumbers(await disk.list());
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...numbers.slice(0, 2)),
      fc.nat(SEGMENT_BYTES - 1),
      async (number, position) => {
        disk.rot(segmentName(number), position);
        try {
          // A flip in the zeros after a segment's last frame harms nobody; any other one must be noticed.
          const found = await contents(disk).catch((error: unknown) => error);
          if (found instanceof Error) assert.ok(found instanceof DataLossError, found.message);
          else assert.deepEqual(found, { ...(found as object), last: 60 });
        } finally {
          disk.rot(segmentName(number), position);
        }
      },
    ),
    { numRuns: 60 },
  );
});

test("whatever a crash tears, every acknowledged record is there and the rest is a prefix", async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer(), async (seed) => {
      const random = new SeededRandom(seed);
      let countdown = random.int(1, 40);
      let stuck = false;
      let disk = new MemoryDisk({
        latency: () => {
          countdown -= 1;
          stuck ||= countdown <= 0;
          return stuck ? new Promise(() => undefined) : Promise.resolve();
        },
      });
      let expected: number[] = []; // terms by index - 1, acknowledged; each batch has a term of its own
      let attempted: number[][] = []; // what a batch that was never acknowledged may have made of it
      let commit = 0;
      let term = 0;
      for (let life = 0; life < 4; life++) {
        stuck = false;
        countdown = Number.POSITIVE_INFINITY;
        const { wal, log, hardState } = await open(disk);
        const terms = log
          .slice(log.firstIndex, log.lastIndex + 1, Number.POSITIVE_INFINITY)
          .map((e) => e.term);
        const all = [...expected.slice(0, log.base.index), ...terms];
        assert.ok(all.length >= commit && hardState.commit >= commit, `commit ${commit} of seed ${seed}`);
        const allowed = [expected, ...attempted].map((terms) => terms.join());
        assert.ok(
          allowed.includes(all.join()),
          `seed ${seed}: ${all.join()} is none of ${allowed.join(" or ")}`,
        );
        expected = all;
        attempted = [];
        commit = hardState.commit;
        countdown = random.int(1, 40);
        for (let step = 0; step < 30 && !stuck; step++) {
          term += 1;
          const from = random.int(Math.max(commit, expected.length - 3) + 1, expected.length + 2);
          const batch = entries(from, from + random.int(0, 4), term, random.int(0, 900));
          const next = [...expected.slice(0, from - 1), ...batch.map((e) => e.term)];
          attempted = batch.map((_, kept) => next.slice(0, from + kept));
          const newCommit = random.int(commit, Math.min(expected.length + 1, from));
          let done = false;
          const append = wal
            .append({ entries: batch, hardState: { term, vote: 0, commit: newCommit } })
            .then(() => {
              done = true;
            });
          await Promise.race([append, turns(60)]);
          if (!done) break;
          expected = next;
          attempted = [];
          commit = newCommit;
          if (random.int(0, 6) === 0 && commit > log.base.index) {
            await Promise.race([wal.compact({ index: commit, term: expected[commit - 1] ?? 0 }), turns(60)]);
          }
        }
        disk = disk.crash(random);
      }
    }),
    { numRuns: 60, includeErrorInReport: true },
  );
});

/** Lets promises run that need no event of the world. */
async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await Promise.resolve();
}

test("the log closes its file although its last commit index cannot be written", async () => {
  const disk = new MemoryDisk();
  const { wal } = await open(disk);
  await wal.append({ entries: entries(1, 3), hardState: { term: 1, vote: 7, commit: 2 } });
  wal.remember({ term: 1, vote: 7, commit: 3 });
  disk.failing = "EIO";
  await wal.close();
  disk.failing = undefined;
  assert.equal((await contents(disk)).hardState.commit, 2);
});
