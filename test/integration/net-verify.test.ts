/**
 * `skein net verify` on three hosts: yes when all is well, what was repaired, who does not answer; a daemon's
 * crash leaves traffic flowing and connections standing; leaving leaves no trace.
 */
import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Lab } from "../support/lab/lab.js";
import type { LabHost } from "../support/lab/lab-host.js";
import {
  call,
  createService,
  dissolve,
  formSwarm,
  HTTPD,
  networkTraces,
  tokens,
  until,
  untilRunning,
} from "../support/lab/lab-swarm.js";
import type { CommandResult } from "../support/lab/shell.js";
import { patient } from "../support/patience.js";

const PORT = 8088;
/** Forwarding, and what the kernel sets along with it, stays on: others may count on it by then. */
const STAYS = /forward|accept_redirects|fe80:/;

let lab: Lab;
let manager: LabHost;
const stateBefore = new Map<string, string[]>();

/** All of a host's network that can be listed; links that come with a join are whole lines. */
async function stateOf(host: LabHost): Promise<string[]> {
  const script = [
    "ip -o -d link | sed 's/promiscuity.*//'",
    "ip -o addr | sed 's/ valid_lft.*//; s/ tentative//'",
    "ip route show table all; ip -6 route show table all | grep -v fe80",
    "ip rule; ip -6 rule",
    "ip neigh show nud permanent",
    "bridge fdb",
    "nft -s list ruleset",
    "sysctl -a 2>/dev/null | grep -E '^net\\.ipv[46]\\.'" +
      " | grep -vE 'random|secret|entries|_id |nr_|neigh.*(gc|time)'",
    "ss -Hlnu | sed 's/  */ /g'",
  ].join("; ");
  const { stdout } = await host.attempt("sh", ["-c", script]);
  return stdout
    .split("\n")
    .filter((line) => !STAYS.test(line))
    .sort();
}

async function verify(host: LabHost, ...words: string[]): Promise<CommandResult> {
  return host.skein(["net", "verify", ...words]);
}

async function untilYes(host: LabHost, nodeCount: number): Promise<string> {
  let last = "";
  return until(
    "net verify says yes",
    patient(20_000),
    async () => {
      const { stdout, stderr, code } = await verify(host);
      last = `${stdout}${stderr}`;
      return code === 0 && stdout.includes(`on all ${nodeCount} nodes`) ? stdout : undefined;
    },
    () => last,
  );
}

before(async () => {
  lab = await Lab.open({ hosts: 3 });
  manager = lab.host(1);
  await Promise.all(lab.hosts.map(async (host) => stateBefore.set(host.name, await stateOf(host))));
  await formSwarm(lab, { managers: 1 });
  await call(manager, "POST", "/networks/create", { Name: "front", Driver: "overlay" });
  await createService(manager, {
    name: "web",
    command: HTTPD,
    replicas: 3,
    networks: ["front"],
    ports: [{ Protocol: "tcp", TargetPort: 8080, PublishedPort: PORT, PublishMode: "ingress" }],
  });
  await untilRunning(manager, "web", 3);
});

after(async () => {
  assert.deepEqual(await dissolve(lab), []);
});

test("a healthy lab is answered with yes and the revision, within two seconds", async () => {
  const said = await untilYes(manager, 3);
  assert.match(said, /^yes: revision \d+ on all 3 nodes/);
  const startMs = performance.now();
  const answer = await manager.api("GET", "/skein/v1/net/verify");
  const tookMs = performance.now() - startMs;
  assert.equal(answer.status, 200);
  assert.ok(tookMs < patient(2_000), `took ${tookMs} ms`);
});

test("what was repaired on a worker is told; one node can be asked alone; the format is looked at", async () => {
  const worker = lab.host(2);
  await worker.attempt("nft", ["add", "set", "ip", "skein", "strange", "{ type ipv4_addr ; }"]);
  await until("the repair is told", patient(20_000), async () => {
    const { stdout, code } = await verify(manager, "--node", worker.name);
    return code === 0 && /repaired: the host: set strange of ip skein is foreign/.test(stdout)
      ? stdout
      : undefined;
  });
  const { stdout } = await verify(manager, "--node", worker.name, "--format", "json");
  const { Good, Nodes } = JSON.parse(stdout) as { Good: boolean; Nodes: { Hostname: string }[] };
  assert.deepEqual([Good, Nodes.map(({ Hostname }) => Hostname)], [true, [worker.name]]);
  assert.equal((await verify(manager, "--node", "nobody")).code, 1);
  assert.notEqual((await verify(manager, "--format", "yaml")).code, 0);
  assert.notEqual((await verify(worker)).code, 0); // no manager
});

test("a killed daemon is named; its traffic flows on, and its return disturbs nothing", async () => {
  const worker = lab.host(3);
  const served = async (): Promise<boolean> => {
    const client = lab.clients[0];
    const url = `http://${worker.address}:${PORT}/`;
    return (await client?.attempt("curl", ["-sS", "--max-time", "2", "-o", "/dev/null", url]))?.code === 0;
  };
  assert.ok(await served());
  await worker.killDaemon();
  const { stdout, code } = await verify(manager);
  assert.equal(code, 1, stdout);
  assert.match(stdout, new RegExp(`^no: .*\\n(.*\\n)*${worker.name}: no answer`, "m"));
  for (let count = 0; count < 6; count += 1) assert.ok(await served(), "the mesh of a dead daemon");
  await worker.start();
  assert.ok(await served());
  await untilYes(manager, 3);
});

test("a worker that leaves has the network that it had before", async () => {
  const worker = lab.host(2);
  await call(worker, "POST", "/swarm/leave");
  assert.deepEqual(await networkTraces(worker), []);
  const [old, now] = [stateBefore.get(worker.name) ?? [], await stateOf(worker)];
  assert.deepEqual(
    [now.filter((line) => !old.includes(line)), old.filter((line) => !now.includes(line))],
    [[], []],
  );
  const dir = join(worker.runDir, "net");
  const files = existsSync(dir) ? readdirSync(dir, { recursive: true, encoding: "utf8" }) : [];
  assert.deepEqual(
    files.filter((name) => /net-|task-|\.json$|wireguard|scratch/.test(name)),
    [],
  );
  assert.ok((await tokens(manager)).Worker); // the cluster goes on
});
