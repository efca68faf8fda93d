/**
 * dockerode, unmodified, against one host's socket: what programs written for Docker call,
 * and the shapes they read.
 */
import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { after, before, test } from "node:test";
import Docker from "dockerode";
import { busyboxImage, busyboxRootfs } from "../support/lab/busybox-image.js";
import { Lab } from "../support/lab/lab.js";
import type { LabHost } from "../support/lab/lab-host.js";
import { noContainers, oneRunning, running } from "../support/lab/lab-services.js";
import { formSwarm, SLEEPER, until } from "../support/lab/lab-swarm.js";

let lab: Lab;
let host: LabHost;
let docker: Docker;

before(async () => {
  lab = await Lab.open({ hosts: 1 });
  host = lab.host(1);
  await formSwarm(lab, { managers: 1 });
  docker = new Docker({ socketPath: host.socketPath });
});

after(async () => {
  assert.deepEqual(await lab.close(), []);
});

function serviceSpec(name: string, replicas = 1): Docker.CreateServiceOptions {
  return {
    Name: name,
    Labels: { made: "by dockerode" },
    TaskTemplate: {
      ContainerSpec: { Image: "skein-hello:latest", Command: [...SLEEPER], Env: ["A=1"] },
      RestartPolicy: { Condition: "any", Delay: 0 },
    },
    Mode: { Replicated: { Replicas: replicas } },
  };
}

/** What a promise was refused with. */
async function refused(promise: Promise<unknown>): Promise<{ statusCode: number; message: string }> {
  try {
    await promise;
  } catch (error) {
    return error as { statusCode: number; message: string }; // docker-modem's errors have both
  }
  assert.fail("it went through");
}

/** The whole of a progress stream. */
function followed(stream: NodeJS.ReadableStream): Promise<{ stream?: string; status?: string }[]> {
  return new Promise((done, failed) => {
    docker.modem.followProgress(stream, (error, output) => (error === null ? done(output) : failed(error)));
  });
}

test("ping, version, info: the engine and its API", async () => {
  assert.equal(String(await docker.ping()), "OK");
  const version = await docker.version();
  assert.match(version.ApiVersion, /^1\.\d+$/);
  assert.equal(version.Os, "linux");
  const info = await docker.info();
  assert.equal(info.Swarm.LocalNodeState, "active");
  assert.equal(info.Swarm.NodeAddr, "10.99.0.1");
  assert.equal(info.Swarm.Nodes, 1);
});

test("swarmInspect and listNodes: the cluster and its one manager", async () => {
  const swarm = await docker.swarmInspect();
  assert.match(swarm.ID, /^[0-9a-z]{25}$/);
  assert.match(swarm.JoinTokens.Worker, /^SWMTKN-1-/);
  assert.match(swarm.TLSInfo.TrustRoot, /BEGIN CERTIFICATE/);
  const [node, ...others] = await docker.listNodes();
  assert.deepEqual(others, []);
  assert.deepEqual(
    [node.Description.Hostname, node.Status.State, node.Status.Addr, node.ManagerStatus.Leader],
    ["host1", "ready", "10.99.0.1", true],
  );
  const found = await docker.getNode(node.ID).inspect();
  assert.equal(found.ID, node.ID);
  assert.equal((await refused(docker.getNode("nobody").inspect())).statusCode, 404);
});

