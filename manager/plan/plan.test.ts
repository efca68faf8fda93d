/**
 * A plan against what then happens: the same nodes, tasks and reasons, and a store that nobody touched.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { PlanReply, PlanRequest } from "../../proto/gen/skein/v1/plan.js";
import { NodeAvailability, TaskState, UpdateOrder } from "../../proto/gen/skein/v1/types.js";
import { ControlLab, withImage } from "../../test/support/control-lab.js";
import { isUnassigned, isWanted } from "../orchestrator/task-state.js";
import { answerPlan } from "./answer-plan.js";

const RAFT = {
  status: () => {
    throw new Error("a plan does not ask Raft");
  },
  onMembership: () => () => undefined,
  onLeadership: () => () => undefined,
};

function ask(lab: ControlLab, question: PlanRequest["question"]): Promise<PlanReply> {
  return answerPlan({ ...lab.test, raft: RAFT }, { question });
}

/** Asks without a trace: everything stored is as it was. */
async function untouched(lab: ControlLab, question: PlanRequest["question"]): Promise<PlanReply> {
  const stored = (): unknown =>
    lab.test.store.view((tx) => [tx.list("node"), tx.list("service"), tx.list("task"), tx.list("network")]);
  const before = structuredClone(stored());
  const reply = await ask(lab, question);
  assert.deepEqual(stored(), before);
  return reply;
}

/** "web.3 on n2" of all tasks that are wanted, "web.3 on -" where one waits for a node. */
function wanted(lab: ControlLab): string[] {
  return lab.test.store
    .view((tx) => tx.list("task"))
    .filter(isWanted)
    .map((task) => `${task.serviceId}.${task.slot} on ${isUnassigned(task) ? "-" : task.nodeId}`)
    .sort();
}

/** What `wanted` will say when the plan comes true. */
function foretold(before: readonly string[], { plan }: PlanReply): string[] {
  assert.ok(plan !== undefined);
  const left = new Set(before);
  for (const task of plan.tasks) {
    if (task.beforeTaskId !== "") left.delete(`${task.name} on ${task.beforeNodeId || "-"}`);
    if (task.kind === "pending") left.delete(`${task.name} on -`);
  }
  for (const task of plan.tasks) if (task.begins) left.add(`${task.name} on ${task.afterNodeId || "-"}`);
  return [...left].sort();
}

interface World {
  readonly nodes: number;
  readonly other: number;
  readonly replicas: number;
  readonly later: number;
  readonly memoryGib: number;
  readonly maxReplicas: number;
}

const worlds = fc.record<World>({
  nodes: fc.integer({ min: 1, max: 5 }),
  other: fc.integer({ min: 0, max: 7 }),
  replicas: fc.integer({ min: 0, max: 8 }),
  later: fc.integer({ min: 0, max: 12 }),
  memoryGib: fc.integer({ min: 0, max: 3 }),
  maxReplicas: fc.integer({ min: 0, max: 3 }),
});

async function build(world: World): Promise<ControlLab> {
  const lab = new ControlLab();
  await lab.addNodes(...Array.from({ length: world.nodes }, (_, i) => `n${i + 1}`));
  await lab.createService("other", { mode: { $case: "replicated", value: { replicas: world.other } } });
  await lab.createService("web", {
    mode: { $case: "replicated", value: { replicas: world.replicas } },
    task: {
      resources: { reservations: { memoryBytes: world.memoryGib * 2 ** 30 } },
      placement: { maxReplicas: world.maxReplicas },
    },
  });
  return lab;
}

test("the plan of a scale is what then happens, and planning leaves no trace", async () => {
  await fc.assert(
    fc.asyncProperty(worlds, async (world) => {
      const lab = await build(world);
      const before = wanted(lab);
      const reply = await untouched(lab, { $case: "scale", value: { replicas: { web: world.later } } });
      await lab.scale("web", world.later);
      assert.deepEqual(foretold(before, reply), wanted(lab));
      await lab.close();
    }),
    { numRuns: 150 },
  );
});

