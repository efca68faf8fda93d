/**
 * Containers of tasks reached from any manager: the stock docker command on one host, the container on
 * another. Edge: to the lab.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import WebSocket from "ws";
import { skipWithoutDocker } from "../support/lab/docker-cli.js";
import { Lab } from "../support/lab/lab.js";
import type { LabHost } from "../support/lab/lab-host.js";
import {
  call,
  containerOf,
  createService,
  dissolve,
  formSwarm,
  IMAGE,
  messageIn,
  until,
  untilRunning,
  untilTasks,
} from "../support/lab/lab-swarm.js";
import { patient } from "../support/patience.js";

const skip = skipWithoutDocker;
/** Says what it hears, and a number each second. */
const TALKER = ["sh", "-c", "n=0; while n=$((n+1)); do echo tick $n; sleep 1; done"];

let lab: Lab;
let one: LabHost;
let container: string;
let taskId: string;
let dir: string;

before(async () => {
  dir = mkdtempSync(join(tmpdir(), "skein-reach-"));
  lab = await Lab.open({ hosts: 3 });
  await formSwarm(lab, { managers: 2 }); // host3 is a worker
  one = lab.host(1);
  const constraints = ["node.hostname==host3"];
  await createService(one, { name: "far", constraints, command: TALKER });
  const [task] = await untilRunning(one, "far", 1);
  assert.ok(task);
  container = containerOf(task);
  taskId = task.ID;
});

after(async () => {
  rmSync(dir, { recursive: true });
  assert.deepEqual(await dissolve(lab), []);
});

/** A docker command that goes on until the test has seen enough. */
function started(host: LabHost, args: readonly string[]) {
  const child = spawn("docker", ["-H", `unix://${host.socketPath}`, ...args], { stdio: "pipe" });
  let text = "";
  let seen = (): void => undefined;
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (chunk: Buffer) => {
      text += chunk.toString();
      seen();
    });
  const ended = new Promise<number | null>((resolve) => child.once("close", (code) => resolve(code)));
  const says = (pattern: RegExp): Promise<void> =>
    new Promise((resolve, reject) => {
      const late = (): void => reject(new Error(`not said: ${pattern}; but ${JSON.stringify(text)}`));
      const timer = setTimeout(late, patient(20_000));
      seen = () => {
        if (!pattern.test(text)) return;
        clearTimeout(timer);
        resolve();
      };
      seen();
    });
  return { child, ended, says, text: () => text };
}

test("exec by container, task and service.slot, from the leader and from another manager", {
  skip,
}, async () => {
  for (const host of [one, lab.host(2)]) {
    const names = [container, container.slice(0, 12), taskId, "far.1", `far.1.${taskId}`];
    for (const name of host === one ? names : ["far.1"]) {
      const { code, stdout, stderr } = await host.docker(["exec", "-i", name, "sh", "-c", "cat; exit 7"], {
        input: "through",
      });
      assert.deepEqual([code, stdout, stderr], [7, "through", ""], `${name} on ${host.name}`);
    }
  }
});

test("exec carries much, both ways, and no more than a reader takes", { skip }, async () => {
  const much = Buffer.alloc(8_000_000, "0123456789abcdef");
  const back = await one.docker(["exec", "-i", "far.1", "sh", "-c", "wc -c; seq 1 200000"], { input: much });
  const lines = back.stdout.trim().split("\n");
  assert.deepEqual([lines[0]?.trim(), lines.length, lines.at(-1)], ["8000000", 200_001, "200000"]);
});

test("inspect, top, logs, diff, port, stats, cp and export of a container elsewhere", { skip }, async () => {
  const docker = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await one.docker(args);
    assert.equal(code, 0, `${args.join(" ")}: ${stderr}`);
    return stdout;
  };
  assert.equal(
    (await docker("inspect", "-f", "{{.Id}} {{.State.Running}}", "far.1")).trim(),
    `${container} true`,
  );
  assert.match(await docker("top", "far.1"), /while n=/);
  // the second word comes a second after the first, and all before this may have taken less
  await until("two ticks in the log", 10_000, async () => {
    const log = await docker("logs", "far.1");
    return log.startsWith("tick 1\ntick 2\n") ? log : undefined;
  });
  assert.equal(await docker("logs", "--tail", "0", container), "");
  const file = join(dir, "in.txt");
  writeFileSync(file, "carried\n");
  await docker("cp", file, "far.1:/tmp/in.txt");
  assert.equal(await docker("exec", "far.1", "cat", "/tmp/in.txt"), "carried\n");
  await docker("cp", "far.1:/tmp/in.txt", join(dir, "out.txt"));
  assert.equal(readFileSync(join(dir, "out.txt"), "utf8"), "carried\n");
  assert.match(await docker("diff", "far.1"), /A \/tmp\/in.txt/);
  await docker("port", "far.1");
  assert.match(await docker("stats", "--no-stream", "far.1"), /far\.1/);
  await docker("export", "-o", join(dir, "all.tar"), "far.1");
  assert.ok(readFileSync(join(dir, "all.tar")).includes("tmp/in.txt"));
});

