/**
 * Autolock from end to end, by the stock docker CLI: what a restarted manager answers, what its files show,
 * and how keys come and go on three managers and a worker.
 */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { busyboxImage } from "../support/lab/busybox-image.js";
import { DockerCli, STAYING, skipWithoutDocker } from "../support/lab/docker-cli.js";
import { Lab } from "../support/lab/lab.js";
import type { LabHost } from "../support/lab/lab-host.js";
import {
  call,
  containerOf,
  containers,
  dissolve,
  messageIn,
  pidOf,
  processStart,
  tasks,
  tokens,
  until,
  untilNodes,
  untilRunning,
} from "../support/lab/lab-swarm.js";

const LOCKED = /Swarm is encrypted and needs to be unlocked before it can be used/;
const KEY = /SWMKEY-1-[A-Za-z0-9+/]{43}/;

let lab: Lab;
const keysSeen = new Set<string>();

const docker = (host: LabHost, ...args: string[]): Promise<string[]> => new DockerCli(host).lines(...args);
const refused = (host: LabHost, ...args: string[]): Promise<string> => new DockerCli(host).refused(...args);

function keyIn(lines: readonly string[]): string {
  const key = KEY.exec(lines.join("\n"))?.[0];
  assert.ok(key, `no unlock key in: ${lines.join("\n")}`);
  keysSeen.add(key);
  return key;
}

const unlock = (host: LabHost, key: string) => host.docker(["swarm", "unlock"], { input: `${key}\n` });

async function stateOf(host: LabHost): Promise<string> {
  return (await docker(host, "info", "--format", "{{.Swarm.LocalNodeState}}")).join();
}

async function restart(host: LabHost, expected: "active" | "locked"): Promise<void> {
  await host.stop();
  await host.start();
  await until(`${host.name} ${expected}`, 15_000, async () =>
    (await stateOf(host)) === expected ? true : undefined,
  );
}

function untilServes(host: LabHost): Promise<unknown> {
  return until(`${host.name}'s manager serves`, 15_000, async () =>
    (await host.api("GET", "/nodes")).status === 200 ? true : undefined,
  );
}

const identityFile = (host: LabHost): string =>
  readFileSync(join(host.dataDir, "swarm", "identity.json"), "utf8");

/** Whether the private key, and the data keys, stand open on the disk; undefined: there are none. */
function openFiles(host: LabHost): { identity: boolean; dataKeys: boolean | undefined } {
  const dataKeys = join(host.dataDir, "manager", "dek");
  return {
    identity: identityFile(host).includes("PRIVATE KEY"),
    dataKeys: existsSync(dataKeys) ? readFileSync(dataKeys)[6] === 0 : undefined,
  };
}

function untilFiles(host: LabHost, open: boolean): Promise<unknown> {
  return until(`${host.name}'s files ${open ? "open" : "locked"}`, 10_000, async () => {
    const { identity, dataKeys } = openFiles(host);
    return identity === open && dataKeys === open ? true : undefined;
  });
}

async function reachability(host: LabHost, of: LabHost): Promise<string> {
  const lines = await docker(host, "node", "ls", "--format", "{{.Hostname}} {{.ManagerStatus}}");
  return lines.find((line) => line.startsWith(`${of.name} `))?.slice(of.name.length + 1) ?? "";
}

