/**
 * What can go wrong with a deployment, on real hosts: an image that is not there, health that never comes, a
 * gate that fails, a secret that is missing, a port that is taken, a node that is lost, a manager that is
 * killed. Each ends on the last good revision, or the wanted one, and says why.
 */
import assert from "node:assert/strict";
import { request } from "node:http";
import { after, before, test } from "node:test";
import type { RevisionSummary, StackAccepted, StackState } from "../../proto/stack-api.js";
import { Lab } from "../support/lab/lab.js";
import type { LabHost } from "../support/lab/lab-host.js";
import {
  call,
  createService,
  dissolve,
  formSwarm,
  IMAGE,
  leader,
  messageIn,
  SLEEPER,
  until,
  untilNodes,
  untilRunning,
} from "../support/lab/lab-swarm.js";

const ROOT = "/skein/v1/stacks";
/** Nobody listens there: a pull is refused at once. */
const NO_IMAGE = "127.0.0.1:1/nothing:1";
const GUEST_PORT = 8_099;
/** Far more than any of it takes, also for a deployment: a loaded machine may need it. */
const PATIENCE_MS = 240_000;

let lab: Lab;
let asked: LabHost;

before(async () => {
  lab = await Lab.open({ hosts: 3, clients: 0 });
  await formSwarm(lab, { managers: 3 });
  asked = lab.host(1);
});

after(async () => {
  assert.deepEqual(await dissolve(lab), []);
});

interface ServiceWish {
  readonly image?: string;
  readonly command?: readonly string[];
  readonly env?: string;
  readonly replicas?: number;
  readonly job?: boolean;
  readonly health?: readonly string[];
  /** Failures of its check in a row until it is unhealthy. @default 1 */
  readonly retries?: number;
  readonly needs?: Readonly<Record<string, string>>;
  readonly secret?: string;
  readonly hostPort?: number;
}

function serviceBody(stack: string, key: string, wish: ServiceWish): object {
  const { image = IMAGE, command = SLEEPER, env = "", replicas = 1, job = false, needs = {} } = wish;
  const { health, secret, hostPort } = wish;
  return {
    Key: key,
    DependsOn: Object.entries(needs).map(([Service, Condition]) => ({ Service, Condition })),
    Spec: {
      Name: `${stack}_${key}`,
      TaskTemplate: {
        ContainerSpec: {
          Image: image,
          Command: command,
          Env: env === "" ? [] : [env],
          StopGracePeriod: 1e9,
          ...(health === undefined
            ? {}
            : { Healthcheck: { Test: health, Interval: 2e8, Timeout: 2e9, Retries: wish.retries ?? 1 } }),
          ...(secret === undefined ? {} : { Secrets: [{ SecretName: secret, File: { Name: secret } }] }),
        },
        RestartPolicy: job
          ? { Condition: "on-failure", MaxAttempts: 1, Delay: 0 }
          : { Condition: "any", Delay: 0 },
      },
      Mode: job
        ? { ReplicatedJob: { MaxConcurrent: 1, TotalCompletions: 1 } }
        : { Replicated: { Replicas: replicas } },
      ...(job
        ? {}
        : {
            UpdateConfig: { Parallelism: 1, Monitor: 3e8 },
            RollbackConfig: { Parallelism: 0, Monitor: 1e8 },
          }),
      ...(hostPort === undefined
        ? {}
        : {
            EndpointSpec: {
              Mode: "dnsrr",
              Ports: [{ TargetPort: 80, PublishedPort: hostPort, PublishMode: "host", Protocol: "tcp" }],
            },
          }),
    },
  };
}

type Wishes = Readonly<Record<string, ServiceWish>>;

function deployBody(stack: string, wishes: Wishes, timeoutMs: number): object {
  return {
    Services: Object.entries(wishes).map(([key, wish]) => serviceBody(stack, key, wish)),
    Timeout: timeoutMs,
    By: "drill",
  };
}

async function deploy(stack: string, wishes: Wishes, timeoutMs = PATIENCE_MS): Promise<StackAccepted> {
  return call(asked, "POST", `${ROOT}/${stack}`, deployBody(stack, wishes, timeoutMs));
}

