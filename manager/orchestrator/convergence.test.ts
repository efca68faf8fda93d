/**
 * Convergence as a property: whatever happens while commits are in flight, and whoever leads,
 * in the end every service has exactly the tasks it asks for, on nodes that take tasks; and at no moment
 * has a
 * slot more running tasks than its update order allows.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Node } from "../../proto/gen/skein/v1/objects.js";
import {
  FailureAction,
  NodeAvailability,
  NodeState,
  TaskState,
  UpdateOrder,
} from "../../proto/gen/skein/v1/types.js";
import { ControlLab } from "../../test/support/control-lab.js";
import type { StoreWatch } from "../store/types.js";
import { isRunning, isUnassigned, isWanted } from "./task-state.js";

/** No task of this image ever comes to run. */
const BROKEN = "app:broken";

type Deed = (lab: ControlLab) => Promise<void>;

const services = fc.constantFrom("web", "api");
const nodes = fc.constantFrom("n1", "n2", "n3");

const deed: fc.Arbitrary<{ readonly name: string; readonly run: Deed }> = fc.oneof(
  fc.tuple(services, fc.integer({ min: 0, max: 6 })).map(([id, count]) => ({
    name: `scale ${id} to ${count}`,
    run: (lab: ControlLab) => lab.scale(id, count),
  })),
  fc.tuple(services, fc.integer({ min: 1, max: 3 })).map(([id, version]) => ({
    name: `image ${id} ${version}`,
    run: (lab: ControlLab) => lab.setImage(id, `app:${version}`),
  })),
  services.map((id) => ({
    name: `crash ${id}`,
    run: (lab: ControlLab) => lab.crash(lab.running(id)[0]?.id ?? ""),
  })),
  nodes.map((id) => ({ name: `down ${id}`, run: (lab: ControlLab) => lab.nodeDown(id) })),
  nodes.map((id) => ({ name: `up ${id}`, run: (lab: ControlLab) => lab.nodeUp(id) })),
  nodes.map((id) => ({
    name: `drain ${id}`,
    run: (lab: ControlLab) => lab.setAvailability(id, NodeAvailability.DRAIN),
  })),
  fc.tuple(nodes, fc.constantFrom(1_000, 60_000)).map(([id, ms]) => ({
    name: `drain ${id} within ${ms}`,
    run: async (lab: ControlLab) => {
      await lab.updateNode(id, (node) => ({
        ...node,
        spec: node.spec && { ...node.spec, drainDeadlineMs: ms },
      }));
      await lab.setAvailability(id, NodeAvailability.DRAIN);
    },
  })),
  services.map((id) => ({ name: `break ${id}`, run: (lab: ControlLab) => lab.setImage(id, BROKEN) })),
  services.map((id) => ({ name: `rollback ${id}`, run: (lab: ControlLab) => lab.rollback(id) })),
  services.map((id) => ({ name: `resume ${id}`, run: (lab: ControlLab) => lab.resume(id) })),
  fc.tuple(services, fc.integer({ min: 2, max: 6 })).map(([id, times]) => ({
    name: `crash loop ${id} ${times}`,
    run: async (lab: ControlLab) => {
      for (let i = 0; i < times; i++) {
        await lab.crash(lab.running(id)[0]?.id ?? "");
        await lab.advance(5_000);
      }
    },
  })),
  nodes.map((id) => ({
    name: `activate ${id}`,
    run: (lab: ControlLab) => lab.setAvailability(id, NodeAvailability.ACTIVE),
  })),
  fc.constant({ name: "new leader", run: (lab: ControlLab) => lab.changeLeader() }),
  fc.constantFrom(500, 5_000, 70_000, 400_000).map((ms) => ({
    name: `wait ${ms}`,
    run: (lab: ControlLab) => lab.advance(ms),
  })),
);

