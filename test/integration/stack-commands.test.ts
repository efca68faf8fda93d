/**
 * `skein stack …` against real daemons: asked on a terminal, followed in a pipe, planned, compared, taken
 * back, failing, interrupted, built and shared. One manager and one worker.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import type { RevisionSummary, StackPlan } from "../../proto/stack-api.js";
import { Lab } from "../support/lab/lab.js";
import type { LabHost } from "../support/lab/lab-host.js";
import { dissolve, formSwarm, IMAGE, SLEEPER } from "../support/lab/lab-swarm.js";
import type { CommandResult } from "../support/lab/shell.js";
import { patient } from "../support/patience.js";

const MAIN = fileURLToPath(new URL("../../cli/main.js", import.meta.url));

let lab: Lab;
let host: LabHost;
let folder: string;

before(async () => {
  lab = await Lab.open({ hosts: 2, clients: 0 });
  await formSwarm(lab, { managers: 1 });
  host = lab.host(1);
  folder = mkdtempSync(join(lab.dir, "files-"));
});

after(async () => {
  rmSync(folder, { recursive: true, force: true });
  assert.deepEqual(await dissolve(lab), []);
});

interface Wish {
  readonly mode?: string;
  readonly command?: readonly string[];
  readonly replicas?: number;
  readonly memory?: string;
}

/** What a service waits for its own tasks is kept short. */
function compose({ mode = "slow", command = SLEEPER, replicas = 2, memory }: Wish = {}): string {
  const doc = {
    services: {
      db: { image: IMAGE, command: SLEEPER, stop_grace_period: "1s" },
      web: {
        image: IMAGE,
        command: command.map((word) => word.replaceAll("$", "$$$$")),
        stop_grace_period: "1s",
        environment: { MODE: mode },
        depends_on: ["db"],
        configs: ["motd"],
        deploy: {
          replicas,
          restart_policy: { delay: "0s" },
          update_config: { parallelism: 0, monitor: "500ms", failure_action: "pause" },
          ...(memory === undefined ? {} : { resources: { reservations: { memory } } }),
        },
      },
    },
    configs: { motd: { content: `mode ${mode}` } },
  };
  const path = join(folder, "compose.yaml");
  writeFileSync(path, JSON.stringify(doc)); // JSON is YAML
  return path;
}

const stack = (...words: string[]): Promise<CommandResult> =>
  host.skein(["stack", ...words], { timeoutMs: 90_000 });

async function well(...words: string[]): Promise<string> {
  const { code, stdout, stderr } = await stack(...words);
  assert.equal(code, 0, `stack ${words.join(" ")} ended with ${code}: ${stderr}${stdout}`);
  return stdout;
}

interface Talk {
  readonly code: number | null;
  readonly text: string;
}

/** On a terminal of its own, which answers the question. */
function onTerminal(answer: string, ...words: string[]): Promise<Talk> {
  const line = [process.execPath, MAIN, "stack", ...words].map((word) => `'${word}'`).join(" ");
  const child = spawn("script", ["-qec", line, "/dev/null"], {
    env: { ...process.env, SKEIN_HOST: `unix://${host.socketPath}`, TERM: "xterm", NO_COLOR: "" },
    stdio: ["pipe", "pipe", "inherit"],
    timeout: patient(90_000),
  });
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    const hadAsked = text.includes("[y/N]");
    text += chunk;
    if (!hadAsked && text.includes("[y/N]")) child.stdin.write(`${answer}\r`);
  });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve({ code, text }));
  });
}

