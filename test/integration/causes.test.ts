/**
 * Why tasks do not run, as the stock `docker service ps` and `skein service why` tell it, on real containers:
 * a constraint that nobody meets, an image that is not there, a crash loop, a drain, too little memory; and
 * the stations of a task's life, stamped from end to end. Edge: to the lab.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { DockerCli, STAYING, skipWithoutDocker } from "../support/lab/docker-cli.js";
import { Lab } from "../support/lab/lab.js";
import type { LabHost } from "../support/lab/lab-host.js";
import { must } from "../support/lab/lab-services.js";
import { call, dissolve, formSwarm, until } from "../support/lab/lab-swarm.js";
import { startRegistry } from "../support/registry-process.js";

interface Why {
  readonly Headline: string;
  readonly Cause: string;
  readonly Advice: readonly string[];
  readonly Slots: readonly { readonly Tasks: readonly TaskWhy[] }[];
}

interface TaskWhy {
  readonly ID: string;
  readonly Cause: string;
  readonly Sentence: string;
  readonly Phases: readonly {
    readonly Phase: string;
    readonly DurationMs: number;
    readonly Open?: boolean;
  }[];
}

const skip = skipWithoutDocker;
const HELLO = "skein-hello:latest";

let lab: Lab;
let one: LabHost;
let docker: DockerCli;

before(async () => {
  lab = await Lab.open({ hosts: 2 });
  await formSwarm(lab, { managers: 1 });
  one = lab.host(1);
  docker = new DockerCli(one);
});

after(async () => {
  assert.deepEqual(await dissolve(lab), []);
});

const create = (name: string, ...args: string[]): Promise<string[]> =>
  docker.lines("service", "create", "--detach", "--quiet", "--name", name, ...args);

/** ERROR of the tasks that `docker service ps` lists. */
const errors = async (service: string): Promise<string[]> => {
  const quoted = await docker.lines("service", "ps", "--no-trunc", "--format", "{{.Error}}", service);
  return quoted.map((error) => error.replace(/^"|"$/g, ""));
};

async function why(service: string): Promise<Why> {
  const text = await must(one.skein(["service", "why", "--format", "json", service]));
  return JSON.parse(text) as Why; // the shape of the route
}

const tell = (name: string): Promise<string> => must(one.skein(["service", "why", name]));

async function errorOf(service: string, matching: RegExp): Promise<string> {
  let last: readonly string[] = [];
  return until(
    `${service}: an error like ${matching.source}`,
    40_000,
    async () => {
      last = await errors(service);
      return last.find((error) => matching.test(error));
    },
    () => last.join("; "),
  );
}

test("a constraint that no node meets", { skip }, async () => {
  await create("picky", "--constraint", "node.labels.disk==ssd", ...STAYING);
  const words = "no suitable node (2 nodes do not meet node.labels.disk==ssd)";
  assert.equal(await errorOf("picky", /no suitable node/), words);
  const { Headline, Cause, Advice } = await why("picky");
  assert.equal(Headline, `0 of 1 tasks of picky run; 1 missing. picky.1: waits for a node: ${words}`);
  assert.equal(Cause, "no-suitable-node");
  assert.match(Advice[0] ?? "", /docker node update --label-add disk=ssd NODE/);
  const text = await tell("picky.1");
  assert.match(text, /^picky\.1 \w{12}: waits for a node: no suitable node/);
  assert.match(text, /waited still: no suitable node/);
  await docker.lines("service", "rm", "picky");
});

test("an image that the registry does not have", { skip }, async () => {
  await using registry = await startRegistry({ netns: one.netns });
  const image = `${registry.host}/shop/nothing:9`;
  await create("absent", "--no-resolve-image", "--constraint", "node.hostname==host1", image);
  const error = await errorOf("absent", /^manifest .*(not found|unknown)/);
  await until("the reason is told", 20_000, async () => {
    const { Slots } = await why("absent");
    const dead = Slots[0]?.Tasks.find(({ Cause }) => Cause === "image-not-found");
    if (dead === undefined) return undefined;
    assert.ok(dead.Sentence.startsWith(`image ${image} was not found from host1: `), dead.Sentence);
    assert.ok(dead.Sentence.includes(error), `${dead.Sentence} has all of ${error}`);
    return true;
  });
  await docker.lines("service", "rm", "absent");
});

