import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { UnavailableError } from "../../base/errors/errors.js";
import { SeededRandom } from "../../base/random/seeded-random.js";
import { systemRandom } from "../../base/random/system-random.js";
import { Cluster, Network } from "../../proto/gen/skein/v1/objects.js";
import { ClusterSpec } from "../../proto/gen/skein/v1/types.js";
import { createTestStore, type TestStore } from "../../test/support/test-store.js";
import { createUnlockKey } from "../ca/unlock-key.js";
import { type KeyKeeper, startKeyKeeper } from "./key-keeper.js";
import { startKeyManager } from "./key-manager.js";
import { startNetworkKeyManager } from "./network-key-manager.js";
import { KEY_PERIOD_MS, rotationDueInMs } from "./rotation-plan.js";
import { lockOf } from "./unlock-lock.js";

async function turns(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await setImmediate();
}

function clusterOf(t: TestStore): Cluster {
  return t.store.view((tx) => tx.list("cluster"))[0] ?? Cluster.fromPartial({});
}

async function setUnlockKey(t: TestStore, unlockKey: string): Promise<void> {
  await t.store.update((tx) => tx.update("cluster", { ...clusterOf(t), unlockKey }));
  await turns();
}

test("a lock opens what it locked, for its purpose and with its key alone", () => {
  const key = createUnlockKey(systemRandom);
  const lock = lockOf(key, "raft data keys", systemRandom);
  const wrapped = lock.wrap(Buffer.from("data keys"));
  assert.equal(Buffer.from(wrapped).includes("data keys"), false);
  assert.equal(Buffer.from(lock.unwrap(wrapped)).toString(), "data keys");
  const others = [
    lockOf(key, "node identity", systemRandom),
    lockOf(createUnlockKey(systemRandom), "raft data keys", systemRandom),
  ];
  for (const other of others) assert.throws(() => other.unwrap(wrapped), { code: "permission-denied" });
  assert.throws(() => lock.unwrap(new Uint8Array(3)), { code: "permission-denied" });
  assert.throws(
    () => lockOf("SWMKEY-1-short", "raft data keys", systemRandom),
    (error: Error) => {
      assert.doesNotMatch(error.message, /short/);
      return true;
    },
  );
});

test("keys are due after their period, whatever the clock does", () => {
  const cluster = { dataKeyEpoch: 1, dataKeyRotatedAtMs: 1_000 };
  assert.equal(rotationDueInMs({ dataKeyEpoch: 0, dataKeyRotatedAtMs: 0 }, 5, 100), 0);
  assert.equal(rotationDueInMs(cluster, 1_040, 100), 60);
  assert.equal(rotationDueInMs(cluster, 1_100, 100), 0);
  assert.equal(rotationDueInMs(cluster, 99_000, 100), 0);
  assert.equal(rotationDueInMs(cluster, 10, 100), 100, "the clock went back");
});

test("the leader counts the epoch at once when nobody has, then once a period", async () => {
  const t = createTestStore();
  await t.store.update((tx) => tx.create("cluster", Cluster.fromPartial({ id: "c1" })));
  const manager = startKeyManager(t);
  await turns();
  assert.equal(clusterOf(t).dataKeyEpoch, 1);
  for (let hours = 1; hours <= 11; hours++) {
    t.clock.advance(3_600_000);
    await turns();
  }
  assert.equal(clusterOf(t).dataKeyEpoch, 1);
  t.clock.advance(KEY_PERIOD_MS / 12);
  await turns();
  assert.equal(clusterOf(t).dataKeyEpoch, 2);
  assert.equal(clusterOf(t).dataKeyRotatedAtMs, t.clock.nowMs());
  await manager.close();
  t.clock.advance(2 * KEY_PERIOD_MS);
  await turns();
  assert.equal(clusterOf(t).dataKeyEpoch, 2);
});

interface Kept {
  readonly keeper: KeyKeeper;
  readonly steps: string[];
  /** The next barriers, savings and locks fail so often. */
  readonly failures: { barrier: number; save: number; relock: number };
}

function keep(t: TestStore, unlockKey: string, barrier: () => Promise<void> = async () => undefined): Kept {
  const steps: string[] = [];
  const failures = { barrier: 0, save: 0, relock: 0 };
  const keeper = startKeyKeeper(
    {
      ...t,
      raft: {
        rotateDataKey: async (epoch) => {
          if (epoch > 0 && steps.at(-1) !== `epoch ${epoch}`) steps.push(`epoch ${epoch}`);
        },
        relock: async (lock) => {
          if (failures.relock-- > 0) throw new UnavailableError("disk full");
          steps.push(lock === undefined ? "data keys open" : "data keys locked");
        },
        readBarrier: async () => {
          if (failures.barrier-- > 0) throw new UnavailableError("no quorum");
          await barrier();
          return 0;
        },
      },
      follower: {
        changing: async (key) => {
          if (failures.save-- > 0) throw new UnavailableError("disk full");
          steps.push(key === "" ? "identity open" : "identity locked");
        },
        changed: () => steps.push("done"),
      },
    },
    { unlockKey },
  );
  return { keeper, steps, failures };
}

