import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../../base/clock/manual-clock.js";
import {
  AbortedError,
  AlreadyExistsError,
  CancelledError,
  DataLossError,
  FailedPreconditionError,
  InvalidArgumentError,
  NotFoundError,
  NotLeaderError,
} from "../../base/errors/errors.js";
import { silentLogger } from "../../base/log/logger.js";
import { SeededRandom } from "../../base/random/seeded-random.js";
import { Network, Node, Secret, Service, Task, Transaction } from "../../proto/gen/skein/v1/objects.js";
import { createTestStore } from "../../test/support/test-store.js";
import { createMemoryStore } from "./memory-store.js";
import { WATCH_BATCHES_MAX } from "./watch-queue.js";

function service(id: string, name = id): Service {
  return Service.fromPartial({
    id,
    spec: { annotations: { name }, task: { container: { image: "busybox" } } },
  });
}

function task(id: string, fields: { serviceId?: string; slot?: number; nodeId?: string } = {}): Task {
  return Task.fromPartial({ id, serviceId: "s1", slot: 1, ...fields });
}

test("create gives the object its version, times and spec version", async () => {
  const { store, clock } = createTestStore();
  await store.update((tx) => tx.create("service", service("s1", "web")));
  const stored = store.view((tx) => tx.get("service", "s1"));
  assert.equal(stored?.meta?.version?.index, 1);
  assert.equal(stored?.meta?.createdAtMs, clock.nowMs());
  assert.equal(stored?.specVersion?.index, 1);
  assert.equal(store.index, 1);
});

test("update keeps the time of creation and sets version and time of update", async () => {
  const { store, clock } = createTestStore();
  await store.update((tx) => tx.create("service", service("s1", "web")));
  const createdAtMs = clock.nowMs();
  clock.advance(1_000);
  await store.update((tx) => {
    const found = tx.get("service", "s1");
    assert.ok(found);
    tx.update("service", { ...found, pendingDelete: true });
  });
  const stored = store.view((tx) => tx.get("service", "s1"));
  assert.equal(stored?.meta?.version?.index, 2);
  assert.equal(stored?.meta?.createdAtMs, createdAtMs);
  assert.equal(stored?.meta?.updatedAtMs, createdAtMs + 1_000);
  assert.equal(stored?.specVersion?.index, 1, "the spec did not change");
});

test("a put whose spec version is 0 gets the index of its entry", async () => {
  const { store } = createTestStore();
  await store.update((tx) => tx.create("service", service("s1", "web")));
  await store.update((tx) => {
    const found = tx.get("service", "s1");
    assert.ok(found);
    tx.update("service", { ...found, specVersion: { index: 0 }, previousSpec: found.spec });
  });
  assert.equal(store.view((tx) => tx.get("service", "s1"))?.specVersion?.index, 2);
});

test("a transaction reads its own writes, through every look-up", async () => {
  const { store } = createTestStore();
  await store.update((tx) => {
    tx.create("task", task("t2"));
    tx.create("task", task("t1", { nodeId: "n1" }));
  });
  await store.update((tx) => {
    const found = tx.get("task", "t2");
    assert.ok(found);
    tx.update("task", { ...found, nodeId: "n1" });
    tx.create("task", task("t0", { slot: 2 }));
    tx.remove("task", "t1");
    const ids = (tasks: readonly Task[]): string[] => tasks.map(({ id }) => id);
    assert.deepEqual(ids(tx.list("task")), ["t0", "t2"]);
    assert.deepEqual(ids(tx.list("task", { by: "nodeId", nodeId: "n1" })), ["t2"]);
    assert.deepEqual(ids(tx.list("task", { by: "slot", serviceId: "s1", slot: 2 })), ["t0"]);
    assert.deepEqual(ids(tx.list("task", { by: "idPrefix", prefix: "t0" })), ["t0"]);
    assert.equal(tx.get("task", "t1"), undefined);
  });
  assert.deepEqual(
    store.view((tx) => tx.list("task", { by: "serviceId", serviceId: "s1" })).map(({ id }) => id),
    ["t0", "t2"],
  );
});

