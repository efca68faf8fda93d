import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLogger } from "../../base/log/logger.js";
import { NodeReport } from "../../proto/gen/skein/v1/dispatcher.js";
import { Cluster, Node, Task } from "../../proto/gen/skein/v1/objects.js";
import { NodeDescription, NodeState, TaskState, TaskStatus } from "../../proto/gen/skein/v1/types.js";
import { createTestStore } from "../../test/support/test-store.js";
import { createLeaderReports } from "./leader-reports.js";
import { SessionDigest } from "./session-digest.js";

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
  /** Whom m1 vouches for. */
  const vouched = new Map<string, string>();
  const digestOf = (sessions: ReadonlyMap<string, string>): SessionDigest => {
    const digest = new SessionDigest();
    for (const [nodeId, sessionId] of sessions) digest.add(nodeId, sessionId);
    return digest;
  };
  const present = ([nodeId, sessionId]: readonly [string, string]): NodeReport =>
    NodeReport.fromPartial({ nodeId, sessionId, alive: true, began: true });
  /** A manager says its word, and all when it is asked to. */
  const word = async (managerNodeId = "m1", sessions = vouched, epoch = "e"): Promise<boolean> => {
    const { count, digest } = digestOf(sessions);
    const bare = { epoch, sessions: count, digest };
    const { full } = await reports.report({
      managerNodeId,
      word: { ...bare, full: false },
      reports: [],
    });
    if (full)
      await reports.report({
        managerNodeId,
        word: { ...bare, full: true },
        reports: [...sessions].map(present),
      });
    return full;
  };
  const send = async (report: Partial<NodeReport>, managerNodeId = "m1"): Promise<void> => {
    await reports.report({
      managerNodeId,
      word: undefined,
      reports: [
        {
          nodeId: "n1",
          sessionId: "a",
          alive: true,
          goodbye: false,
          leaving: false,
          began: false,
          lost: false,
          silentMs: 0,
          description: undefined,
          address: "",
          updates: [],
          appliedRevision: 0,
          ...report,
        },
      ],
    });
  };
  /** A session begins, and its manager vouches for it from now on. */
  const begin = async (nodeId: string, sessionId: string): Promise<void> => {
    await send({ nodeId, sessionId, began: true });
    vouched.set(nodeId, sessionId);
    await word();
  };
  const node = (id: string): Node | undefined => store.view((view) => view.get("node", id));
  const task = (): Task | undefined => store.view((view) => view.get("task", "t1"));
  /** Time passes, and what it set off is committed. */
  const pass = async (ms: number): Promise<void> => {
    clock.advance(ms);
    await store.update(() => undefined);
    await new Promise((resolve) => setImmediate(resolve));
  };
  /** As much time, with m1 keeping its word each second. */
  const keepWord = async (ms: number): Promise<void> => {
    for (let left = ms; left > 0; left -= 1_000) {
      await pass(Math.min(1_000, left));
      await word();
    }
  };
  return { store, clock, proposer, reports, send, begin, word, vouched, keepWord, node, task, pass };
}

test("a node is alive as long as its manager keeps its word, and down when that says it was silent", async () => {
  const { begin, send, vouched, keepWord, node, pass, reports } = await lead();
  await begin("n1", "a");
  await keepWord(20_000);
  assert.equal(node("n1")?.status?.state, NodeState.READY);
  assert.equal(node("n2")?.status?.state, NodeState.DOWN);
  vouched.delete("n1");
  await send({ alive: false, lost: true, silentMs: 3_000 });
  await pass(1);
  assert.equal(node("n1")?.status?.state, NodeState.DOWN);
  assert.match(node("n1")?.status?.message ?? "", /heartbeat failure: nothing heard for 3000 ms/);
  await begin("n1", "b");
  assert.deepEqual([node("n1")?.status?.state, node("n1")?.status?.message], [NodeState.READY, ""]);
  reports.close();
});

test("a node whose stream broke has the rest of its time to find another manager", async () => {
  const { begin, send, vouched, keepWord, node, pass, reports } = await lead();
  await begin("n1", "a");
  await begin("n2", "z");
  for (const nodeId of ["n1", "n2"]) {
    vouched.delete(nodeId);
    await send({ nodeId, sessionId: nodeId === "n1" ? "a" : "z", alive: false, lost: true, silentMs: 400 });
  }
  await begin("n2", "y");
  await pass(2_599);
  assert.equal(node("n1")?.status?.state, NodeState.READY);
  await pass(1);
  assert.equal(node("n1")?.status?.state, NodeState.DOWN);
  await keepWord(5_000);
  assert.equal(node("n2")?.status?.state, NodeState.READY);
  reports.close();
});

