import assert from "node:assert/strict";
import { test } from "node:test";
import { DataLossError } from "../../base/errors/errors.js";
import { silentLogger } from "../../base/log/logger.js";
import { SeededRandom } from "../../base/random/seeded-random.js";
import type { Entry, SnapshotMeta } from "../core/types.js";
import { makeEntry } from "../log/make-entry.js";
import { singleDataKey } from "./data-key.js";
import { openFileWal } from "./file-wal.js";
import { MemoryDisk } from "./memory-disk.js";
import { emptyStateFolder, MemoryState, type MemoryStateFolder } from "./memory-state.js";
import { openStableLog, type StableLog } from "./stable-log.js";

const KEY = singleDataKey(new SeededRandom("key").bytes(32));
const MEMBERSHIP = { members: [], removed: [] };

function entries(from: number, to: number, bytes = 10): Entry[] {
  return Array.from({ length: to - from + 1 }, (_, i) =>
    makeEntry({ term: 1, index: from + i }, new Uint8Array(bytes)),
  );
}

function at(index: number, term = 1): SnapshotMeta {
  return { index, term, membership: MEMBERSHIP };
}

interface Media {
  readonly disk: MemoryDisk;
  readonly folder: MemoryStateFolder;
}

function media(): Media {
  return { disk: new MemoryDisk(), folder: emptyStateFolder() };
}

async function open(
  from: Media,
  sizes: { memoryBytesMax?: number; snapshotInterval?: number } = {},
): Promise<StableLog> {
  const random = new SeededRandom("r");
  const opened = await openFileWal({
    disk: from.disk,
    keys: KEY,
    random,
    log: silentLogger,
    segmentBytes: 65_536,
  });
  return openStableLog({
    ...opened,
    ...sizes,
    state: new MemoryState(from.folder),
    initialMembership: MEMBERSHIP,
  });
}

test("a stable log takes the commit index from the state when the log's own is older", async () => {
  const where = media();
  const log = await open(where);
  await log.append(entries(1, 9), { term: 1, vote: 2, commit: 1 });
  where.folder.meta = at(7);
  assert.deepEqual((await open(where)).initialState().hardState, { term: 1, vote: 2, commit: 7 });
});

test("a stable log stopped between installing a snapshot and noting it begins after the snapshot", async () => {
  const where = media();
  const log = await open(where);
  await log.append(entries(1, 9), { term: 3, vote: 0, commit: 5 });
  where.folder.meta = at(50, 3);
  const again = await open(where);
  assert.deepEqual([again.firstIndex(), again.lastIndex(), again.term(50)], [51, 50, 3]);
  assert.deepEqual([(await open(where)).firstIndex(), (await open(where)).lastIndex()], [51, 50]);
});

test("a stable log refuses a state that contradicts what is committed, or ends before the log begins", async () => {
  const where = media();
  const log = await open(where);
  await log.append(entries(1, 9), { term: 4, vote: 0, commit: 8 });
  where.folder.meta = at(7, 4);
  await assert.rejects(open(where), DataLossError);
  const other = media();
  const compacted = await open(other);
  await compacted.append(entries(1, 900), { term: 1, vote: 0, commit: 0 });
  other.folder.meta = at(900);
  await compacted.compact({ stateIndex: 900 });
  other.folder.meta = at(300);
  await assert.rejects(open(other), DataLossError);
});

test("a stable log keeps the newest 500 applied entries, or as many as half its memory holds", async () => {
  const where = media();
  const log = await open(where);
  await log.append(entries(1, 2_000), undefined);
  await log.compact({ stateIndex: 1_900 });
  assert.equal(log.firstIndex(), 1_401);
  await log.compact({ stateIndex: 1_950, keepFrom: 1_405 });
  assert.equal(log.firstIndex(), 1_405);
  const large = await open(media(), { memoryBytesMax: 100_000 });
  await large.append(entries(1, 300, 1_000), undefined);
  await large.compact({ stateIndex: 300 });
  assert.ok(large.firstIndex() > 250 && large.firstIndex() < 300);
});

test("a stable log refuses a state whose term it never heard of: it is not that state's log", async () => {
  const where = media();
  const log = await open(where);
  await log.append(entries(1, 9), { term: 2, vote: 2, commit: 9 });
  where.folder.meta = at(9, 2);
  await assert.rejects(open({ disk: new MemoryDisk(), folder: where.folder }), DataLossError);
});

test("a stable log keeps what others need, up to ten times the interval and eight times its memory", async () => {
  const many = await open(media(), { snapshotInterval: 100 });
  await many.append(entries(1, 3_000), undefined);
  await many.compact({ stateIndex: 3_000, keepFrom: 2_100 });
  assert.equal(many.firstIndex(), 2_100);
  await many.append(entries(3_001, 3_500), undefined);
  await many.compact({ stateIndex: 3_500, keepFrom: 2_100 });
  assert.equal(many.firstIndex(), 2_501);
  const large = await open(media(), { memoryBytesMax: 10_000 });
  await large.append(entries(1, 300, 1_000), undefined);
  await large.compact({ stateIndex: 300, keepFrom: 1 });
  assert.ok(large.firstIndex() > 215 && large.firstIndex() < 235, `begins at ${large.firstIndex()}`);
});
