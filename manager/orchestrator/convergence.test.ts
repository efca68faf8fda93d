/**
 * Convergence as a property: whatever happens while commits are in flight, and whoever leads,
 * in the end every service has exactly the tasks it asks for, on nodes that take tasks.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { NodeAvailability, TaskState, UpdateOrder } from "../../proto/gen/skein/v1/types.js";
import { ControlLab } from "../../test/support/control-lab.js";
import { isUnassigned } from "./task-state.js";

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
  await lab.createService("web", common);
  await lab.createService("api", { ...common, update: { parallelism: 2, order: UpdateOrder.START_FIRST } });
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

test("services converge whatever happens at the same time", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(deed, { maxLength: 14 }), fc.boolean(), async (deeds, together) => {
      const lab = new ControlLab({ delay: turn });
      await prepare(lab);
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
      await lab.scale("web", 4);
      await lab.scale("api", 3);
      for (let i = 0; i < 12; i++) await lab.advance(30_000);
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