test("attach and logs follow; a websocket is told what the container says", { skip }, async () => {
  const attached = started(one, ["attach", "--no-stdin", "--sig-proxy=false", "far.1"]);
  await attached.says(/tick \d+\n.*tick \d+/s);
  attached.child.kill("SIGKILL");
  const logs = started(one, ["logs", "-f", "--tail", "1", "far.1"]);
  await logs.says(/tick \d+\n.*tick \d+/s);
  logs.child.kill("SIGKILL");
  const socket = new WebSocket(`ws+unix://${one.socketPath}:/containers/far.1/attach/ws?stream=1&stdout=1`);
  const words = await new Promise<string>((resolve, reject) => {
    socket.once("message", (data) => resolve(String(data)));
    socket.once("error", reject);
  });
  assert.match(words, /tick \d+/);
  socket.terminate();
  await Promise.all([attached.ended, logs.ended]);
});

test("what a tunnel does not carry, and what is nowhere, is refused in words", { skip }, async () => {
  const refused = async (method: string, path: string, body?: unknown): Promise<string> => {
    const answer = await one.api(method, path, body);
    assert.ok(answer.status >= 400, `${method} ${path}: ${answer.status}`);
    return `${answer.status} ${messageIn(answer)}`;
  };
  assert.equal(
    await refused("POST", "/containers/far.1/rename?name=x"),
    '409 the container of task far.1 is on node host3: it can only be asked for "rename" there',
  );
  assert.equal(await refused("GET", "/containers/far.2/json"), "404 No such container: far.2");
  assert.equal(await refused("GET", "/exec/abc/json"), "404 No such exec instance: abc");
  await createService(one, { name: "never", constraints: ["node.hostname==nowhere"] });
  await untilTasks(one, "never", "pending", (all) => all.some(({ Status }) => Status.State === "pending"));
  assert.match(
    await refused("POST", "/containers/never.1/exec", { Cmd: ["true"] }),
    /^409 task never\.1 has no container yet: it is pending/,
  );
  const worker = await lab.host(3).api("GET", "/containers/never.1/json");
  assert.equal(worker.status, 404);
  // A container of no task stays out of reach.
  const { Id } = await call<{ Id: string }>(lab.host(3), "POST", "/containers/create?name=own", {
    Image: IMAGE,
  });
  assert.match(await refused("GET", `/containers/${Id}/json`), /^404 No such container/);
  await call(lab.host(3), "DELETE", `/containers/${Id}`);
});

test("a container of this node goes by the same names", { skip }, async () => {
  await createService(one, { name: "near", constraints: ["node.hostname==host1"] });
  await untilRunning(one, "near", 1);
  assert.equal((await one.docker(["exec", "near.1", "echo", "here"])).stdout, "here\n");
});

test("a node that is cut off in the middle of an exec ends it within seconds, and serves again", {
  skip,
}, async () => {
  const running = started(one, ["exec", "far.1", "sh", "-c", "echo begun; sleep 1000"]);
  await running.says(/begun/);
  const began = Date.now();
  await lab.host(3).partition();
  assert.notEqual(await running.ended, 0, running.text());
  assert.ok(Date.now() - began < patient(20_000));
  await lab.host(3).heal();
  await until("an exec", 30_000, async () =>
    (await one.docker(["exec", container, "true"])).code === 0 ? true : undefined,
  );
});

test("a node that dies in the middle of an exec ends it, and is named afterwards", { skip }, async () => {
  const running = started(one, ["exec", "far.1", "sh", "-c", "echo begun; sleep 1000"]);
  await running.says(/begun/);
  await lab.host(3).killHost();
  const code = await running.ended;
  assert.notEqual(code, 0, running.text());
  const later = await one.docker(["exec", "far.1", "true"]);
  assert.notEqual(later.code, 0);
  assert.match(
    later.stderr,
    /node host3 (is down|does not answer|is not connected)|task far\.1|No such container/,
  );
});
