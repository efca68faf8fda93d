import assert from "node:assert/strict";
import { test } from "node:test";
import { UpdateClusterRequest } from "../../proto/gen/skein/v1/control.js";
import { type Cluster, Node } from "../../proto/gen/skein/v1/objects.js";
import { NodeRole, NodeState } from "../../proto/gen/skein/v1/types.js";
import { createTestControl, type TestControl } from "./control-fixtures.js";

async function update(
  t: TestControl,
  changes: Parameters<typeof UpdateClusterRequest.fromPartial>[0],
): Promise<Cluster | undefined> {
  const version = t.store.view((tx) => tx.list("cluster"))[0]?.meta?.version?.index ?? 0;
  const { cluster } = await t.ask(
    t.control.updateCluster,
    UpdateClusterRequest.fromPartial({ version, ...changes }),
  );
  return cluster;
}

test("the cluster is answered with its tokens and without its keys", async () => {
  const t = await createTestControl({ managers: 3 });
  await t.store.update((tx) => tx.create("node", Node.fromPartial({ id: "w1" })));
  await update(t, { spec: { autoLockManagers: true }, rotateWorkerToken: true });
  const { cluster, nodes, managers } = await t.ask(t.control.getCluster, {});
  assert.deepEqual([nodes, managers], [4, 3]);
  assert.match(cluster?.rootCa?.workerToken ?? "", /^SWMTKN-1-/);
  assert.equal(cluster?.rootCa?.caKeyPem, "");
  assert.equal(cluster.unlockKey, "");
  assert.equal(t.store.view((tx) => tx.list("cluster"))[0]?.rootCa?.caKeyPem, "key");
});

test("each token is rotated on its own", async () => {
  const t = await createTestControl();
  const first = await update(t, { rotateWorkerToken: true, rotateManagerToken: true });
  const second = await update(t, { rotateWorkerToken: true });
  assert.notEqual(second?.rootCa?.workerToken, first?.rootCa?.workerToken);
  assert.equal(second?.rootCa?.managerToken, first?.rootCa?.managerToken);
});

test("autolock makes an unlock key, rotation a new one, and turning it off forgets it", async () => {
  const t = await createTestControl();
  const key = async (): Promise<string> => (await t.ask(t.control.getUnlockKey, {})).unlockKey;
  assert.equal(await key(), "");
  await assert.rejects(update(t, { rotateUnlockKey: true }), { code: "failed-precondition" });
  await update(t, { spec: { autoLockManagers: true } });
  const first = await key();
  assert.match(first, /^SWMKEY-1-/);
  await update(t, { spec: { autoLockManagers: true } });
  assert.equal(await key(), first);
  await update(t, { rotateUnlockKey: true });
  assert.notEqual(await key(), first);
  await update(t, { spec: {} });
  assert.equal(await key(), "");
});

test("settings outside their range, a stale version, a new name and a CA without TLS are refused", async () => {
  const t = await createTestControl();
  await assert.rejects(update(t, { version: 99, spec: {} }), {
    code: "aborted",
    message: "update out of sequence",
  });
  await assert.rejects(update(t, { spec: { annotations: { name: "mine" } } }), /renaming the cluster/);
  await assert.rejects(
    update(t, { spec: { nodeCertExpiryMs: 1_000 } }),
    /minimum certificate expiry time is 1h0m0s/,
  );
  await assert.rejects(update(t, { spec: { heartbeatPeriodMs: 5 } }), /heartbeat period must be from 100/);
  await assert.rejects(update(t, { spec: { orphanAfterMs: -1 } }), /orphan_after_ms cannot be negative/);
  const plain = { protocol: "cfssl", url: "http://ca" };
  await assert.rejects(update(t, { spec: { externalCas: [plain] } }), /must begin with https:/);
  const cluster = await update(t, {
    spec: { taskHistoryRetentionLimit: 2, annotations: { labels: { a: "b" } } },
  });
  assert.equal(cluster?.spec?.taskHistoryRetentionLimit, 2);
  assert.deepEqual(cluster.spec.annotations, { name: "default", labels: { a: "b" } });
});