describe("autolock by the stock docker CLI", { skip: skipWithoutDocker }, () => {
  before(async () => {
    lab = await Lab.open({ hosts: 4 });
    await Promise.all(lab.hosts.map((host) => host.start()));
  });

  after(async () => {
    assert.deepEqual(await dissolve(lab), []);
  });

  test("a manager restarted without its key answers that it is locked, and its containers go on", async () => {
    const one = lab.host(1);
    const init = await docker(one, "swarm", "init", "--autolock", "--advertise-addr", one.address);
    const key = keyIn(init);
    assert.deepEqual(openFiles(one), { identity: false, dataKeys: false }, "from the first write on");
    await call(one, "POST", "/images/load?quiet=1", await busyboxImage());
    await docker(one, "service", "create", "-d", "--no-resolve-image", "--name", "calm", ...STAYING);
    const [task] = await untilRunning(one, "calm", 1);
    assert.ok(task);
    const pid = await pidOf(one, containerOf(task));
    const startedAt = processStart(pid);

    await restart(one, "locked");
    assert.match((await docker(one, "info", "--format", "{{.Swarm.Error}}")).join(), LOCKED);
    assert.equal((await one.docker(["info"])).stdout.includes("Swarm: locked"), true);
    assert.equal((await one.api("GET", "/_ping")).status, 200);
    for (const [method, path] of [
      ["GET", "/swarm"],
      ["GET", "/swarm/unlockkey"],
      ["POST", "/swarm/update?version=1"],
      ["GET", "/nodes"],
      ["GET", "/services"],
      ["GET", "/tasks"],
      ["GET", "/secrets"],
      ["GET", "/configs"],
      ["DELETE", "/services/calm"],
      ["GET", "/skein/v1/debug/raft"],
    ] as const) {
      const answer = await one.api(method, path, method === "POST" ? {} : undefined);
      assert.equal(answer.status, 503, `${method} ${path}`);
      assert.match(messageIn(answer), LOCKED, `${method} ${path}`);
    }
    assert.match(await refused(one, "node", "ls"), LOCKED);
    assert.match(await refused(one, "swarm", "leave"), /locked\. Please unlock it first or use `--force`/);
    assert.match(await refused(one, "swarm", "init"), /already part of a swarm/);
    const [container] = await containers(one);
    assert.equal(container?.State, "running");
    assert.equal(processStart(pid), startedAt);

    const wrong = await unlock(one, `SWMKEY-1-${"A".repeat(43)}`);
    assert.match(wrong.stderr, /invalid key/);
    assert.match((await unlock(one, "password")).stderr, /invalid unlock key/);
    assert.equal(await stateOf(one), "locked");
    const right = await unlock(one, key);
    assert.deepEqual([right.code, right.stderr], [0, ""]);
    assert.equal(await stateOf(one), "active");
    assert.equal((await untilRunning(one, "calm", 1))[0]?.ID, task.ID);
    assert.equal(processStart(pid), startedAt);
    assert.equal((await tasks(one, "calm")).length, 1, "nothing was started anew");
    assert.match((await unlock(one, key)).stderr, /swarm is not locked/);
  });

  test("managers that join are locked from the first write on; a worker never is", async () => {
    const one = lab.host(1);
    const { Manager, Worker } = await tokens(one);
    for (const host of [lab.host(2), lab.host(3)]) {
      await docker(host, "swarm", "join", "--token", Manager, `${one.address}:2377`);
      assert.deepEqual(openFiles(host), { identity: false, dataKeys: false });
    }
    await docker(lab.host(4), "swarm", "join", "--token", Worker, `${one.address}:2377`);
    assert.match(identityFile(lab.host(4)), /PRIVATE KEY/);
    await untilNodes(
      one,
      "all ready",
      (all) => all.filter(({ Status }) => Status.State === "ready").length === 4,
    );
    await restart(lab.host(4), "active");
    const killed = lab.host(2).managerPids();
    lab.host(2).killManager();
    await until("another manager process of host2", 10_000, async () => {
      const now = lab.host(2).managerPids();
      return (now.length > 0 && now.every((pid) => !killed.includes(pid))) || undefined;
    });
    await untilServes(lab.host(2)); // its daemon has the key in memory
    const [key] = await docker(lab.host(2), "swarm", "unlock-key", "-q");
    assert.equal(key, [...keysSeen][0]);
  });

  test("a manager that was down during a rotation needs the old key once; a locked one is unreachable", async () => {
    const [one, three] = [lab.host(1), lab.host(3)];
    const [old = ""] = await docker(one, "swarm", "unlock-key", "-q");
    await three.stop();
    const rotated = await docker(one, "swarm", "unlock-key", "--rotate");
    assert.match(rotated.join("\n"), /Successfully rotated manager unlock key/);
    const key = keyIn(rotated);
    assert.notEqual(key, old);

    await three.start();
    await until("host3 locked", 15_000, async () => ((await stateOf(three)) === "locked" ? true : undefined));
    await until("host3 unreachable", 15_000, async () =>
      (await reachability(one, three)) === "Unreachable" ? true : undefined,
    );
    assert.match((await unlock(three, key)).stderr, /invalid key/);
    assert.equal((await unlock(three, old)).code, 0);
    await until("host3 reachable", 15_000, async () =>
      (await reachability(one, three)) === "Reachable" ? true : undefined,
    );
    const before = identityFile(three);
    await until("host3 takes the new key", 10_000, async () => {
      await restart(three, "locked");
      if ((await unlock(three, key)).code === 0) return true;
      assert.equal((await unlock(three, old)).code, 0, before);
      return undefined;
    });
    await restart(three, "locked");
    assert.match((await unlock(three, old)).stderr, /invalid key/);
    assert.equal((await unlock(three, key)).code, 0);
  });

  test("turned off, files open and no restart locks; turned on again, keys and certificate are new", async () => {
    const [one, two] = [lab.host(1), lab.host(2)];
    await docker(one, "swarm", "update", "--autolock=false");
    for (const host of [one, two, lab.host(3)]) await untilFiles(host, true);
    assert.match(await refused(two, "swarm", "unlock-key"), /no unlock key is set/);
    await restart(two, "active");
    await untilServes(two);
    const openIdentity = identityFile(two);

    const updated = await two.skein(["swarm", "update", "--autolock"]);
    assert.equal(updated.code, 0, updated.stderr);
    const key = keyIn([updated.stdout]);
    for (const host of [one, two, lab.host(3)]) await untilFiles(host, false);
    const certificate = (text: string): unknown =>
      (JSON.parse(text) as { certificatePem: string }).certificatePem;
    await until("a certificate whose private key never stood open", 10_000, async () =>
      certificate(identityFile(two)) === certificate(openIdentity) ? undefined : true,
    );
    await restart(two, "locked");
    const ours = await two.skein(["swarm", "unlock"], { input: `${key}\n` });
    assert.equal(ours.code, 0, ours.stderr);
    assert.equal(await stateOf(two), "active");
    const quiet = await two.skein(["swarm", "unlock-key", "--rotate", "-q"]);
    assert.notEqual(keyIn([quiet.stdout]), key);
  });

  test("a demoted manager is not locked; a locked one leaves by force", async () => {
    const [one, two, three] = [lab.host(1), lab.host(2), lab.host(3)];
    await docker(one, "node", "demote", "host3");
    await until("host3's identity open", 15_000, async () =>
      identityFile(three).includes("PRIVATE KEY") ? true : undefined,
    );
    await restart(three, "active");
    assert.equal((await docker(three, "info", "--format", "{{.Swarm.ControlAvailable}}")).join(), "false");

    await docker(one, "node", "demote", "host2");
    await until("host2's identity open", 15_000, async () =>
      identityFile(two).includes("PRIVATE KEY") ? true : undefined,
    );
    await docker(one, "node", "promote", "host2");
    await untilFiles(two, false);
    await untilNodes(one, "host2 a manager", (all) =>
      all.some(
        ({ Description, ManagerStatus }) =>
          Description.Hostname === "host2" && ManagerStatus?.Reachability === "reachable",
      ),
    );
    await restart(two, "locked");
    await docker(two, "swarm", "leave", "--force");
    assert.equal(await stateOf(two), "inactive");
  });

  test("no log and no command line shows an unlock key", async () => {
    assert.ok(keysSeen.size >= 4);
    for (const host of lab.hosts) {
      const log = readFileSync(host.logPath, "utf8");
      for (const key of keysSeen) assert.equal(log.includes(key.slice(9)), false, `${host.name} logs a key`);
      const pids = [host.daemonPid, ...host.managerPids()].filter((pid) => pid !== undefined);
      for (const pid of pids) assert.doesNotMatch(readFileSync(`/proc/${pid}/cmdline`, "utf8"), KEY);
      for (const pid of pids) assert.doesNotMatch(readFileSync(`/proc/${pid}/environ`, "utf8"), KEY);
    }
  });
});
