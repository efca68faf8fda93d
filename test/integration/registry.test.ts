/**
 * Services whose image is only in a registry: Debian's docker-registry beside the hosts,
 * with and without a password.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type BuiltImage, buildImage } from "../support/image-tar.js";
import { Lab } from "../support/lab/lab.js";
import type { LabHost } from "../support/lab/lab-host.js";
import {
  fromTasks,
  linesOf,
  must,
  refusal,
  removed,
  running,
  type SeenTask,
} from "../support/lab/lab-services.js";
import { call, formSwarm, logLines, serviceSpec, until } from "../support/lab/lab-swarm.js";
import { run } from "../support/lab/shell.js";
import { pushImage, startRegistry, type TestRegistry } from "../support/registry-process.js";

const ADDRESS = "10.99.0.101";
const OPEN = `${ADDRESS}:5000`;
const LOCKED = `${ADDRESS}:5001`;
const BASIC = { username: "goose", password: "honk-honk" };

let lab: Lab;
let host: LabHost;
const registries: TestRegistry[] = [];
/** Manifest digests by tag. */
const digests = new Map<string, string>();

before(async () => {
  lab = await Lab.open({ hosts: 2, daemonArgs: ["--insecure-registry", ADDRESS] });
  host = lab.host(1);
  await formSwarm(lab, { managers: 1 });
  const storage = join(lab.dir, "registry");
  const netns = lab.clients[0]?.netns ?? "";
  // The one on loopback takes the images, the other two give them out.
  const intake = await startRegistry({ storage });
  registries.push(intake);
  for (const tag of ["1", "2"]) {
    digests.set(tag, await pushImage(await helloImage(tag), { host: intake.host, path: "apps/hello", tag }));
  }
  registries.push(await startRegistry({ storage, netns, listen: OPEN }));
  registries.push(await startRegistry({ storage, netns, listen: LOCKED, basic: BASIC }));
});

after(async () => {
  await Promise.all(registries.map((registry) => registry.close()));
  assert.deepEqual(await lab.close(), []);
});

/** Two layers: busybox, and a file that names the tag. */
async function helloImage(tag: string): Promise<BuiltImage> {
  const busybox = readFileSync((await run("sh", ["-c", "command -v busybox"])).trim());
  return buildImage({
    layers: [
      [
        { name: "bin/", type: "directory" },
        { name: "bin/busybox", mode: 0o755, content: busybox },
        { name: "bin/sh", type: "symlink", linkname: "busybox" },
      ],
      [{ name: "tag", content: `hello ${tag}\n` }],
    ],
    config: {
      Env: ["PATH=/bin"],
      Cmd: ["sh", "-c", "trap 'exit 0' TERM; busybox cat /tag; while :; do busybox sleep 0.1; done"],
    },
  });
}

const authHeader = (password: string): Record<string, string> => ({
  "x-registry-auth": Buffer.from(
    JSON.stringify({ username: BASIC.username, password, serveraddress: LOCKED }),
  ).toString("base64url"),
});

async function create(
  name: string,
  image: string,
  options: { replicas?: number; headers?: Record<string, string> } = {},
): Promise<void> {
  const base = serviceSpec({ name, image, replicas: options.replicas ?? 1, restart: "none" }) as {
    TaskTemplate: { ContainerSpec: object };
  }; // it always has both
  const body = {
    ...base,
    TaskTemplate: {
      ...base.TaskTemplate,
      ContainerSpec: { ...base.TaskTemplate.ContainerSpec, Command: [] },
    },
  };
  const answer = await host.api("POST", "/services/create", body, { headers: options.headers ?? {} });
  assert.equal(answer.status, 201, answer.body);
}

function rejected(name: string): Promise<SeenTask> {
  return fromTasks(host, name, "rejected", (all) => all.find(({ Status }) => Status.State === "rejected"));
}

test("tasks pull an image that only the registry has, on each host", async () => {
  await create("hello", `${OPEN}/apps/hello:1`, { replicas: 2 });
  const tasks = await running(host, "hello", 2, 30_000);
  assert.equal(new Set(tasks.map((task) => task.NodeID)).size, 2);
  const lines = await until("both have spoken", 10_000, async () => {
    const all = await logLines(host, "/services/hello");
    return all.length === 2 ? all : undefined;
  });
  assert.deepEqual(lines, ["hello 1", "hello 1"]);
  for (const each of lab.hosts) {
    const image = await call<{ RepoTags: string[]; RepoDigests: string[] }>(
      each,
      "GET",
      `/images/${encodeURIComponent(`${OPEN}/apps/hello:1`)}/json`,
    );
    assert.deepEqual(
      [image.RepoTags, image.RepoDigests],
      [[`${OPEN}/apps/hello:1`], [`${OPEN}/apps/hello@${digests.get("1")}`]],
    );
  }
  await removed(lab, "hello");
});

