import assert from "node:assert/strict";
import { test } from "node:test";
import { ListNodesRequest, UpdateNodeRequest } from "../../proto/gen/skein/v1/control.js";
import { Node } from "../../proto/gen/skein/v1/objects.js";
import { NodeAvailability, NodeRole, NodeState } from "../../proto/gen/skein/v1/types.js";
import { createTestControl, type TestControl } from "./control-fixtures.js";

async function addWorker(t: TestControl, id = "w1", state: NodeState = NodeState.READY): Promise<void> {
  const node = Node.fromPartial({
    id,
    spec: { annotations: { labels: { zone: "east" } } },
    description: { hostname: `host-${id}`, engineLabels: { disk: "ssd" } },
    status: { state },
    certificatePem: "pem",
  });
  await t.store.update((tx) => tx.create("node", node));
}

async function wish(t: TestControl, id: string, spec: object): Promise<Node | undefined> {
  const { node } = await t.ask(t.control.getNode, { id });
  const request = {
    id,
    version: node?.meta?.version?.index ?? 0,
    spec: { annotations: node?.spec?.annotations ?? {}, ...spec },
  };
  return (await t.ask(t.control.updateNode, UpdateNodeRequest.fromPartial(request))).node;
}

test("nodes are answered with leadership and reachability of this moment", async () => {
  const t = await createTestControl({ managers: 3 });
  await addWorker(t);
  t.raft.reachable.set(2, false);
  t.raft.reachable.delete(3);
  const { nodes } = await t.ask(t.control.listNodes, ListNodesRequest.fromPartial({}));
  assert.deepEqual(
    nodes.map(({ id, managerStatus }) => [id, managerStatus?.leader, managerStatus?.reachability]),
    [
      ["m1", true, "reachable"],
      ["m2", false, "unreachable"],
      ["m3", false, "unknown"],
      ["w1", undefined, undefined],
    ],
  );
  assert.ok(nodes.every(({ certificatePem }) => certificatePem === ""));
});

test("nodes are listed by name, role, membership and labels", async () => {
  const t = await createTestControl({ managers: 1 });
  await addWorker(t);
  const ids = async (request: Parameters<typeof ListNodesRequest.fromPartial>[0]): Promise<string> =>
    (await t.ask(t.control.listNodes, ListNodesRequest.fromPartial(request))).nodes
      .map(({ id }) => id)
      .join(" ");
  assert.equal(await ids({ filters: { names: ["host-w"] } }), "w1");
  assert.equal(await ids({ roles: [NodeRole.MANAGER] }), "m1");
  assert.equal(await ids({ memberships: ["accepted"] }), "m1 w1");
  assert.equal(await ids({ memberships: ["pending"] }), "");
  assert.equal(await ids({ filters: { labels: { disk: "ssd" } } }), "w1");
  assert.equal(await ids({ nodeLabels: { zone: "east" } }), "w1");
  assert.equal(await ids({ nodeLabelKeys: ["zone"] }), "w1");
  assert.equal(await ids({ nodeLabels: { zone: "west" } }), "");
});

test("a node is found by host name, and two of the same name are ambiguous", async () => {
  const t = await createTestControl();
  assert.equal((await t.ask(t.control.getNode, { id: "host-m1" })).node?.id, "m1");
  await t.store.update((tx) =>
    tx.create("node", Node.fromPartial({ id: "w9", description: { hostname: "host-m1" } })),
  );
  await assert.rejects(t.ask(t.control.getNode, { id: "host-m1" }), /ambiguous \(2 matches found\)/);
  await assert.rejects(t.ask(t.control.getNode, { id: "nobody" }), {
    code: "not-found",
    message: "node nobody not found",
  });
});

test("a node is drained, labelled and promoted by its specification", async () => {
  const t = await createTestControl();
  await addWorker(t);
  const node = await wish(t, "w1", {
    availability: NodeAvailability.DRAIN,
    desiredRole: NodeRole.MANAGER,
    annotations: { labels: { a: "b" } },
  });
  assert.equal(node?.spec?.availability, NodeAvailability.DRAIN);
  assert.equal(node.spec.desiredRole, NodeRole.MANAGER);
  assert.deepEqual(node.spec.annotations?.labels, { a: "b" });
  assert.equal(node.role, NodeRole.WORKER, "its certificate is still a worker's");
});

