import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../../base/clock/manual-clock.js";
import type { StackObjects } from "../compose/convert-project.js";
import { type Answer, FakeDaemon, NOT_FOUND, type SeenRequest } from "../daemon-fixtures.js";
import type { Json } from "../service/flag-values.js";
import { deployStack, keptFrom } from "./http-deploy.js";
import { removeStack } from "./http-remove.js";

const LABELS = { "com.docker.stack.namespace": "s" };
const service = (name: string): Json => ({
  Name: name,
  Labels: { ...LABELS, "com.docker.stack.image": "i" },
  TaskTemplate: {
    ContainerSpec: { Image: "i", Secrets: [{ SecretName: "s_key" }], Configs: [{ ConfigName: "s_conf" }] },
  },
  Mode: { Replicated: { Replicas: 1 } },
});
const OBJECTS: StackObjects = {
  networks: [{ name: "s_default", external: false, body: { Name: "s_default" } }],
  secrets: [
    {
      name: "s_key",
      external: false,
      body: { Name: "s_key", Labels: LABELS },
      source: { kind: "content", value: "k" },
    },
  ],
  configs: [
    {
      name: "s_conf",
      external: false,
      body: { Name: "s_conf", Labels: LABELS },
      source: { kind: "content", value: "c" },
    },
  ],
  services: [service("s_web")],
};
const OPTIONS = { prune: false, withRegistryAuth: false };

/** Empty listings; creations answer with an id made of the path. */
function emptyCluster({ method, path }: SeenRequest): Answer {
  if (method === "GET")
    return /^\/(networks|secrets|configs|services)$/.test(path) ? { json: [] } : NOT_FOUND;
  return { json: { ID: `id${path.replaceAll("/", "-")}` } };
}

/** A cluster where the stack exists already. */
function deployedCluster(config: string): (request: SeenRequest) => Answer {
  const version = { Version: { Index: 7 } };
  return ({ method, path }) => {
    if (method !== "GET") return { json: {} };
    const lists: Record<string, Json[]> = {
      "/networks": [{ Id: "n", Name: "s_default" }],
      "/secrets": [{ ID: "sec", ...version, Spec: { Name: "s_key", Labels: LABELS } }],
      "/configs": [
        {
          ID: "con",
          ...version,
          Spec: { Name: "s_conf", Labels: LABELS, Data: Buffer.from(config).toString("base64") },
        },
      ],
      "/services": [
        { ID: "web", ...version, Spec: service("s_web") },
        { ID: "old", ...version, Spec: service("s_old") },
      ],
    };
    return { json: lists[path] ?? {} };
  };
}

test("a new stack is made in the order networks, secrets, configs, services", async () => {
  await using daemon = await FakeDaemon.open(emptyCluster);
  const services = await deployStack(daemon.context, "s", OBJECTS, OPTIONS);
  assert.deepEqual(daemon.changes, [
    "POST /networks/create",
    "POST /secrets/create",
    "POST /configs/create",
    "POST /services/create",
  ]);
  assert.deepEqual(services, [{ id: "id-services-create", name: "s_web" }]);
  assert.deepEqual(daemon.printed, [
    "Creating network s_default",
    "Creating secret s_key",
    "Creating config s_conf",
    "Creating service s_web",
  ]);
  const sent = JSON.parse(daemon.seen.at(-1)?.body.toString() ?? "") as {
    TaskTemplate: { ContainerSpec: Json };
  };
  assert.deepEqual(sent.TaskTemplate.ContainerSpec["Secrets"], [
    { SecretName: "s_key", SecretID: "id-secrets-create" },
  ]);
});

test("what exists is updated; a config that is the same is left alone", async () => {
  await using daemon = await FakeDaemon.open(deployedCluster("c"));
  await deployStack(daemon.context, "s", OBJECTS, OPTIONS);
  assert.deepEqual(daemon.changes, ["POST /secrets/sec/update", "POST /services/web/update"]);
  assert.equal(daemon.seen.at(-1)?.query.get("version"), "7");
  assert.equal(daemon.seen.at(-1)?.query.get("registryAuthFrom"), "spec");
});

test("changed data of a config is sent, and --prune removes what the file no longer has", async () => {
  await using daemon = await FakeDaemon.open(deployedCluster("before"));
  await deployStack(daemon.context, "s", OBJECTS, { ...OPTIONS, prune: true });
  assert.deepEqual(daemon.changes, [
    "DELETE /services/old",
    "POST /secrets/sec/update",
    "POST /configs/con/update",
    "POST /services/web/update",
  ]);
});

test("a missing external network stops the deployment before anything is made", async () => {
  await using daemon = await FakeDaemon.open(emptyCluster);
  const objects = { ...OBJECTS, networks: [{ name: "outer", external: true, body: {} }] };
  await assert.rejects(
    deployStack(daemon.context, "s", objects, OPTIONS),
    /network "outer" is declared as external, but could not be found/,
  );
  assert.deepEqual(daemon.changes, []);
});

test("a refusal names the step and keeps the daemon's words", async () => {
  await using daemon = await FakeDaemon.open((request) =>
    request.path === "/services/create"
      ? { status: 409, json: { message: "port '8080' is already in use" } }
      : emptyCluster(request),
  );
  await assert.rejects(
    deployStack(daemon.context, "s", OBJECTS, OPTIONS),
    /^Error: failed to create service s_web: port '8080' is already in use$/,
  );
});

test("an update keeps forced updates and the digest of the same image", () => {
  const before = {
    Spec: {
      Labels: { "com.docker.stack.image": "i" },
      TaskTemplate: { ForceUpdate: 4, ContainerSpec: { Image: "i@sha256:00" } },
    },
  };
  const kept = keptFrom(before, service("s_web")) as {
    TaskTemplate: { ForceUpdate: number; ContainerSpec: Json };
  };
  assert.equal(kept.TaskTemplate.ForceUpdate, 4);
  assert.equal(kept.TaskTemplate.ContainerSpec["Image"], "i@sha256:00");
  const other = keptFrom(
    { Spec: { ...before.Spec, Labels: { "com.docker.stack.image": "j" } } },
    service("s_web"),
  );
  assert.deepEqual((other as typeof kept).TaskTemplate.ContainerSpec["Image"], "i");
});

test("removing a stack waits for its tasks, services first, networks last", async () => {
  const clock = new ManualClock();
  let looks = 0;
  const deployed = deployedCluster("c");
  await using daemon = await FakeDaemon.open((request) => {
    if (request.path !== "/tasks") return deployed(request);
    looks += 1;
    if (looks === 1) setImmediate(() => tick());
    return { json: looks === 1 ? [{ Status: { State: "running" } }] : [{ Status: { State: "shutdown" } }] };
  });
  const tick = (): void => {
    clock.advance(50);
    if (looks === 1) setImmediate(tick);
  };
  await removeStack(daemon.context, "s", { wait: true, clock });
  assert.deepEqual(daemon.changes, [
    "DELETE /services/web",
    "DELETE /services/old",
    "DELETE /secrets/sec",
    "DELETE /configs/con",
    "DELETE /networks/n",
  ]);
  assert.equal(looks, 2);
});

test("removing a stack that is not there says so and succeeds", async () => {
  await using daemon = await FakeDaemon.open(emptyCluster);
  await removeStack(daemon.context, "s", { wait: true, clock: new ManualClock() });
  assert.deepEqual(daemon.noted, ["Nothing found in stack: s"]);
});
