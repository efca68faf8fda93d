import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { test } from "node:test";
import { type ClusterEvent, WatchEventsRequest } from "../../proto/gen/skein/v1/control.js";
import { Network, Node, Secret, Service, Task } from "../../proto/gen/skein/v1/objects.js";
import { NodeState, TaskState } from "../../proto/gen/skein/v1/types.js";
import { createTestStore, type TestStore } from "../../test/support/test-store.js";
import { serviceSpec } from "./control-fixtures.js";
import { EVENTS_KEPT_MAX, EventHistory, eventNumber } from "./event-history.js";
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

const histories = new WeakMap<TestStore, EventHistory>();

/** One history for each store, from the first subscription on. */
function historyOf(t: TestStore): EventHistory {
  const history =
    histories.get(t) ?? new EventHistory({ store: t.store, nowMs: () => t.clock.nowMs(), log: t.log });
  histories.set(t, history);
  return history;
}

function subscribe(t: TestStore, wish: Partial<WatchEventsRequest> = {}): FakeCall {
  const request = WatchEventsRequest.create(wish);
  const history = historyOf(t);
  const call = Object.assign(new FakeCall(), { request });
  // the part of a call that is used
  streamEvents(history, t.log, call as unknown as Parameters<typeof streamEvents>[2]);
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
    'task create t1 {"name":"web.1.t1","service.id":"s1","service.name":"web","node.id":"n1","slot":"1"}',
    'service update s1 {"name":"web","replicas.old":"1","replicas.new":"4"}',
    'node update n1 {"name":"h1","state.old":"unknown","state.new":"ready"}',
    'task update t1 {"name":"web.1.t1","service.id":"s1","service.name":"web","node.id":"n1",' +
      '"slot":"1","state.old":"new","state.new":"failed","error":"exit code 1"}',
    'service remove s1 {"name":"web"}',
  ]);
  assert.deepEqual(call.events.map(eventNumber), ["1.1", "1.2", "1.3", "1.4", "2.1", "2.2", "2.3", "4.1"]);
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
  assert.match((await failed).details, /^gap: not all events after/);
  await t.store.update((tx) => tx.create("secret", Secret.fromPartial({ id: "a" })));
  await settle();
  assert.deepEqual([gone.events.length, lost.events.length], [0, 0]);
});

const secrets = async (t: TestStore, from: number, count: number): Promise<void> => {
  for (let number = from; number < from + count; number++)
    await t.store.update((tx) => tx.create("secret", Secret.fromPartial({ id: `s${number}` })));
};

test("a follower goes on behind the number it saw last, first from what is kept, then as it comes", async () => {
  const t = createTestStore();
  historyOf(t);
  await secrets(t, 1, 4);
  const behind = subscribe(t, { after: "2.1" });
  const whole = subscribe(t, { after: "2" });
  const ahead = subscribe(t, { after: "5" });
  const past = subscribe(t, { past: true });
  await settle();
  await secrets(t, 5, 2);
  await settle();
  assert.deepEqual(behind.events.map(eventNumber), ["3.1", "4.1", "5.1", "6.1"]);
  assert.deepEqual(whole.events.map(eventNumber), ["3.1", "4.1", "5.1", "6.1"]);
  assert.deepEqual(past.events.map(eventNumber), ["1.1", "2.1", "3.1", "4.1"]);
  assert.deepEqual(ahead.events.map(eventNumber), ["6.1"]);
});

test("a number that is too old, or none, is refused; the gap is named", async () => {
  const t = createTestStore();
  await secrets(t, 1, 2);
  historyOf(t); // as after a restart of the manager
  await secrets(t, 3, 1);
  const refused = (after: string): Promise<string> => {
    const call = new FakeCall();
    const request = WatchEventsRequest.create({ after });
    const told = new Promise<string>((resolve) =>
      call.once("error", ({ details }: { details: string }) => resolve(details)),
    );
    const used = Object.assign(call, { request }) as unknown as Parameters<typeof streamEvents>[2];
    streamEvents(historyOf(t), t.log, used);
    return told;
  };
  assert.match(await refused("1.1"), /^gap: not all events after 1\.1 are kept, but those after 2:/);
  assert.match(await refused("x"), /^invalid event number "x"/);
  const kept = subscribe(t, { after: "2" });
  await settle();
  assert.deepEqual(kept.events.map(eventNumber), ["3.1"]);
});

test("the oldest events make room for new ones", () => {
  const t = createTestStore();
  const history = historyOf(t);
  const event = { type: "node", action: "update", id: "n", attributes: {} };
  for (let count = 0; count < EVENTS_KEPT_MAX + 1_000; count++) history.add(event);
  assert.equal(history.at(0), "gap");
  assert.ok(history.end() - history.placeSince(0) >= EVENTS_KEPT_MAX);
});
