/**
 * Bytes in and out of containers through the stock docker CLI: attach, exec, logs and log drivers against one
 * host without a swarm, and what becomes of them when the daemon is killed.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import Docker from "dockerode";
import WebSocket from "ws";
import { busyboxImage } from "../support/lab/busybox-image.js";
import { Lab } from "../support/lab/lab.js";
import type { LabHost } from "../support/lab/lab-host.js";
import { attempt, type CommandResult } from "../support/lab/shell.js";

const IMAGE = "skein-hello:latest";
const NO_NETWORK = ["--network", "none"];

let lab: Lab;
let host: LabHost;

before(async () => {
  lab = await Lab.open({ hosts: 1 });
  host = lab.host(1);
  await host.start();
  const loaded = await docker(["load", "-q"], await busyboxImage());
  assert.equal(loaded.code, 0, loaded.stderr);
});

after(async () => {
  const left = (await docker(["ps", "-aq"])).stdout.split("\n").filter(Boolean);
  if (left.length > 0) await docker(["rm", "-f", "-v", ...left]);
  assert.deepEqual(await lab.close(), []);
});

function docker(args: readonly string[], input?: Uint8Array): Promise<CommandResult> {
  return attempt("docker", ["-H", `unix://${host.socketPath}`, ...args], {
    ...(input === undefined ? {} : { input }),
  });
}

const run = (args: readonly string[], input?: Uint8Array): Promise<CommandResult> =>
  docker(["run", ...NO_NETWORK, ...args], input);

test("run: all output, both streams, exit code; input to its end", async () => {
  for (let round = 0; round < 5; round++)
    assert.equal((await run(["--rm", IMAGE, "echo", "quick"])).stdout, "quick\n");
  const both = await run(["--rm", IMAGE, "sh", "-c", "echo out; echo err >&2; exit 3"]);
  assert.deepEqual([both.stdout, both.stderr, both.code], ["out\n", "err\n", 3]);
  const long = await run(["--rm", IMAGE, "seq", "1", "50000"]);
  assert.equal(long.stdout.split("\n").length, 50_001);
  const counted = await run(["--rm", "-i", IMAGE, "wc", "-c"], Buffer.alloc(2_000_000, "x"));
  assert.equal(counted.stdout.trim(), "2000000");
});

test("exec: input, environment, exit codes, words of refusals", async () => {
  await run(["-d", "--name", "box", IMAGE, "sleep", "1000"]);
  assert.equal((await docker(["exec", "-i", "box", "cat"], Buffer.from("through"))).stdout, "through");
  const seen = await docker(["exec", "-e", "A=1", "-w", "/tmp", "box", "sh", "-c", "echo $A; pwd; exit 9"]);
  assert.deepEqual([seen.stdout, seen.code], ["1\n/tmp\n", 9]);
  const missing = await docker(["exec", "box", "nope"]);
  assert.equal(missing.code, 127);
  assert.match(missing.stdout, /OCI runtime exec failed: .* "nope": executable file not found in \$PATH/);
  const detached = await docker(["exec", "-d", "box", "nope"]);
  assert.match(detached.stderr, /Error response from daemon: OCI runtime exec failed/);
  await docker(["pause", "box"]);
  assert.match(
    (await docker(["exec", "box", "true"])).stderr,
    /Container box is paused, unpause the container/,
  );
  await docker(["unpause", "box"]);
  await docker(["rm", "-f", "box"]);
  assert.match((await docker(["exec", "box", "true"])).stderr, /No such container: box/);
});

test("a start that attaches gives input once, each time anew", async () => {
  await docker(["create", "-i", ...NO_NETWORK, "--name", "cat", IMAGE, "cat"]);
  assert.equal((await docker(["start", "-ai", "cat"], Buffer.from("one\n"))).stdout, "one\n");
  assert.equal((await docker(["start", "-ai", "cat"], Buffer.from("two\n"))).stdout, "two\n");
  assert.equal((await docker(["logs", "cat"])).stdout, "one\ntwo\n");
});

test("logs: tail, since, timestamps, following, none", async () => {
  await run(["-d", "--name", "counts", IMAGE, "sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.1; done"]);
  assert.equal((await docker(["logs", "-f", "counts"])).stdout, "1\n2\n3\n");
  assert.equal((await docker(["logs", "-n", "1", "counts"])).stdout, "3\n");
  assert.equal((await docker(["logs", "--since", "2099-01-01T00:00:00Z", "counts"])).stdout, "");
  assert.match(
    (await docker(["logs", "-t", "-n", "1", "counts"])).stdout,
    /^\d{4}-\d\d-\d\dT[\d:]{8}\.\d{9}Z 3\n$/,
  );
  await run(["--name", "silent", "--log-driver", "none", IMAGE, "echo", "seen"]);
  assert.match(
    (await docker(["logs", "silent"])).stderr,
    /configured logging driver does not support reading/,
  );
});

test("log drivers: refused by name; a receiver that is away holds nothing up, and docker logs works", async () => {
  const refused = await run(["--log-driver", "syslog", "--log-opt", "syslog-address=foo", IMAGE, "true"]);
  assert.match(refused.stderr, /syslog-address should be in form proto:\/\/address, got foo/);
  const away = ["--log-driver", "fluentd", "--log-opt", "fluentd-address=127.0.0.1:1"];
  assert.equal((await run(["--name", "dual", ...away, IMAGE, "echo", "kept"])).stdout, "kept\n");
  assert.equal((await docker(["logs", "dual"])).stdout, "kept\n");
});

test("a websocket and a hijacking client speak with a container", async () => {
  const client = new Docker({ socketPath: host.socketPath });
  const options = {
    Image: IMAGE,
    Cmd: ["sh", "-c", "read x; echo got $x"],
    OpenStdin: true,
    StdinOnce: true,
    HostConfig: { NetworkMode: "none" },
  };
  const first = await client.createContainer(options);
  const url = `ws+unix://${host.socketPath}:/containers/${first.id}/attach/ws?stream=1&stdin=1&stdout=1`;
  const socket = new WebSocket(url);
  let text = "";
  socket.on("message", (data) => {
    text += String(data);
  });
  await new Promise((resolve) => socket.once("open", resolve));
  const closed = new Promise((resolve) => socket.once("close", resolve));
  await first.start();
  socket.send("ws\n");
  assert.equal(await closed, 1000);
  assert.equal(text, "got ws\n");
  const second = await client.createContainer(options);
  const stream = await second.attach({ stream: true, stdin: true, stdout: true, hijack: true });
  const chunks: Buffer[] = [];
  stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  await second.start();
  stream.write("dode\n");
  await new Promise((resolve) => stream.once("end", resolve));
  assert.equal(Buffer.concat(chunks).toString("latin1"), "\x01\0\0\0\0\0\0\tgot dode\n");
});

test("a killed daemon ends sessions and no container; its log goes on", async () => {
  await run(["-d", "--name", "lives", IMAGE, "sh", "-c", "while true; do echo tick; sleep 0.1; done"]);
  const attached = docker(["attach", "--no-stdin", "--sig-proxy=false", "lives"]);
  const inside = docker(["exec", "lives", "sleep", "1000"]);
  await docker(["exec", "lives", "true"]);
  await host.killDaemon();
  await Promise.all([attached, inside]);
  await host.start();
  assert.equal(
    (await docker(["inspect", "-f", "{{.State.Status}} {{.RestartCount}}", "lives"])).stdout,
    "running 0\n",
  );
  assert.equal((await docker(["exec", "lives", "echo", "again"])).stdout, "again\n");
  const before = (await docker(["logs", "lives"])).stdout.length;
  await docker(["exec", "lives", "sleep", "0.5"]);
  assert.ok((await docker(["logs", "lives"])).stdout.length > before);
});
