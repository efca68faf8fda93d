/**
 * Stacks over HTTP in a lab, with the stock client beside: deployed, changed, compared, taken back, pruned,
 * removed; what docker changes becomes a revision. Two managers, asked in turn.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type {
  RevisionSummary,
  StackAccepted,
  StackChange,
  StackPlan,
  StackState,
} from "../../proto/stack-api.js";
import { Lab } from "../support/lab/lab.js";
import type { LabHost } from "../support/lab/lab-host.js";
import { must } from "../support/lab/lab-services.js";
import {
  call,
  dissolve,
  formSwarm,
  IMAGE,
  leader,
  messageIn,
  SLEEPER,
  tasks,
  until,
} from "../support/lab/lab-swarm.js";

const ROOT = "/skein/v1/stacks";
/** Far more than any of it takes; a loaded machine may need it. */
const PATIENCE_MS = 90_000;

let lab: Lab;
let folder: string;
let first: LabHost;
let second: LabHost;

before(async () => {
  lab = await Lab.open({ hosts: 2, clients: 0 });
  await formSwarm(lab, { managers: 2 });
  folder = mkdtempSync(join(lab.dir, "files-"));
  first = lab.host(1);
  second = lab.host(2);
});

after(async () => {
  rmSync(folder, { recursive: true, force: true });
  assert.deepEqual(await dissolve(lab), []);
});

const NAMED = (name: string): Record<string, unknown> => ({
  Name: `shop_${name}`,
  Labels: { "com.docker.stack.namespace": "shop" },
});

interface Wish {
  readonly env?: readonly string[];
  readonly secret?: string;
  readonly replicas?: number;
  readonly without?: string;
  readonly prune?: boolean;
}

function service(
  key: string,
  spec: { readonly env?: readonly string[]; readonly replicas?: number },
): object {
  return {
    Key: key,
    DependsOn: key === "web" ? [{ Service: "db", Condition: "started", Required: false }] : [],
    Spec: {
      ...NAMED(key),
      TaskTemplate: {
        ContainerSpec: {
          Image: IMAGE,
          Command: SLEEPER,
          Env: spec.env ?? [],
          StopGracePeriod: 1e9,
          Secrets: [{ SecretName: "shop_key", File: { Name: "key", UID: "0", GID: "0", Mode: 0o444 } }],
        },
        Networks: [{ Target: "shop_default", Aliases: [key] }],
        RestartPolicy: { Condition: "any", Delay: 0 },
      },
      Mode: { Replicated: { Replicas: spec.replicas ?? 1 } },
      UpdateConfig: { Parallelism: 0, Monitor: 1e6 },
      RollbackConfig: { Parallelism: 0, Monitor: 1e6 },
    },
  };
}

function body({ env = [], secret = "one", replicas = 1, without = "", prune = false }: Wish = {}): object {
  const services = [service("db", {}), service("web", { env, replicas })];
  return {
    Networks: [{ Key: "default", Spec: { ...NAMED("default"), Driver: "overlay" } }],
    Secrets: [{ Key: "key", Spec: { ...NAMED("key"), Data: Buffer.from(secret).toString("base64") } }],
    Services: services.filter((one) => (one as { Key: string }).Key !== without),
    Prune: prune,
    By: "anna@host1",
  };
}

/** The lines of a stack's progress, until the server ends them. */
function progress(host: LabHost, name: string): Promise<readonly StackState[]> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath: host.socketPath, path: `${ROOT}/${name}/progress` }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (part: string) => {
        text += part;
      });
      response.on("end", () =>
        resolve(
          text
            .trim()
            .split("\n")
            .map((line) => JSON.parse(line) as StackState),
        ),
      );
      response.on("error", reject);
    });
    call.on("error", reject);
    call.end();
  });
}

async function deploy(host: LabHost, wish: Wish = {}): Promise<StackAccepted> {
  return call<StackAccepted>(host, "POST", `${ROOT}/shop`, body(wish));
}

