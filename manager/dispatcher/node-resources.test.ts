import assert from "node:assert/strict";
import { test } from "node:test";
import type { Random } from "../../base/random/random.js";
import { SeededRandom } from "../../base/random/seeded-random.js";
import { EndpointState, type NodeResource, ResourceKind } from "../../proto/gen/skein/v1/dispatcher.js";
import { Cluster, Config, Network, Node, Secret, Service, Task } from "../../proto/gen/skein/v1/objects.js";
import { NodeState, TaskState } from "../../proto/gen/skein/v1/types.js";
import { createTestStore } from "../../test/support/test-store.js";
import type { MemoryStore } from "../store/memory-store.js";
import type { TableName, WriteTx } from "../store/types.js";
import { keyText, NodeView, nodeResources, type ResourceChanges } from "./node-resources.js";
import { emptyDirty, ResourceIndex } from "./resource-index.js";

function textOf({ resource }: NodeResource): string {
  if (resource === undefined) return "";
  const { $case, value } = resource;
  const id = $case === "endpoint" ? value.taskId : $case === "peer" ? value.nodeId : value.id;
  const state = $case === "endpoint" ? ` ${value.state.replace("ENDPOINT_STATE_", "").toLowerCase()}` : "";
  return `${$case} ${id}${state}`;
}

function told(store: MemoryStore, nodeId: string): readonly string[] {
  return store.view((view) => nodeResources(view, nodeId)).map(textOf);
}

async function populated(): Promise<MemoryStore> {
  const { store } = createTestStore();
  await store.update((tx) => {
    tx.create("cluster", Cluster.fromPartial({ id: "c" }));
    for (const number of [1, 2, 3]) {
      tx.create(
        "node",
        Node.fromPartial({
          id: `n${number}`,
          number,
          status: { state: NodeState.READY, address: `10.9.0.${number}` },
        }),
      );
    }
    tx.create("network", Network.fromPartial({ id: "front", vni: 4097 }));
    tx.create("network", Network.fromPartial({ id: "back", vni: 4098 }));
    tx.create("secret", Secret.fromPartial({ id: "sec" }));
    tx.create("config", Config.fromPartial({ id: "cfg" }));
    tx.create(
      "service",
      Service.fromPartial({
        id: "web",
        spec: { annotations: { name: "web" }, task: { networks: [{ target: "front" }] } },
      }),
    );
    tx.create(
      "service",
      Service.fromPartial({
        id: "db",
        spec: { annotations: { name: "db" }, task: { networks: [{ target: "back" }] } },
      }),
    );
    tx.create("task", task("web-1", "n1", "web", "front", TaskState.RUNNING));
    tx.create("task", task("web-2", "n2", "web", "front", TaskState.STARTING));
    tx.create("task", task("db-1", "n2", "db", "back", TaskState.RUNNING));
  });
  return store;
}

function task(id: string, nodeId: string, serviceId: string, network: string, state: TaskState): Task {
  return Task.fromPartial({
    id,
    nodeId,
    serviceId,
    slot: 1,
    allocated: true,
    desiredState: TaskState.RUNNING,
    status: { state },
    serviceAnnotations: { name: serviceId },
    networks: [{ networkId: network, addresses: ["10.0.1.2/24"] }],
    spec: {
      container: {
        image: "x",
        ...(serviceId === "web" ? { secrets: [{ secretId: "sec" }], configs: [{ configId: "cfg" }] } : {}),
      },
    },
  });
}

test("a node knows its tasks, what they need, and who else is on their networks", async () => {
  const store = await populated();
  assert.deepEqual(told(store, "n1"), [
    "network front",
    "networkObject front",
    "peer n2",
    "peer n3",
    "service web",
    "endpoint web-1 ready",
    "endpoint web-2 joining",
    "secret sec@1",
    "config cfg@1",
    "task web-1",
  ]);
  assert.deepEqual(told(store, "n3"), ["peer n1", "peer n2"]);
});

test("every node knows of the networks it may come to take part in, while they are there", async () => {
  const store = await populated();
  const change = (fields: Parameters<typeof Network.fromPartial>[0]) =>
    store.update((tx) =>
      tx.update("network", Network.fromPartial({ ...tx.get("network", "back"), ...fields })),
    );
  await change({ spec: { attachable: true } });
  assert.deepEqual(told(store, "n3"), ["networkObject back", "peer n1", "peer n2"]);
  await change({ spec: { ingress: true } });
  assert.deepEqual(told(store, "n3"), ["networkObject back", "peer n1", "peer n2"]);
  // one that services use does not begin to go
  const lone = Network.fromPartial({ ...store.view((tx) => tx.get("network", "back")), id: "lone" });
  await store.update((tx) => tx.create("network", { ...lone, vni: 4200 }));
  assert.ok(told(store, "n3").includes("networkObject lone"));
  await store.update((tx) =>
    tx.update("network", Network.fromPartial({ ...tx.get("network", "lone"), pendingDelete: true })),
  );
  assert.deepEqual(told(store, "n3"), ["networkObject back", "peer n1", "peer n2"]);
});

