import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../base/clock/manual-clock.js";
import { silentLogger } from "../base/log/logger.js";
import { SeededRandom } from "../base/random/seeded-random.js";
import { parseSecret } from "../manager/backup/backup-key.js";
import { INDEX_STEP, INDEXES_PER_MS, restorePoint } from "../manager/backup/restored-state.js";
import { writeBackup } from "../manager/backup/write-backup.js";
import { bootstrapCluster } from "../manager/ca/bootstrap-cluster.js";
import { readNodeCertificate } from "../manager/ca/x509-certificates.js";
import { createMemoryStore, type MemoryStore } from "../manager/store/memory-store.js";
import { type TableRow, toStoreObject } from "../manager/store/tables.js";
import { BackupHead } from "../proto/gen/skein/v1/backup.js";
import { type Cluster, Node, Secret, StoreObject } from "../proto/gen/skein/v1/objects.js";
import type { SnapshotPair } from "../proto/gen/skein/v1/raft.js";
import { ClusterSpec, NodeAvailability, NodeRole, NodeState } from "../proto/gen/skein/v1/types.js";
import { isDataKeyLocked } from "../raft/storage/data-key-ring.js";
import { MemoryDisk } from "../raft/storage/memory-disk.js";
import { emptyStateFolder, MemoryState } from "../raft/storage/memory-state.js";
import { type RestoreOutcome, type RestoreProgress, restoreState } from "./restore-state.js";

const random = new SeededRandom("restore-state");
const clock = new ManualClock();
const SECRET = parseSecret(`SKBAK-1-${"k".repeat(43)}`);
const MEMBERS = [
  { raftId: 11, nodeId: "old1", address: "10.0.0.1:2377", learner: false },
  { raftId: 12, nodeId: "old2", address: "10.0.0.2:2377", learner: false },
];

const bootstrap = await bootstrapCluster({
  random,
  nowMs: clock.nowMs(),
  spec: ClusterSpec.fromPartial({ autoLockManagers: true }),
  availability: NodeAvailability.ACTIVE,
  advertiseIp: "10.0.0.1",
});
const cluster: Cluster = bootstrap.cluster;

const pairOf = (row: TableRow): SnapshotPair => ({
  key: `${row.$case}/${row.value.id}`,
  value: StoreObject.encode(toStoreObject(row.$case, row.value)).finish(),
});
const nodeOf = (id: string, role: NodeRole, managerStatus?: Node["managerStatus"]): TableRow => ({
  $case: "node",
  value: Node.fromPartial({
    id,
    meta: { version: { index: 30 } },
    spec: { desiredRole: role, availability: NodeAvailability.DRAIN },
    description: { hostname: `host-${id}` },
    status: { state: NodeState.READY, address: "10.0.0.9" },
    role,
    number: 5,
    ...(managerStatus === undefined ? {} : { managerStatus }),
  }),
});
const STATE: readonly SnapshotPair[] = [
  pairOf({ $case: "cluster", value: cluster }),
  pairOf(
    nodeOf("old1", NodeRole.MANAGER, {
      raftId: 11,
      address: "10.0.0.1:2377",
      leader: true,
      reachability: "",
    }),
  ),
  pairOf(
    nodeOf("old2", NodeRole.MANAGER, {
      raftId: 12,
      address: "10.0.0.2:2377",
      leader: false,
      reachability: "",
    }),
  ),
  pairOf(nodeOf("worker", NodeRole.WORKER)),
  pairOf({ $case: "secret", value: Secret.fromPartial({ id: "s1", data: Buffer.from("cake") }) }),
];

async function backup(state = STATE, head: Partial<BackupHead> = {}): Promise<Uint8Array> {
  async function* portions(): AsyncGenerator<readonly SnapshotPair[]> {
    yield state.slice(0, 2);
    yield state.slice(2);
  }
  const written = writeBackup({
    head: BackupHead.fromPartial({
      clusterId: cluster.id,
      index: 40,
      term: 3,
      membership: { members: MEMBERS, removed: [9] },
      objectsEstimate: 5,
      ...head,
    }),
    portions: portions(),
    secret: SECRET,
    random,
  });
  const parts: Buffer[] = [];
  for await (const { data } of written) parts.push(data);
  return Buffer.concat(parts);
}

interface Restored {
  readonly outcome: RestoreOutcome;
  readonly store: MemoryStore;
  readonly disk: MemoryDisk;
  readonly removed: readonly number[];
  readonly progress: readonly RestoreProgress[];
}

