import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLogger } from "../../base/log/logger.js";
import type { NodeReport } from "../../proto/gen/skein/v1/dispatcher.js";
import { Cluster, Node, Task } from "../../proto/gen/skein/v1/objects.js";
import { NodeDescription, NodeState, TaskState, TaskStatus } from "../../proto/gen/skein/v1/types.js";
import { createTestStore } from "../../test/support/test-store.js";
import { createLeaderReports } from "./leader-reports.js";

async function lead(cluster: Parameters<typeof Cluster.fromPartial>[0] = {}) {
  const { store, clock, proposer } = createTestStore();
  await store.update((tx) => {
    tx.create("cluster", Cluster.fromPartial({ id: "c", ...cluster }));
    for (const id of ["n1", "n2"])
      tx.create("node", Node.fromPartial({ id, status: { state: NodeState.READY, address: "10.0.0.9" } }));
    tx.create(
      "task",
      Task.fromPartial({ id: "t1", nodeId: "n1", status: { state: TaskState.STARTING, timestampMs: 5 } }),
    );
  });
  const reports = createLeaderReports({ store, clock, log: silentLogger });
  const send = (report: Partial<NodeReport>): Promise<void> =>
    reports.report({
      managerNodeId: "m1",
      reports: [
        {
          nodeId: "n1",
          sessionId: "a",
          alive: true,
          goodbye: false,
          leaving: false,
          description: undefined,
          address: "",
          updates: [],
          appliedRevision: 0,
          ...report,
        },
      ],
    });
  const node = (id: string): Node | undefined => store.view((view) => view.get("node", id));
  const task = (): Task | undefined => store.view((view) => view.get("task", "t1"));
  /** Time passes, and what it set off is committed. */
  const pass = async (ms: number): Promise<void> => {
    clock.advance(ms);
    await store.update(() => undefined);
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { store, clock, proposer, reports, send, node, task, pass };
}

test("a node is down after three missed heartbeats, no sooner, and ready again on its return", async () => {
  const { send, node, pass, reports } = await lead();
  await pass(4_000);
  await send({});
  await pass(2_999);
  assert.equal(node("n1")?.status?.state, NodeState.READY);
  await pass(1);
  assert.equal(node("n1")?.status?.state, NodeState.DOWN);
  assert.match(node("n1")?.status?.message ?? "", /heartbeat failure: nothing heard for 3000 ms/);
  await send({});
  assert.equal(node("n1")?.status?.state, NodeState.READY);
  assert.equal(node("n1")?.status?.message, "");
  reports.close();
});

test("after a change of leader all nodes have two periods more", async () => {
  const { node, pass, reports } = await lead();
  await pass(4_999);
  assert.equal(node("n2")?.status?.state, NodeState.READY);
  await pass(1);
  assert.equal(node("n1")?.status?.state, NodeState.DOWN);
  assert.equal(node("n2")?.status?.state, NodeState.DOWN);
  reports.close();
});

test("the cluster's own bound counts", async () => {
  const { send, node, pass, reports } = await lead({
    spec: { heartbeatPeriodMs: 200, nodeDownAfterMs: 900 },
  });
  await send({});
  await pass(899);
  assert.equal(node("n1")?.status?.state, NodeState.READY);
  await pass(1);
  assert.equal(node("n1")?.status?.state, NodeState.DOWN);
  reports.close();
});

test("a daemon that stops for a restart disconnects its node, which is down when it does not come back", async () => {
  const { send, node, pass, reports } = await lead();
  await send({});
  await send({ goodbye: true, alive: false });
  assert.equal(node("n1")?.status?.state, NodeState.DISCONNECTED);
  assert.equal(node("n1")?.status?.message, "the node's daemon was stopped; its tasks go on");
  assert.equal(node("n1")?.status?.address, "10.0.0.9");
  await send({}); // a late word of that session
  await pass(9_999);
  assert.equal(node("n1")?.status?.state, NodeState.DISCONNECTED);
  await pass(1);
  assert.equal(node("n1")?.status?.state, NodeState.DOWN);
  assert.match(node("n1")?.status?.message ?? "", /was stopped and has not come back within 10000 ms/);
  await send({ sessionId: "b" });
  assert.deepEqual([node("n1")?.status?.state, node("n1")?.status?.message], [NodeState.READY, ""]);
  reports.close();
});

test("a daemon that came back after its goodbye is as quickly missed as any other", async () => {
  const { send, node, pass, reports } = await lead();
  await send({ goodbye: true, alive: false });
  await pass(1_000);
  await send({ sessionId: "b" });
  assert.equal(node("n1")?.status?.state, NodeState.READY);
  await pass(3_000);
  assert.equal(node("n1")?.status?.state, NodeState.DOWN);
  reports.close();
});

test("a goodbye outlives the leader that heard it", async () => {
  const { store, clock, send, node, pass, reports } = await lead();
  await send({ goodbye: true, alive: false });
  reports.close();
  const next = createLeaderReports({ store, clock, log: silentLogger });
  await pass(9_999);
  assert.deepEqual(
    ["n1", "n2"].map((id) => node(id)?.status?.state),
    [NodeState.DISCONNECTED, NodeState.DOWN],
  );
  await pass(1);
  assert.equal(node("n1")?.status?.state, NodeState.DOWN);
  next.close();
});

test("a node that leaves is removed at once, and no late word brings it back", async () => {
  const { send, node, reports } = await lead();
  await send({});
  await send({ goodbye: true, leaving: true, alive: false });
  assert.equal(node("n1"), undefined);
  await send({});
  await send({ sessionId: "b" });
  assert.equal(node("n1"), undefined);
  reports.close();
});

test("liveness alone costs no commit; a description or an address does", async () => {
  const { send, node, proposer, reports } = await lead();
  const description = NodeDescription.fromPartial({ hostname: "one" });
  await send({ description, address: "10.0.0.1" });
  const index = proposer.index;
  assert.deepEqual([node("n1")?.description?.hostname, node("n1")?.status?.address], ["one", "10.0.0.1"]);
  await send({});
  await send({ description, address: "10.0.0.1" });
  await send({ address: "127.0.0.1" }); // an agent beside its manager
  assert.equal(proposer.index, index);
  reports.close();
});

test("a clock that differs is told once, and again when it is right", async () => {
  const { send, node, proposer, reports } = await lead();
  await send({ clockSkewMs: -7_000 });
  assert.equal(node("n1")?.clockSkewMs, -7_000);
  const index = proposer.index;
  await send({ clockSkewMs: -7_000 });
  await send({});
  assert.equal(proposer.index, index);
  await send({ clockSkewMs: 0 });
  assert.equal(node("n1")?.clockSkewMs, 0);
  reports.close();
});

test("statuses move tasks forward only, and only those of the node that speaks", async () => {
  const { send, task, reports } = await lead();
  const say = (state: TaskState, timestampMs: number, nodeId = "n1", message = ""): Promise<void> =>
    send({
      nodeId,
      updates: [
        {
          taskId: "t1",
          status: TaskStatus.fromPartial({ state, timestampMs, message }),
          gatewayAddress: "g",
        },
      ],
    });
  await say(TaskState.RUNNING, 10, "n2");
  assert.equal(task()?.status?.state, TaskState.STARTING);
  await say(TaskState.RUNNING, 10);
  assert.deepEqual([task()?.status?.state, task()?.gatewayAddress], [TaskState.RUNNING, "g"]);
  await say(TaskState.STARTING, 11);
  assert.equal(task()?.status?.state, TaskState.RUNNING);
  await say(TaskState.RUNNING, 9, "n1", "stale");
  assert.equal(task()?.status?.message, "");
  await say(TaskState.RUNNING, 12, "n1", "healthy again");
  assert.equal(task()?.status?.message, "healthy again");
  await send({ updates: [{ taskId: "gone", status: undefined, gatewayAddress: "" }] });
  reports.close();
});

test("while a commit hangs, silent nodes are pronounced down once, not at every look", async () => {
  let hang: Promise<void> | undefined;
  const { store, clock, log } = createTestStore({ delay: () => hang ?? Promise.resolve() });
  await store.update((tx) => {
    tx.create("cluster", Cluster.fromPartial({ id: "c" }));
    tx.create("node", Node.fromPartial({ id: "n1", status: { state: NodeState.READY } }));
  });
  const reports = createLeaderReports({ store, clock, log });
  let release: () => void = () => undefined;
  hang = new Promise((resolve) => {
    release = resolve;
  });
  clock.advance(5_000);
  for (let step = 0; step < 50; step++) {
    clock.advance(20);
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal(log.lines.filter(({ message }) => message === "nodes are down").length, 1);
  release();
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(store.view((view) => view.get("node", "n1"))?.status?.state, NodeState.DOWN);
  reports.close();
});
