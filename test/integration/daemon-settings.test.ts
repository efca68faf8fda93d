/**
 * skeind's flags and settings file on a real host: TCP with client certificates, the socket's group and mode,
 * reload, pid file, a clean stop. Edge: to the lab, openssl and the stock CLI.
 */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Lab } from "../support/lab/lab.js";
import type { LabHost } from "../support/lab/lab-host.js";
import { type CommandResult, run } from "../support/lab/shell.js";
import { patient } from "../support/patience.js";

const DAEMON_GROUP_ID = 1; // "daemon" is group 1 on every Debian

let lab: Lab;
let host: LabHost;
let pki: string;
let configFile: string;
let pidFile: string;

/** A CA and certificates signed by it: PREFIX-ca.pem, PREFIX-NAME.pem, PREFIX-NAME-key.pem. */
async function makeCa(prefix: string): Promise<void> {
  const path = (name: string): string => join(pki, `${prefix}-${name}.pem`);
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  const ca = ["-x509", "-days", "2", "-subj", `/CN=${prefix} ca`, "-keyout", path("ca-key")];
  await run("openssl", ["req", ...key, ...ca, "-out", path("ca")]);
  for (const [name, extensions] of [
    ["server", "subjectAltName=IP:10.99.0.1"],
    ["client", "extendedKeyUsage=clientAuth"],
  ] as const) {
    const request = join(pki, "request.csr");
    const own = ["-subj", `/CN=${name}`, "-keyout", path(`${name}-key`), "-out", request];
    await run("openssl", ["req", "-new", ...key, ...own]);
    const file = join(pki, "extensions");
    writeFileSync(file, extensions);
    const issuer = ["-CA", path("ca"), "-CAkey", path("ca-key"), "-CAcreateserial", "-extfile", file];
    await run("openssl", ["x509", "-req", "-days", "2", "-in", request, ...issuer, "-out", path(name)]);
  }
}

function byTcp(...args: string[]): Promise<CommandResult> {
  const client = lab.clients[0];
  assert.ok(client !== undefined);
  return client.attempt("docker", ["-H", "tcp://10.99.0.1:2376", ...args], { timeoutMs: 20_000 });
}

const certificates = (prefix: string): string[] => [
  "--tlsverify",
  "--tlscacert",
  join(pki, "own-ca.pem"),
  "--tlscert",
  join(pki, `${prefix}-client.pem`),
  "--tlskey",
  join(pki, `${prefix}-client-key.pem`),
];

before(async () => {
  lab = await Lab.open({ hosts: 1 });
  host = lab.host(1);
  pki = join(lab.dir, "pki");
  mkdirSync(pki);
  configFile = join(lab.dir, "daemon.json");
  pidFile = join(lab.dir, "skeind.pid");
  await makeCa("own");
  await makeCa("foreign");
  writeFileSync(configFile, JSON.stringify({ labels: ["rack=1"], "live-restore": true }));
  await host.start([
    ...["-H", `unix://${host.socketPath}`, "-H", "tcp://10.99.0.1", "--group", "daemon"],
    ...["--tlsverify", "--tlscacert", join(pki, "own-ca.pem")],
    ...["--tlscert", join(pki, "own-server.pem"), "--tlskey", join(pki, "own-server-key.pem")],
    ...["--config-file", configFile, "--pidfile", pidFile],
  ]);
});

after(async () => {
  assert.deepEqual(await lab.close(), []);
});

test("the stock CLI comes in by TCP with a certificate of the CA, and not without", async () => {
  const { code, stdout, stderr } = await byTcp(...certificates("own"), "info", "-f", "{{.Name}}");
  assert.equal(code, 0, stderr);
  assert.equal(stdout.trim(), "host1");
  const foreign = await byTcp(...certificates("foreign"), "version");
  assert.notEqual(foreign.code, 0, foreign.stdout);
  const plain = await byTcp("version");
  assert.notEqual(plain.code, 0, plain.stdout);
  assert.match(plain.stderr, /HTTP request to an HTTPS server|EOF|reset|malformed/i);
  const without = await byTcp("--tls", "--tlscacert", join(pki, "own-ca.pem"), "version");
  assert.notEqual(without.code, 0, without.stdout);
});

test("the unix socket is its group's", () => {
  const { mode, gid, uid } = statSync(host.socketPath);
  assert.equal(mode & 0o777, 0o660);
  assert.equal(gid, DAEMON_GROUP_ID);
  assert.equal(uid, 0);
});

test("SIGHUP reads the settings file again; a wrong one changes nothing", async () => {
  const labels = async (): Promise<unknown> =>
    ((await host.api("GET", "/info")).json as Record<string, unknown>)["Labels"];
  assert.deepEqual(await labels(), ["rack=1"]);
  const reload = async (text: string, until: RegExp): Promise<void> => {
    writeFileSync(configFile, text);
    const from = readFileSync(host.logPath, "utf8").length;
    process.kill(Number(readFileSync(pidFile, "utf8")), "SIGHUP");
    const deadline = Date.now() + patient(5_000);
    while (!until.test(readFileSync(host.logPath, "utf8").slice(from))) {
      assert.ok(Date.now() < deadline, "the daemon said nothing of the reload");
      await new Promise((wake) => setTimeout(wake, 20));
    }
  };
  await reload('{"labels": ["rack=2"]}', /settings read again/);
  assert.deepEqual(await labels(), ["rack=2"]);
  await reload('{"labels": 5}', /the file is wrong/);
  assert.deepEqual(await labels(), ["rack=2"]);
});

test("a second daemon at the same socket is refused, and the first goes on", async () => {
  const skeind = join(import.meta.dirname, "..", "..", "node", "skeind.js");
  const data = ["--data-root", join(lab.dir, "other"), "--exec-root", join(lab.dir, "other-run")];
  const other = await host.attempt(process.execPath, [skeind, ...data, "--socket", host.socketPath], {
    timeoutMs: 20_000,
  });
  assert.equal(other.code, 1);
  assert.match(other.stdout + other.stderr, /another daemon listens at/);
  assert.equal((await host.api("GET", "/_ping")).status, 200);
});

test("SIGTERM ends it within seconds, and the pid file with it", async () => {
  assert.equal(Number(readFileSync(pidFile, "utf8")), host.daemonPid);
  const startedAt = Date.now();
  await host.stop();
  assert.ok(Date.now() - startedAt < patient(5_000));
  assert.equal(existsSync(pidFile), false);
});