test("an update from an old version is out of sequence", async () => {
  const t = await createTestControl();
  const request = UpdateNodeRequest.fromPartial({
    id: "m1",
    version: 77,
    spec: { desiredRole: NodeRole.MANAGER },
  });
  await assert.rejects(t.ask(t.control.updateNode, request), {
    code: "aborted",
    message: "update out of sequence",
  });
});

test("what a node tells of itself puts nobody's update out of sequence; a change of its wishes does", async () => {
  const t = await createTestControl();
  const version = t.store.view((tx) => tx.get("node", "m1")?.meta?.version?.index ?? 0);
  await t.store.update((tx) => {
    const node = tx.get("node", "m1");
    assert.ok(node);
    tx.update("node", { ...node, clockSkewMs: 5_000 });
  });
  const update = (availability: NodeAvailability): Promise<unknown> =>
    t.ask(
      t.control.updateNode,
      UpdateNodeRequest.fromPartial({
        id: "m1",
        version,
        spec: { desiredRole: NodeRole.MANAGER, availability },
      }),
    );
  await update(NodeAvailability.PAUSE);
  await assert.rejects(update(NodeAvailability.DRAIN), { message: "update out of sequence" });
});

test("the last manager cannot be demoted", async () => {
  const t = await createTestControl({ managers: 1 });
  await assert.rejects(wish(t, "m1", { desiredRole: NodeRole.WORKER }), {
    code: "failed-precondition",
    message: "attempting to demote the last manager of the swarm",
  });
});

test("a demotion that would cost quorum is refused, one of the broken manager itself is not", async () => {
  const t = await createTestControl({ managers: 3 });
  t.raft.reachable.set(3, false);
  await assert.rejects(
    wish(t, "m2", { desiredRole: NodeRole.WORKER }),
    /this would result in a loss of quorum/,
  );
  const demoted = await wish(t, "m3", { desiredRole: NodeRole.WORKER });
  assert.equal(demoted?.spec?.desiredRole, NodeRole.WORKER);
});

test("of two managers demoted at once the second is refused", async () => {
  const t = await createTestControl({ managers: 2, delay: () => Promise.resolve() });
  await wish(t, "m2", { desiredRole: NodeRole.WORKER });
  await assert.rejects(wish(t, "m1", { desiredRole: NodeRole.WORKER }), /last manager/);
});

test("a node is removed when it is down, or by force; never a Raft member", async () => {
  const t = await createTestControl({ managers: 2 });
  await addWorker(t, "w1");
  await addWorker(t, "w2", NodeState.DOWN);
  await assert.rejects(t.ask(t.control.removeNode, { id: "w1", force: false }), {
    code: "failed-precondition",
    message: "node w1 is not down and can't be removed",
  });
  await t.ask(t.control.removeNode, { id: "w1", force: true });
  await t.ask(t.control.removeNode, { id: "w2", force: false });
  await assert.rejects(
    t.ask(t.control.removeNode, { id: "m2", force: true }),
    /must be demoted to worker before removal/,
  );
  await assert.rejects(t.ask(t.control.removeNode, { id: "w1", force: true }), /node w1 not found/);
});

test("a drain's deadline is a time to wait, not below zero", async () => {
  const t = await createTestControl({ managers: 1 });
  await addWorker(t);
  for (const drainDeadlineMs of [-1, Number.NaN]) {
    const wished = wish(t, "w1", { availability: NodeAvailability.DRAIN, drainDeadlineMs });
    await assert.rejects(wished, /drain_deadline_ms cannot be negative/);
  }
});

test("a drain's beginning is stored once, and forgotten when it ends", async () => {
  const t = await createTestControl({ managers: 1 });
  await addWorker(t);
  const began = t.clock.nowMs();
  const drain = { availability: NodeAvailability.DRAIN };
  assert.equal((await wish(t, "w1", drain))?.drainStartedAtMs, began);
  t.clock.advance(1_000);
  const again = await wish(t, "w1", {
    ...drain,
    annotations: { labels: { zone: "west" } },
    drainDeadlineMs: 5,
  });
  assert.equal(again?.drainStartedAtMs, began);
  assert.equal((await wish(t, "w1", { availability: NodeAvailability.ACTIVE }))?.drainStartedAtMs, 0);
  assert.equal((await wish(t, "w1", drain))?.drainStartedAtMs, began + 1_000);
});