test("the plan of a new service is what then happens", async () => {
  await fc.assert(
    fc.asyncProperty(worlds, async (world) => {
      const lab = await build(world);
      const before = wanted(lab);
      const spec = lab.service("web").spec;
      assert.ok(spec !== undefined);
      const mode = { $case: "replicated", value: { replicas: world.later } } as const;
      const named = { ...spec, mode, annotations: { name: "more", labels: {} } };
      const reply = await untouched(lab, { $case: "create", value: { spec: named, registryAuth: "" } });
      await lab.createService("more", { ...named });
      assert.deepEqual(foretold(before, reply), wanted(lab));
      await lab.close();
    }),
    { numRuns: 60 },
  );
});

test("the plan of a loss names each task that moves, and each that finds no node", async () => {
  await fc.assert(
    fc.asyncProperty(worlds, async (world) => {
      const lab = await build({ ...world, nodes: world.nodes + 1 });
      const lost = lab.test.store
        .view((tx) => tx.list("task"))
        .filter(({ nodeId, desiredState }) => nodeId === "n1" && desiredState === TaskState.RUNNING);
      const before = wanted(lab);
      const { plan } = await untouched(lab, { $case: "loseNode", value: "n1" });
      assert.deepEqual(
        plan?.tasks
          .filter(({ kind }) => kind === "node")
          .map(({ beforeTaskId }) => beforeTaskId)
          .sort(),
        lost.map(({ id }) => id).sort(),
      );
      await lab.nodeDown("n1");
      // what no node takes waits for one, or for its own node to return
      const homeless = wanted(lab).filter((line) => !before.includes(line) && line.endsWith(" on -"));
      const left = wanted(lab).filter((line) => line.endsWith(" on n1"));
      assert.equal(plan?.fits, homeless.length + left.length === 0);
      await lab.close();
    }),
    { numRuns: 60 },
  );
});

test("words, counts and disruption of a drain, an update and a loss", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1", "n2");
  const resources = { reservations: { memoryBytes: 2 ** 30 } };
  await lab.createService("web", {
    mode: { $case: "replicated", value: { replicas: 6 } },
    task: { resources },
    update: { parallelism: 2, order: UpdateOrder.STOP_FIRST },
  });
  const drain = (await ask(lab, { $case: "drainNode", value: "n1" })).plan;
  assert.equal(drain?.title, "drain of node n1");
  assert.equal(drain?.fits, false);
  assert.deepEqual(
    drain?.services.map(({ sentence }) => sentence),
    ["3 tasks move, 2 of them find no node; at most 3 unavailable at a time"],
  );
  assert.deepEqual(
    drain?.tasks.map(
      ({ reason, afterNodeName, refusals }) => reason || `${afterNodeName} ${refusals.length}`,
    ),
    [
      "no suitable node (1 node not available for new tasks, 1 node lacks 1 GiB of memory)",
      "no suitable node (1 node not available for new tasks, 1 node lacks 1 GiB of memory)",
      "n2 0",
    ],
  );
  const spec = lab.service("web").spec;
  assert.ok(spec !== undefined);
  const update = { ...EMPTY_UPDATE, id: "web", spec: withImage(spec, "app:2") };
  const changed = (await ask(lab, { $case: "update", value: update })).plan;
  assert.equal(changed?.fits, true);
  assert.equal(changed?.services[0]?.sentence, "6 tasks are replaced; at most 2 unavailable at a time");
  const same = (await ask(lab, { $case: "update", value: { ...EMPTY_UPDATE, id: "web", spec } })).plan;
  assert.deepEqual([same?.fits, same?.tasks, same?.services], [true, [], []]);
  const removal = (await ask(lab, { $case: "removeService", value: "web" })).plan;
  assert.equal(removal?.services[0]?.sentence, "6 tasks end");
  await lab.setAvailability("n2", NodeAvailability.PAUSE);
  const any = await ask(lab, { $case: "loseAnyNode", value: true });
  assert.deepEqual(
    any.losses.map(({ nodeName, fits, tasks, unplaced, services }) => [
      nodeName,
      fits,
      tasks,
      unplaced,
      services,
    ]),
    [
      ["n1", false, 3, 3, ["web"]],
      ["n2", false, 3, 2, ["web"]],
    ],
  );
  assert.equal(any.plan?.title, "loss of node n1");
  await assert.rejects(ask(lab, { $case: "loseNode", value: "n9" }), /node n9 not found/);
  await assert.rejects(ask(lab, { $case: "scale", value: { replicas: {} } }), /names 1 to 100 services/);
  await lab.close();
});

const EMPTY_UPDATE = { version: 0, registryAuth: "", registryAuthFrom: "", rollback: false };
