/**
 * Deployments on a memory store with all control loops: order, what is left alone, failing and going back.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { StackOnFailure } from "../../../proto/gen/skein/v1/stack_types.js";
import { TaskState } from "../../../proto/gen/skein/v1/types.js";
import { StackLab } from "../../../test/support/stack-lab.js";

test("services without dependencies are made in one transaction; settled, the revision is good", async () => {
  const lab = new StackLab();
  await lab.addNodes("n1", "n2");
  await lab.begin("shop", { services: { web: { replicas: 2 }, db: {}, cache: {} } });
  await lab.settle();
  assert.equal(lab.tell("shop"), "applying 1, good 0: web reached, db reached, cache reached");
  assert.equal(
    new Set(["shop_web", "shop_db", "shop_cache"].map((name) => lab.named(name)?.specVersion?.index)).size,
    1,
  );
  await lab.advance(5_000);
  assert.equal(lab.tell("shop"), "reached 1, good 1: web reached, db reached, cache reached");
  assert.equal(lab.revisions("shop")[0]?.outcome, "REVISION_OUTCOME_GOOD");
  await lab.close();
});

test("a service waits until what it depends on has started, and says for what", async () => {
  const lab = new StackLab();
  await lab.addNodes("n1");
  lab.run = (task) =>
    task.serviceAnnotations?.name === "shop_db"
      ? { state: TaskState.STARTING }
      : { state: TaskState.RUNNING };
  await lab.deploy("shop", { services: { web: { needs: { db: "started" } }, db: {} } });
  assert.equal(lab.tell("shop"), "applying 1, good 0: web waiting (waits for db), db applied");
  assert.equal(lab.named("shop_web"), undefined);
  lab.run = () => ({ state: TaskState.RUNNING });
  await lab.settle();
  assert.equal(lab.tell("shop"), "applying 1, good 0: web reached, db reached");
  await lab.toTheEnd("shop");
  assert.equal(lab.stack("shop")?.goodRevision, 1);
  await lab.close();
});

test("a second deployment touches only what changed", async () => {
  const lab = new StackLab();
  await lab.addNodes("n1");
  const services = { web: { needs: { db: "started" } }, db: {} } as const;
  await lab.deploy("shop", { services });
  await lab.toTheEnd("shop");
  const before = lab.named("shop_db");
  const tasks = lab.tasksOf("shop_db");
  await lab.deploy("shop", { services: { ...services, web: { ...services.web, image: "app:2" } } });
  await lab.toTheEnd("shop");
  assert.equal(lab.tell("shop"), "reached 2, good 2: web reached, db unchanged");
  assert.equal(lab.named("shop_db"), before);
  assert.deepEqual(lab.tasksOf("shop_db"), tasks);
  assert.match(
    lab.tasksOf("shop_web")[0]?.createdBecause ?? "",
    /^update: stack shop revision 2: image app:1 to app:2/,
  );
  await lab.close();
});

test("a first deployment that fails goes back to nothing, and its history stays", async () => {
  const lab = new StackLab();
  await lab.addNodes("n1");
  lab.run = (task) =>
    task.serviceAnnotations?.name === "shop_web"
      ? { state: TaskState.REJECTED, err: "no such image", cause: "image-not-found" }
      : { state: TaskState.RUNNING };
  await lab.deploy("shop", { networks: { net: {} }, services: { web: { networks: ["net"] }, db: {} } });
  await lab.toTheEnd("shop");
  assert.equal(lab.tell("shop"), "went back 1, good 0: web removed, db removed");
  assert.equal(
    lab.failure("shop"),
    "service web: task shop_web.1 on n1 failed 3 times: no such image; " +
      "there is no good revision yet: what was made is removed",
  );
  assert.equal(lab.named("shop_web"), undefined);
  assert.equal(lab.named("shop_db"), undefined);
  assert.deepEqual(
    lab.test.store.view((tx) => tx.list("network")),
    [],
  );
  assert.equal(lab.revisions("shop")[0]?.outcome, "REVISION_OUTCOME_FAILED");
  await lab.close();
});

test("a deployment that fails goes back as a whole, and leaves alone what it had not touched", async () => {
  const lab = new StackLab();
  await lab.addNodes("n1");
  const services = { web: { needs: { db: "started" } }, db: {}, log: {} } as const;
  await lab.deploy("shop", { services });
  await lab.toTheEnd("shop");
  const log = lab.named("shop_log");
  lab.run = (task) =>
    task.spec?.container?.image === "web:2"
      ? { state: TaskState.FAILED, err: "exit code 1" }
      : { state: TaskState.RUNNING };
  await lab.deploy("shop", {
    services: { ...services, db: { image: "db:2" }, web: { ...services.web, image: "web:2" }, extra: {} },
  });
  await lab.toTheEnd("shop");
  assert.match(
    lab.tell("shop"),
    /^went back 2, good 1: web reached, db reached, log unchanged, extra removed$/,
  );
  assert.match(
    lab.failure("shop"),
    /^service web: update paused due to failure .* exit code 1 .*going back to revision 1$/,
  );
  assert.equal(lab.named("shop_log"), log);
  assert.equal(lab.named("shop_extra"), undefined);
  assert.equal(lab.named("shop_db")?.spec?.task?.container?.image, "app:1");
  assert.match(
    lab.tasksOf("shop_web")[0]?.createdBecause ?? "",
    /^rollback: stack shop back to revision 1: image/,
  );
  await lab.close();
});

test("on failure keep: everything is left where it failed, with the cause", async () => {
  const lab = new StackLab();
  await lab.addNodes("n1");
  lab.run = () => ({ state: TaskState.FAILED, err: "exit code 3" });
  await lab.deploy("shop", { services: { web: {} } }, { onFailure: StackOnFailure.KEEP });
  await lab.toTheEnd("shop");
  assert.match(
    lab.tell("shop"),
    /^stuck 1, good 0: web failed \(task shop_web.1 on n1 failed 3 times: exit code 3\)$/,
  );
  assert.match(lab.failure("shop"), /the stack is left as it is$/);
  assert.notEqual(lab.named("shop_web"), undefined);
  await lab.close();
});

test("a removed stack goes with all it had, when its tasks have stopped", async () => {
  const lab = new StackLab();
  await lab.addNodes("n1");
  await lab.deploy("shop", { networks: { net: {} }, services: { web: { networks: ["net"] } } });
  await lab.toTheEnd("shop");
  await lab.removeStack("shop");
  assert.equal(lab.tell("shop"), "gone");
  for (const table of ["stack", "stackRevision", "service", "network", "task"] as const)
    assert.deepEqual(
      lab.test.store.view((tx) => tx.list(table)),
      [],
      table,
    );
  await lab.close();
});
