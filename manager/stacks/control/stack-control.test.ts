/**
 * Deploying definitions against a store: what is accepted, what changes nothing, what is refused.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Secret, Service } from "../../../proto/gen/skein/v1/objects.js";
import { StackPhase } from "../../../proto/gen/skein/v1/stack_types.js";
import type { ServiceSpec } from "../../../proto/gen/skein/v1/types.js";
import { STACK_LABEL } from "../../store/index-keys.js";
import { planStack } from "./plan-stack.js";
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

test("much data is written before the revision, which then names it", async () => {
  const { deploy, view, store } = await world();
  const big = (letter: string): string => letter.repeat(400 * 1024);
  const definition = definitionOf({
    secrets: [fileOf("a", big("a")), fileOf("b", big("b")), fileOf("c", big("c"))],
    services: [serviceOf("web", { secrets: ["shop_a", "shop_b", "shop_c"] })],
  });
  const before = store.index;
  assert.equal((await deploy(definition)).revision, 1);
  assert.equal(store.index - before, 4); // one for each secret, then the revision
  const { revision } = view((tx) => getRevision(tx, { stack: "shop", number: 1 }));
  assert.deepEqual(
    revision?.definition?.secrets.map(({ version }) => version),
    [1, 1, 1],
  );
});

test("data that services ask for is kept while newer data waits to be applied", async () => {
  const { deploy, reach, view } = await world();
  const page = (letter: string): string => letter.repeat(900 * 1024);
  const definition = (letter: string) =>
    definitionOf({
      configs: [fileOf("page", page(letter))],
      services: [serviceOf("web", { configs: ["shop_page"] })],
    });
  await deploy(definition("a"));
  await reach();
  for (const letter of ["b", "c", "d", "e"]) await deploy(definition(letter)); // none of them is reached
  const config = view((tx) => tx.list("config"))[0];
  const kept = [...(config?.oldVersions ?? [])].map(({ number }) => number);
  assert.ok(kept.includes(1), `version 1 runs; kept are ${kept.join()}`);
});

test("going back to data that is gone is refused by name", async () => {
  const { deploy, reach, store, control, view } = await world();
  await deploy(
    definitionOf({ secrets: [fileOf("key", "x")], services: [serviceOf("web", { secrets: ["shop_key"] })] }),
  );
  await reach();
  await deploy(definitionOf({ services: [serviceOf("web")] }));
  await reach();
  await store.update((tx) => tx.remove("secret", tx.list("secret")[0]?.id ?? ""));
  await assert.rejects(
    control.rollback({ ...ASK, revision: 1 }),
    /secret key: the secret was removed, and its data is not in the revision: deploy the file that has it/,
  );
  assert.equal(view((tx) => listRevisions(tx, "shop")).revisions.length, 2);
});

test("going back removes what came later, and leaves what was left over before", async () => {
  const { deploy, reach, control, view } = await world();
  await deploy(definitionOf({ services: [serviceOf("web"), serviceOf("old")] }));
  await reach();
  const { warnings } = await deploy(definitionOf({ services: [serviceOf("web", { image: "app:2" })] }));
  assert.deepEqual(warnings, ["not in the definition, and left as it is: service shop_old"]);
  await reach();
  await deploy(definitionOf({ services: [serviceOf("web", { image: "app:2" }), serviceOf("new")] }));
  await reach();
  const undone = await control.rollback({ ...ASK, revision: 2 });
  const { revision } = view((tx) => getRevision(tx, { stack: "shop", number: undone.revision }));
  assert.deepEqual(
    revision?.definition?.services.map(({ key }) => key),
    ["web", "old"],
  );
  assert.equal(undone.stack?.deployment?.prune, true);
});

test("what was left over and has a key of the definition goes by its name", async () => {
  const { deploy, reach, control, view } = await world();
  await deploy(definitionOf({ services: [serviceOf("web")] }));
  await reach();
  const networks = [{ key: "default", spec: { annotations: { name: "front" } } }];
  const services = (image: string) => [serviceOf("web", { image, networks: ["front"] })];
  for (const image of ["app:1", "app:2"]) {
    await deploy(definitionOf({ networks, services: services(image) }));
    await reach();
  }
  const back = await control.rollback({ ...ASK, revision: 2 });
  const { revision } = view((tx) => getRevision(tx, { stack: "shop", number: back.revision }));
  assert.deepEqual(
    revision?.definition?.networks.map(({ key, spec }) => [key, spec?.annotations?.name]),
    [
      ["default", "front"],
      ["shop_default", "shop_default"],
    ],
  );
});

test("a network that cannot be changed is made anew, unless others use it", async () => {
  const components = await world();
  const { deploy, reach, store, view } = components;
  await deploy(definitionOf({ services: [serviceOf("web")] }));
  await reach();
  const internal = definitionOf({
    networks: [{ key: "default", spec: { annotations: { name: "shop_default" }, internal: true } }],
    services: [serviceOf("web")],
  });
  const planned = await planStack(components, { ...ASK, definition: internal });
  assert.deepEqual(
    planned.changes.map(({ kind, action, fields }) => [kind, action, fields.map(({ path }) => path)]),
    [["network", "replace", ["internal"]]],
  );
  assert.equal(planned.plan?.title, "deployment of stack shop");
  await store.update((tx) => {
    const id = view((inner) => inner.list("network", { by: "name", name: "shop_default" }))[0]?.id ?? "";
    const spec = { annotations: { name: "guest" }, task: { networks: [{ target: id }] }, mode: ONE };
    tx.create("service", Service.fromPartial({ id: "guest", spec }));
  });
  await assert.rejects(
    deploy(internal),
    /network default: it has to be made anew, as what changes of it cannot be changed, and service guest uses it, too/,
  );
});

test("who asks is shown on terminals, and what is too much is refused with its bound", async () => {
  const { deploy, view } = await world();
  await deploy(definitionOf({ services: [serviceOf("web")] }), { madeBy: "eve\u001b[2J\n@host" });
  assert.equal(view((tx) => listRevisions(tx, "shop")).revisions[0]?.madeBy, "eve[2J@host");
  const huge = definitionOf({ services: [serviceOf("web", { env: [`A=${"x".repeat(950 * 1024)}`] })] });
  await assert.rejects(
    deploy(huge),
    /a stack may have 921600 bytes beside the data .*, got 97\d{4}: put some/,
  );
  const many = Array.from({ length: 501 }, (_, i) => serviceOf(`s${i}`));
  await assert.rejects(deploy(definitionOf({ services: many })), /at most 500 services, got 501/);
  await assert.rejects(
    deploy(huge, { timeoutMs: 1e9 }),
    /timeout of a deployment must be from 0 to 86400000 ms/,
  );
  await assert.rejects(deploy(huge, { name: "a b" }), /invalid stack name "a b"/);
});

test("a secret of a driver has no data, keeps its driver, and comes back with an earlier revision", async () => {
  const { deploy, reach, view, control } = await world();
  const key = { ...fileOf("key", ""), driverName: "vault", driverOptions: { path: "secret/db" } };
  const shop = (image: string, secret: object = key): Parameters<typeof deploy>[0] =>
    definitionOf({ secrets: [secret], services: [serviceOf("web", { secrets: ["shop_key"], image })] });
  await deploy(shop("app:1"));
  await reach();
  await deploy(shop("app:2"));
  await reach();
  const stored = view((tx) => tx.list("secret", { by: "name", name: "shop_key" }))[0];
  assert.deepEqual(
    [stored?.driverName, stored?.driverOptions, stored?.data.length],
    ["vault", key.driverOptions, 0],
  );
  await assert.rejects(deploy(shop("app:3", fileOf("key", "x"))), /driver is vault and cannot become none/);
  await assert.rejects(
    deploy(shop("app:3", { ...key, driverOptions: {} })),
    /driver's options cannot change: give it another name/,
  );
  assert.equal((await control.rollback({ ...ASK, revision: 1 })).changed, true);
});

test("undo goes to the good revision where a deployment got stuck, and before it otherwise", async () => {
  const { deploy, reach, store, control } = await world();
  for (const image of ["app:1", "app:2"]) {
    await deploy(definitionOf({ services: [serviceOf("web", { image })] }));
    await reach();
  }
  const phase = (to: StackPhase): Promise<void> =>
    store.update((tx) => {
      const stack = tx.list("stack")[0];
      if (stack?.deployment === undefined) return;
      tx.update("stack", { ...stack, deployment: { ...stack.deployment, phase: to, endedAtMs: 1 } });
    });
  const restores = async (): Promise<number | undefined> => {
    const { revision } = await control.rollback({ ...ASK, revision: 0 });
    return store.view((tx) => getRevision(tx, { stack: "shop", number: revision })).revision?.restores;
  };
  await deploy(definitionOf({ services: [serviceOf("web", { image: "bad:1" })] }));
  assert.equal(await restores(), 2); // while it is under way
  await deploy(definitionOf({ services: [serviceOf("web", { image: "bad:2" })] }));
  await store.update((tx) => {
    const web = tx.list("service")[0];
    if (web?.spec !== undefined) tx.update("service", { ...web, spec: withImage(web.spec, "bad:2") });
  });
  await phase(StackPhase.STUCK);
  assert.equal(await restores(), 2);
  await reach();
  await phase(StackPhase.REACHED);
  assert.equal(await restores(), 1);
});

function withImage(spec: ServiceSpec, image: string): ServiceSpec {
  const { task } = spec;
  return { ...spec, task: task && { ...task, container: task.container && { ...task.container, image } } };
}
