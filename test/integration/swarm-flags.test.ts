/**
 * Every flag of `docker swarm` and `docker node` that Linux has, with the stock command: what is stored and
 * what is shown; and the same of `skein`, which has more.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join as joinPath } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { systemRandom } from "../../base/random/system-random.js";
import { createRootCertificate } from "../../manager/ca/x509-certificates.js";
import { busyboxImage } from "../support/lab/busybox-image.js";
import { DockerCli, skipWithoutDocker } from "../support/lab/docker-cli.js";
import { Lab } from "../support/lab/lab.js";
import type { LabHost } from "../support/lab/lab-host.js";
import { must } from "../support/lab/lab-services.js";
import {
  call,
  containers,
  createService,
  dissolve,
  removeService,
  SLEEPER,
  tasks,
  until,
  untilRunning,
} from "../support/lab/lab-swarm.js";

type Json = { readonly [key: string]: unknown };

let lab: Lab;
let one: LabHost;
let docker: DockerCli;
let outside: ChildProcess | undefined;
const skip = skipWithoutDocker;

before(async () => {
  lab = await Lab.open({ hosts: 3 });
  one = lab.host(1);
  docker = new DockerCli(one);
  await Promise.all([
    one.start(),
    lab.host(2).start(["--label", "tier=front"]),
    lab.host(3).start(["--node-generic-resource", "GPU=a,GPU=b", "--node-generic-resource", "SSD=3"]),
  ]);
});

after(async () => {
  outside?.kill();
  assert.deepEqual(await dissolve(lab), []);
});

function at(value: unknown, ...path: readonly (string | number)[]): unknown {
  let current = value;
  for (const key of path) current = (current as Json | undefined)?.[key]; // undefined where there is none
  return current;
}

const swarm = (): Promise<Json> => call(one, "GET", "/swarm");
const node = (name: string): Promise<Json> => call(one, "GET", `/nodes/${name}`);
const skein = (...args: string[]): Promise<string> => must(one.skein(args));
const token = async (role: string): Promise<string> =>
  (await docker.lines("swarm", "join-token", "-q", role))[0] ?? "";

test("docker swarm init: every flag is stored, shown and sent back unchanged", { skip }, async () => {
  const { address } = one;
  const said = await docker.lines(
    ...["swarm", "init", "--advertise-addr", address, "--listen-addr", `${address}:2377`],
    ...["--data-path-addr", address, "--data-path-port", "4790", "--availability", "drain", "--autolock"],
    ...["--default-addr-pool", "10.77.0.0/16", "--default-addr-pool", "10.78.0.0/16"],
    ...["--default-addr-pool-mask-length", "26", "--cert-expiry", "48h", "--dispatcher-heartbeat", "2s"],
    ...["--snapshot-interval", "500", "--max-snapshots", "3", "--task-history-limit", "2"],
  );
  assert.match(said.join("\n"), /SWMKEY-1-/);
  const found = await swarm();
  assert.deepEqual(found["DefaultAddrPool"], ["10.77.0.0/16", "10.78.0.0/16"]);
  assert.deepEqual([found["SubnetSize"], found["DataPathPort"]], [26, 4790]);
  assert.equal(at(found, "Spec", "CAConfig", "NodeCertExpiry"), 48 * 3_600e9);
  assert.equal(at(found, "Spec", "Dispatcher", "HeartbeatPeriod"), 2e9);
  assert.deepEqual(
    [at(found, "Spec", "Raft", "SnapshotInterval"), at(found, "Spec", "Raft", "KeepOldSnapshots")],
    [500, 3],
  );
  assert.equal(at(found, "Spec", "Orchestration", "TaskHistoryRetentionLimit"), 2);
  assert.equal(at(found, "Spec", "EncryptionConfig", "AutoLockManagers"), true);
  assert.equal(at(await node("host1"), "Spec", "Availability"), "drain");
  const info = await docker.lines("info");
  assert.match(info.join("\n"), /Default Address Pool: 10\.77\.0\.0\/16 {2}10\.78\.0\.0\/16/);
  const warnings = at(await call<Json>(one, "GET", "/info"), "Warnings") as string[];
  assert.ok(
    warnings.some((warning) => /--max-snapshots 3 .* has no effect/.test(warning)),
    warnings.join(),
  );
});

test("docker swarm update: every flag; settings of Skein's own stay", { skip }, async () => {
  await skein(
    "swarm",
    "update",
    "--placement-strategy",
    "binpack",
    "--drain-deadline",
    "1m",
    "--data-versions-kept",
    "9",
  );
  await docker.lines(
    ...["swarm", "update", "--autolock=false", "--cert-expiry", "72h", "--dispatcher-heartbeat", "1s"],
    ...["--snapshot-interval", "1000", "--max-snapshots", "0", "--task-history-limit", "4"],
  );
  const { Spec } = await swarm();
  assert.equal(at(Spec, "EncryptionConfig", "AutoLockManagers"), false);
  assert.equal(at(Spec, "CAConfig", "NodeCertExpiry"), 72 * 3_600e9);
  assert.equal(at(Spec, "Dispatcher", "HeartbeatPeriod"), 1e9);
  assert.deepEqual([at(Spec, "Raft", "SnapshotInterval"), at(Spec, "Raft", "KeepOldSnapshots")], [1_000, 0]);
  assert.equal(at(Spec, "Orchestration", "TaskHistoryRetentionLimit"), 4);
  assert.deepEqual(at(Spec, "Skein"), {
    PlacementStrategy: "binpack",
    DrainDeadline: 60e9,
    DataVersionsKept: 9,
  });
  assert.match(
    await docker.refused("swarm", "update", "--cert-expiry", "1m"),
    /minimum certificate expiry time is 1h0m0s/,
  );
  assert.match(
    await docker.refused("swarm", "update", "--external-ca", "protocol=cfssl,url=http://ca"),
    /must begin with https/,
  );
  await skein("swarm", "update", "--placement-strategy", "spread");
});

test("joins: availability, addresses, labels, generic resources; a rotated token is refused", {
  skip,
}, async () => {
  const [two, three] = [lab.host(2), lab.host(3)];
  const old = await token("worker");
  await docker.lines("swarm", "join-token", "--rotate", "-q", "worker");
  const oldManager = await token("manager");
  await docker.lines("swarm", "join-token", "--rotate", "manager");
  for (const rotated of [old, oldManager]) {
    const words = await new DockerCli(two).refused(
      "swarm",
      "join",
      "--token",
      rotated,
      `${one.address}:2377`,
    );
    assert.match(words, /a valid join token is necessary to join this cluster/);
  }
  await new DockerCli(two).lines(
    ...["swarm", "join", "--token", await token("worker"), "--availability", "pause"],
    ...["--advertise-addr", "eth0:2377", "--listen-addr", "0.0.0.0:2377"],
    ...["--data-path-addr", "eth0", `${one.address}:2377`],
  );
  const labels = ["--label", "rack=r3", "--label", "ssd"];
  await must(
    three.skein(["swarm", "join", "--token", await token("worker"), ...labels, `${one.address}:2377`]),
  );
  await until("both are ready", 20_000, async () =>
    (await docker.lines("node", "ls", "--format", "{{.Status}}")).every((status) => status === "Ready")
      ? true
      : undefined,
  );
  assert.equal(at(await node("host2"), "Spec", "Availability"), "pause");
  assert.equal(at(await node("host2"), "Status", "Addr"), two.address);
  const joined = await node("host3");
  assert.deepEqual(at(joined, "Spec", "Labels"), { rack: "r3", ssd: "" });
  assert.deepEqual(at(joined, "Description", "Resources", "GenericResources"), [
    { NamedResourceSpec: { Kind: "GPU", Value: "a" } },
    { NamedResourceSpec: { Kind: "GPU", Value: "b" } },
    { DiscreteResourceSpec: { Kind: "SSD", Value: 3 } },
  ]);
});

test("docker node ls: every filter and column; inspect --pretty; ps", { skip }, async () => {
  const names = async (...filters: string[]): Promise<string[]> =>
    (
      await docker.lines("node", "ls", "--format", "{{.Hostname}}", ...filters.flatMap((one) => ["-f", one]))
    ).sort();
  const [id = ""] = await docker.lines("node", "ls", "-q", "-f", "name=host3");
  assert.deepEqual(await names(), ["host1", "host2", "host3"]);
  assert.deepEqual(await names(`id=${id.slice(0, 10)}`), ["host3"]);
  assert.deepEqual(await names("name=host2"), ["host2"]);
  assert.deepEqual(await names("node.label=rack=r3"), ["host3"]);
  assert.deepEqual(await names("node.label=ssd"), ["host3"]);
  assert.deepEqual(await names("label=tier=front"), ["host2"]);
  assert.deepEqual(await names("role=manager"), ["host1"]);
  assert.deepEqual(await names("role=worker", "name=host3"), ["host3"]);
  assert.deepEqual(await names("membership=accepted"), ["host1", "host2", "host3"]);
  assert.deepEqual(await names("membership=pending"), []);
  const format = "{{.Hostname}} {{.Self}} {{.Availability}} {{.ManagerStatus}} {{.TLSStatus}}";
  const rows = await docker.lines("node", "ls", "--format", format);
  assert.deepEqual(rows.sort(), [
    "host1 true Drain Leader Ready",
    "host2 false Pause  Ready",
    "host3 false Active  Ready",
  ]);
  assert.match(await skein("node", "ls", "--format", format), /host1 true Drain Leader Ready/);
  const pretty = (await docker.lines("node", "inspect", "--pretty", "host3")).join("\n");
  for (const words of [/rack=r3/, /TLS Info:/, /TrustRoot:/, /Issuer Public Key:/, /State:\s+Ready/])
    assert.match(pretty, words);
  assert.deepEqual(await docker.lines("node", "ps", "-q", "self"), []);
});

test("the swarm's default log driver is that of tasks which name none", async () => {
  const { Version, Spec } = await swarm();
  const LogDriver = { Name: "json-file", Options: { "max-size": "1m", "max-file": "2" } };
  const body = { ...(Spec as Json), TaskDefaults: { LogDriver } };
  await call(one, "POST", `/swarm/update?version=${String(at(Version, "Index"))}`, body);
  assert.deepEqual(at(await swarm(), "Spec", "TaskDefaults", "LogDriver"), LogDriver);
  const three = lab.host(3);
  await call(three, "POST", "/images/load?quiet=1", await busyboxImage());
  await createService(one, { name: "logs", command: SLEEPER });
  await untilRunning(one, "logs", 1);
  const [container] = await containers(three);
  const inspected = await call<Json>(three, "GET", `/containers/${container?.Id}/json`);
  assert.deepEqual(at(inspected, "HostConfig", "LogConfig"), {
    Type: "json-file",
    Config: LogDriver.Options,
  });
  assert.equal(at((await tasks(one, "logs"))[0], "Spec", "LogDriver"), undefined);
  await removeService(one, "logs");
});

test("docker node update, promote, demote, rm: what is changed, and what is refused", { skip }, async () => {
  await docker.lines(
    "node",
    "update",
    "--label-add",
    "a=1",
    "--label-add",
    "b=2",
    "--label-rm",
    "ssd",
    "host3",
  );
  assert.deepEqual(at(await node("host3"), "Spec", "Labels"), { a: "1", b: "2", rack: "r3" });
  await skein("node", "update", "--availability", "drain", "--drain-deadline", "2m", "host3");
  await docker.lines("node", "update", "--label-rm", "a", "host3");
  const drained = await node("host3");
  assert.equal(at(drained, "Spec", "Availability"), "drain");
  assert.deepEqual(at(drained, "Spec", "Skein"), { DrainDeadline: 120e9 });
  assert.equal(typeof at(drained, "Skein", "DrainStartedAt"), "string");
  await docker.lines("node", "update", "--availability", "active", "host3");
  assert.equal(at(await node("host3"), "Skein", "DrainStartedAt"), undefined);
  const last = /attempting to demote the last manager of the swarm/;
  assert.match(await docker.refused("node", "demote", "host1"), last);
  assert.match(await docker.refused("node", "update", "--role", "worker", "host1"), last);
  assert.match(await docker.refused("node", "rm", "host3"), /node \w+ is not down and can't be removed/);
  const member =
    /is a cluster manager and is a member of the raft cluster\. It must be demoted to worker before removal/;
  assert.match(await docker.refused("node", "rm", "--force", "host1"), member);
  await docker.lines("node", "promote", "host2");
  const roles = (wanted: string): Promise<true> =>
    until(`host2 is ${wanted}`, 20_000, async () => {
      const status = at(await node("host2"), "ManagerStatus", "Reachability");
      return (status === "reachable") === (wanted === "manager") ? true : undefined;
    });
  await roles("manager");
  await docker.lines("node", "demote", "host2");
  await roles("worker");
  await new DockerCli(lab.host(3)).lines("swarm", "leave");
  assert.equal((await docker.lines("node", "ls", "-q")).length, 2);
  await lab.host(2).killDaemon();
  await until("host2 is down", 20_000, async () =>
    at(await node("host2"), "Status", "State") === "down" ? true : undefined,
  );
  await docker.lines("node", "rm", "host2");
  assert.equal((await docker.lines("node", "ls", "-q")).length, 1);
});

test("skein swarm ca rotates to a given root, tells how far it is, and refuses what docker refuses", async () => {
  const dir = joinPath(lab.dir, "given");
  mkdirSync(dir, { mode: 0o700 });
  const refusals: readonly [readonly string[], RegExp][] = [
    [["--cert-expiry", "2h"], /needs --rotate/],
    [["--rotate", "--ca-key", "x"], /--ca-key needs --ca-cert/],
    [["--rotate", "--external-ca", "protocol=cfssl,url=https://ca"], /needs --ca-cert/],
  ];
  for (const [flags, words] of refusals) {
    const { code, stderr } = await one.skein(["swarm", "ca", ...flags]);
    assert.deepEqual([code !== 0, words.test(stderr)], [true, true], stderr);
  }
  const before = await skein("swarm", "ca");
  const root = await createRootCertificate({ nowMs: Date.now(), random: systemRandom });
  const [cert, key] = [joinPath(dir, "root.pem"), joinPath(dir, "key.pem")];
  writeFileSync(cert, root.certPem);
  writeFileSync(key, root.keyPem, { mode: 0o600 });
  const given = ["--ca-cert", cert, "--ca-key", key, "--cert-expiry", "3h"];
  const { code, stdout, stderr } = await one.skein(["swarm", "ca", "--rotate", ...given]);
  assert.equal(code, 0, stderr);
  assert.match(stderr, /certificates of the new root: 1\/1 nodes/);
  assert.equal(stdout.trim(), root.certPem.trim());
  assert.notEqual(stdout, before);
  assert.equal(at(await swarm(), "Spec", "CAConfig", "NodeCertExpiry"), 3 * 3_600e9);
  assert.equal(JSON.stringify(await swarm()).includes("PRIVATE KEY"), false);
});

test("an external CA signs where the swarm has no key of its root", { skip }, async () => {
  const dir = joinPath(lab.dir, "outside");
  mkdirSync(dir, { mode: 0o700 });
  const root = await createRootCertificate({ nowMs: Date.now(), random: systemRandom });
  const pem = joinPath(dir, "root.pem");
  writeFileSync(pem, root.certPem);
  writeFileSync(joinPath(dir, "root-key.pem"), root.keyPem, { mode: 0o600 });
  const main = fileURLToPath(new URL("../support/fake-cfssl-main.js", import.meta.url));
  outside = spawn("nsenter", [`--net=/run/netns/${one.netns}`, process.execPath, main, dir, "8443"], {
    stdio: ["ignore", "inherit", "inherit"],
  });
  await until("the CA is up", 20_000, async () => (existsSync(joinPath(dir, "ready")) ? true : undefined));
  const external = `protocol=cfssl,url=https://localhost:8443/api/v1/cfssl/sign,cacert=${pem}`;
  assert.match(
    await docker.refused(
      "swarm",
      "ca",
      "--rotate",
      "--ca-cert",
      pem,
      "--external-ca",
      "protocol=cfssl,url=https://localhost:8444/x",
    ),
    /at least one valid, reachable external CA corresponding to the desired CA certificate/,
  );
  await docker.lines("swarm", "ca", "--rotate", "--quiet", "--ca-cert", pem, "--external-ca", external);
  const shown = await swarm();
  assert.equal(String(at(shown, "TLSInfo", "TrustRoot")).trim(), root.certPem.trim());
  assert.equal(
    at(shown, "Spec", "CAConfig", "ExternalCAs", 0, "URL"),
    "https://localhost:8443/api/v1/cfssl/sign",
  );
  assert.equal(JSON.stringify(shown).includes("PRIVATE KEY"), false);
  assert.equal(readFileSync(joinPath(dir, "signed"), "utf8"), "1");
  await new DockerCli(lab.host(3)).lines(
    "swarm",
    "join",
    "--token",
    await token("worker"),
    `${one.address}:2377`,
  );
  assert.equal(readFileSync(joinPath(dir, "signed"), "utf8"), "2");
  // back to a root of the swarm's own: the new root's key has to be signed outside, by a CA that refuses to
  assert.match(
    await docker.refused("swarm", "ca", "--rotate"),
    /external CA corresponding to the current CA certificate/,
  );
});
