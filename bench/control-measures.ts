/**
 * What is measured of a swarm through its API, the same way of each side. Edge: to the daemons.
 * Tasks are polled every 20 ms through a manager that stays up.
 */
import { performance } from "node:perf_hooks";
import { IMAGE, type SwarmHost, type SwarmSide, untilReady } from "./control-side.js";
import type { Json } from "./engine-api.js";
import { IDLE_ARGS, pause, until } from "./swarm-lab.js";

const POLL_MS = 20;
const PATIENCE_MS = 120_000;
export const NETWORK = "bench";

function manager(side: SwarmSide): SwarmHost {
  const [first] = side.hosts;
  if (first === undefined) throw new Error("a side needs a host");
  return first;
}

async function tasks(side: SwarmSide, service: string): Promise<readonly Json[]> {
  const filters = encodeURIComponent(JSON.stringify({ service: [service] }));
  return (await manager(side).api.call("GET", `/tasks?filters=${filters}`)) as unknown as readonly Json[]; // an array
}

const stateOf = (task: Json): unknown => (task["Status"] as Json)["State"];

async function running(side: SwarmSide, service: string): Promise<readonly Json[]> {
  const all = await tasks(side, service);
  return all.filter((task) => stateOf(task) === "running" && task["DesiredState"] === "running");
}

async function untilRunning(side: SwarmSide, service: string, count: number): Promise<void> {
  await until(
    `${side.name}: ${count} running tasks of ${service}`,
    PATIENCE_MS,
    async () => (await running(side, service)).length === count,
    POLL_MS,
  );
}

export interface ServiceOptions {
  readonly replicas: number;
  readonly network?: boolean;
  readonly constraint?: string;
}

function specification(name: string, { replicas, network = true, constraint }: ServiceOptions): Json {
  return {
    Name: name,
    TaskTemplate: {
      ContainerSpec: { Image: IMAGE, Args: IDLE_ARGS },
      RestartPolicy: { Condition: "any", Delay: 0 },
      ...(network ? { Networks: [{ Target: NETWORK }] } : {}),
      ...(constraint === undefined ? {} : { Placement: { Constraints: [constraint] } }),
    },
    Mode: { Replicated: { Replicas: replicas } },
    UpdateConfig: { Parallelism: 1, Monitor: 1_000_000, Order: "stop-first" },
  };
}

export async function createNetwork(side: SwarmSide): Promise<void> {
  await manager(side).api.call("POST", "/networks/create", {
    Name: NETWORK,
    Driver: "overlay",
    CheckDuplicate: true,
  });
}

async function create(side: SwarmSide, name: string, options: ServiceOptions): Promise<void> {
  await manager(side).api.call("POST", "/services/create", specification(name, options));
}

async function update(side: SwarmSide, name: string, change: (spec: Json) => Json): Promise<void> {
  const { api } = manager(side);
  const service = await api.call("GET", `/services/${name}`);
  const version = String((service["Version"] as Json)["Index"]);
  await api.call("POST", `/services/${name}/update?version=${version}`, change(service["Spec"] as Json));
}

async function containers(host: SwarmHost): Promise<number> {
  return ((await host.api.call("GET", "/containers/json?all=1")) as unknown as readonly Json[]).length;
}

async function untilContainers(side: SwarmSide, count: number, patienceMs = PATIENCE_MS): Promise<void> {
  await until(
    `${side.name}: ${count} containers`,
    patienceMs,
    async () => (await Promise.all(side.hosts.map(containers))).reduce((a, b) => a + b, 0) === count,
    POLL_MS,
  );
}

export async function removeService(side: SwarmSide, name: string): Promise<void> {
  await manager(side).api.call("DELETE", `/services/${name}`);
  await untilContainers(side, 0);
  await pause(300);
}

async function timed(work: () => Promise<void>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return performance.now() - startedAt;
}

