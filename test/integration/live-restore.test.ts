/**
 * skeind is killed, or stopped as for an upgrade, while fifty containers run and others come and go: all
 * run on, and at its return everything is known. SKEIN_LIVE_RESTORE_ROUNDS says how often (each once by
 * default), SKEIN_LIVE_RESTORE_SLEEPERS with how many containers beside the twenty with a part of their own.
 * Real daemon, containers and traffic.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { busyboxImage } from "../support/lab/busybox-image.js";
import { Lab } from "../support/lab/lab.js";
import type { LabHost } from "../support/lab/lab-host.js";
import { call, logLines, processStart, until } from "../support/lab/lab-swarm.js";
import {
  COUNTER,
  endsOnWord,
  giveWord,
  type LiveContainer,
  removeLive,
  type SeenContainer,
  SLEEPING,
  seen,
  seenOrGone,
  startLive,
  type Wish,
} from "../support/lab/live-containers.js";
import { labProcesses } from "../support/lab/sweep.js";
import { patient } from "../support/patience.js";

const ROUNDS = Number(process.env["SKEIN_LIVE_RESTORE_ROUNDS"] ?? "2");
const SLEEPERS = Number(process.env["SKEIN_LIVE_RESTORE_SLEEPERS"] ?? "32");
const AWAY_MS = 600;

let lab: Lab;
let host: LabHost;

before(async () => {
  lab = await Lab.open({ hosts: 1, clients: 1 });
  host = lab.host(1);
  await host.start();
  await call(host, "POST", "/images/load", await busyboxImage());
});

after(async () => {
  assert.deepEqual(await lab.close(), []);
});

const policy = (Name: string, MaximumRetryCount = 0) => ({ RestartPolicy: { Name, MaximumRetryCount } });
const HEALTH = { Test: ["CMD-SHELL", "test -e /tmp"], Interval: 300e6, Timeout: patient(2e9), Retries: 2 };

/** By name; those without a number are one each. */
const WISHES: Readonly<Record<string, Wish>> = {
  ...Object.fromEntries(
    Array.from({ length: SLEEPERS }, (_, i) => [`sleeper-${i}`, { script: SLEEPING } satisfies Wish]),
  ),
  ...Object.fromEntries([1, 2, 3].map((i) => [`counter-${i}`, { script: COUNTER }])),
  ...Object.fromEntries([10, 11, 12].map((code) => [`ends-${code}`, { script: endsOnWord(code) }])),
  bridged: { script: SLEEPING, hostConfig: { NetworkMode: "bridge" } },
  web: {
    script: "exec httpd -f -p 8080 -h /www",
    config: { ExposedPorts: { "8080/tcp": {} } },
    hostConfig: { NetworkMode: "bridge", PortBindings: { "8080/tcp": [{ HostPort: "8099" }] } },
  },
  named: { script: "exec httpd -f -p 8080 -h /www", hostConfig: { NetworkMode: "pond" } },
  asking: { script: SLEEPING, hostConfig: { NetworkMode: "pond" } },
  healthy: { script: SLEEPING, config: { Healthcheck: HEALTH } },
  "healthy-2": { script: SLEEPING, config: { Healthcheck: HEALTH } },
  paused: { script: COUNTER },
  "removes-itself": { script: endsOnWord(3), hostConfig: { AutoRemove: true } },
  always: { script: endsOnWord(0), hostConfig: policy("always") },
  failing: { script: endsOnWord(5), hostConfig: policy("on-failure", 3) },
  succeeding: { script: endsOnWord(0), hostConfig: policy("on-failure", 3) },
  unless: { script: endsOnWord(6), hostConfig: policy("unless-stopped") },
  "unless-stopped": { script: "exec sleep 1000", hostConfig: policy("unless-stopped") },
  "always-stopped": { script: "exec sleep 1000", hostConfig: policy("always") },
};

