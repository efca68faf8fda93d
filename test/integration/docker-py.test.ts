/**
 * docker-py, unmodified, as Debian packages it, against one host without a swarm: the steps are in
 * test/support/docker_py_life.py.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { dirname, join, resolve } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { busyboxImage } from "../support/lab/busybox-image.js";
import { Lab } from "../support/lab/lab.js";

const HERE = dirname(fileURLToPath(import.meta.url));
/** The source tree: what is not TypeScript is not in dist. */
const ROOT = HERE.includes("/dist/") ? resolve(HERE, "../../..") : resolve(HERE, "../..");
const STEPS = [
  "system",
  "images",
  "run_and_remove",
  "life",
  "streams",
  "attached_input",
  "files",
  "volumes",
  "networks",
  "lists_prune_and_events",
];

let lab: Lab;

before(async () => {
  lab = await Lab.open({ hosts: 1 });
  await lab.host(1).start();
});

after(async () => {
  assert.deepEqual(await lab.close(), []);
});

interface Ended {
  readonly code: number | null;
  readonly output: string;
  readonly errors: string;
}

function python(args: readonly string[], input: Uint8Array): Promise<Ended> {
  return new Promise((done, failed) => {
    const child = spawn("python3", args, { stdio: ["pipe", "pipe", "pipe"] });
    let [output, errors] = ["", ""];
    child.stdout.on("data", (chunk: Buffer) => {
      output += chunk.toString();
    });
    child.stderr.on("data", (chunk: Buffer) => {
      errors += chunk.toString();
    });
    child.on("error", failed);
    child.on("close", (code) => done({ code, output, errors }));
    child.stdin.on("error", () => undefined); // it ended early: its own words tell why
    child.stdin.end(input);
  });
}

test("docker-py drives the whole life of images, containers, volumes and networks", async () => {
  const script = join(ROOT, "test", "support", "docker_py_life.py");
  const { code, output, errors } = await python([script, lab.host(1).socketPath], await busyboxImage());
  assert.equal(code, 0, `after ${output.trim().split("\n").at(-1)}:\n${errors}`);
  assert.deepEqual(output.trim().split("\n"), STEPS);
});
