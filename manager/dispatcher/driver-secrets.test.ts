import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLogger } from "../../base/log/logger.js";
import type { Secret as SecretObject } from "../../proto/gen/skein/v1/objects.js";
import { Secret, Service, Task } from "../../proto/gen/skein/v1/objects.js";
import { TaskState } from "../../proto/gen/skein/v1/types.js";
import { createTestStore } from "../../test/support/test-store.js";
import { DriverSecrets, type SecretDrivers } from "./driver-secrets.js";
import { NodeView, nodeResources, type ResourceChanges } from "./node-resources.js";
import { emptyDirty, ResourceIndex } from "./resource-index.js";

interface Question {
  readonly driver: string;
  readonly request: Readonly<Record<string, unknown>>;
  readonly give: (data: string, doNotReuse?: boolean) => void;
  readonly refuse: (words: string) => void;
}

class HeldDrivers implements SecretDrivers {
  readonly questions: Question[] = [];

  ask(driver: string, request: object): ReturnType<SecretDrivers["ask"]> {
    return new Promise((resolve, reject) => {
      this.questions.push({
        driver,
        request: request as Question["request"], // as the protocol has it
        give: (data, doNotReuse = false) => resolve({ data: Buffer.from(data), doNotReuse }),
        refuse: (words) => reject(new Error(words)),
      });
    });
  }
}

const task = (id: string, state: TaskState, nodeId = "n1"): Task =>
  Task.fromPartial({
    id,
    nodeId,
    serviceId: "web",
    slot: 1,
    desiredState: TaskState.RUNNING,
    status: { state },
    serviceAnnotations: { name: "web", labels: { tier: "front" } },
    spec: {
      container: { image: "nginx", hostname: "h", secrets: [{ secretId: "db", secretName: "password" }] },
    },
  });

async function world(...tasks: Task[]) {
  const { store } = createTestStore();
  await store.update((tx) => {
    const annotations = { name: "password", labels: { path: "secret/db" } };
    tx.create("secret", Secret.fromPartial({ id: "db", annotations, driverName: "vault", dataVersion: 1 }));
    tx.create("service", Service.fromPartial({ id: "web", spec: { annotations: { name: "web" } } }));
    for (const each of tasks) tx.create("task", each);
  });
  const drivers = new HeldDrivers();
  const answered: string[] = [];
  const secrets = new DriverSecrets({ drivers, log: silentLogger, onAnswer: (key) => answered.push(key) });
  const index = store.view((view) => ResourceIndex.of(view));
  const view = new NodeView(index, "n1", secrets);
  const watch = store.watch({ wake: () => undefined });
  const change = async (changed: Task | string): Promise<ResourceChanges> => {
    await store.update((tx) => {
      if (typeof changed === "string") tx.remove("task", changed);
      else if (tx.get("task", changed.id) === undefined) tx.create("task", changed);
      else tx.update("task", { ...changed, meta: tx.get("task", changed.id)?.meta });
    });
    const dirty = emptyDirty();
    for (const { changes } of watch.take()) index.apply(changes, dirty);
    return view.changes(dirty);
  };
  /** What is told after the driver has answered. */
  const afterAnswer = async (): Promise<ResourceChanges> => {
    for (let turn = 0; turn < 10; turn++) await Promise.resolve();
    return view.changes({ ...emptyDirty(), secrets: new Set(answered.splice(0)) });
  };
  return { store, drivers, secrets, view, change, afterAnswer };
}

const textOf = ({ id, data, driverRefusal }: SecretObject): string =>
  `${id}=${driverRefusal === "" ? Buffer.from(data).toString() || "?" : `!${driverRefusal}`}`;
const secretsIn = ({ upserts }: ResourceChanges): string[] =>
  upserts.flatMap(({ resource }) => (resource?.$case === "secret" ? [textOf(resource.value)] : []));