test("the key of encrypted networks is told to the nodes with a task on one, and taken back", async () => {
  const store = await populated();
  await store.update((tx) => {
    const cluster = tx.get("cluster", "c");
    const back = tx.get("network", "back");
    assert.ok(cluster !== undefined && back !== undefined);
    const networkKeys = [2, 1].map((generation) => ({
      generation,
      key: new Uint8Array(32).fill(generation),
      madeAtMs: 0,
    }));
    tx.update("cluster", { ...cluster, networkKeys });
    tx.update("network", Network.fromPartial({ ...back, spec: { encrypted: true, attachable: true } }));
  });
  const keys = (nodeId: string): readonly string[] =>
    told(store, nodeId).filter((text) => text.startsWith("networkKey"));
  assert.deepEqual(keys("n1"), []);
  assert.deepEqual(keys("n2"), ["networkKey 1", "networkKey 2"]);
  assert.deepEqual(keys("n3"), []);
  await store.update((tx) => tx.remove("task", "db-1"));
  assert.deepEqual(keys("n2"), []);
});

test("every node knows services with ingress ports and their endpoints", async () => {
  const store = await populated();
  await store.update((tx) => {
    const db = tx.get("service", "db");
    if (db === undefined) return;
    tx.update(
      "service",
      Service.fromPartial({ ...db, endpoint: { ports: [{ publishedPort: 30000, targetPort: 80 }] } }),
    );
  });
  assert.deepEqual(told(store, "n3"), ["peer n1", "peer n2", "service db", "endpoint db-1 ready"]);
});

test("an endpoint drains when its task is to stop or its node is down", async () => {
  const store = await populated();
  await store.update((tx) => {
    const first = tx.get("task", "web-1");
    if (first !== undefined) tx.update("task", { ...first, desiredState: TaskState.SHUTDOWN });
    const node = tx.get("node", "n2");
    if (node !== undefined)
      tx.update("node", { ...node, status: { state: NodeState.DOWN, message: "", address: "" } });
  });
  const view = told(store, "n1");
  assert.ok(
    view.includes("endpoint web-1 draining") && view.includes("endpoint web-2 draining"),
    view.join("; "),
  );
});

test("a finished task stays its node's until it is deleted, without its secrets; an orphaned one goes", async () => {
  const store = await populated();
  const end = (state: TaskState): Promise<void> =>
    store.update((tx) => {
      const found = tx.get("task", "web-1");
      if (found !== undefined) tx.update("task", Task.fromPartial({ ...found, status: { state } }));
    });
  await end(TaskState.FAILED);
  assert.deepEqual(told(store, "n1"), ["peer n2", "peer n3", "task web-1"]);
  await end(TaskState.ORPHANED);
  assert.deepEqual(told(store, "n1"), ["peer n2", "peer n3"]);
});

/** What an agent holds after applying changes in order. */
class Mirror {
  readonly held = new Map<string, NodeResource>();

  apply({ upserts, removals }: ResourceChanges): void {
    for (const key of removals)
      assert.ok(this.held.delete(keyText(key)), `removal of ${keyText(key)}, never told`);
    for (const resource of upserts)
      this.held.set(textOf(resource).split(" ").slice(0, 2).join(" "), resource);
  }
}

const CASES: Record<string, string> = {
  [ResourceKind.TASK]: "task",
  [ResourceKind.SECRET]: "secret",
  [ResourceKind.CONFIG]: "config",
  [ResourceKind.NETWORK]: "network",
  [ResourceKind.NETWORK_OBJECT]: "networkObject",
  [ResourceKind.ENDPOINT]: "endpoint",
  [ResourceKind.SERVICE]: "service",
  [ResourceKind.PEER]: "peer",
};

function put<K extends TableName>(tx: WriteTx, table: K, object: Parameters<typeof tx.create<K>>[1]): void {
  if (tx.get(table, object.id) === undefined) tx.create(table, object);
  else tx.update(table, object);
}

const STATES = [
  TaskState.PENDING,
  TaskState.ASSIGNED,
  TaskState.STARTING,
  TaskState.RUNNING,
  TaskState.COMPLETE,
];