test("updates of one object in flight are all kept, one after the other", async () => {
  const { store } = createTestStore({ delay: () => Promise.resolve() });
  await store.update((tx) => tx.create("node", Node.fromPartial({ id: "n1" })));
  await Promise.all(
    Array.from({ length: 20 }, () =>
      store.update((tx) => {
        const node = tx.get("node", "n1");
        assert.ok(node);
        tx.update("node", { ...node, number: node.number + 1 });
      }),
    ),
  );
  assert.equal(store.view((tx) => tx.get("node", "n1"))?.number, 20);
});

/** An entry of another proposer: sets the certificate of a node, whatever its version. */
function rivalEntry(node: Node | undefined): Uint8Array {
  assert.ok(node);
  const value = { object: { $case: "node", value: { ...node, certificatePem: "rival" } } } as const;
  return Transaction.encode(
    Transaction.fromPartial({ proposalId: "rival", actions: [{ action: { $case: "put", value } }] }),
  ).finish();
}

test("a change by another proposer voids the transaction, and the function runs again", async () => {
  const { store, proposer } = createTestStore({ delay: () => Promise.resolve() });
  await store.update((tx) => tx.create("node", Node.fromPartial({ id: "n1" })));
  const rival = proposer.propose(rivalEntry(store.view((tx) => tx.get("node", "n1"))));
  let runs = 0;
  await store.update((tx) => {
    runs += 1;
    const node = tx.get("node", "n1");
    assert.ok(node);
    tx.update("node", { ...node, number: 7 });
  });
  await rival;
  assert.equal(runs, 2);
  const node = store.view((tx) => tx.get("node", "n1"));
  assert.deepEqual([node?.number, node?.certificatePem], [7, "rival"]);
});

test("an update that loses every time gives up after its attempts", async () => {
  const { store, proposer } = createTestStore({ delay: () => Promise.resolve() });
  await store.update((tx) => tx.create("node", Node.fromPartial({ id: "n1" })));
  const rivals: Promise<unknown>[] = [];
  const lost = store.update(
    (tx) => {
      const node = tx.get("node", "n1");
      assert.ok(node);
      rivals.push(proposer.propose(rivalEntry(node)));
      tx.update("node", { ...node, number: 7 });
    },
    { attemptsMax: 3 },
  );
  await assert.rejects(lost, /gave up after 3 attempts: node n1 must be at version/);
  assert.equal((await Promise.all(rivals)).length, 3);
});

test("an object from an older version is refused at once", async () => {
  const { store } = createTestStore();
  await store.update((tx) => tx.create("node", Node.fromPartial({ id: "n1" })));
  const old = store.view((tx) => tx.get("node", "n1"));
  assert.ok(old);
  await store.update((tx) => tx.update("node", { ...old, number: 1 }));
  await assert.rejects(
    store.update((tx) => tx.update("node", { ...old, number: 2 })),
    AbortedError,
  );
});

test("missing objects cannot be updated or removed, existing ids not be created", async () => {
  const { store } = createTestStore();
  await assert.rejects(
    store.update((tx) => tx.update("task", task("t1"))),
    NotFoundError,
  );
  await assert.rejects(
    store.update((tx) => tx.remove("task", "t1")),
    NotFoundError,
  );
  await store.update((tx) => tx.create("task", task("t1")));
  await assert.rejects(
    store.update((tx) => tx.create("task", task("t1"))),
    AlreadyExistsError,
  );
});

test("an update that changes nothing makes no entry", async () => {
  const { store, proposer } = createTestStore();
  assert.equal(await store.update(() => 42), 42);
  await store.update((tx) => {
    tx.create("task", task("t1"));
    tx.remove("task", "t1");
  });
  assert.equal(proposer.index, 0);
});

test("a transaction ends with its function", async () => {
  const { store } = createTestStore();
  let leaked: Parameters<Parameters<typeof store.update>[0]>[0] | undefined;
  await store.update((tx) => {
    leaked = tx;
  });
  assert.throws(() => leaked?.create("task", task("t1")), FailedPreconditionError);
});

test("an aborted signal stops an update before it is proposed", async () => {
  const { store, proposer } = createTestStore();
  await assert.rejects(
    store.update((tx) => tx.create("task", task("t1")), { signal: AbortSignal.abort() }),
    CancelledError,
  );
  assert.equal(proposer.index, 0);
});