/** The stack once its deployment has ended, whoever leads meanwhile. */
async function ended(stack: string): Promise<StackState> {
  let last = "";
  return until(
    `${stack} to come to its end`,
    PATIENCE_MS,
    async () => {
      // a manager that has just lost its leader may let a question time out
      const answer = await asked.api("GET", `${ROOT}/${stack}`).catch((error: unknown) => String(error));
      last = typeof answer === "string" ? answer : answer.body;
      if (typeof answer === "string") return undefined;
      const state = answer.json as StackState | undefined; // what the route answers
      return answer.status === 200 && state !== undefined && state.EndedAt !== "" ? state : undefined;
    },
    () => last,
  );
}

async function lines(stack: string): Promise<readonly StackState[]> {
  const text = await new Promise<string>((resolve, reject) => {
    const asking = request(
      { socketPath: asked.socketPath, path: `${ROOT}/${stack}/progress` },
      (response) => {
        let all = "";
        response.setEncoding("utf8");
        response.on("data", (part: string) => {
          all += part;
        });
        response.on("end", () => resolve(all));
        response.on("error", reject);
      },
    );
    asking.on("error", reject);
    asking.end();
  });
  return text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as StackState);
}

const GOOD: Wishes = { db: {}, web: { replicas: 2, needs: { db: "started" } } };

/** The good revision runs, and nobody has written what did not change. */
async function untouched(before: number): Promise<void> {
  assert.equal(await versionOf("shop_db"), before);
  await untilRunning(asked, "shop_web", 2);
}

/** Moves with each write of the service, and with nothing that happens to its tasks. */
async function versionOf(service: string): Promise<number> {
  const { Version } = await call<{ Version: { Index: number } }>(asked, "GET", `/services/${service}`);
  return Version.Index;
}

async function newest(stack: string): Promise<RevisionSummary | undefined> {
  return (await call<readonly RevisionSummary[]>(asked, "GET", `${ROOT}/${stack}/revisions`))[0];
}

test("a first deployment in order: the service that depends begins when the other runs", async () => {
  await deploy("shop", GOOD);
  const states = await lines("shop");
  assert.equal(states.at(-1)?.Phase, "reached", JSON.stringify(states.at(-1)));
  const [db] = await call<readonly { Status: { Timestamp: string } }[]>(
    asked,
    "GET",
    `/tasks?filters=${encodeURIComponent('{"service":["shop_db"]}')}`,
  );
  const web = await call<{ CreatedAt: string }>(asked, "GET", "/services/shop_web");
  // progress may be asked for when nothing waits any more: times tell
  const ranAtMs = Math.floor(Date.parse(db?.Status.Timestamp ?? ""));
  assert.ok(Date.parse(web.CreatedAt) >= ranAtMs, `${web.CreatedAt}, ${db?.Status.Timestamp}`);
});

test("a manager killed in the middle: the next leader goes on", async () => {
  const slow = ["sh", "-c", "sleep 2; touch /tmp/ok; while true; do sleep 1; done"];
  const health = ["CMD-SHELL", "test -e /tmp/ok"];
  const wishes = {
    db: { env: "V=2", command: slow, health, retries: 100 },
    web: { replicas: 2, env: "V=2", needs: { db: "healthy" } },
  };
  const leading = await leader(lab, asked);
  asked = lab.hosts.find((host) => host !== leading) ?? asked;
  await deploy("shop", wishes);
  leading.killManager();
  const state = await ended("shop");
  assert.equal(state.Phase, "reached", state.Failure);
  await untilRunning(asked, "shop_web", 2);
  assert.equal((await newest("shop"))?.Outcome, "good");
  await untilNodes(asked, "all managers back", (all) =>
    all.every((node) => node.ManagerStatus?.Reachability === "reachable"),
  );
});

test("a node lost in the middle: its tasks go elsewhere, and the stack ends on its revision", async () => {
  const lost = lab.hosts.find((host) => host !== asked) ?? lab.host(3);
  await deploy("shop", { db: { env: "V=4" }, web: { replicas: 4, env: "V=4", needs: { db: "started" } } });
  await lost.killHost();
  const state = await ended("shop");
  assert.equal(state.Phase, "reached", state.Failure);
  await untilRunning(asked, "shop_web", 4);
  await lost.start();
  await untilNodes(asked, "all nodes back", (all) => all.every((node) => node.Status.State === "ready"));
  await deploy("shop", GOOD);
  assert.equal((await ended("shop")).Phase, "reached");
});

