/**
 * Builds by the classic protocol against a real daemon: the corpus of Dockerfiles gives the images it should;
 * the cache serves what is equal; what is cut short leaves nothing. With SKEIN_DOCKERD_SOCKET set, the corpus
 * is compared with that dockerd as well.
 */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { dirname, join, resolve } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { BASE, CORPUS } from "../support/build-corpus.js";
import { type BuildOutcome, buildCase, call, contextTar, importBase } from "../support/build-peer.js";
import { busyboxRootfs } from "../support/lab/busybox-image.js";
import { Lab } from "../support/lab/lab.js";
import type { LabHost } from "../support/lab/lab-host.js";
import { until } from "../support/lab/lab-swarm.js";

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = HERE.includes("/dist/") ? resolve(HERE, "../../..") : resolve(HERE, "../..");
const DOCKERD = process.env["SKEIN_DOCKERD_SOCKET"] ?? "";

let lab: Lab;
let host: LabHost;

before(async () => {
  lab = await Lab.open({ hosts: 1, clients: 1 });
  host = lab.host(1);
  await host.start();
  await importBase(host.socketPath, await busyboxRootfs(), BASE);
  if (DOCKERD !== "") await importBase(DOCKERD, await busyboxRootfs(), BASE);
});

after(async () => {
  if (DOCKERD !== "") {
    for (const name of [...CORPUS.flatMap(({ tag }) => tag ?? []), BASE])
      await call(DOCKERD, "DELETE", `/v1.41/images/${name}?force=1`);
  }
  assert.deepEqual(await lab.close(), []);
});

const ours = () => ({ socketPath: host.socketPath, imagesDir: join(host.dataDir, "images") });

test("each Dockerfile of the corpus gives its lines, configuration, history and files", async (t) => {
  const path = join(ROOT, "test/support/build-corpus.json");
  // as build-corpus-main wrote it
  const expected = JSON.parse(readFileSync(path, "utf8")) as Readonly<Record<string, BuildOutcome>>;
  for (const one of CORPUS) {
    await t.test(one.name, async () => {
      const outcome = await buildCase(ours(), one);
      assert.deepEqual(outcome, expected[one.name]);
      if (DOCKERD !== "" && one.newer !== true)
        assert.deepEqual(await buildCase({ socketPath: DOCKERD }, one), outcome);
    });
  }
  assert.deepEqual(leftovers(), { running: [], mounts: 0 });
});

async function build(
  dockerfile: string,
  files: Readonly<Record<string, string>> = {},
  query = "",
): Promise<{ id: string; cached: number; text: string }> {
  const tar = await contextTar({ name: "x", dockerfile, files });
  const { body } = await call(host.socketPath, "POST", `/v1.51/build?forcerm=1&${query}`, tar);
  const text = body.toString("utf8");
  return {
    id: /"ID":"(sha256:[0-9a-f]+)"/.exec(text)?.[1] ?? "",
    cached: text.split("Using cache").length - 1,
    text,
  };
}

test("the cache serves equal steps, and no step after a change of content", async () => {
  const file = (tail: string): string => `FROM ${BASE}\nENV A=1\nCOPY f /f\nRUN cat /f > /g\n${tail}`;
  const first = await build(file(""), { f: "1" });
  assert.equal(first.cached, 0);
  const again = await build(file(""), { f: "1" });
  assert.deepEqual([again.cached, again.id], [3, first.id]);
  const changed = await build(file(""), { f: "2" });
  assert.equal(changed.cached, 1);
  assert.notEqual(changed.id, first.id);
  assert.equal((await build(file("LABEL a=b\n"), { f: "1" })).cached, 3);
  assert.equal((await build(file(""), { f: "1" }, "nocache=1")).cached, 0);
  const mounted = `FROM ${BASE}\nRUN --mount=target=/c cat /c/f > /g\n`;
  assert.equal((await build(mounted, { f: "1" })).cached, 0);
  assert.equal((await build(mounted, { f: "1" })).cached, 1);
  assert.equal((await build(mounted, { f: "2" })).cached, 0);
});

test("commands that only look alike are not taken for each other", async () => {
  await build(`FROM ${BASE}\nRUN ["/bin/sh", "-c", "touch", "/x"]\n`);
  assert.equal((await build(`FROM ${BASE}\nRUN touch /x\n`)).cached, 0);
});

test("what is not done is refused by name", async () => {
  assert.match((await build(`FROM ${BASE}\n`, {}, "squash=1")).text, /squash is not supported/);
  assert.match((await build(`FROM ${BASE}\n`, {}, "version=2")).text, /BuildKit/);
  assert.match((await build(`FROM ${BASE}\nRUN --mount=type=ssh true\n`)).text, /type=ssh is not supported/);
  assert.match((await build(`FROM ${BASE}\nADD git@x:y.git /x\n`)).text, /git source .* is not supported/);
});

function leftovers(): { running: string[]; mounts: number } {
  const running = join(host.dataDir, "build", "running");
  const table = readFileSync("/proc/self/mountinfo", "utf8").split("\n");
  return {
    running: existsSync(running) ? readdirSync(running) : [],
    mounts: table.filter((line) => line.includes(host.dataDir) && line.includes("/merged ")).length,
  };
}

async function containerCount(): Promise<number> {
  const { body } = await call(host.socketPath, "GET", "/v1.51/containers/json?all=1");
  return (JSON.parse(body.toString("utf8")) as readonly unknown[]).length;
}

/** Begins a build that sleeps in a command. */
async function sleeping(): Promise<{ gone: () => void }> {
  const tar = await contextTar({ name: "x", dockerfile: `FROM ${BASE}\nRUN echo begun; sleep 1000\n` });
  const headers = { "content-length": tar.length };
  const options = { socketPath: host.socketPath, method: "POST", path: "/v1.51/build?nocache=1", headers };
  const request = httpRequest(options);
  request.on("error", () => undefined); // cut short on purpose
  request.end(tar);
  await new Promise<void>((begun) => {
    request.once("response", (response) => {
      response.on("error", () => undefined); // the same
      response.on("data", (chunk: Buffer) => {
        if (chunk.includes("begun\\n")) begun();
      });
    });
  });
  return { gone: () => request.destroy() };
}

test("a client that goes away takes its build along: no container, no mount, no file", async () => {
  const before = await containerCount();
  const { gone } = await sleeping();
  assert.equal(await containerCount(), before + 1);
  gone();
  await until("the build is gone", 20_000, async () => {
    const clean = (await containerCount()) === before && leftovers().running.length === 0;
    return clean ? true : undefined;
  });
  assert.deepEqual(leftovers(), { running: [], mounts: 0 });
});

test("what a killed daemon was building is swept when it returns", async () => {
  const before = await containerCount();
  await sleeping();
  await host.killDaemon();
  assert.equal(leftovers().running.length, 1);
  await host.start();
  assert.equal(await containerCount(), before);
  assert.deepEqual(leftovers(), { running: [], mounts: 0 });
});