test("a refused proposal reaches the caller and frees its objects", async () => {
  const { store, proposer } = createTestStore();
  const { propose } = proposer;
  proposer.propose = () =>
    Promise.reject(new NotLeaderError("not the leader", { leaderAddress: "10.0.0.2:2377" }));
  await assert.rejects(
    store.update((tx) => tx.create("task", task("t1"))),
    NotLeaderError,
  );
  proposer.propose = propose;
  await store.update((tx) => tx.create("task", task("t1")));
  assert.equal(store.view((tx) => tx.list("task")).length, 1);
});

test("a change above the bound is refused", async () => {
  const { store } = createTestStore();
  const data = Buffer.alloc(5 * 1024 * 1024);
  await assert.rejects(
    store.update((tx) => tx.create("secret", Secret.fromPartial({ id: "x", data }))),
    InvalidArgumentError,
  );
});

test("an entry that cannot be understood stops the replica instead of being skipped", () => {
  const { store } = createTestStore();
  const entry = (transaction: Transaction) => ({
    index: 1,
    term: 1,
    data: Transaction.encode(transaction).finish(),
  });
  const action = { action: { $case: "put", value: {} } } as const;
  assert.throws(() => store.apply(entry(Transaction.fromPartial({ actions: [action] }))), DataLossError);
  const key = { table: "tombs", id: "x" };
  assert.throws(
    () => store.apply(entry(Transaction.fromPartial({ preconditions: [{ key }] }))),
    DataLossError,
  );
  assert.throws(() => store.apply({ index: 1, term: 1, data: Uint8Array.of(255, 255) }), DataLossError);
});

test("look-ups by reference find services and tasks", async () => {
  const { store } = createTestStore();
  await store.update((tx) => {
    tx.create("network", Network.fromPartial({ id: "net1", spec: { annotations: { name: "front" } } }));
    tx.create(
      "service",
      Service.fromPartial({ id: "s1", spec: { task: { networks: [{ target: "net1" }] } } }),
    );
    tx.create("task", Task.fromPartial({ id: "t1", networks: [{ networkId: "net1" }] }));
  });
  const byNetwork = { by: "networkId", networkId: "net1" } as const;
  assert.deepEqual(
    store.view((tx) => tx.list("service", byNetwork)).map(({ id }) => id),
    ["s1"],
  );
  assert.deepEqual(
    store.view((tx) => tx.list("task", byNetwork)).map(({ id }) => id),
    ["t1"],
  );
});

test("a listed array never changes afterwards", async () => {
  const { store } = createTestStore();
  await store.update((tx) => tx.create("task", task("t1")));
  const all = store.view((tx) => tx.list("task"));
  const ofService = store.view((tx) => tx.list("task", { by: "serviceId", serviceId: "s1" }));
  await store.update((tx) => {
    tx.remove("task", "t1");
    tx.create("task", task("t2"));
  });
  assert.deepEqual(
    [...all, ...ofService].map(({ id }) => id),
    ["t1", "t1"],
  );
});

test("a watch gives one batch per transaction, of its tables only, and wakes once", async () => {
  const { store } = createTestStore();
  let wakes = 0;
  const watch = store.watch({ tables: ["service"], wake: () => wakes++ });
  await store.update((tx) => {
    tx.create("service", service("s1"));
    tx.create("task", task("t1"));
  });
  await store.update((tx) => tx.create("task", task("t2")));
  await store.update((tx) => tx.remove("service", "s1"));
  assert.equal(wakes, 1);
  const batches = watch.take();
  assert.deepEqual(
    batches.map(({ index, changes }) => [index, changes.map(({ kind, id }) => `${kind} ${id}`)]),
    [
      [1, ["create s1"]],
      [3, ["remove s1"]],
    ],
  );
  assert.equal(batches[1]?.changes[0]?.before?.id, "s1");
  assert.deepEqual(watch.take(), []);
  await store.update((tx) => tx.create("service", service("s3")));
  assert.equal(wakes, 2);
  watch.close();
  await store.update((tx) => tx.create("service", service("s4")));
  assert.deepEqual(watch.take(), []);
});