/** One random change of a small cluster. */
function mutate(tx: WriteTx, random: Random): void {
  const pick = <T>(items: readonly T[]): T => items[random.int(0, items.length)] as T; // never empty
  const id = String(random.int(0, 4));
  switch (random.int(0, 6)) {
    case 0: {
      const state = pick(STATES);
      const made = task(`t${id}`, pick(["n1", "n2"]), pick(["s0", "s1"]), pick(["w0", "w1"]), state);
      const before = tx.get("task", made.id);
      put(tx, "task", {
        ...made,
        ...(before === undefined ? {} : { meta: before.meta }),
        serviceId: before?.serviceId ?? made.serviceId,
      });
      return;
    }
    case 1:
      if (tx.get("task", `t${id}`) !== undefined) tx.remove("task", `t${id}`);
      return;
    case 2: {
      const ports = random.float() < 0.5 ? [] : [{ publishedPort: 30_000, targetPort: random.int(1, 3) }];
      const name = pick(["s0", "s1"]);
      put(
        tx,
        "service",
        Service.fromPartial({
          id: name,
          spec: { annotations: { name }, task: { networks: [{ target: pick(["w0", "w1"]) }] } },
          endpoint: { ports },
        }),
      );
      return;
    }
    case 3:
      put(
        tx,
        "network",
        Network.fromPartial({
          id: pick(["w0", "w1"]),
          vni: random.int(0, 3),
          pendingDelete: random.float() < 0.2,
          spec: { annotations: { name: id }, attachable: random.float() < 0.3 },
        }),
      );
      return;
    case 4:
      put(
        tx,
        "node",
        Node.fromPartial({
          id: pick(["n1", "n2", "n3"]),
          number: random.int(0, 4),
          status: { address: "10.1.1.1", state: pick([NodeState.READY, NodeState.DOWN]) },
        }),
      );
      return;
    default: {
      const found = tx.get("task", `t${id}`);
      if (found?.status !== undefined)
        put(tx, "task", Task.fromPartial({ ...found, status: { state: pick(STATES) }, gatewayAddress: id }));
    }
  }
}

test("changes told one after the other add up to the whole set, for random histories", async () => {
  for (let seed = 0; seed < 40; seed++) {
    const random = new SeededRandom(`history ${seed}`);
    const { store } = createTestStore({ seed: String(seed) });
    await store.update((tx) => {
      for (const name of ["s0", "s1"])
        tx.create("service", Service.fromPartial({ id: name, spec: { annotations: { name } } }));
      tx.create("secret", Secret.fromPartial({ id: "sec", annotations: { name: "sec" } }));
      tx.create("config", Config.fromPartial({ id: "cfg", annotations: { name: "cfg" } }));
    });
    const watch = store.watch({ wake: () => undefined });
    const index = store.view((view) => ResourceIndex.of(view));
    const views = ["n1", "n2", "n3"].map((nodeId) => ({
      nodeId,
      view: new NodeView(index, nodeId),
      mirror: new Mirror(),
    }));
    for (const { view, mirror } of views) mirror.apply({ upserts: view.complete(), removals: [] });
    for (let step = 0; step < 60; step++) {
      try {
        await store.update((tx) => mutate(tx, random));
      } catch {
        continue; // the store keeps its own rules, such as one network per VNI
      }
      if (random.float() < 0.4) continue; // several transactions are told together
      const dirty = emptyDirty();
      for (const { changes } of watch.take()) index.apply(changes, dirty);
      for (const { nodeId, view, mirror } of views) {
        const changes = view.changes(dirty);
        for (const key of changes.removals) {
          const name = `${CASES[key.kind]} ${key.id}`;
          assert.ok(mirror.held.delete(name), `seed ${seed}: removal of ${name}, never told`);
        }
        mirror.apply({ upserts: changes.upserts, removals: [] });
        const whole = store.view((state) => nodeResources(state, nodeId));
        const expected = whole.map((resource) => ({ ...resource }));
        const actual = expected.map((resource) =>
          mirror.held.get(textOf(resource).split(" ").slice(0, 2).join(" ")),
        );
        assert.equal(mirror.held.size, whole.length, `seed ${seed} step ${step} node ${nodeId}`);
        expected.forEach((resource, at) => {
          if (resource.resource?.$case === "task") return; // the node's own reports are not told back to it
          assert.deepEqual(
            actual[at]?.resource,
            resource.resource,
            `seed ${seed} step ${step} node ${nodeId}`,
          );
        });
      }
    }
    watch.close();
  }
});

test("a task's own reports are not told back to its node", async () => {
  const store = await populated();
  const watch = store.watch({ wake: () => undefined });
  const index = store.view((view) => ResourceIndex.of(view));
  const view = new NodeView(index, "n2");
  view.complete();
  await store.update((tx) => {
    const found = tx.get("task", "web-2");
    if (found !== undefined)
      tx.update(
        "task",
        Task.fromPartial({ ...found, status: { state: TaskState.RUNNING }, gatewayAddress: "100.64.2.2" }),
      );
  });
  const dirty = index.apply(watch.take().flatMap((batch) => batch.changes));
  const { upserts, removals } = view.changes(dirty);
  assert.deepEqual(upserts.map(textOf), ["endpoint web-2 ready"]);
  assert.equal(
    upserts[0]?.resource?.$case === "endpoint" && upserts[0].resource.value.state,
    EndpointState.READY,
  );
  assert.deepEqual(removals, []);
  watch.close();
});
