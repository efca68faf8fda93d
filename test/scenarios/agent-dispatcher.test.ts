/**
 * Agents and dispatchers over real gRPC on loopback: from an assigned task to a running one, and through the failures in
 * between.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { NodeState, TaskState } from "../../proto/gen/skein/v1/types.js";
import { AgentLab } from "../support/agent-lab.js";

test("a task assigned to a node runs there and its status comes back", async () => {
  const lab = new AgentLab();
  try {
    await lab.begin(["n1"]);
    const manager = await lab.manager();
    const node = await lab.agent("n1", [manager]);
    await lab.assign({ id: "t1", nodeId: "n1" });
    const task = await lab.untilTask("t1", TaskState.RUNNING);
    assert.equal(task.status?.message, "started");
    assert.equal(task.gatewayAddress, "100.64.1.2");
    assert.equal(node.containers.ofTask("t1")?.state, "running");
    assert.equal(
      lab.store.view((view) => view.get("node", "n1")?.status?.state),
      NodeState.READY,
    );
  } finally {
    await lab.close();
  }
});