test("a manager's silence is that of its own node, and gives the others their time to go elsewhere", async () => {
  const { send, word, node, pass, keepWord, vouched, reports } = await lead();
  await word(
    "n1",
    new Map([
      ["n1", "a"],
      ["n2", "b"],
    ]),
  );
  await pass(2_999);
  assert.equal(node("n1")?.status?.state, NodeState.READY);
  await pass(1);
  assert.deepEqual([node("n1")?.status?.state, node("n2")?.status?.state], [NodeState.DOWN, NodeState.READY]);
  await pass(2_000);
  await send({ nodeId: "n2", sessionId: "c", began: true });
  vouched.set("n2", "c");
  await keepWord(10_000);
  assert.equal(node("n2")?.status?.state, NodeState.READY);
  reports.close();
});

test("a manager that counts otherwise is asked for all: at once when it is new, else after two words", async () => {
  const { word, node, pass, reports } = await lead();
  const sessions = new Map([["n1", "a"]]);
  assert.equal(await word("m1", sessions), true);
  assert.equal(await word("m1", sessions), false);
  sessions.set("n2", "b"); // its report is on its way, or lost
  assert.equal(await word("m1", sessions), false);
  assert.equal(await word("m1", sessions), true);
  assert.equal(await word("m1", sessions), false);
  sessions.delete("n1");
  assert.equal(await word("m1", sessions, "another life"), true);
  for (let second = 0; second < 3; second++) {
    assert.equal(node("n1")?.status?.state, NodeState.READY);
    await pass(1_000);
    await word("m1", sessions, "another life");
  }
  assert.deepEqual([node("n1")?.status?.state, node("n2")?.status?.state], [NodeState.DOWN, NodeState.READY]);
  reports.close();
});

test("a late loss of an old session harms no newer one, whichever manager has it", async () => {
  const { begin, send, vouched, word, keepWord, node, reports } = await lead();
  await begin("n1", "a");
  await word("m2", new Map([["n1", "b"]]));
  vouched.delete("n1");
  await send({ alive: false, lost: true, silentMs: 3_000 });
  for (let second = 0; second < 10; second++) {
    await keepWord(1_000);
    await word("m2", new Map([["n1", "b"]]));
  }
  assert.equal(node("n1")?.status?.state, NodeState.READY);
  reports.close();
});

test("at rest the leader looks at nothing but its managers", async () => {
  const { store, clock, log } = createTestStore();
  await store.update((tx) => {
    tx.create("cluster", Cluster.fromPartial({ id: "c" }));
    for (let at = 0; at < 150; at++)
      tx.create("node", Node.fromPartial({ id: `n${at}`, status: { state: NodeState.READY } }));
  });
  let looks = 0;
  const counted = { ...store, batch: store.batch.bind(store), update: store.update.bind(store) };
  const view: typeof store.view = (read) => {
    looks += 1;
    return store.view(read);
  };
  const reports = createLeaderReports({
    store: { ...counted, index: 0, watch: store.watch.bind(store), view },
    clock,
    log,
  });
  const digest = new SessionDigest();
  const all = Array.from({ length: 150 }, (_, at) => {
    digest.add(`n${at}`, "s");
    return NodeReport.fromPartial({ nodeId: `n${at}`, sessionId: "s", alive: true, began: true });
  });
  const word = { epoch: "e", sessions: digest.count, digest: digest.digest, full: true };
  await reports.report({ managerNodeId: "m1", word, reports: all });
  clock.advance(10);
  looks = 0;
  for (let second = 0; second < 60; second++) {
    clock.advance(1_000);
    await reports.report({ managerNodeId: "m1", word: { ...word, full: false }, reports: [] });
  }
  assert.ok(looks < 60 * 4, `${looks} looks at the store in a minute`);
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
  const { begin, node, pass, reports } = await lead({
    spec: { heartbeatPeriodMs: 200, nodeDownAfterMs: 900 },
  });
  await begin("n1", "a");
  await pass(1_799); // its manager's bound, and its own
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
  const { send, begin, node, pass, reports } = await lead();
  await send({ goodbye: true, alive: false });
  await pass(1_000);
  await begin("n1", "b");
  assert.equal(node("n1")?.status?.state, NodeState.READY);
  await send({ sessionId: "b", alive: false, lost: true, silentMs: 3_000 });
  await pass(1);
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