test("services: create, list, inspect, update, remove", async () => {
  const service = await docker.createService(serviceSpec("app"));
  assert.match(service.id, /^[0-9a-z]{25}$/);
  const first = await oneRunning(host, "app");
  const [listed] = await docker.listServices({ filters: { name: ["app"] } });
  assert.equal(listed?.ID, service.id);
  assert.deepEqual(listed?.Spec?.Labels, { made: "by dockerode" });

  const seen = await service.inspect();
  await service.update({ version: seen.Version.Index, ...seen.Spec, Mode: { Replicated: { Replicas: 2 } } });
  const two = await running(host, "app", 2);
  assert.ok(
    two.some((task) => task.ID === first.ID),
    "the first task stays",
  );

  const stale = await refused(service.update({ version: seen.Version.Index, ...seen.Spec }));
  assert.match(stale.message, /update out of sequence/);
  const again = await service.inspect();
  const template = {
    ...again.Spec.TaskTemplate,
    ContainerSpec: { ...again.Spec.TaskTemplate.ContainerSpec, Env: ["A=2"] },
  };
  await service.update({ version: again.Version.Index, ...again.Spec, TaskTemplate: template });
  await until("both tasks are new", 20_000, async () => {
    const tasks = await running(host, "app", 2);
    return tasks.every((task) => task.Spec.ContainerSpec.Env?.[0] === "A=2") ? true : undefined;
  });
  await service.remove();
  assert.deepEqual(await refused(service.inspect()).then((error) => error.statusCode), 404);
  await noContainers(lab, "com.docker.swarm.service.name=app");
});

test("createService: what is wrong is refused with Docker's status", async () => {
  await docker.createService(serviceSpec("taken", 0));
  assert.equal((await refused(docker.createService(serviceSpec("taken", 0)))).statusCode, 409);
  assert.equal((await refused(docker.createService({ ...serviceSpec("not a name", 0) }))).statusCode, 400);
  assert.equal(
    (
      await refused(
        docker.createService({
          Name: "imageless",
          TaskTemplate: { ContainerSpec: {} },
        } as Docker.CreateServiceOptions),
      )
    ).statusCode,
    400,
  );
  await docker.getService("taken").remove();
});

test("listTasks: filters by service, node, desired state and label", async () => {
  const service = await docker.createService(serviceSpec("tasked", 2));
  await running(host, "tasked", 2);
  const tasks = await docker.listTasks({ filters: { service: ["tasked"], "desired-state": ["running"] } });
  assert.deepEqual(tasks.map((task) => task.Slot).sort(), [1, 2]);
  assert.equal(tasks[0]?.ServiceID, service.id);
  assert.deepEqual(
    await docker.listTasks({ filters: { service: ["tasked"], "desired-state": ["shutdown"] } }),
    [],
  );
  const [node] = await docker.listNodes();
  assert.equal((await docker.listTasks({ filters: { node: [node.ID], service: [service.id] } })).length, 2);
  const id = tasks[0]?.ID ?? "";
  assert.equal((await docker.getTask(id).inspect()).Status.State, "running");
  const containers = await docker.listContainers({ filters: { label: [`com.docker.swarm.task.id=${id}`] } });
  assert.equal(containers.length, 1);
  const details = await docker.getContainer(containers[0]?.Id ?? "").inspect();
  assert.equal(details.State.Running, true);
  assert.match(details.Name, new RegExp(`^/tasked\\.[12]\\.${id}$`));
  await service.remove();
});

test("secrets and configs: create, list, inspect, update labels, remove", async () => {
  const data = Buffer.from("honk").toString("base64");
  const secret = await docker.createSecret({ Name: "s1", Labels: { a: "1" }, Data: data });
  const seen = await docker.getSecret(secret.id).inspect();
  assert.deepEqual(seen.Spec, { Name: "s1", Labels: { a: "1" } }, "the data never comes back");
  await docker.getSecret(secret.id).update({ version: seen.Version?.Index, Name: "s1", Labels: { a: "2" } });
  assert.deepEqual(
    (await docker.listSecrets({ filters: { label: ["a=2"] } })).map((one: { ID: string }) => one.ID),
    [secret.id],
  );
  assert.equal((await refused(docker.createSecret({ Name: "s1", Data: data }))).statusCode, 409);
  await docker.getSecret(secret.id).remove();
  assert.deepEqual(await docker.listSecrets(), []);

  const config = await docker.createConfig({ Name: "c1", Data: data });
  const found = await docker.getConfig(config.id).inspect();
  assert.equal(found.Spec?.Data, data);
  await docker.getConfig(config.id).remove();
  assert.deepEqual(await docker.listConfigs(), []);
});