async function ended(host: LabHost, phase: string): Promise<StackState> {
  const lines = await progress(host, "shop");
  const last = lines.at(-1);
  assert.equal(last?.Phase, phase, JSON.stringify(lines.slice(-3)));
  return last;
}

const history = (host: LabHost): Promise<readonly RevisionSummary[]> =>
  call(host, "GET", `${ROOT}/shop/revisions`);

async function taskIds(name: string): Promise<readonly string[]> {
  const all = await tasks(first, name);
  return all.map(({ ID }) => ID).sort();
}

/** What the containers of web have as their key comes to be this; those just replaced may still be there. */
async function untilKeys(wanted: readonly string[]): Promise<void> {
  let last: readonly string[] = [];
  const read = async (host: LabHost): Promise<readonly string[]> => {
    const ids = await must(host.docker(["ps", "-q", "--filter", "name=shop_web"]));
    const found: string[] = [];
    for (const id of ids.split("\n").filter(Boolean)) {
      const { code, stdout } = await host.docker(["exec", id, "cat", "/run/secrets/key"]);
      if (code === 0) found.push(stdout.trim());
    }
    return found;
  };
  await until(
    `web has ${wanted.join()}`,
    PATIENCE_MS,
    async () => {
      last = (await Promise.all(lab.hosts.map(read))).flat();
      return last.join() === wanted.join() || undefined;
    },
    () => last.join(),
  );
}

test("a definition with faults changes nothing, and all of them are told", async () => {
  const wrong = {
    ...body(),
    Services: [service("web", {}), { Key: "odd", Spec: { Name: "odd one", TaskTemplate: {} } }],
    Configs: [{ Key: "page", External: true, Spec: { Name: "nowhere" } }],
  };
  const answer = await first.api("POST", `${ROOT}/shop`, wrong);
  assert.equal(answer.status, 400);
  assert.deepEqual(messageIn(answer).split("\n"), [
    "config page: external config nowhere is not there: create it first, or name another",
    'service odd: name must be valid as a DNS name component, got "odd one"',
    "service odd: ContainerSpec: image reference must be provided",
  ]);
  assert.equal((await second.api("GET", `${ROOT}/shop`)).status, 404);
  assert.deepEqual(await call(first, "GET", "/secrets"), []);
});

test("a stack is deployed as one, and the same again touches no task", async () => {
  const plan = await call<StackPlan>(second, "POST", `${ROOT}/shop/plan`, body());
  assert.deepEqual(
    plan.Changes.map(({ Kind, Key, Action }) => `${Action} ${Kind} ${Key}`),
    ["add network default", "add secret key", "add service db", "add service web"],
  );
  assert.equal(plan.Fits, true);
  const accepted = await deploy(second);
  assert.deepEqual(accepted, { Name: "shop", Revision: 1, Changed: true, Warnings: [] });
  const state = await ended(first, "reached");
  assert.deepEqual(
    state.Services.map(({ Key, Running, Desired, State }) => [Key, Running, Desired, State]),
    [
      ["db", 1, 1, "reached"],
      ["web", 1, 1, "reached"],
    ],
  );
  const before = [await taskIds("shop_web"), await taskIds("shop_db")];
  assert.deepEqual(await deploy(first), { Name: "shop", Revision: 1, Changed: false, Warnings: [] });
  assert.deepEqual([await taskIds("shop_web"), await taskIds("shop_db")], before);
  assert.match(await must(first.docker(["stack", "ls"])), /^shop +2/m);
});