for (let round = 1; round <= ROUNDS; round++) {
  const upgrade = round % 2 === 0;
  test(`round ${round}: ${upgrade ? "upgrade" : "kill -9"} of skeind`, {
    timeout: patient(180_000),
  }, async () => {
    await call(host, "POST", "/networks/create", { Name: "pond", Driver: "bridge" });
    const all = await startAll();
    const one = (name: string): LiveContainer => all.get(name) ?? assert.fail(`no container ${name}`);
    await call(host, "POST", `/containers/${one("paused").id}/pause`);
    for (const name of ["unless-stopped", "always-stopped"])
      await call(host, "POST", `/containers/${one(name).id}/stop?t=0`);
    await until("healthy", 10_000, async () =>
      (await seen(host, one("healthy").id)).State.Health?.Status === "healthy" ? true : undefined,
    );
    const attached = attach(one("counter-1"));
    const coming = comeAndGo();
    await new Promise((wake) => setTimeout(wake, 100 + ((round * 37) % 200)));
    if (upgrade) await host.stop();
    else await host.killDaemon();
    attached.kill("SIGKILL");
    await coming;

    const ending = ["ends-10", "ends-11", "ends-12", "removes-itself", "always", "failing", "unless"];
    for (const name of [...ending, "succeeding"]) giveWord(one(name));
    await reaches("while the daemon is away");
    await new Promise((wake) => setTimeout(wake, AWAY_MS));
    await host.start();

    const running = [...all.values()].filter(({ name }) => livesOn(name));
    for (const container of running) {
      assert.equal(processStart(container.pid), container.startedAt, `${container.name} ran on`);
      const { State } = await seen(host, container.id);
      assert.equal(State.Pid, container.pid, container.name);
      assert.equal(State.Status, container.name === "paused" ? "paused" : "running", container.name);
    }
    for (const code of [10, 11, 12]) await ended(one(`ends-${code}`), code);
    await ended(one("succeeding"), 0);
    await ended(one("unless-stopped"), 137);
    for (const name of ["always", "failing", "unless", "always-stopped"]) await runsAgain(one(name));
    await until("auto-remove", 10_000, async () =>
      (await seenOrGone(host, one("removes-itself").id)) === undefined ? true : undefined,
    );
    await reaches("after the return");
    await namesAreFound(one("asking"));
    await call(host, "POST", `/containers/${one("paused").id}/unpause`);
    for (const name of ["counter-1", "counter-2", "counter-3"]) await countedOn(one(name));
    await probedAgain(one("healthy"));
    await removeAll();
    await until(
      "nothing is left",
      5_000,
      async () => (leftBehind().length === 0 ? true : undefined),
      () => leftBehind().join("\n"),
    );
  });
}

function livesOn(name: string): boolean {
  return /^(sleeper|counter)-|^(bridged|web|named|asking|paused|healthy.*)$/.test(name);
}

async function startAll(): Promise<ReadonlyMap<string, LiveContainer>> {
  const made = await Promise.all(
    Object.entries(WISHES).map(async ([name, wish]) => [name, await startLive(host, name, wish)] as const),
  );
  return new Map(made);
}

function attach({ id }: LiveContainer): ChildProcess {
  const env = { ...process.env, DOCKER_HOST: `unix://${host.socketPath}` };
  const child = spawn("docker", ["attach", "--no-stdin", "--sig-proxy=false", id], { stdio: "ignore", env });
  child.on("error", () => undefined); // without the CLI nobody is attached
  return child;
}

/** Containers are made, started, renamed and removed until the daemon is gone. */
async function comeAndGo(): Promise<void> {
  const lane = async (number: number): Promise<void> => {
    for (let i = 0; ; i++) {
      try {
        const name = `passing-${number}-${i}`;
        const { id } = await startLive(host, name, {
          script: i % 2 === 0 ? SLEEPING : "exit 4",
          hostConfig: { NetworkMode: i % 3 === 0 ? "bridge" : "none" },
          config: { Volumes: { "/data": {} } },
        });
        await call(host, "POST", `/containers/${id}/rename?name=renamed-${number}-${i}`);
        await removeLive(host, id);
      } catch {
        if (host.daemonPid === undefined || i > 1_000) return; // the daemon is gone: what this is about
        await new Promise((wake) => setTimeout(wake, 5));
      }
    }
  };
  await Promise.all([1, 2, 3, 4].map(lane));
}