test("a manager leaves by force only, and the answer waits until Raft has let it go", async () => {
  const t = await createTestControl({ managers: 3 });
  await assert.rejects(t.ask(t.control.leaveCluster, { nodeId: "m3", force: false }), {
    code: "failed-precondition",
    message: /participating as a manager.*left with 2 managers/,
  });
  let answered = false;
  const leaving = t.ask(t.control.leaveCluster, { nodeId: "m3", force: true }).then(() => {
    answered = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(answered, false);
  const node = t.store.view((tx) => tx.get("node", "m3"));
  assert.deepEqual([node?.spec?.desiredRole, node?.status?.state], [NodeRole.WORKER, NodeState.DOWN]);
  t.raft.drop("m3");
  await leaving;
  assert.equal(t.raft.listenerCount, 0);
});

test("a manager that asks with its certificate leaves for itself, and for nobody else", async () => {
  const t = await createTestControl({ managers: 3 });
  await assert.rejects(t.ask(t.control.leaveCluster, { nodeId: "m3", force: true }, "m2"), {
    code: "permission-denied",
    message: /m2 may not leave for node m3/,
  });
  assert.equal(t.store.view((tx) => tx.get("node", "m3"))?.spec?.desiredRole, NodeRole.MANAGER);
  const leaving = t.ask(t.control.leaveCluster, { nodeId: "m3", force: true }, "m3");
  t.raft.drop("m3");
  await leaving;
});

test("a leader that leaves hands over, and its caller is sent to the new leader", async () => {
  const t = await createTestControl({ managers: 3 });
  const leaving = t.ask(t.control.leaveCluster, { nodeId: "m1", force: true });
  await new Promise((resolve) => setImmediate(resolve));
  t.raft.lead(2);
  await assert.rejects(leaving, { code: "not-leader", leaderAddress: "10.1.0.2:2377" });
  assert.equal(t.raft.listenerCount, 0);
});

test("waiting for Raft ends after its bound", async () => {
  const t = await createTestControl({ managers: 3 });
  const leaving = t.ask(t.control.leaveCluster, { nodeId: "m3", force: true });
  await new Promise((resolve) => setImmediate(resolve));
  t.clock.advance(10_000);
  await assert.rejects(leaving, { code: "deadline-exceeded" });
});

test("the last manager and one whose leaving costs quorum go at once when forced", async () => {
  const last = await createTestControl({ managers: 1 });
  await assert.rejects(
    last.ask(last.control.leaveCluster, { nodeId: "m1", force: false }),
    /erases all current state/,
  );
  await last.ask(last.control.leaveCluster, { nodeId: "m1", force: true });
  const broken = await createTestControl({ managers: 3 });
  broken.raft.reachable.set(3, false);
  await broken.ask(broken.control.leaveCluster, { nodeId: "m2", force: true });
});

test("a manager that is left alone while it leaves need not wait, nor one without a quorum", async () => {
  const alone = await createTestControl({ managers: 2 });
  const leaving = alone.ask(alone.control.leaveCluster, { nodeId: "m1", force: true });
  await new Promise((resolve) => setImmediate(resolve));
  alone.raft.drop("m2");
  await leaving;
  const broken = await createTestControl({ managers: 3 });
  for (const raftId of [2, 3]) broken.raft.reachable.set(raftId, false);
  await assert.rejects(broken.ask(broken.control.leaveCluster, { nodeId: "m1", force: true }), {
    code: "unavailable",
  });
});

test("a worker leaves without force", async () => {
  const t = await createTestControl();
  await t.store.update((tx) =>
    tx.create("node", Node.fromPartial({ id: "w1", spec: {}, status: { state: NodeState.READY } })),
  );
  await t.ask(t.control.leaveCluster, { nodeId: "w1", force: false });
  assert.equal(t.store.view((tx) => tx.get("node", "w1"))?.status?.state, NodeState.DOWN);
});

test("the network key is rotated once there is one, and never answered", async () => {
  const t = await createTestControl();
  await assert.rejects(update(t, { rotateNetworkKey: true }), /no network is encrypted/);
  const key = new Uint8Array(32).fill(9);
  await t.store.update((tx) => {
    const cluster = tx.list("cluster")[0];
    assert.ok(cluster !== undefined);
    tx.update("cluster", { ...cluster, networkKeys: [{ generation: 1, key, madeAtMs: 5 }] });
  });
  const answered = await update(t, { rotateNetworkKey: true });
  assert.deepEqual(
    answered?.networkKeys.map(({ generation, key: shown }) => [generation, shown.length]),
    [
      [2, 0],
      [1, 0],
    ],
  );
  const kept = t.store.view((tx) => tx.list("cluster"))[0]?.networkKeys ?? [];
  assert.deepEqual(kept[1]?.key, key);
  assert.equal(kept[0]?.key.length, 32);
  assert.notDeepEqual(kept[0]?.key, key);
  await assert.rejects(
    update(t, { spec: { networkKeyPeriodMs: 1_000 } }),
    /network_key_period_ms must be at least/,
  );
  await assert.rejects(
    update(t, { spec: { networkKeyPeriodMs: -1 } }),
    /network_key_period_ms cannot be negative/,
  );
});