test("a crash loop", { skip }, async () => {
  await create("crash", "--restart-delay", "100ms", HELLO, "sh", "-c", "exit 3");
  assert.equal(await errorOf("crash", /non-zero/), "task: non-zero exit (3)");
  const again = /^starts at \d\d:\d\d:\d\d UTC, 0\.1 s after \d+ failures in a row: exit code 3$/;
  await until("it is told how often", 40_000, async () => {
    const { Slots } = await why("crash");
    const texts = Slots[0]?.Tasks.map(({ Sentence }) => Sentence) ?? [];
    return texts.some((text) => /^exited with code 3 on host[12] after [\d.]+ m?s$/.test(text)) || undefined;
  });
  await create("slow", "--restart-delay", "20s", HELLO, "sh", "-c", "exit 3");
  assert.match(await tell("crash"), /made for: restart: exit code 3, after \d+ failures in a row/);
  const { Headline, Cause } = await until("it waits", 40_000, async () => {
    const account = await why("slow");
    return account.Cause === "restart-delay" ? account : undefined;
  });
  assert.match(Headline, /slow\.1: waits: starts at \S+ UTC, 20 s after its predecessor: exit code 3$/);
  assert.equal(Cause, "restart-delay");
  assert.ok(
    (await errors("crash")).every((error) => error === "" || /non-zero/.test(error) || again.test(error)),
  );
  await docker.lines("service", "rm", "crash", "slow");
});

test("too little memory", { skip }, async () => {
  const args = ["--limit-memory", "16M", "--restart-condition", "none"];
  await create("hungry", ...args, HELLO, "dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=4");
  assert.equal(
    await errorOf("hungry", /memory/),
    "task: out of memory, killed by the kernel (exit 137); its limit is 16 MiB",
  );
  const { Headline, Advice } = await why("hungry");
  const killed =
    /hungry\.1: was killed by the kernel on host[12] after \S+ m?s: out of memory at its limit of/;
  assert.match(Headline, killed);
  assert.match(Headline, / of 16 MiB; its restart condition is none$/);
  assert.deepEqual(Advice, ["raise it: docker service update --limit-memory … hungry"]);
  await docker.lines("service", "rm", "hungry");
});

test("a drain; and the stations of the task before it", { skip }, async () => {
  await create("moved", ...STAYING);
  const first = await until("it runs", 40_000, async () => {
    const task = (await why("moved")).Slots[0]?.Tasks[0];
    return task?.Cause === "running" ? task : undefined;
  });
  assert.deepEqual(
    first.Phases.map(({ Phase }) => Phase),
    ["allocate", "schedule", "assign", "pull", "prepare", "start", "healthy", "run"],
  );
  const tookMs = first.Phases.slice(0, -1).reduce((sum, { DurationMs }) => sum + DurationMs, 0);
  assert.ok(tookMs < 30_000, `${tookMs} ms`);
  const [host = ""] = await docker.lines("service", "ps", "--format", "{{.Node}}", "moved");
  await docker.lines("node", "update", "--availability", "drain", host);
  assert.equal(await errorOf("moved", /drained/), `${host} is drained`);
  const text = await until("both are told", 40_000, async () => {
    const said = await tell("moved");
    return said.includes("was stopped") && / runs on /.test(said) ? said : undefined;
  });
  assert.match(text, /^1 of 1 tasks of moved run\n/);
  assert.ok(text.includes(`was stopped: ${host} is drained`), text);
  assert.ok(text.includes(`made for: node: ${host} is drained`), text);
  await docker.lines("node", "update", "--availability", "active", host);
  await docker.lines("service", "rm", "moved");
});

test("who is meant is found, or refused", { skip }, async () => {
  const { stderr, code } = await one.skein(["service", "why", "nobody"]);
  assert.deepEqual([code, stderr.trim()], [1, "Error: no such service or task: nobody"]);
  const missing = await one.api("GET", "/skein/v1/tasks/nobody/why");
  assert.equal(missing.status, 404);
  await create("plain", ...STAYING);
  const [{ ID }] = (await call<readonly [{ ID: string }]>(
    one,
    "GET",
    `/tasks?filters=${encodeURIComponent('{"service":["plain"]}')}`,
  )) as [{ ID: string }];
  for (const name of [ID, ID.slice(0, 12), "plain.1"])
    assert.match(await tell(name), new RegExp(`^plain\\.1 ${ID.slice(0, 12)}: `));
  await docker.lines("service", "rm", "plain");
});