test("on a terminal the plan is shown and asked for: no changes nothing, yes deploys", async () => {
  const path = compose();
  const refused = await onTerminal("n", "deploy", "-c", path, "--resolve-image", "never", "shop");
  assert.equal(refused.code, 130);
  assert.match(refused.text, /Stack shop: 1 network added, 1 config added, 2 services added/);
  assert.match(refused.text, /\x1b\[32m\+ service web\x1b\[0m/);
  assert.match(refused.text, /shop_web\.1 {2}-> host[12]/);
  assert.match(refused.text, /nothing was changed/);
  assert.deepEqual(await well("ls", "-q"), "");
  const agreed = await onTerminal("y", "deploy", "-c", path, "--resolve-image", "never", "shop");
  assert.equal(agreed.code, 0, agreed.text);
  assert.match(agreed.text, /\x1b\[2KStack shop revision 1: \d of 2 services ready/);
  assert.match(agreed.text, /Stack shop is on revision 1: 2 services, 3 tasks running/);
});

test("plan tells by its exit code whether something changes and fits, and again nothing is touched", async () => {
  const same = await stack("plan", "-c", compose(), "--resolve-image", "never", "shop");
  assert.deepEqual([same.code, same.stdout], [0, "Stack shop: no change.\n"]);
  const again = await well("deploy", "-c", compose(), "--resolve-image", "never", "shop");
  assert.equal(again, "Stack shop: no change, it is on revision 1\n");
  const changed = await stack("plan", "-c", compose({ mode: "fast" }), "--resolve-image", "never", "shop");
  assert.equal(changed.code, 4, changed.stderr);
  assert.match(changed.stdout, /~ service web {2}\(tasks are replaced: .*MODE/);
  assert.match(changed.stdout, /environment\.MODE: +slow -> fast/);
  const large = compose({ memory: "4000g" });
  const tooMuch = await stack("plan", "-c", large, "--resolve-image", "never", "--format", "json", "shop");
  assert.equal(tooMuch.code, 3, tooMuch.stderr);
  const plan = JSON.parse(tooMuch.stdout) as StackPlan;
  assert.deepEqual([plan.Fits, plan.Changes.map(({ Key }) => Key)], [false, ["web"]]);
});

test("in a pipe changes are told line by line, and history and diff know them", async () => {
  const path = compose({ mode: "fast", replicas: 3 });
  const out = await well("deploy", "-c", path, "--resolve-image", "never", "shop");
  assert.match(out, /^db: 1\/1 running, unchanged$/m);
  assert.match(out, /^web: 3\/3 running$/m);
  assert.match(out, /^Stack shop is on revision 2: 2 services, 4 tasks running/m);
  assert.ok(!out.includes("\x1b"));
  const history = await well("history", "--format", "json", "shop");
  const revisions = history
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { Revision: number; Outcome: RevisionSummary["Outcome"]; By: string });
  assert.deepEqual(
    revisions.map(({ Revision, Outcome }) => [Revision, Outcome]),
    [
      [2, "good"],
      [1, "good"],
    ],
  );
  assert.match(revisions[0]?.By ?? "", /@/);
  const diff = await well("diff", "shop", "1", "2");
  assert.match(diff, /~ config motd/);
  assert.match(diff, /deploy\.replicas: +2 -> 3/);
  assert.match(await well("diff", "shop"), /revision 2 -> now: no change/);
});

test("a deployment that fails ends with 1, tells why and where; the stack is on the revision before", async () => {
  const path = compose({ mode: "fast", replicas: 3, command: ["sh", "-c", "echo no such table; exit 3"] });
  const failed = await stack("deploy", "-c", path, "--resolve-image", "never", "shop");
  assert.equal(failed.code, 1, failed.stdout);
  assert.match(failed.stderr, /Error: revision 3 of stack shop failed: service web: .*exit code 3/);
  assert.match(failed.stderr, /its log: skein service logs shop_web/);
  assert.match(failed.stderr, /The stack is on revision 2 again\. What was tried: skein stack diff shop 2 3/);
  assert.match(await well("ls"), /shop +2 +4\/4 +2 +went back \(revision 3 failed\)/);
});

test("undo goes to the revision before, rollback to a number, and both say what they reached", async () => {
  assert.match(await well("undo", "shop"), /Stack shop is on revision 4: 2 services, 3 tasks running/);
  assert.match(
    await well("rollback", "shop", "2"),
    /Stack shop is on revision 5: 2 services, 4 tasks running/,
  );
  assert.match(await well("history", "shop"), /^5\* .* back to 2: /m);
  const none = await stack("rollback", "shop", "99");
  assert.deepEqual([none.code, none.stderr.includes("99")], [1, true]);
});

test("Ctrl-C leaves the deployment to the cluster; a newer one supersedes it", async () => {
  const child = spawn(
    process.execPath,
    [MAIN, "stack", "deploy", "-c", compose({ memory: "4000g" }), "--resolve-image", "never", "shop"],
    { env: { ...process.env, SKEIN_HOST: `unix://${host.socketPath}` }, stdio: ["ignore", "pipe", "pipe"] },
  );
  let errors = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    errors += text;
  });
  child.stdout.once("data", () => child.kill("SIGINT"));
  const code = await new Promise((resolve) => child.once("close", resolve));
  assert.equal(code, 130, errors);
  assert.match(errors, /interrupted: the deployment goes on in the cluster; 'skein stack status shop'/);
  assert.match(
    await well("status", "--format", "{{.Revision}} {{.Phase}}", "shop"),
    /^6 (applying|going back)$/m,
  );
  const path = compose({ mode: "fast", replicas: 3 });
  assert.match(await well("deploy", "-c", path, "--resolve-image", "never", "shop"), /4 tasks running/);
});

test("--build makes images here, and --share brings them to the other node", async () => {
  mkdirSync(join(folder, "app"));
  writeFileSync(join(folder, "app/Dockerfile"), `FROM ${IMAGE}\nARG WORD\nLABEL word=$WORD\n`);
  const service = (word: string): object => ({
    build: { context: "./app", args: { WORD: word } },
    command: SLEEPER.map((part) => part.replaceAll("$", "$$$$")),
    deploy: { mode: "global" },
    stop_grace_period: "1s",
  });
  const write = (word: string): string => {
    const path = join(folder, "built.yaml");
    writeFileSync(path, JSON.stringify({ name: "built", services: { web: service(word) } }));
    return path;
  };
  const first = await stack("deploy", "--build", "--share", "-q", "-c", write("one"));
  assert.equal(first.code, 0, first.stderr);
  const idOn = async (each: LabHost): Promise<unknown> =>
    ((await each.api("GET", "/images/built_web/json")).json as { Id?: unknown }).Id;
  const before = await idOn(host);
  assert.match(String(before), /^sha256:/);
  assert.equal(await idOn(lab.host(2)), before);
  assert.match(await well("deploy", "-c", write("one")), /no change/);
  const second = await stack("deploy", "--build", "--share", "-q", "-c", write("two"));
  assert.equal(second.code, 0, second.stderr);
  assert.notEqual(await idOn(host), before);
  assert.match(await well("history", "built"), /^2\* /m);
});

test("rm removes stacks and waits until nothing of them is left", async () => {
  assert.match(await well("rm", "shop", "built"), /Stack shop is removed\n(.*\n)*Stack built is removed\n$/);
  assert.equal(await well("ls", "-q"), "");
  const gone = await stack("rm", "shop");
  assert.deepEqual([gone.code, gone.stderr], [0, "Nothing found in stack: shop\n"]);
});
