/**
 * Containers of tasks reached from any manager: the stock docker command on one host, the container on
 * another. Edge: to the lab.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { skipWithoutDocker } from "../support/lab/docker-cli.js";
import { Lab } from "../support/lab/lab.js";
import { containerOf, createService, dissolve, formSwarm, untilRunning } from "../support/lab/lab-swarm.js";

let lab: Lab;
let container: string;
let taskId: string;

before(async () => {
  lab = await Lab.open({ hosts: 3 });
  await formSwarm(lab, { managers: 2 }); // host3 is a worker
  await createService(lab.host(1), { name: "far", constraints: ["node.hostname==host3"] });
  const [task] = await untilRunning(lab.host(1), "far", 1);
  assert.ok(task);
  container = containerOf(task);
  taskId = task.ID;
});

after(async () => {
  assert.deepEqual(await dissolve(lab), []);
});

test("exec by container, task and service.slot, from the leader and from another manager", {
  skip: skipWithoutDocker,
}, async () => {
  for (const host of [lab.host(1), lab.host(2)]) {
    const names = [container, container.slice(0, 12), taskId, "far.1", `far.1.${taskId}`];
    for (const name of names) {
      const { code, stdout, stderr } = await host.docker(["exec", "-i", name, "sh", "-c", "cat; exit 7"], {
        input: "through",
      });
      assert.deepEqual([code, stdout, stderr], [7, "through", ""], `${name} on ${host.name}`);
    }
  }
});
