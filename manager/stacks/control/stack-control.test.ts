/**
 * Deploying definitions against a store: what is accepted, what changes nothing, what is refused.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Secret, Service } from "../../../proto/gen/skein/v1/objects.js";
import { STACK_LABEL } from "../../store/index-keys.js";
import { getRevision, listRevisions } from "./stack-answers.js";
import { ASK, definitionOf, fileOf, ONE, serviceOf, world } from "./stack-fixtures.js";
import { getStack, listStacks } from "./stack-list.js";

test("a definition is accepted whole, and the same again changes nothing", async () => {
  const { deploy, reach, view } = await world();
  const definition = definitionOf({
    secrets: [fileOf("key", "s3cret")],
    services: [serviceOf("web", { secrets: ["shop_key"], port: 8080 }), serviceOf("db")],
  });
  const first = await deploy(definition);
  assert.deepEqual([first.revision, first.changed], [1, true]);
  const { revision } = view((tx) => getRevision(tx, { stack: "shop", number: 1 }));
  assert.equal(revision?.madeBy, "anna@host1");
  assert.equal(revision?.changes, "new: services: db, web; network: default; secret: key");
  assert.equal(revision?.definition?.secrets[0]?.version, 1);
  assert.equal(revision?.definition?.secrets[0]?.dataSha256, "");
  assert.equal(revision?.definition?.secrets[0]?.data.length, 0);
  assert.deepEqual(
    view((tx) => tx.list("secret")).map(({ annotations, data }) => [
      annotations?.name,
      annotations?.labels[STACK_LABEL],
      Buffer.from(data).toString(),
    ]),
    [["shop_key", "shop", "s3cret"]],
  );
  const underWay = await deploy(definition);
  assert.deepEqual([underWay.revision, underWay.changed], [1, false]);
  await reach();
  const again = await deploy(definition);
  assert.deepEqual([again.revision, again.changed], [1, false]);
  const web = view((tx) => tx.list("service", { by: "name", name: "shop_web" }))[0];
  assert.equal(web?.spec?.task?.container?.secrets[0]?.version, 1);
});

test("a change makes a revision that says what changed, and going back another", async () => {
  const { deploy, reach, view, control } = await world();
  const base = { secrets: [fileOf("key", "one")] };
  await deploy(definitionOf({ ...base, services: [serviceOf("web", { secrets: ["shop_key"] })] }));
  await reach();
  const next = await deploy(
    definitionOf({
      secrets: [fileOf("key", "two")],
      services: [serviceOf("web", { secrets: ["shop_key"], image: "app:2" }), serviceOf("db")],
    }),
  );
  assert.deepEqual([next.revision, next.changed], [2, true]);
  await reach();
  const { revisions } = view((tx) => listRevisions(tx, "shop"));
  assert.deepEqual(
    revisions.map(({ number, changes }) => `${number} ${changes}`),
    [
      "2 services: db added, web changed (image app:1 to app:2, secret shop_key version 2); " +
        "secret: key changed (version 1 to 2)",
      "1 new: service: web; network: default; secret: key",
    ],
  );
  const undone = await control.rollback({ ...ASK, revision: 0 });
  assert.deepEqual([undone.revision, undone.changed], [3, true]);
  const { revision } = view((tx) => getRevision(tx, { stack: "shop", number: 3 }));
  assert.equal(revision?.restores, 1);
  assert.equal(revision?.definition?.secrets[0]?.version, 1);
  assert.equal(revision?.definition?.services[0]?.spec?.task?.container?.secrets[0]?.version, 1);
  await reach();
  const web = view((tx) => tx.list("service", { by: "name", name: "shop_web" }))[0];
  assert.equal(web?.spec?.task?.container?.image, "app:1");
  assert.equal(web?.spec?.task?.container?.secrets[0]?.version, 1);
});

test("all faults of a definition are told together, and nothing is written", async () => {
  const { deploy, store, view } = await world();
  await store.update((tx) => {
    tx.create(
      "service",
      Service.fromPartial({
        id: "other",
        spec: {
          annotations: { name: "other" },
          endpoint: { ports: [{ targetPort: 80, publishedPort: 8080 }] },
        },
      }),
    );
    tx.create(
      "service",
      Service.fromPartial({ id: "mine", spec: { annotations: { name: "shop_db" }, mode: ONE } }),
    );
    tx.create(
      "secret",
      Secret.fromPartial({ id: "s1", annotations: { name: "shop_key", labels: { [STACK_LABEL]: "else" } } }),
    );
  });
  const before = store.index;
  const definition = definitionOf({
    networks: [
      { key: "default", spec: { annotations: { name: "shop_default" } } },
      { key: "outer", external: true, spec: { annotations: { name: "outer" } } },
      { key: "odd", spec: { annotations: { name: "host" } } },
    ],
    secrets: [fileOf("key", "x"), { key: "tls", external: true, annotations: { name: "tls" } }],
    configs: [fileOf("page", "")],
    services: [
      serviceOf("web", {
        image: "App:1",
        env: ["=x"],
        port: 8080,
        networks: ["nowhere"],
        secrets: ["gone", "lost"],
      }),
      serviceOf("db", { dependsOn: [{ service: "cache" }] }),
      serviceOf("a", { port: 8080, dependsOn: [{ service: "b" }] }),
      serviceOf("b", { port: 9000, dependsOn: [{ service: "a" }] }),
      serviceOf("c", { port: 9000 }),
    ],
  });
  const error = await deploy(definition).then(
    () => assert.fail("it was accepted"),
    (caught: unknown) => caught as Error,
  );
  assert.deepEqual(error.message.split("\n"), [
    "network outer: external network outer is not there: create it first, or name another",
    "network odd: operation is not permitted on predefined host network",
    "secret key: a secret named shop_key belongs to stack else",
    "secret tls: external secret tls is not there: create it first, or name another",
    "config page: config data must be larger than 0 and at most 1024000 bytes, got 0",
    'service web: ContainerSpec: "App:1" is not a valid repository/tag',
    "service web: network nowhere not found",
    "service web: secret gone not found",
    "service web: secret lost not found",
    "service db: a service named shop_db is there already and belongs to no stack: remove it, name this one otherwise",
    "service c: port '9000' is published by service b, too",
    "service a: port '8080' is already in use by service 'other' (other) as an ingress port",
    "service db: depends_on: there is no service cache in the stack",
    "depends_on goes round in a circle: a, b, a",
  ]);
  assert.equal(store.index, before);
  assert.deepEqual(
    view((tx) => tx.list("stack")),
    [],
  );
});

test("what the stock client made is listed, adopted, and removed", async () => {
  const { deploy, store, view, control } = await world();
  const labels = { [STACK_LABEL]: "shop" };
  await store.update((tx) => {
    const spec = {
      annotations: { name: "shop_web", labels },
      mode: ONE,
      task: { container: { image: "app:1" } },
    };
    tx.create("service", Service.fromPartial({ id: "w", spec }));
  });
  assert.deepEqual(
    view(listStacks).stacks.map(({ stack, counts }) => [
      stack?.annotations?.name,
      stack?.id,
      counts?.services,
    ]),
    [["shop", "", 1]],
  );
  assert.equal(view((tx) => getStack(tx, "shop")).stack?.newestRevision, 0);
  const { changed } = await deploy(definitionOf({ services: [serviceOf("web")] }));
  assert.equal(changed, true);
  await control.remove({ name: "shop", madeBy: "" });
  assert.equal(view((tx) => getStack(tx, "shop")).stack?.deployment?.phase, "STACK_PHASE_REMOVING");
  await assert.rejects(deploy(definitionOf({ services: [serviceOf("web")] })), /is being removed/);
  await assert.rejects(control.remove({ name: "gone", madeBy: "" }), /stack gone not found/);
});