test("a manager's files follow the unlock key: identity first, then data keys", async () => {
  const t = createTestStore();
  const kept = keep(t, "");
  await turns();
  assert.deepEqual(kept.steps, [], "an empty replica says nothing");
  await t.store.update((tx) => tx.create("cluster", Cluster.fromPartial({ id: "c1", dataKeyEpoch: 4 })));
  await turns();
  assert.deepEqual(kept.steps.splice(0), ["epoch 4"]);
  await setUnlockKey(t, createUnlockKey(systemRandom));
  assert.deepEqual(kept.steps.splice(0), ["identity locked", "data keys locked", "done", "epoch 4"]);
  await setUnlockKey(t, "");
  assert.deepEqual(kept.steps.splice(0), ["identity open", "data keys open", "done", "epoch 4"]);
  await kept.keeper.close();
});

test("a replica that lags does not take a manager back to a revoked key", async () => {
  const t = createTestStore();
  const [revoked, current] = [createUnlockKey(systemRandom), createUnlockKey(systemRandom)];
  await t.store.update((tx) => tx.create("cluster", Cluster.fromPartial({ id: "c1", unlockKey: revoked })));
  const kept = keep(t, current, async () => {
    if (clusterOf(t).unlockKey === revoked) await setUnlockKey(t, current);
  });
  await turns();
  assert.deepEqual(kept.steps, []);
  await kept.keeper.close();
});

test("without a quorum, or a disk for it, a lock stays as it is and is followed later", async () => {
  const t = createTestStore();
  await t.store.update((tx) => tx.create("cluster", Cluster.fromPartial({ id: "c1" })));
  const again = keep(t, "");
  again.failures.barrier = 1;
  again.failures.save = 1;
  await setUnlockKey(t, createUnlockKey(systemRandom));
  assert.deepEqual(again.steps, []);
  t.clock.advance(2_000);
  await turns();
  assert.deepEqual(again.steps, [], "the second attempt met a full disk");
  t.clock.advance(2_000);
  await turns();
  assert.deepEqual(again.steps, ["identity locked", "data keys locked", "done"]);
  await again.keeper.close();
});

test("autolock turned off again while it could not be turned on everywhere: all files are opened again", async () => {
  const t = createTestStore();
  await t.store.update((tx) => tx.create("cluster", Cluster.fromPartial({ id: "c1" })));
  const kept = keep(t, "");
  kept.failures.relock = 1;
  await setUnlockKey(t, createUnlockKey(systemRandom));
  assert.deepEqual(kept.steps.splice(0), ["identity locked"]);
  await setUnlockKey(t, "");
  assert.deepEqual(kept.steps, ["identity open", "data keys open", "done"]);
  await kept.keeper.close();
});

test("an encrypted network gets a key, rotated after its period with the one before kept", async () => {
  const t = createTestStore();
  await t.store.update((tx) => tx.create("cluster", Cluster.fromPartial({ id: "c1" })));
  const manager = startNetworkKeyManager({ ...t, random: new SeededRandom("keys") });
  await turns();
  assert.deepEqual(clusterOf(t).networkKeys, []);
  await t.store.update((tx) => {
    tx.create("network", Network.fromPartial({ id: "n1", spec: { annotations: { name: "n1" } } }));
  });
  await turns();
  assert.deepEqual(clusterOf(t).networkKeys, [], "nothing is encrypted");
  await t.store.update((tx) => {
    const spec = { annotations: { name: "n2" }, encrypted: true };
    tx.create("network", Network.fromPartial({ id: "n2", spec }));
  });
  await turns();
  const first = clusterOf(t).networkKeys;
  assert.deepEqual(
    first.map(({ generation, key, madeAtMs }) => [generation, key.length, madeAtMs]),
    [[1, 32, t.clock.nowMs()]],
  );
  for (const generation of [2, 3]) {
    for (let hours = 1; hours <= 12; hours++) {
      t.clock.advance(3_600_000);
      await turns();
    }
    const generations = clusterOf(t).networkKeys.map((key) => key.generation);
    assert.deepEqual(generations, [generation, generation - 1]);
  }
  assert.notDeepEqual(clusterOf(t).networkKeys[0]?.key, clusterOf(t).networkKeys[1]?.key);
  await t.store.update((tx) => {
    const cluster = clusterOf(t);
    tx.update("cluster", {
      ...cluster,
      spec: { ...ClusterSpec.fromPartial({}), networkKeyPeriodMs: 600_000 },
    });
  });
  await turns();
  t.clock.advance(600_000);
  await turns();
  assert.equal(clusterOf(t).networkKeys[0]?.generation, 4);
  await manager.close();
});