async function restore(bytes: Uint8Array): Promise<Restored> {
  const disk = new MemoryDisk();
  const folder = emptyStateFolder();
  const progress: RestoreProgress[] = [];
  async function* file(): AsyncGenerator<Uint8Array> {
    yield bytes;
  }
  const outcome = await restoreState({
    file: file(),
    secret: SECRET.text,
    dir: "",
    advertiseAddress: "10.0.0.77:2377",
    availability: NodeAvailability.PAUSE,
    clock,
    random,
    log: silentLogger,
    onProgress: (each) => progress.push(each),
    media: { disk, openState: async () => new MemoryState(folder) },
  });
  const store = createMemoryStore({
    proposer: { isLeader: false, propose: () => Promise.reject(new Error("nobody proposes")) },
    clock,
    random,
    log: silentLogger,
  });
  async function* pairs(): AsyncGenerator<SnapshotPair> {
    for (const [key, value] of folder.pairs) yield { key, value };
  }
  await store.restore(folder.meta.index, pairs());
  return { outcome, store, disk, removed: folder.meta.membership?.removed ?? [], progress };
}

test("a restored state is that of the backup, with this host as its only manager", async () => {
  const { outcome, store, removed, progress } = await restore(await backup());
  const { nodeId, identity } = outcome;
  store.view((tx) => {
    assert.deepEqual(tx.list("cluster"), [cluster]);
    assert.equal(Buffer.from(tx.get("secret", "s1")?.data ?? []).toString(), "cake");
    assert.equal(tx.get("node", "worker")?.meta?.version?.index, 30, "workers are as they were");
    for (const id of ["old1", "old2"]) {
      const node = tx.get("node", id);
      assert.deepEqual([node?.role, node?.spec?.desiredRole], [NodeRole.WORKER, NodeRole.WORKER]);
      assert.deepEqual(
        [node?.managerStatus, node?.number, node?.spec?.availability],
        [undefined, 5, NodeAvailability.DRAIN],
      );
      assert.equal(node?.meta?.version?.index, outcome.index);
    }
    const own = tx.get("node", nodeId);
    assert.deepEqual(
      [own?.role, own?.number, own?.spec?.availability],
      [NodeRole.MANAGER, 0, NodeAvailability.PAUSE],
    );
    assert.equal(own?.status?.address, "10.0.0.77");
  });
  assert.deepEqual(removed, [9, 11, 12], "members of before may not speak");
  const certificate = readNodeCertificate({
    certPem: identity.certificatePem,
    rootPem: bootstrap.caCertPem,
    nowMs: clock.nowMs(),
  });
  assert.deepEqual(
    [certificate.nodeId, certificate.role, certificate.clusterId],
    [nodeId, "swarm-manager", cluster.id],
  );
  assert.deepEqual(
    outcome.formerManagers.map(({ nodeId: id, hostname, address }) => [id, hostname, address]),
    [
      ["old1", "host-old1", "10.0.0.1:2377"],
      ["old2", "host-old2", "10.0.0.2:2377"],
    ],
  );
  assert.deepEqual([outcome.objects, outcome.backup.index, outcome.backup.term], [6, 40, 3]);
  assert.equal(progress[0]?.objectsEstimate, 5);
});

test("autolock stays on, under the old unlock key, from the first byte of the data keys' file", async () => {
  const { outcome, disk } = await restore(await backup());
  assert.equal(outcome.unlockKey, cluster.unlockKey);
  assert.equal(await isDataKeyLocked(disk), true);
});

test("the index goes on above everything that any earlier life has handed out", () => {
  const now = Date.UTC(2026, 10, 21);
  const first = restorePoint({ index: 40, term: 3 }, now);
  assert.deepEqual(first, { index: now * INDEXES_PER_MS, term: 4 });
  const again = restorePoint({ index: 40, term: 3 }, now + 1000);
  assert.ok(
    again.index >= first.index + 64_000,
    "the same backup a second later: above 64 000 entries of the first",
  );
  const slowClock = restorePoint({ index: first.index + 7, term: 4 }, 0);
  assert.equal(slowClock.index, first.index + 7 + INDEX_STEP, "a clock that is behind does not matter");
  assert.throws(() => restorePoint({ index: 2 ** 53 - 100, term: 1 }, now), /leaves no room/);
});

test("a state without its cluster, of another one, or with unknown objects makes no member", async () => {
  const unknown = { key: "spaceship/1", value: Uint8Array.of() };
  const refused = [
    [await backup(STATE.slice(1)), /holds no cluster/],
    [await backup(STATE, { clusterId: "another" }), /holds no cluster/],
    [await backup([...STATE, unknown]), /spaceship\/1, which this Skein does not know/],
    [
      await backup([...STATE, { key: "secret/2", value: Uint8Array.of(0x0a, 0xff) }]),
      /secret\/2 cannot be read/,
    ],
  ] as const;
  for (const [bytes, words] of refused) await assert.rejects(restore(bytes), words);
});
