/**
 * What becomes of stacks when others interfere, time runs out, leaders change: each a scenario on all
 * control loops.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Network, Task } from "../../../proto/gen/skein/v1/objects.js";
import { StackCondition } from "../../../proto/gen/skein/v1/stack_types.js";
import {
  FailureAction,
  PublishMode,
  RestartCondition,
  ServiceSpec,
  TaskState,
} from "../../../proto/gen/skein/v1/types.js";
import { StackLab, type StackSketch } from "../../../test/support/stack-lab.js";

const isOf = (task: { readonly serviceAnnotations?: { readonly name: string } | undefined }, name: string) =>
  task.serviceAnnotations?.name === name;

test("a job is a gate: who depends on it waits until it completed, and it does not run again unchanged", async () => {
  const lab = new StackLab();
  await lab.addNodes("n1");
  lab.run = (task) =>
    isOf(task, "shop_migrate") ? { state: TaskState.COMPLETE } : { state: TaskState.RUNNING };
  const sketch: StackSketch = {
    services: { web: { needs: { migrate: "completed" } }, migrate: { job: 1 } },
  };
  lab.silent.add("n1");
  await lab.deploy("shop", sketch);
  assert.match(lab.tell("shop"), /web waiting \(waits for migrate to complete\)/);
  lab.silent.delete("n1");
  await lab.settle();
  await lab.toTheEnd("shop");
  assert.equal(lab.tell("shop"), "reached 1, good 1: web reached, migrate reached");
  const job = lab.named("shop_migrate");
  await lab.deploy("shop", {
    services: { ...sketch.services, web: { image: "app:2", needs: { migrate: "completed" } } },
  });
  await lab.toTheEnd("shop");
  assert.equal(lab.tell("shop"), "reached 2, good 2: web reached, migrate unchanged");
  assert.equal(lab.named("shop_migrate"), job);
  await lab.deploy("shop", { services: { ...sketch.services, migrate: { job: 1, image: "app:3" } } });
  assert.equal(lab.named("shop_migrate")?.jobStatus?.iteration, 1, "a changed job runs anew");
  await lab.close();
});

test("a gate job that fails as often as its policy allows takes the deployment back", async () => {
  const lab = new StackLab();
  await lab.addNodes("n1");
  await lab.deploy("shop", { services: { web: {} } });
  await lab.toTheEnd("shop");
  lab.run = (task) =>
    isOf(task, "shop_migrate")
      ? { state: TaskState.FAILED, err: "exit code 2" }
      : { state: TaskState.RUNNING };
  const restart = { condition: RestartCondition.ON_FAILURE, maxAttempts: 1, delayMs: 100 };
  await lab.deploy("shop", {
    services: {
      web: { image: "app:2", needs: { migrate: "completed" } },
      migrate: { job: 1, spec: { task: { restart } } },
    },
  });
  await lab.toTheEnd("shop");
  assert.equal(lab.tell("shop"), "went back 2, good 1: web unchanged, migrate removed");
  assert.equal(
    lab.failure("shop"),
    "service migrate: task shop_migrate on n1 failed 2 times: exit code 2; going back to revision 1",
  );
  await lab.close();
});

test("what depends with restart is made anew after what it depends on was, and otherwise not", async () => {
  const lab = new StackLab();
  await lab.addNodes("n1");
  const restarted = { needs: { db: { restart: true } } } as const;
  await lab.deploy("shop", { services: { web: restarted, log: { needs: { db: "started" } }, db: {} } });
  await lab.toTheEnd("shop");
  const log = lab.named("shop_log");
  await lab.deploy("shop", {
    services: { web: restarted, log: { needs: { db: "started" } }, db: { image: "db:2" } },
  });
  await lab.toTheEnd("shop");
  assert.equal(lab.tell("shop"), "reached 2, good 2: web reached, log unchanged, db reached");
  assert.equal(lab.named("shop_log"), log);
  assert.equal(lab.named("shop_web")?.spec?.task?.forceUpdate, 1);
  const web = lab.named("shop_web");
  await lab.deploy("shop", {
    services: { web: restarted, log: { needs: { db: "started" } }, db: { image: "db:2", replicas: 2 } },
  });
  await lab.toTheEnd("shop");
  assert.equal(lab.named("shop_web"), web, "more replicas make nothing anew");
  await lab.close();
});

test("a task that has no place for half a minute fails the deployment, with the scheduler's words", async () => {
  const lab = new StackLab();
  await lab.addNodes("n1");
  const spec = { task: { placement: { constraints: ["node.labels.disk == ssd"] } } };
  await lab.deploy("shop", { services: { web: { spec } } });
  await lab.advance(29_000);
  assert.match(lab.tell("shop"), /^applying 1/);
  await lab.advance(1_000);
  assert.match(lab.tell("shop"), /^went back 1, good 0: web removed/);
  assert.match(lab.failure("shop"), /^service web: task shop_web.1 has no place: no suitable node/);
  await lab.close();
});

test("what is not reached by the deadline has failed, and the service is named", async () => {
  const lab = new StackLab();
  await lab.addNodes("n1");
  lab.run = () => ({ state: TaskState.STARTING });
  await lab.deploy("shop", { services: { web: {} } }, { timeoutMs: 60_000 });
  await lab.advance(59_999);
  assert.match(lab.tell("shop"), /^applying 1/);
  await lab.advance(1);
  assert.match(
    lab.failure("shop"),
    /^service web was not reached in time: 0 of 1 tasks run; there is no good revision/,
  );
  await lab.close();
});

test("what is reached by the deadline is good, though its monitor goes on for longer", async () => {
  const lab = new StackLab();
  await lab.addNodes("n1");
  const spec = { update: { monitorMs: 1_200_000 } };
  await lab.deploy("shop", { services: { web: { spec } } }, { timeoutMs: 60_000 });
  await lab.advance(59_999);
  assert.match(lab.tell("shop"), /^applying 1/);
  await lab.advance(1);
  assert.equal(lab.tell("shop"), "reached 1, good 1: web reached");
  await lab.close();
});

test("a network whose name something on its way out keeps ends the deployment at its deadline", async () => {
  const lab = new StackLab();
  await lab.addNodes("n1");
  await lab.test.store.update((tx) => {
    const spec = { annotations: { name: "shop_net" } };
    tx.create("network", Network.fromPartial({ id: "old", spec, pendingDelete: true }));
    const held = { spec: { networks: [{ target: "old" }] }, status: { state: TaskState.RUNNING } };
    tx.create("task", Task.fromPartial({ id: "user", ...held }));
  });
  const sketch = { networks: { net: {} }, services: { web: { networks: ["net"] } } };
  await lab.begin("shop", sketch, { timeoutMs: 10_000 });
  await lab.advance(5_000);
  assert.match(lab.tell("shop"), /^applying 1/);
  await lab.toTheEnd("shop");
  assert.match(lab.failure("shop"), /^its networks, secrets and configs could not be made in time; /);
  await lab.close();
});

test("a service that waits for health which nothing checks fails", async () => {
  const lab = new StackLab();
  await lab.addNodes("n1");
  await lab.deploy("shop", { services: { web: { needs: { db: "healthy" } }, db: {} } });
  assert.match(
    lab.failure("shop"),
    /^service web: it waits for db to be healthy, which has no health check; /,
  );
  await lab.close();
});

test("an optional dependency that fails stops neither who depends on it nor the deployment", async () => {
  const lab = new StackLab();
  await lab.addNodes("n1");
  lab.run = (task) =>
    isOf(task, "shop_metrics")
      ? { state: TaskState.FAILED, err: "exit code 1" }
      : { state: TaskState.RUNNING };
  const needs = { metrics: { optional: true, condition: StackCondition.STARTED }, gone: { optional: true } };
  await lab.deploy("shop", { services: { web: { needs }, metrics: {} } });
  await lab.toTheEnd("shop");
  assert.match(lab.tell("shop"), /^reached 1, good 1: web reached, metrics failed/);
  assert.match(
    lab.failure("shop"),
    /^service metrics, which may fail: task shop_metrics.1 on n1 failed 3 times/,
  );
  await lab.close();
});

test("prune removes what the definition lacks at the end; without it, all stays", async () => {
  const lab = new StackLab();
  await lab.addNodes("n1");
  const networks = { old: {}, kept: {} };
  await lab.deploy("shop", {
    networks,
    services: { web: { networks: ["kept"] }, old: { networks: ["old"] } },
  });
  await lab.toTheEnd("shop");
  const fewer: StackSketch = {
    networks: { kept: {} },
    services: { web: { networks: ["kept"], image: "app:2" } },
  };
  await lab.deploy("shop", fewer);
  await lab.toTheEnd("shop");
  assert.notEqual(lab.named("shop_old"), undefined);
  lab.run = (task) => ({ state: isOf(task, "shop_web") ? TaskState.STARTING : TaskState.RUNNING });
  await lab.deploy(
    "shop",
    { ...fewer, services: { web: { networks: ["kept"], image: "app:3" } } },
    { prune: true },
  );
  assert.notEqual(lab.named("shop_old"), undefined, "not before all is reached");
  lab.run = () => ({ state: TaskState.RUNNING });
  await lab.settle();
  await lab.toTheEnd("shop");
  assert.equal(lab.tell("shop"), "reached 3, good 3: web reached, old removed");
  assert.deepEqual(
    lab.test.store.view((tx) => tx.list("network")).map(({ spec }) => spec?.annotations?.name),
    ["shop_kept"],
  );
  await lab.close();
});

const port = (publishedPort: number) => ({
  endpoint: { ports: [{ targetPort: 80, publishedPort, publishMode: PublishMode.HOST }] },
});

test("a port that goes to another service: a pruned one makes way, one that stays gives it up first", async () => {
  const lab = new StackLab();
  await lab.addNodes("n1", "n2");
  await lab.deploy("shop", { services: { web: { spec: port(8080) } } });
  await lab.toTheEnd("shop");
  await lab.deploy("shop", { services: { front: { spec: port(8080) } } }, { prune: true });
  await lab.toTheEnd("shop");
  assert.equal(lab.tell("shop"), "reached 2, good 2: front reached, web removed");
  await lab.deploy("shop", { services: { other: { spec: port(8080) }, front: { spec: port(9090) } } });
  await lab.toTheEnd("shop");
  assert.equal(lab.tell("shop"), "reached 3, good 3: other reached, front reached");
  await lab.close();
});

test("a newer deployment supersedes one under way; what that created goes with the next failure", async () => {
  const lab = new StackLab();
  await lab.addNodes("n1");
  await lab.deploy("shop", { services: { web: {} } });
  await lab.toTheEnd("shop");
  lab.run = (task) => ({ state: isOf(task, "shop_web") ? TaskState.RUNNING : TaskState.STARTING });
  await lab.deploy("shop", { networks: { first: {} }, services: { web: {}, extra: {} } });
  await lab.advance(120_000);
  const more = { networks: { first: {}, second: {} }, services: { web: {}, more: {} } };
  await lab.deploy("shop", more, { timeoutMs: 10_000 });
  assert.equal(lab.revisions("shop")[1]?.outcome, "REVISION_OUTCOME_SUPERSEDED");
  await lab.toTheEnd("shop");
  assert.equal(lab.tell("shop"), "went back 3, good 1: web unchanged, more removed, extra removed");
  assert.equal(lab.named("shop_extra"), undefined);
  assert.deepEqual(
    lab.test.store.view((tx) => tx.list("network")),
    [],
  );
  await lab.close();
});

test("a rollback is a revision of its own, with the definition of the one it restores", async () => {
  const lab = new StackLab();
  await lab.addNodes("n1");
  for (const image of ["app:1", "app:2", "app:3"]) {
    await lab.deploy("shop", { services: { web: { image } } });
    await lab.toTheEnd("shop");
  }
  await lab.rollBack("shop", 1);
  await lab.toTheEnd("shop");
  assert.equal(lab.tell("shop"), "reached 4, good 4: web reached");
  assert.equal(lab.revisions("shop")[3]?.restores, 1);
  assert.equal(lab.named("shop_web")?.spec?.task?.container?.image, "app:1");
  await lab.close();
});

test("of revisions the newest ten are kept, and the good one", async () => {
  const lab = new StackLab();
  await lab.addNodes("n1");
  await lab.deploy("shop", { services: { web: {} } });
  await lab.toTheEnd("shop");
  for (let at = 2; at < 14; at++) await lab.begin("shop", { services: { web: { image: `app:${at}` } } });
  assert.deepEqual(
    lab.revisions("shop").map(({ number }) => number),
    [1, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13],
  );
  await lab.close();
});

test("a network made anew: services move to it, and the old one goes; going back they return", async () => {
  const lab = new StackLab();
  await lab.addNodes("n1");
  const ids = () =>
    lab.test.store.view((tx) => tx.list("network")).map(({ id, spec }) => [id, spec?.annotations?.name]);
  const services = { web: { networks: ["net"] }, db: { networks: ["net"] } };
  await lab.deploy("shop", { networks: { net: {} }, services });
  await lab.toTheEnd("shop");
  const [[first] = []] = ids();
  lab.run = (task) =>
    isOf(task, "shop_web") && task.spec?.networks[0]?.target !== first
      ? { state: TaskState.FAILED, err: "exit code 1" }
      : { state: TaskState.RUNNING };
  await lab.deploy("shop", { networks: { net: { internal: true } }, services });
  await lab.toTheEnd("shop");
  assert.match(lab.tell("shop"), /^went back 2, good 1: web reached, db reached$/);
  assert.deepEqual(ids(), [[first, "shop_net"]]);
  lab.run = () => ({ state: TaskState.RUNNING });
  await lab.deploy("shop", { networks: { net: { internal: true } }, services });
  await lab.toTheEnd("shop");
  assert.match(lab.tell("shop"), /^reached 3, good 3/);
  const now = ids();
  assert.equal(now.length, 1);
  assert.equal(now[0]?.[1], "shop_net");
  assert.notEqual(now[0]?.[0], first);
  await lab.close();
});

test("a network that others use is not replaced: the deployment says who", async () => {
  const lab = new StackLab();
  await lab.addNodes("n1");
  const services = { web: { networks: ["net"] } };
  await lab.deploy("shop", { networks: { net: {} }, services });
  await lab.toTheEnd("shop");
  const net = lab.test.store.view((tx) => tx.list("network"))[0]?.id ?? "";
  await lab.createService("guest", { task: { networks: [{ target: net }] } });
  await lab.deploy("shop", { networks: { net: { internal: true } }, services });
  assert.equal(
    lab.failure("shop"),
    "network shop_net would have to be replaced, and service guest uses it, too; going back to revision 1",
  );
  assert.match(lab.tell("shop"), /^went back 2, good 1: web unchanged$/);
  await lab.close();
});

test("a service removed by others fails the deployment after a while; all gone, so is the stack", async () => {
  const lab = new StackLab();
  await lab.addNodes("n1");
  lab.run = (task) => ({ state: isOf(task, "shop_web") ? TaskState.STARTING : TaskState.RUNNING });
  await lab.deploy("shop", { services: { web: {}, db: {} } });
  await lab.removeService(lab.named("shop_db")?.id ?? "");
  await lab.advance(4_000);
  assert.match(lab.tell("shop"), /^applying 1/);
  await lab.advance(1_000);
  assert.match(lab.failure("shop"), /^service db was removed by somebody else/);
  await lab.toTheEnd("shop");
  await lab.deploy("shop", { services: { web: {}, db: {} } });
  for (const name of ["shop_db", "shop_web"]) await lab.removeService(lab.named(name)?.id ?? "");
  await lab.advance(5_000);
  assert.equal(lab.tell("shop"), "gone");
  await lab.close();
});

test("a stack at rest goes when somebody has removed all that it had, one by one", async () => {
  const lab = new StackLab();
  await lab.addNodes("n1");
  await lab.deploy("shop", { networks: { net: {} }, services: { web: { networks: ["net"] }, db: {} } });
  await lab.toTheEnd("shop");
  for (const name of ["shop_db", "shop_web"]) await lab.removeService(lab.named(name)?.id ?? "");
  assert.match(lab.tell("shop"), /^reached 1/);
  await lab.test.store.update((tx) => tx.remove("network", tx.list("network")[0]?.id ?? ""));
  await lab.settle();
  assert.equal(lab.tell("shop"), "gone");
  assert.deepEqual(lab.revisions("shop"), []);
  await lab.close();
});

test("a service that rolls itself back takes the whole stack back", async () => {
  const lab = new StackLab();
  await lab.addNodes("n1");
  const spec = { update: { parallelism: 1, failureAction: FailureAction.ROLLBACK } };
  await lab.deploy("shop", { services: { web: { spec, replicas: 2 }, db: {} } });
  await lab.toTheEnd("shop");
  lab.run = (task) =>
    task.spec?.container?.image === "app:2"
      ? { state: TaskState.FAILED, err: "exit code 1" }
      : { state: TaskState.RUNNING };
  await lab.deploy("shop", {
    services: { web: { spec, replicas: 2, image: "app:2" }, db: { image: "db:2" } },
  });
  await lab.toTheEnd("shop");
  assert.match(lab.tell("shop"), /^went back 2, good 1/);
  assert.equal(lab.named("shop_web")?.spec?.task?.container?.image, "app:1");
  assert.equal(lab.named("shop_db")?.spec?.task?.container?.image, "app:1");
  await lab.close();
});

test("going back that fails, too, stays where it is and tells both causes", async () => {
  const lab = new StackLab();
  await lab.addNodes("n1");
  await lab.deploy("shop", { services: { web: {} } });
  await lab.toTheEnd("shop");
  lab.run = () => ({ state: TaskState.FAILED, err: "exit code 9" });
  await lab.deploy("shop", { services: { web: { image: "app:2" } } });
  await lab.toTheEnd("shop");
  assert.match(lab.tell("shop"), /^stuck 2, good 1: web failed/);
  assert.match(
    lab.failure("shop"),
    /going back to revision 1; going back failed, too: service web: .*exit code 9/,
  );
  await lab.close();
});

test("another mode makes another service of the same name", async () => {
  const lab = new StackLab();
  await lab.addNodes("n1", "n2");
  await lab.deploy("shop", { services: { web: {} } });
  await lab.toTheEnd("shop");
  const { id } = lab.named("shop_web") ?? { id: "" };
  const mode = ServiceSpec.fromPartial({ mode: { $case: "global", value: {} } }).mode;
  await lab.deploy("shop", { services: { web: { spec: mode === undefined ? {} : { mode } } } });
  await lab.toTheEnd("shop");
  assert.equal(lab.tell("shop"), "reached 2, good 2: web reached");
  assert.notEqual(lab.named("shop_web")?.id, id);
  assert.equal(lab.tasksOf("shop_web").filter((task) => task.status?.state === TaskState.RUNNING).length, 2);
  await lab.close();
});
