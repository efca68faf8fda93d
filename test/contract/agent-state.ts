/**
 * What every AgentState must do. Edge: to node:test.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { NodeResource, type TaskStatusUpdate } from "../../proto/gen/skein/v1/dispatcher.js";
import { Node } from "../../proto/gen/skein/v1/objects.js";
import { TaskState, TaskStatus } from "../../proto/gen/skein/v1/types.js";
import type { AgentState } from "../../worker/state/agent-state.js";

export interface AgentStateWorld {
  open(): Promise<AgentState>;
  /** Opens it again after it was closed, as after a restart. */
  reopen(state: AgentState): Promise<AgentState>;
}

const task = (id: string, pullAuth = ""): NodeResource =>
  NodeResource.fromPartial({
    resource: { $case: "task", value: { id, spec: { container: { image: "i", pullAuth } } } },
  });
const networkKey = NodeResource.fromPartial({
  resource: { $case: "networkKey", value: { id: "1", generation: 1, key: Buffer.from("hush") } },
});
const secret = NodeResource.fromPartial({
  resource: { $case: "secret", value: { id: "s", data: Buffer.from("hush") } },
});
const endpoint = NodeResource.fromPartial({ resource: { $case: "endpoint", value: { taskId: "a" } } });

function ids(resources: readonly NodeResource[]): string[] {
  return resources
    .map(({ resource }) => `${resource?.$case} ${resource?.$case === "task" ? resource.value.id : ""}`.trim())
    .sort();
}

export function agentStateContract(name: string, make: () => Promise<AgentStateWorld>): void {
  test(`${name}: what was saved is there after a restart, secrets and credentials are not`, async () => {
    const world = await make();
    const first = await world.open();
    assert.deepEqual((await first.load()).revision, 0);
    const upserts = [task("a", "credentials"), task("b"), secret, networkKey, endpoint];
    await first.saveResources({ complete: true, revision: 7, upserts, removals: [] });
    const status: TaskStatusUpdate = {
      taskId: "a",
      status: TaskStatus.fromPartial({ state: TaskState.RUNNING, timestampMs: 5 }),
      gatewayAddress: "100.64.1.2",
    };
    await first.saveStatuses([status, { ...status, taskId: "b" }]);
    await first.removeStatus("b");
    const managers = [{ nodeId: "m", address: "10.0.0.1:2377", leader: true }];
    await first.saveSession({ managers, node: Node.fromPartial({ id: "n", number: 3 }) });
    await first.close();

    const second = await world.reopen(first);
    const saved = await second.load();
    assert.equal(saved.revision, 7);
    assert.deepEqual(ids(saved.resources), ["endpoint", "task a", "task b"]);
    assert.ok(!JSON.stringify(saved).includes("credentials"));
    assert.deepEqual(saved.statuses, [status]);
    assert.deepEqual(saved.managers, managers);
    assert.equal(saved.node?.number, 3);
    await second.close();
  });

  test(`${name}: changes add to what is there, a complete set replaces it`, async () => {
    const world = await make();
    const state = await world.open();
    await state.saveResources({ complete: true, revision: 1, upserts: [task("a"), task("b")], removals: [] });
    await state.saveResources({
      complete: false,
      revision: 2,
      upserts: [task("c")],
      removals: ["RESOURCE_KIND_TASK/a"],
    });
    assert.deepEqual(ids((await state.load()).resources), ["task b", "task c"]);
    await state.saveResources({ complete: true, revision: 3, upserts: [task("d")], removals: [] });
    assert.deepEqual(ids((await state.load()).resources), ["task d"]);
    assert.equal((await state.load()).revision, 3);
    await state.close();
  });
}