test("a watch whose wake throws disturbs nobody", async () => {
  const { store, log } = createTestStore();
  store.watch({
    wake: () => {
      throw new Error("asleep");
    },
  });
  await store.update((tx) => tx.create("task", task("t1")));
  assert.equal(log.lines[0]?.message, "store watcher failed to wake");
});

test("a watch that is not taken collapses into one reset at its bound", async () => {
  const { store } = createTestStore();
  const watch = store.watch({ tables: ["lease"], wake: () => undefined });
  for (let i = 0; i <= WATCH_BATCHES_MAX + 3; i++) {
    await store.update((tx) =>
      tx.create("lease", { id: `l${i}`, meta: undefined, holder: "", expiresAtMs: 0 }),
    );
  }
  const batches = watch.take();
  assert.deepEqual(batches, [{ index: store.index, changes: [], reset: true }]);
});

test("a replica that applies the same entries, or restores the same pairs, has the same state", async () => {
  const { store, proposer } = createTestStore();
  await store.update((tx) => tx.create("service", service("s1", "web")));
  await store.update((tx) => {
    tx.create("task", task("t1"));
    tx.create("task", task("t2"));
  });
  await store.update((tx) => tx.remove("task", "t1"));
  const options = { proposer, clock: new ManualClock(), random: new SeededRandom(1), log: silentLogger };
  const replayed = createMemoryStore(options);
  for (const entry of proposer.entries) replayed.apply(entry);
  const restored = createMemoryStore(options);
  let resets = 0;
  restored.watch({ wake: () => resets++ });
  await restored.restore(proposer.index, pairsOf(proposer.state));
  for (const other of [replayed, restored]) {
    assert.equal(other.index, store.index);
    assert.deepEqual(
      other.view((tx) => tx.list("service")),
      store.view((tx) => tx.list("service")),
    );
    assert.deepEqual(
      other.view((tx) => tx.list("task")),
      store.view((tx) => tx.list("task")),
    );
    assert.equal(other.view((tx) => tx.list("service", { by: "name", name: "web" }))[0]?.id, "s1");
  }
  assert.equal(resets, 1);
});

async function* pairsOf(
  state: ReadonlyMap<string, Uint8Array>,
): AsyncGenerator<{ key: string; value: Uint8Array }> {
  for (const key of [...state.keys()].sort()) {
    const value = state.get(key);
    if (value !== undefined) yield { key, value };
  }
}

test("batch cuts at 200 actions and at 1 MiB", async () => {
  const { store, proposer } = createTestStore();
  const items = Array.from({ length: 450 }, (_, i) => `t${i}`);
  await store.batch(items, (tx, id) => tx.create("task", task(id)));
  assert.equal(store.view((tx) => tx.list("task")).length, 450);
  assert.equal(proposer.index, 3);
  const data = Buffer.alloc(400 * 1024);
  await store.batch(["x1", "x2", "x3"], (tx, id) => tx.create("secret", Secret.fromPartial({ id, data })));
  assert.equal(proposer.index, 5);
});

test("batch runs items again whose objects changed meanwhile", async () => {
  const { store, proposer } = createTestStore({ delay: () => Promise.resolve() });
  const ids = Array.from({ length: 6 }, (_, i) => `n${i}`);
  await store.batch(ids, (tx, id) => tx.create("node", Node.fromPartial({ id })));
  const rival = proposer.propose(rivalEntry(store.view((tx) => tx.get("node", "n3"))));
  await store.batch(ids, (tx, id) => {
    const node = tx.get("node", id);
    assert.ok(node);
    tx.update("node", { ...node, number: node.number + 9 });
  });
  await rival;
  const all = store.view((tx) => tx.list("node"));
  assert.deepEqual(
    all.map(({ number }) => number),
    [9, 9, 9, 9, 9, 9],
  );
  assert.equal(all[3]?.certificatePem, "rival");
});

test("batch reports the failure of an item", async () => {
  const { store } = createTestStore();
  await assert.rejects(
    store.batch(["t1"], (tx, id) => tx.remove("task", id)),
    NotFoundError,
  );
});
