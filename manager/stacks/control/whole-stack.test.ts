/**
 * The Stacks service with the real loops behind it: what was reached leaves no difference, however rich the
 * definition, so that nothing is observed that nobody did.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Config, Network, Secret } from "../../../proto/gen/skein/v1/objects.js";
import { StackDefinition } from "../../../proto/gen/skein/v1/stack_types.js";
import { NodeAvailability, TaskState } from "../../../proto/gen/skein/v1/types.js";
import { StackLab } from "../../../test/support/stack-lab.js";
import { diffStack } from "./diff-stack.js";
import { planStack } from "./plan-stack.js";
import { StackControl } from "./stack-control.js";
import { ASK, fileOf, ONE } from "./stack-fixtures.js";
import { createStackObserver } from "./stack-observer.js";

const named = (name: string): { name: string } => ({ name });

/** Something of everything; `change` makes another of it. */
function rich(change: { readonly image?: string; readonly data?: string } = {}): StackDefinition {
  const { image = "app:1", data = "one" } = change;
  return StackDefinition.fromPartial({
    networks: [
      { key: "plain", spec: { annotations: named("shop_plain") } },
      {
        key: "own",
        spec: {
          annotations: { name: "shop_own", labels: { tier: "back" } },
          driverOptions: { "com.docker.network.driver.mtu": "1400" },
          internal: true,
          attachable: true,
          ipamConfigs: [{ subnet: "10.77.0.0/24", gateway: "10.77.0.1", reserved: { router: "10.77.0.5" } }],
        },
      },
      { key: "edge", external: true, spec: { annotations: named("edge") } },
    ],
    secrets: [
      fileOf("key", data),
      { ...fileOf("tmpl", "{{.Service.Name}}"), templateDriver: "golang" },
      { key: "vault", annotations: named("shop_vault"), driverName: "vault", driverOptions: { path: "x" } },
      { key: "tls", external: true, annotations: named("tls") },
    ],
    configs: [{ ...fileOf("page", "page"), annotations: { name: "shop_page", labels: { a: "b" } } }],
    services: [
      {
        key: "web",
        dependsOn: [
          { service: "db", restart: true },
          { service: "gone", optional: true },
        ],
        registryAuth: "c2VjcmV0",
        spec: {
          annotations: { name: "shop_web", labels: { team: "a" } },
          mode: { $case: "replicated", value: { replicas: 2 } },
          task: {
            container: {
              image,
              env: ["B=2", "A=1", "A=3"],
              secrets: ["shop_key", "shop_tmpl", "shop_vault", "tls"].map((secretName) => ({ secretName })),
              configs: [
                { configName: "shop_page", file: { name: "/page", mode: 0o400 } },
                { configName: "shop_page", file: { name: "/other", uid: "33" } },
              ],
              capabilityAdd: ["CAP_NET_ADMIN"],
              mounts: [{ type: "volume", source: "data", target: "/data" }],
              healthcheck: { test: ["CMD", "true"], intervalMs: 1_000 },
              host: { privileged: true, pullPolicy: "always" },
            },
            networks: [{ target: "shop_plain", aliases: ["web", "web", "www"] }, { target: "edge" }],
            placement: { constraints: ["node.role == worker"] },
            resources: { limits: { memoryBytes: 2 ** 28 } },
          },
          update: { parallelism: 0, monitorMs: 1 },
          endpoint: { ports: [{ targetPort: 80, publishedPort: 8080 }, { targetPort: 81 }] },
        },
      },
      {
        key: "db",
        spec: {
          annotations: named("shop_db"),
          mode: { $case: "global", value: {} },
          task: { container: { image: "db:1" }, networks: [{ target: "shop_own", addresses: [] }] },
        },
      },
      {
        key: "job",
        spec: {
          annotations: named("shop_job"),
          mode: { $case: "replicatedJob", value: { maxConcurrent: 1, totalCompletions: 2 } },
          task: { container: { image: "job:1", secrets: [{ secretName: "shop_key" }] } },
        },
      },
      {
        key: "last",
        dependsOn: [{ service: "job", condition: "STACK_CONDITION_COMPLETED" }],
        spec: { annotations: named("shop_last"), mode: ONE, task: { container: { image: "app:1" } } },
      },
    ],
  });
}