test("a change rolls what it concerns; history, differences, and the way back", async () => {
  const db = await taskIds("shop_db");
  const wish = { env: ["MODE=fast"], replicas: 2 };
  const plan = await call<StackPlan>(first, "POST", `${ROOT}/shop/plan`, body(wish));
  assert.deepEqual(
    plan.Changes.flatMap(linesOf),
    [
      "web environment.MODE: - to fast",
      "web deploy.replicas: 1 to 2",
      "web restarts: tasks are replaced: variable MODE",
    ].sort(),
  );
  await deploy(first, wish);
  await ended(second, "reached");
  assert.deepEqual(await taskIds("shop_db"), db);
  assert.equal((await deploy(second, { ...wish, secret: "two" })).Revision, 3);
  await ended(second, "reached");
  await untilKeys(["two", "two"]);
  const told = await history(second);
  assert.deepEqual(
    told.map((one) => [one.Number, one.By, one.Outcome, one.Origin, one.Changes, one.Files]),
    [
      [
        3,
        "anna@host1",
        "good",
        "deploy",
        "services: db changed (secret shop_key version 2), web changed (secret shop_key version 2); " +
          "secret: key changed (version 1 to 2)",
        { "secret shop_key": 2 },
      ],
      [
        2,
        "anna@host1",
        "good",
        "deploy",
        "service: web changed (variable MODE, replicas 1 to 2)",
        { "secret shop_key": 1 },
      ],
      [
        1,
        "anna@host1",
        "good",
        "deploy",
        "new: services: db, web; network: default; secret: key",
        { "secret shop_key": 1 },
      ],
    ],
  );
  assert.doesNotMatch(JSON.stringify(await call(first, "GET", `${ROOT}/shop/revisions/3`)), /dHdv|"two"/);
  const { Changes } = await call<{ Changes: StackChange[] }>(first, "GET", `${ROOT}/shop/diff?from=1&to=3`);
  assert.deepEqual(Changes.flatMap(linesOf), [
    "key data: version 1 to version 2",
    "db restarts: tasks are replaced: secret shop_key version 2",
    "db secrets.shop_key: version 1 to version 2",
    "web deploy.replicas: 1 to 2",
    "web environment.MODE: - to fast",
    "web restarts: tasks are replaced: variable MODE, secret shop_key version 2",
    "web secrets.shop_key: version 1 to version 2",
  ]);
  const undone = await call<StackAccepted>(second, "POST", `${ROOT}/shop/rollback`, { By: "bob" });
  assert.deepEqual([undone.Revision, undone.Changed], [4, true]);
  await ended(first, "reached");
  await untilKeys(["one", "one"]);
  const back = await call<StackAccepted>(first, "POST", `${ROOT}/shop/rollback`, { Revision: 1 });
  assert.equal(back.Revision, 5);
  await ended(second, "reached");
  const [newest] = await history(first);
  assert.deepEqual([newest?.Origin, newest?.Restores, newest?.By], ["rollback", 1, ""]);
  assert.equal((await tasks(first, "shop_web")).filter((task) => task.DesiredState === "running").length, 1);
});

test("what the stock client changes is a revision, and drift until then", async () => {
  await must(first.docker(["service", "update", "--quiet", "--env-add", "BY=hand", "shop_web"]));
  const drift = await call<{ Changes: StackChange[] }>(second, "GET", `${ROOT}/shop/diff?from=5&to=0`);
  assert.deepEqual(drift.Changes.flatMap(linesOf), [
    "web environment.BY: - to hand",
    "web restarts: tasks are replaced: variable BY",
  ]);
  const observed = await until("the update is a revision", PATIENCE_MS, async () =>
    (await history(second)).find((one) => one.Number === 6),
  );
  assert.deepEqual(
    [observed.Origin, observed.Outcome, observed.Changes],
    ["observed", "good", "service: web changed (variable BY)"],
  );
  assert.equal((await call<StackAccepted>(first, "POST", `${ROOT}/shop/rollback`, {})).Revision, 7);
  await ended(first, "reached");
});

