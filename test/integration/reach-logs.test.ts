/**
 * Logs of services and tasks from any manager: of removed tasks, of nodes that are gone, over the death and
 * return of a node; and events by number over a change of the manager. Edge: to the lab.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { after, before, test } from "node:test";
import { skipWithoutDocker } from "../support/lab/docker-cli.js";
import { Lab } from "../support/lab/lab.js";
import type { LabHost } from "../support/lab/lab-host.js";
import {
  call,
  createService,
  dissolve,
  formSwarm,
  removeService,
  unframed,
  until,
  untilNodes,
  untilRunning,
  untilTasks,
} from "../support/lab/lab-swarm.js";

const skip = skipWithoutDocker;
/** A number several times a second: many lines may carry one time stamp. */
const COUNTER = ["sh", "-c", "n=0; while n=$((n+1)); do echo a$n; echo b$n; sleep 0.2; done"];
const FAR = ["node.hostname==host3"];

let lab: Lab;
let one: LabHost;
let two: LabHost;

before(async () => {
  lab = await Lab.open({ hosts: 3 });
  await formSwarm(lab, { managers: 2 }); // host3 is a worker
  [one, two] = [lab.host(1), lab.host(2)];
});

after(async () => {
  assert.deepEqual(await dissolve(lab), []);
});

/** What a command prints until it is ended. */
class Following {
  readonly child: ChildProcess;
  text = "";

  constructor(command: string, args: readonly string[]) {
    this.child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [this.child.stdout, this.child.stderr])
      stream?.on("data", (chunk: Buffer) => {
        this.text += chunk.toString();
      });
  }

  lines(): string[] {
    return this.text.split("\n").slice(0, -1); // the last one may not be whole
  }

  says(what: string, test: (lines: readonly string[]) => boolean): Promise<true> {
    const probe = (): Promise<true | undefined> => Promise.resolve(test(this.lines()) ? true : undefined);
    return until(what, 40_000, probe, () => this.text.slice(-2_000));
  }

  async end(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const closed = new Promise<void>((done) => this.child.once("close", () => done()));
    this.child.kill("SIGKILL");
    await closed;
  }
}

const docker = (host: LabHost, ...args: string[]): Following =>
  new Following("docker", ["-H", `unix://${host.socketPath}`, ...args]);

test("a feed goes on behind its last line when a node dies and comes back", { skip }, async (t) => {
  await createService(one, { name: "count", constraints: FAR, command: COUNTER });
  await untilRunning(one, "count", 1);
  const logs = docker(two, "service", "logs", "-f", "--raw", "count");
  t.after(() => logs.end());
  const numbers = (): string[] => logs.lines().filter((line) => /^[ab]\d+$/.test(line));
  await logs.says("ten lines", () => numbers().length >= 10);
  await lab.host(3).killDaemon(); // the container goes on, and writes
  await logs.says("what is missing", (lines) =>
    lines.some((line) => line === "logs of count.1 are incomplete: node host3 broke off"),
  );
  const before = numbers().length;
  await new Promise((wake) => setTimeout(wake, 1_500));
  await lab.host(3).start();
  await logs.says("more lines", () => numbers().length >= before + 20);
  const expected = Array.from({ length: Math.ceil(numbers().length / 2) }, (_, at) => [
    `a${at + 1}`,
    `b${at + 1}`,
  ]).flat();
  assert.deepEqual(numbers(), expected.slice(0, numbers().length));
  assert.ok(logs.lines().includes("logs of count.1 go on: node host3 is back"), logs.text);
});

test("tail, since, until, details and timestamps are those of the merged feed", { skip }, async () => {
  const words = "for n in 1 2 3 4 5 6; do echo a$n; sleep 0.4; done; sleep 1000";
  await createService(one, { name: "said", constraints: FAR, command: ["sh", "-c", words] });
  await until("all is said", 20_000, async () =>
    (await one.docker(["service", "logs", "--raw", "said"])).stdout.endsWith("a6\n") ? true : undefined,
  );
  const tailed = await two.docker(["service", "logs", "--tail", "4", "--timestamps", "said"]);
  assert.equal(tailed.code, 0, tailed.stderr);
  const lines = tailed.stdout.trim().split("\n");
  assert.equal(lines.length, 4, tailed.stdout);
  for (const line of lines) assert.match(line, /^\d{4}-[\dT:.-]+Z said\.1\.\w+@host3 +\| a[3-6]$/);
  const middle = Date.parse((lines[0] ?? "").split(" ")[0] ?? "") / 1000;
  const said = async (query: string): Promise<string> =>
    unframed((await two.api("GET", `/services/said/logs?stdout=1&${query}`)).body).replaceAll("\n", " ");
  assert.equal(await said(`until=${middle - 0.1}`), "a1 a2 ");
  assert.equal(await said(`since=${middle - 0.1}`), "a3 a4 a5 a6 ");
});