/** Entries commit a few turns of the event loop after they were proposed. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function prepare(lab: ControlLab): Promise<void> {
  await lab.addNodes("n1", "n2", "n3");
  await lab.createNetwork("net");
  const common = {
    mode: { $case: "replicated", value: { replicas: 2 } },
    task: { networks: [{ target: "net" }] },
  } as const;
  lab.run = (task) =>
    task.spec?.container?.image === BROKEN
      ? { state: TaskState.FAILED, err: "exit code 1" }
      : { state: TaskState.RUNNING };
  await lab.createService("web", common);
  const update = { parallelism: 2, order: UpdateOrder.START_FIRST, failureAction: FailureAction.ROLLBACK };
  await lab.createService("api", { ...common, update });
  await lab.createService("agent", { mode: { $case: "global", value: {} } });
}

function check(lab: ControlLab): void {
  for (const [id, count] of [
    ["web", 4],
    ["api", 3],
    ["agent", 3],
  ] as const) {
    const running = lab.running(id);
    assert.equal(running.length, count, lab.show(id).join("\n"));
    assert.equal(new Set(running.map((task) => task.slot || task.nodeId)).size, count, "one per slot");
    const image = lab.service(id).spec?.task?.container?.image;
    assert.ok(
      running.every((task) => task.spec?.container?.image === image),
      lab.show(id).join("\n"),
    );
  }
  const all = lab.test.store.view((tx) => tx.list("task"));
  assert.ok(all.every((task) => task.desiredState !== TaskState.REMOVE && !isUnassigned(task)));
}

/**
 * Looks at every commit. A task whose node came back after the cluster had given it up is let off: it is
 * told to
 * stop as soon as it can be told.
 */
class SlotWatch {
  readonly #lab: ControlLab;
  readonly #late = new Set<string>();
  readonly #watch: StoreWatch;
  readonly violations: string[] = [];

  constructor(lab: ControlLab) {
    this.#lab = lab;
    const wake = (): void => {
      this.#watch.take();
      this.#look();
    };
    this.#watch = lab.test.store.watch({ tables: ["task", "node"], wake });
  }

  close(): void {
    this.#watch.close();
  }

  #look(): void {
    const { store } = this.#lab.test;
    const [tasks, down] = store.view((tx) => {
      const isDown = ({ status }: Node): boolean => status?.state === NodeState.DOWN;
      return [
        tx.list("task"),
        new Set(
          tx
            .list("node")
            .filter(isDown)
            .map(({ id }) => id),
        ),
      ] as const;
    });
    const counts = new Map<string, string[]>();
    for (const task of tasks) {
      if (!isRunning(task)) continue;
      if (down.has(task.nodeId) && !isWanted(task)) this.#late.add(task.id);
      if (down.has(task.nodeId) || this.#late.has(task.id)) continue;
      const slot = `${task.serviceId} ${task.slot || task.nodeId}`;
      counts.set(slot, [...(counts.get(slot) ?? []), task.id]);
    }
    for (const [slot, ids] of counts) {
      if (ids.length > (slot.startsWith("api") ? 2 : 1)) this.violations.push(`${slot}: ${ids.join(" ")}`);
    }
  }
}

test("services converge whatever happens at the same time", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(deed, { maxLength: 14 }), fc.boolean(), async (deeds, together) => {
      const lab = new ControlLab({ delay: turn });
      await prepare(lab);
      const watch = new SlotWatch(lab);
      const running: Promise<void>[] = [];
      for (const { name, run } of deeds) {
        if (!together || name === "new leader") {
          await Promise.all(running.splice(0));
          await run(lab);
        } else running.push(run(lab));
      }
      await Promise.all(running);
      for (const id of ["n1", "n2", "n3"]) {
        await lab.nodeUp(id);
        await lab.setAvailability(id, NodeAvailability.ACTIVE);
      }
      for (const [id, count] of [
        ["web", 4],
        ["api", 3],
      ] as const) {
        await lab.setImage(id, "app:1");
        await lab.scale(id, count);
      }
      for (let i = 0; i < 30; i++) await lab.advance(30_000);
      watch.close();
      assert.deepEqual(watch.violations, []);
      check(lab);
      const { index } = lab.test.store;
      await lab.changeLeader();
      await lab.settle();
      assert.equal(lab.test.store.index, index, "a converged cluster is left alone");
      await lab.close();
    }),
    { numRuns: 20 },
  );
});
