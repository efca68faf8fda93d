/**
 * The stock docker CLI, as every API version it can be told to speak, against one host without a swarm: what
 * it runs, what inspect shows it, what is refused in which words.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { busyboxImage } from "../support/lab/busybox-image.js";
import { skipWithoutDocker } from "../support/lab/docker-cli.js";
import { Lab } from "../support/lab/lab.js";
import type { LabHost } from "../support/lab/lab-host.js";
import { attempt, type CommandResult } from "../support/lab/shell.js";

const IMAGE = "skein-hello:latest";
const VERSIONS = ["1.24", "1.30", "1.40", "1.41", "1.42", "1.44", "1.47", "1.48", "1.50", "1.51"];

let lab: Lab;
let host: LabHost;

before(async () => {
  if (skipWithoutDocker !== false) return;
  lab = await Lab.open({ hosts: 1 });
  host = lab.host(1);
  await host.start();
  const loaded = await docker(["load", "-q"], { input: await busyboxImage() });
  assert.equal(loaded.code, 0, loaded.stderr);
});

after(async () => {
  if (skipWithoutDocker !== false) return;
  const left = (await docker(["ps", "-aq"])).stdout.split("\n").filter(Boolean);
  if (left.length > 0) await docker(["rm", "-f", "-v", ...left]);
  assert.deepEqual(await lab.close(), []);
});

function docker(
  args: readonly string[],
  options: { version?: string; input?: Uint8Array } = {},
): Promise<CommandResult> {
  const { version, input } = options;
  return attempt("docker", ["-H", `unix://${host.socketPath}`, ...args], {
    ...(input === undefined ? {} : { input }),
    env: { ...process.env, ...(version === undefined ? {} : { DOCKER_API_VERSION: version }) },
  });
}

interface Inspected {
  readonly Id: string;
  readonly Config: Readonly<Record<string, unknown>>;
  readonly HostConfig: Readonly<Record<string, unknown>>;
  readonly NetworkSettings: {
    readonly Networks: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  };
}

async function inspected(name: string, version: string): Promise<Inspected> {
  const answer = await host.api("GET", `/v${version}/containers/${name}/json`);
  assert.equal(answer.status, 200, answer.body);
  return answer.json as Inspected;
}

test("docker run works as every version, and each leaves nothing behind", {
  skip: skipWithoutDocker,
}, async () => {
  for (const version of VERSIONS) {
    const ran = await docker(["run", "--rm", IMAGE, "echo", `as ${version}`], { version });
    assert.equal(ran.stdout, `as ${version}\n`, `${version}: ${ran.stderr}`);
    assert.equal(
      (await docker(["run", "--rm", IMAGE, "sh", "-c", "exit 42"], { version })).code,
      42,
      version,
    );
  }
  assert.equal((await docker(["ps", "-aq"])).stdout, "");
});

test("a version out of range is refused in dockerd's words", { skip: skipWithoutDocker }, async () => {
  const newer = await docker(["ps"], { version: "1.52" });
  assert.match(newer.stderr, /client version 1\.52 is too new\. Maximum supported API version is 1\.51/);
  assert.match((await host.api("GET", "/v1.23/containers/json")).body, /client version 1\.23 is too old/);
});

test("inspect shows each version the fields it had", { skip: skipWithoutDocker }, async () => {
  const made = await docker(["create", "--name", "shown", "--network", "bridge", "-m", "64m", IMAGE, "true"]);
  assert.equal(made.code, 0, made.stderr);
  const [old, middle, newest] = await Promise.all(["1.41", "1.44", "1.51"].map((v) => inspected("shown", v)));
  assert.ok(old !== undefined && middle !== undefined && newest !== undefined);
  assert.equal("KernelMemory" in old.HostConfig, true);
  assert.equal("KernelMemory" in newest.HostConfig, false);
  const bridge = (seen: Inspected): string[] => Object.keys(seen.NetworkSettings.Networks["bridge"] ?? {});
  assert.deepEqual(
    [old, middle, newest].map((seen) =>
      bridge(seen).filter((key) => key === "DNSNames" || key === "GwPriority"),
    ),
    [[], ["DNSNames"], ["GwPriority", "DNSNames"]],
  );
  assert.deepEqual([newest.HostConfig["Memory"], newest.HostConfig["MemorySwap"]], [2 ** 26, 2 ** 27]);
  assert.equal(newest.Config["Hostname"], newest.Id.slice(0, 12));
});

test("what is missing at create is no missing image: the CLI pulls nothing", {
  skip: skipWithoutDocker,
}, async () => {
  for (const [args, words] of [
    [["--network", "container:nobody"], /No such container: nobody/],
    [["--volumes-from", "nobody"], /No such container: nobody/],
    [["--link", "nobody:x"], /could not get container for nobody/],
    [["--network", "nowhere"], /network nowhere not found/],
  ] as const) {
    const refused = await docker(["run", "--rm", ...args, IMAGE, "true"]);
    assert.equal(refused.code, 125);
    assert.match(refused.stderr, words);
    assert.doesNotMatch(refused.stderr, /Unable to find image/);
  }
});

test("docker build takes the classic protocol without being told", { skip: skipWithoutDocker }, async () => {
  const { DOCKER_BUILDKIT: _unset, ...env } = process.env;
  const built = await attempt("docker", ["-H", `unix://${host.socketPath}`, "build", "-t", "built:1", "-"], {
    input: Buffer.from(`FROM ${IMAGE}\nCMD ["echo", "built"]\n`),
    env,
  });
  assert.match(built.stdout, /Step 1\/2 : FROM skein-hello:latest/, built.stderr);
  assert.equal((await docker(["run", "--rm", "built:1"])).stdout, "built\n");
});

test("docker ps: names of links, ports, sizes and health", { skip: skipWithoutDocker }, async () => {
  const run = async (...args: string[]): Promise<void> => {
    const { code, stderr } = await docker(["run", "-d", ...args, IMAGE, "sleep", "1000"]);
    assert.equal(code, 0, stderr);
  };
  await run("--name", "back", "--expose", "99", "-p", "127.0.0.1:18080:80", "--health-cmd", "true");
  await run("--name", "front", "--link", "back:db");
  const rows = (await docker(["ps", "--no-trunc", "--format", "{{.Names}} {{.Ports}}"])).stdout.split("\n");
  assert.ok(rows.includes("back,front/db 99/tcp, 127.0.0.1:18080->80/tcp"), rows.join("\n"));
  const named = await docker(["ps", "-q", "--filter", "publish=18080", "--filter", "expose=99"]);
  assert.equal(named.stdout.trim().split("\n").length, 1);
  const size = await docker(["ps", "-s", "--filter", "name=^front$", "--format", "{{.Size}}"]);
  assert.match(size.stdout, /^\d+k?B \(virtual /);
});