async function lab() {
  const made = new StackLab();
  for (const id of ["n1", "n2"]) await made.addNode({ id, spec: { availability: NodeAvailability.ACTIVE } });
  made.run = (task) =>
    task.serviceAnnotations?.name === "shop_job"
      ? { state: TaskState.COMPLETE }
      : { state: TaskState.RUNNING };
  const { store, clock, random, log } = made.test;
  await store.update((tx) => {
    const mesh = { annotations: named("ingress"), driver: "overlay", ingress: true };
    tx.create("network", Network.fromPartial({ id: "mesh", spec: mesh }));
    tx.create("network", Network.fromPartial({ id: "edge-id", spec: { annotations: named("edge") } }));
    tx.create(
      "secret",
      Secret.fromPartial({ id: "tls-id", annotations: named("tls"), data: Buffer.from("t") }),
    );
    tx.create("config", Config.fromPartial({ id: "other", annotations: named("other") }));
  });
  const observer = createStackObserver({ store, clock, random, log });
  observer.start();
  const settle = async (): Promise<void> => {
    for (let round = 0; round < 20; round++) {
      await made.advance(2_000);
      await observer.idle();
    }
  };
  const numbers = (): readonly string[] =>
    made.revisions("shop").map(({ number, outcome, origin }) => `${number} ${origin} ${outcome}`);
  const control = new StackControl({ store, clock, random });
  return {
    ...{ made, store, control, settle, numbers, random, clock },
    close: async () => {
      await observer.close();
      await made.close();
    },
  };
}

test("what was reached leaves nothing to deploy, to observe or to tell apart", async () => {
  const { made, store, control, settle, numbers, clock, random, close } = await lab();
  const deploy = (definition: StackDefinition) => control.deploy({ ...ASK, definition });
  assert.equal((await deploy(rich())).revision, 1);
  await settle();
  assert.match(made.tell("shop"), /^reached 1, good 1/);
  const same = await deploy(rich());
  assert.deepEqual([same.revision, same.changed, same.warnings], [1, false, []]);
  assert.deepEqual((await diffStack(store, { name: "shop", from: 1, to: 0 })).changes, []);
  const nothing = await planStack({ store, clock, random }, { ...ASK, definition: rich(), prune: true });
  assert.deepEqual([nothing.changes, nothing.plan], [[], undefined]);
  await settle();
  assert.deepEqual(numbers(), ["1 REVISION_ORIGIN_DEPLOY REVISION_OUTCOME_GOOD"]);

  const planned = await planStack({ store, clock, random }, { ...ASK, definition: rich({ data: "two" }) });
  assert.deepEqual(
    planned.changes.map(
      ({ kind, key, restartsTasks }) => `${kind} ${key}${restartsTasks ? " restarts" : ""}`,
    ),
    ["secret key", "service job restarts", "service web restarts"],
  );
  assert.deepEqual(
    planned.plan?.services.map(({ name, sentence }) => `${name}: ${sentence}`),
    ["shop_job: 1 task more", "shop_web: 2 tasks are replaced; at most 2 unavailable at a time"],
  );
  assert.equal((await deploy(rich({ data: "two", image: "app:2" }))).revision, 2);
  await settle();
  assert.match(made.tell("shop"), /^reached 2, good 2/);
  assert.equal((await control.rollback({ ...ASK, revision: 0 })).revision, 3);
  await settle();
  assert.match(made.tell("shop"), /^reached 3, good 3/);
  assert.deepEqual((await diffStack(store, { name: "shop", from: 1, to: 0 })).changes, []);
  assert.equal((await deploy(rich())).changed, false);
  assert.equal(numbers().length, 3);
  await close();
});
