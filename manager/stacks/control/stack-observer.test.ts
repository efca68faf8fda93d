/**
 * What others change of a stack becomes a revision when they have paused, and what we change does not.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Secret, Service } from "../../../proto/gen/skein/v1/objects.js";
import { StackPhase } from "../../../proto/gen/skein/v1/stack_types.js";
import { renew } from "../../control/data-rollout.js";
import { STACK_LABEL } from "../../store/index-keys.js";
import { diffStack } from "./diff-stack.js";
import { listRevisions } from "./stack-answers.js";
import { ASK, definitionOf, fileOf, ONE, serviceOf, type World, world } from "./stack-fixtures.js";
import { createStackObserver } from "./stack-observer.js";

interface Observed extends World {
  /** Time passes, and whoever has something to do does it. */
  later(ms: number): Promise<void>;
  change(name: string, image: string, replicas?: number): Promise<void>;
  revisions(): readonly string[];
  close(): Promise<void>;
}

async function observed(): Promise<Observed> {
  const base = await world();
  const { store, clock, random, log } = base;
  const observer = createStackObserver({ store, clock, random, log });
  observer.start();
  await observer.idle();
  return {
    ...base,
    later: async (ms) => {
      await observer.idle();
      clock.advance(ms);
      await observer.idle();
    },
    change: (name, image, replicas = 1) =>
      store.update((tx) => {
        const service = tx.list("service", { by: "name", name })[0];
        const container = service?.spec?.task?.container;
        if (service?.spec?.task === undefined || container === undefined) return;
        const task = { ...service.spec.task, container: { ...container, image } };
        const mode = { $case: "replicated", value: { replicas } } as const;
        tx.update("service", {
          ...service,
          spec: { ...service.spec, task, mode },
          specVersion: { index: 0 },
        });
      }),
    revisions: () =>
      store
        .view((tx) => listRevisions(tx, "shop"))
        .revisions.map(({ number, origin, outcome, changes }) =>
          [number, ...[origin, outcome].map((word) => word.replace(/^.*_/, "").toLowerCase()), changes].join(
            " ",
          ),
        ),
    close: () => observer.close(),
  };
}

const LABELS = { [STACK_LABEL]: "shop" };

test("a stack that the stock client made, and changes, has revisions", async () => {
  const { store, later, change, revisions, view, control, close } = await observed();
  await store.update((tx) => {
    tx.create("secret", secret("one"));
    tx.create("service", webService("app:1"));
  });
  await later(1_900);
  assert.deepEqual(
    view((tx) => tx.list("stack")),
    [],
  );
  await later(100);
  assert.deepEqual(revisions(), ["1 observed good new: service: web; secret: key"]);
  await change("shop_web", "app:2");
  await later(1_500);
  await change("shop_web", "app:3");
  await later(1_500);
  assert.equal(revisions().length, 1);
  await later(500);
  assert.equal(revisions()[0], "2 observed good service: web changed (image app:1 to app:3)");
  await store.update((tx) => {
    const key = tx.list("secret")[0];
    if (key !== undefined) renew(tx, "secret", key, Buffer.from("two"));
  });
  await later(2_000);
  assert.equal(
    revisions()[0],
    "3 observed good service: web changed (secret shop_key version 2); secret: key changed (version 1 to 2)",
  );
  await later(60_000);
  assert.equal(revisions().length, 3);
  const undone = await control.rollback({ ...ASK, revision: 1 });
  assert.deepEqual([undone.changed, undone.revision], [true, 4]);
  await close();
});

test("what a deployment does is not observed, nor where it stopped", async () => {
  const { deploy, reach, store, later, change, revisions, close } = await observed();
  await deploy(definitionOf({ services: [serviceOf("web"), serviceOf("old")] }));
  await reach();
  await later(2_000);
  // without prune: old stays
  await deploy(definitionOf({ services: [serviceOf("web", { image: "app:2" })] }));
  await reach();
  await later(2_000);
  await later(60_000);
  assert.deepEqual(
    revisions().map((line) => line.split(" ", 2).join(" ")),
    ["2 deploy", "1 deploy"],
  );
  await deploy(definitionOf({ services: [serviceOf("web", { image: "bad:1" })] }));
  await change("shop_web", "bad:1");
  await store.update((tx) => {
    const stack = tx.list("stack")[0];
    if (stack?.deployment === undefined) return;
    tx.update("stack", {
      ...stack,
      deployment: { ...stack.deployment, phase: StackPhase.STUCK, endedAtMs: 1 },
    });
  });
  await later(60_000);
  assert.equal(revisions()[0]?.split(" ")[0], "3");
  // somebody puts it right by hand
  await change("shop_web", "good:1");
  await later(2_000);
  assert.match(revisions()[0] ?? "", /^4 observed good service: web changed \(image app:2 to good:1\)/);
  assert.equal(store.view((tx) => tx.list("stack"))[0]?.deployment?.phase, StackPhase.REACHED);
  await close();
});

test("numbers of replicas that go up and down are one revision", async () => {
  const { deploy, reach, later, change, revisions, close } = await observed();
  await deploy(definitionOf({ services: [serviceOf("web")] }));
  await reach();
  await later(2_000);
  for (const replicas of [3, 7, 5]) {
    await change("shop_web", "app:1", replicas);
    await later(2_000);
  }
  assert.equal(revisions()[0], "2 observed good service: web changed (replicas 1 to 5)");
  await change("shop_web", "app:2", 5);
  await later(2_000);
  assert.equal(revisions()[0], "3 observed good service: web changed (image app:1 to app:2)");
  await close();
});

test("who changes a stack all the time is observed once a minute", async () => {
  const { deploy, reach, later, change, revisions, close } = await observed();
  await deploy(definitionOf({ services: [serviceOf("web")] }));
  await reach();
  await later(2_000);
  for (let count = 0; count < 65; count++) {
    await change("shop_web", `app:${count + 2}`);
    await later(1_000);
  }
  assert.equal(revisions().length, 2);
  await close();
});

test("drift is what differs between the good revision and the cluster", async () => {
  const { deploy, reach, change, store, close } = await observed();
  await deploy(definitionOf({ secrets: [fileOf("key", "x")], services: [serviceOf("web")] }));
  await reach();
  assert.deepEqual((await diffStack(store, { name: "shop", from: 1, to: 0 })).changes, []);
  await change("shop_web", "app:9");
  const { changes } = await diffStack(store, { name: "shop", from: 1, to: 0 });
  assert.deepEqual(
    changes.map(({ key, fields, restartsTasks }) => [key, fields.map(({ path }) => path), restartsTasks]),
    [["web", ["image"], true]],
  );
  await close();
});

function secret(text: string): Secret {
  const annotations = { name: "shop_key", labels: LABELS };
  return Secret.fromPartial({ id: "key", annotations, data: Buffer.from(text), dataVersion: 1 });
}

function webService(image: string): Service {
  const secrets = [{ secretId: "key", secretName: "shop_key", file: { name: "key" }, version: 1 }];
  return Service.fromPartial({
    id: "web",
    spec: {
      annotations: { name: "shop_web", labels: LABELS },
      mode: ONE,
      task: { container: { image, secrets } },
    },
    specVersion: { index: 0 },
  });
}
