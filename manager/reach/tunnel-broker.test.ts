import assert from "node:assert/strict";
import { test } from "node:test";
import { NotFoundError, PermissionDeniedError, ResourceExhaustedError } from "../../base/errors/errors.js";
import type { LogSubscription } from "../../proto/gen/skein/v1/logs.js";
import { Node, Task } from "../../proto/gen/skein/v1/objects.js";
import { NodeState, TaskState } from "../../proto/gen/skein/v1/types.js";
import { createTestStore } from "../../test/support/test-store.js";
import { NodeListeners } from "./node-listeners.js";
import { DIAL_BACK_MS, NODE_TUNNELS_MAX, TunnelBroker } from "./tunnel-broker.js";

async function setUp() {
  const { store, clock, random } = createTestStore();
  await store.update((tx) => {
    for (const [id, state] of [
      ["n1", NodeState.READY],
      ["n2", NodeState.DOWN],
    ] as const)
      tx.create("node", Node.fromPartial({ id, description: { hostname: `host-${id}` }, status: { state } }));
    const status = { state: TaskState.RUNNING };
    const serviceAnnotations = { name: "web" };
    tx.create("task", Task.fromPartial({ id: "t2", nodeId: "n2", slot: 2, serviceAnnotations, status }));
  });
  const listeners = new NodeListeners();
  const broker = new TunnelBroker<string>({ store, listeners, clock, random });
  const orders: LogSubscription[] = [];
  const listen = () => listeners.add("n1", { send: (order) => orders.push(order), end: () => undefined });
  const heard: string[] = [];
  const open = (nodeId = "n1", taskId = "") =>
    broker.open(
      { nodeId, taskId },
      {
        connected: (end) => heard.push(end),
        refused: (error) => heard.push(`! ${error.message}`),
      },
    );
  return { broker, store, clock, listen, orders, heard, open };
}

test("a node that dials back is joined with whoever asked, once", async () => {
  const { broker, clock, listen, orders, heard, open } = await setUp();
  listen();
  const tunnel = open();
  const id = orders[0]?.tunnelId ?? "";
  assert.throws(() => broker.answer("n9", id, "stranger"), PermissionDeniedError);
  broker.answer("n1", id, "end");
  assert.throws(() => broker.answer("n1", id, "again"), NotFoundError);
  assert.deepEqual([heard, broker.count, clock.pendingCount], [["end"], 1, 0]);
  tunnel.closed();
  tunnel.closed();
  assert.equal(broker.count, 0);
});

test("a node that comes to listen in time is told then; one that refuses says why", async () => {
  const { broker, clock, listen, orders, heard, open } = await setUp();
  open();
  clock.advance(DIAL_BACK_MS - 1);
  listen();
  broker.answer("n1", orders[0]?.tunnelId ?? "", "end", "128 tunnels are open there");
  assert.deepEqual(heard, ["! node host-n1: 128 tunnels are open there"]);
});

test("silence, absence and death are told apart", async () => {
  const { clock, listen, heard, open } = await setUp();
  open();
  clock.advance(DIAL_BACK_MS);
  listen();
  open();
  clock.advance(DIAL_BACK_MS);
  assert.deepEqual(heard, [
    "! node host-n1 is not connected to this manager: tried for 5 s",
    "! node host-n1 does not answer: tried for 5 s",
  ]);
  assert.throws(() => open("n2", "t2"), /node host-n2 is down; its task web\.2 was last seen running/);
  assert.throws(() => open("n3"), NotFoundError);
});

test("a container that was found by its id is found again, until its task is gone", async () => {
  const { broker, store } = await setUp();
  const task = { id: "t9", nodeId: "n1", status: { container: { containerId: "c0ffee" } } };
  await store.update((tx) => tx.create("task", Task.fromPartial(task)));
  for (let count = 0; count < 2; count++) assert.equal(broker.find("c0ffee").taskId, "t9");
  await store.update((tx) => tx.remove("task", "t9"));
  assert.throws(() => broker.find("c0ffee"), NotFoundError);
});

test("tunnels to a node are bounded; what is closed gives its place back", async () => {
  const { listen, open, heard, broker } = await setUp();
  listen();
  const tunnels = Array.from({ length: NODE_TUNNELS_MAX }, () => open());
  assert.throws(() => open(), ResourceExhaustedError);
  tunnels[0]?.closed();
  open();
  broker.close();
  assert.equal(heard.filter((words) => words === "! this manager stops").length, NODE_TUNNELS_MAX);
});
