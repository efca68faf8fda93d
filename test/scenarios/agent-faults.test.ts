/**
 * Managers that die, agents that restart, leaders that come and go, all drawn from a seed:
 * afterwards every task is what it should be, and no container was started twice.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../base/clock/system-clock.js";
import { SeededRandom } from "../../base/random/seeded-random.js";
import { TaskState } from "../../proto/gen/skein/v1/types.js";
import { AgentLab, type LabAgent, type LabManager } from "../support/agent-lab.js";

const NODES = ["n1", "n2", "n3"];

async function storm(
  lab: AgentLab,
  random: SeededRandom,
  steps: number,
): Promise<ReadonlyMap<string, LabAgent>> {
  await lab.begin(NODES);
  const managers: LabManager[] = [await lab.manager(), await lab.manager(), await lab.manager()];
  const agents = new Map<string, LabAgent>();
  for (const id of NODES) agents.set(id, await lab.agent(id, managers));
  const running: string[] = [];
  for (let step = 0; step < steps; step++) {
    const kind = random.int(0, 8);
    const node = `n${random.int(1, 4)}`;
    if (kind <= 3) {
      for (let count = 0; count < 5; count++) {
        const id = `t${step}-${count}`;
        running.push(id);
        await lab.assign({ id, nodeId: node, slot: running.length });
      }
    } else if (kind === 4) {
      const id = running[random.int(0, running.length + 1)];
      if (id !== undefined) await lab.desire(id, TaskState.SHUTDOWN);
    } else if (kind === 5) {
      const [dying] = managers.splice(random.int(0, managers.length), 1);
      await dying?.kill();
      managers.push(await lab.manager());
    } else if (kind === 6) {
      const before = agents.get(node);
      assert.ok(before !== undefined);
      await before.agent.close({ silent: random.float() < 0.5 });
      await before.containers.close();
      const leftovers = { world: before.containers.world, state: before.state, network: before.network };
      agents.set(node, await lab.agent(node, managers, leftovers));
    } else {
      const { leader } = lab;
      lab.leader = undefined;
      await systemClock.sleep(random.int(0, 60));
      lab.leader = leader;
      if (random.float() < 0.5) lab.lead();
    }
    await systemClock.sleep(random.int(0, 10)); // faults hit work under way, too
  }
  return agents;
}

for (const seed of [1, 2, 3]) {
  test(`after a storm of faults every task is what it should be (seed ${seed})`, async () => {
    const lab = new AgentLab();
    try {
      const agents = await storm(lab, new SeededRandom(`storm ${seed}`), 40);
      const tasks = () => lab.store.view((view) => view.list("task"));
      const wanted = (desired: TaskState): TaskState =>
        desired === TaskState.RUNNING ? TaskState.RUNNING : TaskState.SHUTDOWN;
      await lab.until(
        () => tasks().every((task) => task.status?.state === wanted(task.desiredState)),
        "all tasks as desired",
      );
      for (const task of tasks()) {
        const container = agents.get(task.nodeId)?.containers.ofTask(task.id);
        assert.equal(container?.state === "running", task.desiredState === TaskState.RUNNING, task.id);
      }
      for (const { containers } of agents.values()) {
        for (const count of containers.world.starts.values()) assert.equal(count, 1);
      }
    } finally {
      await lab.close();
    }
  });
}
