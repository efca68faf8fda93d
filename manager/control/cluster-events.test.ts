import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { test } from "node:test";
import type { ClusterEvent } from "../../proto/gen/skein/v1/control.js";
import { Network, Node, Secret, Service, Task } from "../../proto/gen/skein/v1/objects.js";
import { NodeState, TaskState } from "../../proto/gen/skein/v1/types.js";
import { createTestStore, type TestStore } from "../../test/support/test-store.js";
import { serviceSpec } from "./control-fixtures.js";
import { streamEvents } from "./grpc-watch-events.js";

/** A writable call that accepts `room` messages until it is drained. */
class FakeCall extends EventEmitter {
  readonly events: ClusterEvent[] = [];
  began = false;
  room = Number.POSITIVE_INFINITY;

  sendMetadata(): void {
    this.began = true;
  }

  write(event: ClusterEvent): boolean {
    this.events.push(event);
    this.room -= 1;
    return this.room > 0;
  }

  end(): void {
    this.emit("close");
  }
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function subscribe(t: TestStore): FakeCall {
  const call = new FakeCall();
  streamEvents(t, call as unknown as Parameters<typeof streamEvents>[1]); // the part of a call that is used
  return call;
}

const lines = (call: FakeCall): string[] =>
  call.events.map(
    ({ type, action, id, attributes }) => `${type} ${action} ${id} ${JSON.stringify(attributes)}`,
  );

test("changes become events with what changed, and machinery makes none", async () => {
  const t = createTestStore();
  const call = subscribe(t);
  await t.store.update((tx) => {
    tx.create("service", Service.fromPartial({ id: "s1", spec: serviceSpec("web") }));
    tx.create("node", Node.fromPartial({ id: "n1", description: { hostname: "h1" } }));
    tx.create("secret", Secret.fromPartial({ id: "x1", annotations: { name: "key" } }));
    tx.create(
      "task",
      Task.fromPartial({
        id: "t1",
        serviceId: "s1",
        slot: 1,
        nodeId: "n1",
        serviceAnnotations: { name: "web" },
      }),
    );
    tx.create("lease", { id: "l1", meta: undefined, holder: "", expiresAtMs: 0 });
  });
  await t.store.update((tx) => {
    const [service, node, task] = [tx.get("service", "s1"), tx.get("node", "n1"), tx.get("task", "t1")];
    assert.ok(service && node && task);
    tx.update("service", {
      ...service,
      spec: serviceSpec("web", { mode: { $case: "replicated", value: { replicas: 4 } } }),
    });
    tx.update("node", { ...node, status: { state: NodeState.READY, message: "", address: "" } });
    tx.update("task", Task.fromPartial({ ...task, status: { state: TaskState.FAILED, err: "exit code 1" } }));
  });
  await t.store.update((tx) => {
    const [service, node] = [tx.get("service", "s1"), tx.get("node", "n1")];
    assert.ok(service && node);
    tx.update("service", { ...service, endpoint: { spec: undefined, ports: [], virtualIps: [] } });
    tx.update("node", { ...node, certificatePem: "new" });
  });
  await t.store.update((tx) => tx.remove("service", "s1"));
  await settle();
  assert.ok(call.began);
  assert.deepEqual(lines(call), [
    'service create s1 {"name":"web"}',
    'node create n1 {"name":"h1"}',
    'secret create x1 {"name":"key"}',
    'task create t1 {"name":"web.1.t1","service.id":"s1","node.id":"n1"}',
    'service update s1 {"name":"web","replicas.old":"1","replicas.new":"4"}',
    'node update n1 {"name":"h1","state.old":"unknown","state.new":"ready"}',
    'task update t1 {"name":"web.1.t1","service.id":"s1","node.id":"n1",' +
      '"state.old":"new","state.new":"failed","error":"exit code 1"}',
    'service remove s1 {"name":"web"}',
  ]);
  assert.deepEqual(
    call.events.map(({ index }) => index),
    [1, 1, 1, 1, 2, 2, 2, 4],
  );
});

test("a network is removed once for its users, when it only waits for its tasks", async () => {
  const t = createTestStore();
  await t.store.update((tx) =>
    tx.create("network", Network.fromPartial({ id: "n", spec: { annotations: { name: "front" } } })),
  );
  const call = subscribe(t);
  await t.store.update((tx) => {
    const network = tx.get("network", "n");
    assert.ok(network);
    tx.update("network", { ...network, vni: 4097 });
  });
  await t.store.update((tx) => {
    const network = tx.get("network", "n");
    assert.ok(network);
    tx.update("network", { ...network, pendingDelete: true, spec: undefined });
  });
  await t.store.update((tx) => tx.remove("network", "n"));
  await settle();
  assert.deepEqual(lines(call), ['network remove n {"name":"front"}']);
});

test("a slow reader holds up its own stream alone and loses nothing", async () => {
  const t = createTestStore();
  const [slow, quick] = [subscribe(t), subscribe(t)];
  slow.room = 1;
  for (const id of ["a", "b", "c"])
    await t.store.update((tx) => tx.create("secret", Secret.fromPartial({ id })));
  await settle();
  assert.equal(slow.events.length, 1);
  assert.equal(quick.events.length, 3);
  slow.room = 10;
  slow.emit("drain");
  await settle();
  assert.equal(slow.events.length, 3);
});

test("a stream ends with its client, and with an error when events were lost", async () => {
  const t = createTestStore();
  const gone = subscribe(t);
  gone.emit("cancelled");
  const lost = subscribe(t);
  const failed = new Promise<{ details: string }>((resolve) => lost.once("error", resolve));
  await t.store.restore(5, (async function* () {})());
  assert.match((await failed).details, /events were lost/);
  await t.store.update((tx) => tx.create("secret", Secret.fromPartial({ id: "a" })));
  await settle();
  assert.deepEqual([gone.events.length, lost.events.length], [0, 0]);
});