async function reaches(when: string): Promise<void> {
  const client = lab.clients[0] ?? assert.fail("no client");
  const { stdout, stderr } = await client.attempt("curl", [
    "-sS",
    "--max-time",
    `${patient(3)}`,
    `http://${host.address}:8099/`,
  ]);
  assert.equal(stdout, "hello from skein\n", `the published port answers ${when}: ${stderr}`);
}

/** By the resolver in the daemon, over a network of their own. */
async function namesAreFound({ id }: LiveContainer): Promise<void> {
  const { stdout, stderr } = await host.docker(["exec", id, "wget", "-q", "-O", "-", "http://named:8080/"]);
  assert.equal(stdout, "hello from skein\n", `names are found after the return: ${stderr}`);
}

async function ended({ id, name }: LiveContainer, code: number): Promise<void> {
  const { State } = await until<SeenContainer>(`${name} ended`, 10_000, async () => {
    const container = await seen(host, id);
    return container.State.Running ? undefined : container;
  });
  assert.deepEqual([State.Status, State.ExitCode], ["exited", code], name);
}

async function runsAgain({ id, name, pid }: LiveContainer): Promise<void> {
  const { State } = await until<SeenContainer>(`${name} runs again`, 10_000, async () => {
    const container = await seen(host, id);
    return container.State.Status === "running" && container.State.Pid !== pid ? container : undefined;
  });
  assert.ok(State.Pid > 0, name);
}

/** Every number from 1 on, once and in order, also those of the daemon's absence. */
async function countedOn({ id, name }: LiveContainer): Promise<void> {
  const lines = (await logLines(host, `/containers/${id}`)).map(Number);
  assert.ok(lines.length > AWAY_MS / 100, `${name} wrote ${lines.length} lines`);
  assert.deepEqual(
    lines,
    lines.map((_, i) => i + 1),
    name,
  );
}

async function probedAgain({ id, name }: LiveContainer): Promise<void> {
  const last = async (): Promise<string | undefined> => (await seen(host, id)).State.Health?.Log.at(-1)?.End;
  const first = await last();
  await until(`${name} is probed again`, 10_000, async () => ((await last()) === first ? undefined : true));
  assert.equal((await seen(host, id)).State.Health?.Status, "healthy");
}

async function removeAll(): Promise<void> {
  const list = await call<readonly { Id: string; State: string }[]>(host, "GET", "/containers/json?all=1");
  const states = ["created", "running", "paused", "restarting", "exited"];
  for (const { Id, State } of list) assert.ok(states.includes(State), `${Id} is ${State}`);
  await Promise.all(list.map(({ Id }) => removeLive(host, Id)));
  await call(host, "DELETE", "/networks/pond");
  await call(host, "POST", '/volumes/prune?filters={"all":["true"]}');
}

function commandLineOf(pid: number): string {
  const path = `/proc/${pid}/cmdline`;
  return existsSync(path) ? readFileSync(path, "utf8").replaceAll("\0", " ") : "";
}

/** Run files, roots, groups, mounts and processes that belong to no container any more. */
function leftBehind(): readonly string[] {
  const below = (path: string): readonly string[] =>
    existsSync(path) ? readdirSync(path).map((name) => join(path, name)) : [];
  const { runDir, dataDir, cgroupParent } = host;
  const groups = readdirSync("/sys/fs/cgroup").flatMap((tree) =>
    below(join("/sys/fs/cgroup", tree, cgroupParent)).filter((path) => /[0-9a-f]{64}$/.test(path)),
  );
  const mounts = readFileSync("/proc/self/mountinfo", "utf8").split("\n");
  const monitors = labProcesses({ dir: host.dir, prefix: `${cgroupParent}/` }).filter(
    (pid) => pid !== host.daemonPid && !host.managerPids().includes(pid),
  );
  return [
    ...mounts.filter((line) => line.includes(` ${host.dir}/`) && !line.includes(`${runDir}/c/s `)),
    ...monitors.map((pid) => `process ${pid} ${commandLineOf(pid)}`),
    ...["c", "rt", "x", "e", "s"].flatMap((folder) => below(join(runDir, "c", folder))),
    ...below(join(dataDir, "containers", "containers")),
    ...below(join(dataDir, "images", "rootfs")),
    ...groups,
  ];
}