test("progress is told to its end though the leading manager is killed in the middle", async () => {
  await deploy(second, { env: ["MODE=slow"], replicas: 2 });
  const told = [progress(first, "shop"), progress(second, "shop")];
  (await leader(lab, second)).killManager();
  for (const lines of await Promise.all(told)) {
    const last = lines.at(-1);
    assert.equal(last?.Phase, "reached", JSON.stringify(lines.slice(-3)));
    assert.equal(last?.Services.find(({ Key }) => Key === "web")?.Running, 2);
  }
});

test("what a definition lacks stays with a warning, and goes with prune", async () => {
  const kept = await deploy(first, { without: "db" });
  assert.deepEqual(kept.Warnings, ["not in the definition, and left as it is: service shop_db"]);
  await ended(first, "reached");
  assert.equal((await first.api("GET", "/services/shop_db")).status, 200);
  const pruned = await deploy(second, { without: "db", prune: true });
  assert.equal(pruned.Changed, true);
  await ended(first, "reached");
  assert.equal((await first.api("GET", "/services/shop_db")).status, 404);
  assert.equal((await deploy(second, { without: "db", prune: true })).Changed, false);
});

test("a removed stack is gone with all it had, and its progress says so", async () => {
  assert.equal((await second.api("DELETE", `${ROOT}/shop`)).status, 204);
  const lines = await progress(first, "shop").catch(() => []);
  if (lines.length > 0) assert.equal(lines.at(-1)?.Gone, true, JSON.stringify(lines.at(-1)));
  await until("the stack is gone", PATIENCE_MS, async () =>
    (await first.api("GET", `${ROOT}/shop`)).status === 404 ? true : undefined,
  );
  for (const path of ["/services", "/secrets"]) assert.deepEqual(await call(first, "GET", path), []);
  const networks = await call<readonly { Name: string }[]>(first, "GET", "/networks");
  assert.ok(!networks.some(({ Name }) => Name.startsWith("shop_")));
});

test("a stack of the stock client has revisions, edited secrets work, and goes with docker stack rm", async () => {
  const compose = join(folder, "compose.yml");
  const command = JSON.stringify(SLEEPER.map((word) => word.split("$").join("$$")));
  const write = (secret: string): void => {
    writeFileSync(join(folder, "key.txt"), secret);
    writeFileSync(
      compose,
      `services:
  app:
    image: ${IMAGE}
    command: ${command}
    secrets: [key]
    configs: [{source: page, target: /page}]
    deploy: {update_config: {monitor: 1ms}}
secrets:
  key: {file: ./key.txt}
configs:
  page: {file: ./key.txt}
`,
    );
  };
  write("first");
  await must(first.docker(["stack", "deploy", "--detach=true", "-c", compose, "stock"]));
  const revisions = async (): Promise<readonly RevisionSummary[]> => {
    const answer = await second.api("GET", `${ROOT}/stock/revisions`);
    return answer.status === 200 ? (answer.json as readonly RevisionSummary[]) : [];
  };
  await until("the stack has a revision", PATIENCE_MS, async () =>
    (await revisions()).some((one) => one.Number === 1) ? true : undefined,
  );
  write("second");
  await must(second.docker(["stack", "deploy", "--detach=true", "-c", compose, "stock"]));
  const newest = await until("the edited secret is a revision", PATIENCE_MS, async () =>
    (await revisions()).find(
      ({ Files }) => Files["secret stock_key"] === 2 && Files["config stock_page"] === 2,
    ),
  );
  assert.equal(newest.Origin, "observed");
  await must(first.docker(["stack", "rm", "stock"]));
  await until("the stack is gone", PATIENCE_MS, async () =>
    (await second.api("GET", `${ROOT}/stock`)).status === 404 ? true : undefined,
  );
});

function linesOf({ Key, Fields, RestartsTasks, Reason }: StackChange): string[] {
  const fields = Fields.map(
    ({ Path, Before, After }) => `${Key} ${Path}: ${Before || "-"} to ${After || "-"}`,
  );
  return [...fields, ...(RestartsTasks ? [`${Key} restarts: ${Reason}`] : [])].sort();
}