test("the digest of a tag is told before the service is made, and a service may name it", async () => {
  const { Descriptor, Platforms } = await call<{
    Descriptor: { digest: string };
    Platforms: { os: string }[];
  }>(host, "GET", `/distribution/${OPEN}/apps/hello:2/json`);
  assert.equal(Descriptor.digest, digests.get("2"));
  assert.equal(Platforms[0]?.os, "linux");
  await create("pinned", `${OPEN}/apps/hello:2@${Descriptor.digest}`);
  await running(host, "pinned", 1, 30_000);
  await until("its word", 10_000, async () =>
    (await logLines(host, "/services/pinned")).includes("hello 2") ? true : undefined,
  );
  await removed(lab, "pinned");
});

test("a registry with a password: the service's credentials reach every node, and an update keeps them", async () => {
  await create("locked", `${LOCKED}/apps/hello:1`, { replicas: 2, headers: authHeader(BASIC.password) });
  const tasks = await running(host, "locked", 2, 30_000);
  assert.equal(new Set(tasks.map((task) => task.NodeID)).size, 2);
  const { Version, Spec } = await call<{
    Version: { Index: number };
    Spec: { TaskTemplate: { ContainerSpec: object } };
  }>(host, "GET", "/services/locked");
  assert.doesNotMatch(JSON.stringify(Spec), /honk|Auth/i, "nobody is shown the credentials");
  await call(host, "POST", `/services/locked/update?version=${Version.Index}&registryAuthFrom=spec`, {
    ...Spec,
    TaskTemplate: {
      ...Spec.TaskTemplate,
      ContainerSpec: { ...Spec.TaskTemplate.ContainerSpec, Image: `${LOCKED}/apps/hello:2` },
    },
  });
  await until("both say the new word", 30_000, async () =>
    (await logLines(host, "/services/locked")).filter((line) => line === "hello 2").length === 2
      ? true
      : undefined,
  );
  await removed(lab, "locked");
});

test("a registry's password not given, or a wrong one: the task is rejected in the registry's words", async () => {
  // A tag no node has: what is there already is not pulled again.
  await create("keyless", `${LOCKED}/apps/hello:3`);
  assert.match((await rejected("keyless")).Status.Err ?? "", /no basic auth credentials/);
  await create("wrongkey", `${LOCKED}/apps/hello:3`, { headers: authHeader("meow") });
  const { Err = "" } = (await rejected("wrongkey")).Status;
  assert.match(Err, /authentication required/);
  assert.doesNotMatch(Err, /meow/);
  await Promise.all([removed(lab, "keyless"), removed(lab, "wrongkey")]);
});

test("an image that is not there, and a registry that is not there: rejected, and service ps says why", async () => {
  await create("unknown", `${OPEN}/apps/hello:nosuch`);
  assert.match((await rejected("unknown")).Status.Err ?? "", /manifest unknown/);
  await create("nowhere", `${ADDRESS}:5999/apps/hello:1`);
  assert.match((await rejected("nowhere")).Status.Err ?? "", /connection refused/);
  const shown = linesOf(await must(host.skein(["service", "ps", "--no-trunc", "unknown"]))).join("\n");
  assert.match(shown, /Rejected [\s\S]*manifest unknown/);
  await Promise.all([removed(lab, "unknown"), removed(lab, "nowhere")]);
});

test("pull by hand: progress as JSON lines, then the image; what cannot be pulled is an error", async () => {
  const { status, body } = await host.api(
    "POST",
    `/images/create?fromImage=${encodeURIComponent(`${OPEN}/apps/hello`)}&tag=2`,
  );
  assert.equal(status, 200);
  const lines = body
    .trim()
    .split("\r\n")
    .map((line) => JSON.parse(line) as { status: string; id?: string });
  assert.ok(
    lines.some((line) => line.status === `Digest: ${digests.get("2")}`),
    body,
  );
  assert.match(
    lines.at(-1)?.status ?? "",
    /^Status: (Image is up to date for|Downloaded newer image for) 10\.99\.0\.101:5000\/apps\/hello:2$/,
  );
  assert.match(
    await refusal(
      host,
      "POST",
      `/images/create?fromImage=${encodeURIComponent(`${OPEN}/apps/nosuch`)}&tag=1`,
    ),
    /^404 .*(manifest unknown|not found)/,
  );
  const pulled = await host.api(
    "POST",
    `/images/create?fromImage=${encodeURIComponent(`${LOCKED}/apps/hello`)}&tag=2`,
    undefined,
    { headers: authHeader(BASIC.password) },
  );
  assert.equal(pulled.status, 200, pulled.body);
});