test("a task is told at once, its secret when the driver has answered; the store never has it", async () => {
  const { store, drivers, view, afterAnswer } = await world(task("t1", TaskState.ASSIGNED));
  const first = view.complete();
  assert.deepEqual(secretsIn({ upserts: first, removals: [] }), ["db@1.t1=?"]);
  assert.equal(first.at(-1)?.resource?.$case, "task");
  const [question] = drivers.questions;
  assert.equal(question?.driver, "vault");
  assert.deepEqual(question.request, {
    SecretName: "password",
    SecretLabels: { path: "secret/db" },
    SecretOptions: {},
    ServiceID: "web",
    ServiceName: "web",
    ServiceLabels: { tier: "front" },
    ServiceHostname: "h",
    ServiceEndpointSpec: { Mode: 0, Ports: [] },
    TaskID: "t1",
    TaskName: "web.1.t1",
    TaskImage: "nginx",
    NodeID: "n1",
  });
  question.give("s3cret");
  assert.deepEqual(secretsIn(await afterAnswer()), ["db@1.t1=s3cret"]);
  assert.equal(store.view((tx) => tx.get("secret", "db"))?.data.length, 0);
  assert.ok(
    !store.view((tx) => nodeResources(tx, "n1")).some(({ resource }) => resource?.$case === "secret"),
  );
});

test("data that may be used again serves all tasks of the node, while one of them is there", async () => {
  const { drivers, view, change, afterAnswer } = await world(
    task("t1", TaskState.ASSIGNED),
    task("t2", TaskState.ASSIGNED),
  );
  view.complete();
  assert.equal(drivers.questions.length, 1, "the second waits whether the first answer is for it, too");
  drivers.questions[0]?.give("shared");
  assert.deepEqual(secretsIn(await afterAnswer()), ["db@1.t1=shared", "db@1.t2=shared"]);
  assert.deepEqual(secretsIn(await change(task("t3", TaskState.ASSIGNED))), ["db@1.t3=shared"]);
  assert.equal(drivers.questions.length, 1);
  const gone = await change("t1");
  assert.deepEqual(gone.removals.map(({ id }) => id).sort(), ["db@1.t1", "t1"]);
  for (const id of ["t2", "t3"]) await change(id);
  await change(task("t4", TaskState.ASSIGNED));
  assert.equal(drivers.questions.length, 2, "nobody had it any more");
});

test("data that is for one task alone is asked for anew; a refusal is told in the driver's words", async () => {
  const { drivers, view, afterAnswer } = await world(
    task("t1", TaskState.ASSIGNED),
    task("t2", TaskState.ASSIGNED),
  );
  view.complete();
  drivers.questions[0]?.give("mine", true);
  assert.deepEqual(secretsIn(await afterAnswer()), ["db@1.t1=mine"]);
  assert.equal(drivers.questions[1]?.request["TaskID"], "t2");
  drivers.questions[1]?.refuse("secret/db is sealed");
  assert.deepEqual(secretsIn(await afterAnswer()), ["db@1.t2=!secret/db is sealed"]);
});

test("no driver is asked for a task that has its files, or that is another node's", async () => {
  const { drivers, view, change } = await world(
    task("t1", TaskState.RUNNING),
    task("t2", TaskState.ASSIGNED, "n2"),
  );
  assert.deepEqual(secretsIn({ upserts: view.complete(), removals: [] }), []);
  assert.equal(drivers.questions.length, 0);
  await change(task("t3", TaskState.PREPARING));
  assert.equal(drivers.questions.length, 1, "it may be waiting for it: the session is a new one");
});

test("nobody is asked for a task that went while another's answer was awaited", async () => {
  const { drivers, view, change, afterAnswer } = await world(
    task("t1", TaskState.ASSIGNED),
    task("t2", TaskState.ASSIGNED),
  );
  view.complete();
  await change("t2");
  drivers.questions[0]?.give("mine", true);
  assert.deepEqual(secretsIn(await afterAnswer()), ["db@1.t1=mine"]);
  assert.equal(drivers.questions.length, 1);
});

test("answers to a session that has ended are dropped", async () => {
  const { drivers, secrets, view, afterAnswer } = await world(
    task("t1", TaskState.ASSIGNED),
    task("t2", TaskState.ASSIGNED),
  );
  view.complete();
  secrets.close();
  drivers.questions[0]?.give("late", true);
  assert.deepEqual(secretsIn(await afterAnswer()), []);
  assert.equal(drivers.questions.length, 1);
  assert.equal(secrets.get("db@1.t1"), undefined);
});