test("networks: create, list, inspect, remove", async () => {
  const network = await docker.createNetwork({
    Name: "n1",
    Driver: "overlay",
    IPAM: { Config: [{ Subnet: "10.30.0.0/24" }] },
    Labels: { x: "y" },
  });
  const seen = await docker.getNetwork(network.id).inspect();
  assert.deepEqual(
    [seen.Name, seen.Scope, seen.Driver, seen.IPAM?.Config?.[0]?.Subnet],
    ["n1", "swarm", "overlay", "10.30.0.0/24"],
  );
  assert.deepEqual(
    (await docker.listNetworks({ filters: { name: ["n1"] } })).map((one) => one.Id),
    [network.id],
  );
  assert.equal((await refused(docker.createNetwork({ Name: "n1", Driver: "overlay" }))).statusCode, 409);
  await docker.getNetwork(network.id).remove();
  assert.equal((await refused(docker.getNetwork(network.id).inspect())).statusCode, 404);
});

test("events: a stream of JSON, filtered, from the moment of asking", async () => {
  const stream = await docker.getEvents({ filters: { type: ["service"] } });
  const seen: {
    Type: string;
    Action: string;
    Actor: { ID: string; Attributes: { name: string } };
    scope: string;
  }[] = [];
  let text = "";
  stream.on("data", (chunk: Buffer) => {
    text += chunk.toString("utf8");
    const lines = text.split("\n");
    text = lines.pop() ?? "";
    seen.push(...lines.filter(Boolean).map((line) => JSON.parse(line)));
  });
  const service = await docker.createService(serviceSpec("told", 0));
  await service.remove();
  await until(
    "both events",
    10_000,
    async () => (seen.length >= 2 ? true : undefined),
    () => JSON.stringify(seen),
  );
  assert.deepEqual(
    seen.map((event) => [event.Type, event.Action, event.Actor.ID, event.Actor.Attributes.name, event.scope]),
    [
      ["service", "create", service.id, "told", "swarm"],
      ["service", "remove", service.id, "told", "swarm"],
    ],
  );
  (stream as Readable).destroy();
});

test("images: import, load, inspect, tag, remove", async () => {
  const imported = await followed(
    await docker.importImage(Readable.from([await busyboxRootfs()]), { repo: "bare", tag: "1" }),
  );
  const id = imported.at(-1)?.status ?? "";
  assert.match(id, /^sha256:[0-9a-f]{64}$/);
  assert.equal((await docker.getImage("bare:1").inspect()).Id, id);
  const loaded = await followed(
    await docker.loadImage(Readable.from([await busyboxImage({ tags: ["loaded:1"] })])),
  );
  assert.ok(loaded.some((line) => line.stream === "Loaded image: loaded:1\n"));
  await docker.getImage("loaded:1").tag({ repo: "loaded", tag: "2" });
  const tags = (await docker.listImages({ filters: { reference: ["loaded"] } })).flatMap(
    (image) => image.RepoTags ?? [],
  );
  assert.deepEqual(tags.sort(), ["loaded:1", "loaded:2"]);
  assert.deepEqual(await docker.getImage("loaded:2").remove(), [{ Untagged: "loaded:2" }]);
  await docker.getImage("loaded:1").remove();
  await docker.getImage("bare:1").remove();
  assert.equal((await refused(docker.getImage("bare:1").inspect())).statusCode, 404);
});

test("what is not served says so: 501 with the endpoint's name", async () => {
  const error = await refused(docker.getPlugin("p", "remote").privileges());
  assert.equal(error.statusCode, 501);
  assert.match(error.message, /GET \/plugins\/privileges/);
  // without plugins, none is found
  assert.equal((await refused(docker.getPlugin("p", "").enable())).statusCode, 404);
});