/** Milliseconds from the request to all replicas running. */
export async function createToRunning(side: SwarmSide, options: ServiceOptions): Promise<number> {
  const tookMs = await timed(async () => {
    await create(side, "made", options);
    await untilRunning(side, "made", options.replicas);
  });
  await removeService(side, "made");
  return tookMs;
}

/** Milliseconds from the request until the other containers are removed from their hosts. */
export async function scaleDown(side: SwarmSide, from: number): Promise<number> {
  await create(side, "scaled", { replicas: from });
  await untilRunning(side, "scaled", from);
  const history = { Mode: { Replicated: { Replicas: 1 } } };
  const tookMs = await timed(async () => {
    await update(side, "scaled", (spec) => ({ ...spec, ...history }));
    await untilContainers(side, 1);
  });
  await removeService(side, "scaled");
  return tookMs;
}

/** Milliseconds from kill -9 of the only task's process until its successor runs. */
export async function replaceKilled(side: SwarmSide): Promise<number> {
  await create(side, "killed", { replicas: 1 });
  await untilRunning(side, "killed", 1);
  await pause(1_000);
  const [before] = await running(side, "killed");
  const status = (before?.["Status"] ?? {}) as Json;
  const pid = Number(((status["ContainerStatus"] ?? {}) as Json)["PID"]);
  if (!(pid > 1)) throw new Error(`${side.name}: the task has no process`);
  const tookMs = await timed(async () => {
    process.kill(pid, "SIGKILL");
    await until(
      `${side.name}: a successor`,
      PATIENCE_MS,
      async () => (await running(side, "killed")).some((task) => task["ID"] !== before?.["ID"]),
      POLL_MS,
    );
  });
  await removeService(side, "killed");
  return tookMs;
}

/** Milliseconds from the update request until its status is completed. */
export async function rollingUpdate(side: SwarmSide, replicas: number): Promise<number> {
  await create(side, "rolled", { replicas });
  await untilRunning(side, "rolled", replicas);
  await pause(500);
  const tookMs = await timed(async () => {
    await update(side, "rolled", (spec) => {
      const template = spec["TaskTemplate"] as Json;
      const container = template["ContainerSpec"] as Json;
      return { ...spec, TaskTemplate: { ...template, ContainerSpec: { ...container, Env: ["A=b"] } } };
    });
    await until(
      `${side.name}: the update is completed`,
      PATIENCE_MS,
      async () => {
        const service = await manager(side).api.call("GET", "/services/rolled");
        return ((service["UpdateStatus"] ?? {}) as Json)["State"] === "completed";
      },
      POLL_MS,
    );
  });
  await removeService(side, "rolled");
  return tookMs;
}

/**
 * Milliseconds from the loss of a worker until its tasks run elsewhere. The other worker takes them: the
 * service is kept off the manager, as its host carries the measurement.
 */
export async function loseNode(side: SwarmSide, how: "killed" | "cut off"): Promise<number> {
  const replicas = 4;
  await create(side, "lost", { replicas, constraint: "node.role == worker" });
  await untilRunning(side, "lost", replicas);
  await pause(1_000);
  const victim = side.hosts[2];
  const self = await victim?.api.call("GET", "/info");
  const victimId = ((self?.["Swarm"] ?? {}) as Json)["NodeID"];
  if (victim === undefined || typeof victimId !== "string")
    throw new Error(`${side.name}: no worker to lose`);
  const tookMs = await timed(async () => {
    await (how === "killed" ? victim.kill() : victim.cut());
    await until(
      `${side.name}: ${replicas} tasks elsewhere`,
      PATIENCE_MS,
      async () =>
        (await running(side, "lost")).filter((task) => task["NodeID"] !== victimId).length === replicas,
      POLL_MS,
    );
  });
  await (how === "killed" ? victim.revive() : victim.heal());
  await untilReady(manager(side), side.hosts.length);
  await removeService(side, "lost");
  return tookMs;
}