test("logs of removed tasks and services answer for a while", { skip }, async () => {
  await createService(one, {
    name: "short",
    replicas: 2,
    command: ["sh", "-c", "echo said by $HOSTNAME; sleep 1000"],
  });
  const tasks = await untilRunning(one, "short", 2);
  await until("both have spoken", 20_000, async () => {
    const { stdout } = await one.docker(["service", "logs", "short"]);
    return stdout.match(/said by/g)?.length === 2 ? true : undefined;
  });
  const spec = await call<{ Version: { Index: number }; Spec: { Mode: unknown } }>(
    one,
    "GET",
    "/services/short",
  );
  await call(one, "POST", `/services/short/update?version=${spec.Version.Index}`, {
    ...spec.Spec,
    Mode: { Replicated: { Replicas: 1 } },
  });
  await untilTasks(one, "short", "one task", (all) => all.length === 1);
  for (const host of [one, two]) {
    const scaled = await host.docker(["service", "logs", "short"]);
    assert.equal(
      scaled.stdout.split("\n").filter((line) => / \| said by /.test(line)).length,
      2,
      scaled.stderr,
    );
  }
  await removeService(one, "short");
  await until("the tasks are gone", 20_000, async () =>
    (
      await one.api("GET", `/containers/json?all=1&filters=${encodeURIComponent('{"name":["short"]}')}`)
    ).body.trim() === "[]"
      ? true
      : undefined,
  );
  await until("both say what they said", 20_000, async () => {
    const removed = await two.docker(["service", "logs", "short"]);
    assert.equal(removed.code, 0, removed.stderr);
    return removed.stdout.match(/said by/g)?.length === 2 ? true : undefined;
  });
  const task = await one.docker(["service", "logs", "--raw", tasks[0]?.ID ?? ""]);
  assert.match(task.stdout, /^said by \w+\n$/);
  assert.match((await one.docker(["service", "logs", "nothing"])).stderr, /no such task or service: nothing/);
});

test("a node that is gone is named, and nobody waits for it", { skip }, async () => {
  await lab.host(3).killDaemon();
  await untilNodes(one, "host3 down", (all) => all.some(({ Status }) => Status.State === "down"));
  const began = Date.now();
  const { code, stderr, stdout } = await two.docker(["service", "logs", "count"]);
  assert.equal(code, 0, stderr);
  assert.match(
    `${stdout}${stderr}`,
    /count\.1\.\w+@host3 +\| logs of count\.1 are missing: node host3 is down/,
  );
  assert.ok(Date.now() - began < 15_000);
  await lab.host(3).start();
  await untilNodes(one, "host3 back", (all) => all.every(({ Status }) => Status.State === "ready"));
});

test("events have one number at every manager, and go on behind it at another", { skip }, async (t) => {
  const seen = (host: LabHost, after: string): Following => {
    const url = `http://skein/skein/v1/events?after=${after}&filters=${encodeURIComponent('{"type":["secret"]}')}`;
    const follower = new Following("curl", ["-svN", "--unix-socket", host.socketPath, url]);
    t.after(() => follower.end());
    return follower;
  };
  const events = (lines: readonly string[]): readonly string[] =>
    lines.filter((line) => line.startsWith(`{"`));
  const first = seen(one, "");
  // from its head on, an answer tells what happens
  await first.says("the answer's head", (lines) => lines.some((line) => line.startsWith("< HTTP/")));
  const create = (name: string): Promise<unknown> =>
    call(one, "POST", "/secrets/create", { Name: name, Data: "YQ==" });
  for (const name of ["e1", "e2", "e3"]) await create(name);
  await first.says("three events", (lines) => events(lines).length === 3);
  type Told = { Actor: { Attributes: { name: string; index: string } } };
  const told = (follower: Following): string[] =>
    events(follower.lines()).map((line) => {
      const { name, index } = (JSON.parse(line) as Told).Actor.Attributes;
      return `${index} ${name}`;
    });
  const [, second = ""] = told(first);
  const other = seen(two, second.split(" ")[0] ?? "");
  await other.says("the third", (lines) => events(lines).length === 1);
  await create("e4");
  await Promise.all([
    first.says("four", (lines) => events(lines).length === 4),
    other.says("two", (lines) => events(lines).length === 2),
  ]);
  assert.deepEqual(told(other), told(first).slice(2));
  await new Promise((wake) => setTimeout(wake, 1_200)); // the command cuts times to whole seconds
  const shown = await two.docker(["events", "--since", "1h", "--until", "0s", "--filter", "type=secret"]);
  assert.equal(shown.stdout.match(/secret create/g)?.length, 4, shown.stdout);
  two.killManager(); // its successor has seen nothing of what was before
  const gap = await until("an answer of the next manager", 20_000, async () => {
    const answer = await two.api("GET", "/skein/v1/events?after=1");
    return answer.status === 503 ? undefined : answer;
  });
  assert.deepEqual([gap.status, (gap.json as { gap?: boolean }).gap], [410, true]);
  assert.match((await two.skein(["events", "--after", "1"])).stderr, /gap: not all events after 1 are kept/);
  const everything = await one.docker(["events", "--since", "1h", "--until", "0s"]);
  assert.match(everything.stdout, / task update \w+ \(.*index=\d+\.\d+.*state\.new=running/);
});
