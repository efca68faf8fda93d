import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { FakeDaemon, NOT_FOUND } from "./daemon-fixtures.js";
import { headerOf, registryOf } from "./registry-auth-file.js";

const SOURCE = import.meta.url.endsWith(".ts");
const MAIN = fileURLToPath(new URL(SOURCE ? "main.ts" : "main.js", import.meta.url));

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function skein(...args: string[]): Promise<Ended> {
  return new Promise((ended) => {
    execFile(
      process.execPath,
      [...(SOURCE ? ["--import", "tsx"] : []), MAIN, ...args],
      (error, stdout, stderr) =>
        ended({ code: typeof error?.code === "number" ? error.code : 0, stdout, stderr }),
    );
  });
}

test("wrong usage ends with 2 and a suggestion, before the daemon is asked", async () => {
  const [command, flag, value] = await Promise.all([
    skein("servce", "ls"),
    skein("node", "ls", "--frmat", "x"),
    skein("-H", "unix:///nowhere.sock", "service", "create", "--replicas", "many", "image"),
  ]);
  assert.deepEqual(command, {
    code: 2,
    stdout: "",
    stderr: "Error: unknown command 'servce'\n(Did you mean service?)\nSee 'skein --help'.\n",
  });
  assert.deepEqual(
    [flag.code, flag.stderr],
    [2, "Error: unknown option '--frmat'\n(Did you mean --format?)\nSee 'skein node ls --help'.\n"],
  );
  assert.deepEqual(
    [value.code, value.stderr],
    [2, 'Error: --replicas must be an integer of at least 0, got "many"\n'],
  );
});

test("a daemon that refuses or cannot be reached ends with 1 and its words", async () => {
  await using daemon = await FakeDaemon.open(() => NOT_FOUND);
  const [refused, unreachable] = await Promise.all([
    skein("-H", daemon.host, "service", "inspect", "web"),
    skein("--host", "unix:///nowhere.sock", "node", "ls"),
  ]);
  assert.deepEqual(refused, { code: 1, stdout: "[]\n", stderr: "Error: not found\n" });
  assert.equal(unreachable.code, 1);
  assert.match(
    unreachable.stderr,
    /^Error: cannot reach skeind at unix:\/\/\/nowhere\.sock \(ENOENT; named by --host\)/,
  );
});

test("help is no failure and lists every command; a listing goes to standard output", async () => {
  await using daemon = await FakeDaemon.open(({ path }) => ({
    json:
      path === "/info" ? {} : [{ ID: "n1", Description: { Hostname: "host1" }, Status: { State: "ready" } }],
  }));
  const [help, list] = await Promise.all([
    skein("--help"),
    skein("-H", daemon.host, "node", "ls", "--format", "{{.ID}} {{.Hostname}} {{.Status}}"),
  ]);
  assert.equal(help.code, 0);
  for (const name of ["swarm", "node", "service", "stack", "secret", "config", "network", "events"]) {
    assert.match(help.stdout, new RegExp(`^  ${name} `, "m"));
  }
  assert.deepEqual(list, { code: 0, stdout: "n1 host1 Ready\n", stderr: "" });
});

test("a faulty compose file ends with 2 and the place of the fault", async () => {
  const folder = await mkdtemp(join(tmpdir(), "skein-cli-"));
  const file = join(folder, "compose.yml");
  writeFileSync(file, "services:\n  web:\n    image: i\n    deploy: {replicas: x}\n");
  const ended = await skein("-H", "unix:///nowhere.sock", "stack", "deploy", "-c", file, "s");
  await rm(folder, { recursive: true });
  assert.deepEqual(
    [ended.code, ended.stderr],
    [2, `Error: ${file}:4: services.web.deploy.replicas: must be an integer, got "x"\n`],
  );
});

test("registry credentials are found by the image's registry", () => {
  assert.deepEqual(["nginx", "a/b", "localhost/x", "r.example:5000/a/b:1"].map(registryOf), [
    "docker.io",
    "docker.io",
    "localhost",
    "r.example:5000",
  ]);
  const config = { auths: { "r.example:5000": { auth: Buffer.from("user:pass:word").toString("base64") } } };
  const header = headerOf(config, "r.example:5000", "config.json");
  assert.deepEqual(JSON.parse(Buffer.from(header ?? "", "base64url").toString()), {
    username: "user",
    password: "pass:word",
    serveraddress: "r.example:5000",
  });
  assert.equal(headerOf(config, "docker.io", "config.json"), undefined);
  assert.throws(
    () => headerOf({ credsStore: "pass" }, "docker.io", "config.json"),
    /docker-credential-pass .* not supported yet/,
  );
});