test("a port that another service has on all nodes is asked for; how that ends is told below", async () => {
  await Promise.all([1, 2, 3].map((number) => guest(number)));
  await deploy("ports", { web: {} });
  assert.equal((await ended("ports")).Phase, "reached");
  await deploy("ports", { web: {}, front: { hostPort: GUEST_PORT } });
});

async function guest(number: number): Promise<void> {
  const Ports = { TargetPort: 80, PublishedPort: GUEST_PORT, PublishMode: "host", Protocol: "tcp" };
  await createService(asked, {
    name: `guest${number}`,
    constraints: [`node.hostname==host${number}`],
    ports: [Ports],
  });
  await untilRunning(asked, `guest${number}`, 1);
}

test("an image that is not there: back to the good revision, with the task's error", async () => {
  const db = await versionOf("shop_db");
  await deploy("shop", { ...GOOD, web: { ...GOOD["web"], image: NO_IMAGE } });
  const state = await ended("shop");
  assert.equal(state.Phase, "went back", state.Failure);
  assert.match(state.Failure, /^service web: .*127\.0\.0\.1:1.*going back to revision \d+$/);
  await untouched(db);
  const revision = await newest("shop");
  assert.equal(revision?.Outcome, "failed");
  assert.equal(revision?.Failure, state.Failure);
});

test("health that never comes: back, with the check's words", async () => {
  const db = await versionOf("shop_db");
  const health = ["CMD-SHELL", "echo not today; exit 1"];
  await deploy("shop", { ...GOOD, web: { ...GOOD["web"], health } });
  const state = await ended("shop");
  assert.equal(state.Phase, "went back", state.Failure);
  assert.match(state.Failure, /^service web: .*(unhealthy|not today).*going back to revision \d+$/);
  await untouched(db);
});

test("a gate job that fails: who depends on it is never begun, and the job is gone again", async () => {
  const db = await versionOf("shop_db");
  const web = await versionOf("shop_web");
  await deploy("shop", {
    ...GOOD,
    migrate: { job: true, command: ["sh", "-c", "exit 3"], needs: { db: "started" } },
    web: { ...GOOD["web"], env: "V=2", needs: { migrate: "completed" } },
  });
  const state = await ended("shop");
  assert.equal(state.Phase, "went back", state.Failure);
  assert.match(state.Failure, /^service migrate: task shop_migrate on host\d failed 2 times: .*3/);
  await untouched(db);
  assert.equal(await versionOf("shop_web"), web);
  assert.equal((await asked.api("GET", "/services/shop_migrate")).status, 404);
});

test("a secret that is missing: refused at once, and nothing changes", async () => {
  const before = await newest("shop");
  const body = { ...deployBody("shop", { ...GOOD, web: { secret: "shop_key" } }, 60_000) };
  const external = [{ Key: "key", External: true, Spec: { Name: "shop_key" } }];
  const answer = await asked.api("POST", `${ROOT}/shop`, { ...body, Secrets: external });
  assert.equal(answer.status, 400);
  assert.match(messageIn(answer), /external secret shop_key is not there/);
  assert.deepEqual(await newest("shop"), before);
});

test("the port that was taken: back to the good revision, and why", async () => {
  const state = await ended("ports");
  assert.equal(state.Phase, "went back", state.Failure);
  assert.match(state.Failure, /^service front: task ports_front\.1 has no place: .*port/);
  assert.equal((await asked.api("GET", "/services/ports_front")).status, 404);
  await untilRunning(asked, "ports_web", 1);
});

test("a removed stack leaves nothing, also when docker removes it", async () => {
  await call(asked, "DELETE", `${ROOT}/shop`);
  const removed = await asked.docker(["stack", "rm", "ports"]);
  assert.equal(removed.code, 0, removed.stderr);
  for (const stack of ["shop", "ports"])
    await until(`${stack} to be gone`, PATIENCE_MS, async () =>
      (await asked.api("GET", `${ROOT}/${stack}`)).status === 404 ? true : undefined,
    );
  for (const number of [1, 2, 3]) await call(asked, "DELETE", `/services/guest${number}`);
});
