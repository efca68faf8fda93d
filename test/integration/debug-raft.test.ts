/**
 * A manager looked at from outside: its folder on the disk, its own words, its metrics.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Lab } from "../support/lab/lab.js";
import { call, dissolve, formSwarm } from "../support/lab/lab-swarm.js";

let lab: Lab;

before(async () => {
  lab = await Lab.open({ hosts: 1, clients: 0 });
  await formSwarm(lab, { managers: 1 });
  const Data = Buffer.from("very secret").toString("base64");
  await call(lab.host(1), "POST", "/secrets/create", { Name: "password", Data });
});

after(async () => {
  assert.deepEqual(await dissolve(lab), []);
});

const dump = (...args: string[]) =>
  lab.host(1).skein(["debug", "raft", "--data-dir", lab.host(1).dataDir, ...args]);

test("the folder of a running manager is shown, without what secrets hold", async () => {
  const { code, stdout, stderr } = await dump();
  assert.equal(code, 0, stderr);
  assert.match(stdout, /voter .* at 10\.99\.0\.1:2377 \(this one\)/);
  assert.match(stdout, /bytes: put secret password \w+/);
  assert.doesNotMatch(stdout, /very secret|PRIVATE KEY|SWMTKN/);
});

test("the running manager tells its role, queues, latencies and peers", async () => {
  const { code, stdout, stderr } = await lab.host(1).skein(["debug", "raft", "--live"]);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^Role: +leader in term \d+$/m);
  assert.match(stdout, /^Sync latency: +p50 <= [\d.]+ ms/m);
  assert.match(stdout, /10\.99\.0\.1:2377 +voter +yes/);
});

test("metrics are served in Prometheus' format", async () => {
  const answer = await lab.host(1).api("GET", "/metrics");
  assert.equal(answer.status, 200);
  assert.match(answer.body, /^skein_raft_role\{role="leader"\} 1$/m);
  assert.match(answer.body, /^skein_raft_commit_seconds_count [1-9]/m);
});

test("the folder is shown as JSON after the daemon has stopped", async () => {
  await lab.host(1).stop();
  const { code, stdout, stderr } = await dump("--format", "json", "--entries", "3");
  assert.equal(code, 0, stderr);
  const shown = JSON.parse(stdout) as {
    entries: unknown[];
    state: { objects: { table: string; name?: string }[] };
  };
  assert.equal(shown.entries.length, 3);
  assert.ok(shown.state.objects.some(({ table, name }) => table === "secret" && name === "password"));
  await lab.host(1).start();
});

test("a folder without a manager is named, and the command fails", async () => {
  const { code, stderr } = await lab.host(1).skein(["debug", "raft", "--data-dir", "/nonexistent-skein"]);
  assert.equal(code, 1);
  assert.match(stderr, /\/nonexistent-skein\/manager/);
});
