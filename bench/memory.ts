/**
 * Question: what do the daemons cost when idle, and what does a container cost beyond its own processes?
 * Resident memory (Rss) of skeind + manager on a one-node swarm and of skeind on a worker; proportional
 * memory (Pss) of conmon and of the daemon's growth per container. Command: npm run bench -- memory.
 * Edge: to the lab and /proc.
 */
import { readdirSync, readFileSync } from "node:fs";
import type { LabHost } from "../test/support/lab/lab-host.js";
import { report } from "./report.js";
import { ask, IDLE_ARGS, openSwarm, pause, until } from "./swarm-lab.js";

const SETTLE_MS = 20_000;
const SAMPLES = 5;
const CONTAINERS = 20;

function field(pid: number, name: "Rss" | "Pss"): number {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  return Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(text)?.[1] ?? Number.NaN) / 1024;
}

async function sampled(read: () => number): Promise<number[]> {
  const values: number[] = [];
  for (let i = 0; i < SAMPLES; i++) {
    values.push(read());
    await pause(1_000);
  }
  return values;
}

const pidOf = (host: LabHost): number => {
  if (host.daemonPid === undefined) throw new Error(`${host.name} is down`);
  return host.daemonPid;
};

function monitors(host: LabHost): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const line = readFileSync(`/proc/${pid}/cmdline`, "utf8");
        return line.startsWith("/usr/bin/conmon") && line.includes(`${host.dir}/`);
      } catch {
        return false; // ended meanwhile
      }
    });
}

export async function run(): Promise<void> {
  const lab = await openSwarm({ managers: 1, workers: 1 });
  try {
    const [manager, worker] = [lab.host(1), lab.host(2)];
    await pause(SETTLE_MS);
    const one = await sampled(
      () =>
        field(pidOf(manager), "Rss") + manager.managerPids().reduce((sum, pid) => sum + field(pid, "Rss"), 0),
    );
    const workerOnly = await sampled(() => field(pidOf(worker), "Rss"));
    const before = field(pidOf(worker), "Pss");
    await ask(
      manager,
      "POST",
      "/services/create",
      {
        Name: "many",
        TaskTemplate: {
          ContainerSpec: { Image: "skein-hello:latest", Args: IDLE_ARGS },
          Placement: { Constraints: ["node.role==worker"] },
        },
        Mode: { Replicated: { Replicas: CONTAINERS } },
      },
      201,
    );
    await until(
      "all containers",
      60_000,
      async () =>
        ((await ask(worker, "GET", "/containers/json")) as unknown as unknown[]).length === CONTAINERS,
    );
    await pause(SETTLE_MS);
    const perContainer = await sampled(() => {
      const own = monitors(worker).reduce((sum, pid) => sum + field(pid, "Pss"), 0);
      return (own + Math.max(0, field(pidOf(worker), "Pss") - before)) / CONTAINERS;
    });
    report("memory", [
      { name: "skeind + manager idle on a one-node swarm, RSS", unit: "MB", values: one, goal: 130 },
      { name: "skeind idle on a worker-only node, RSS", unit: "MB", values: workerOnly, goal: 75 },
      { name: "per container beyond its own processes, PSS", unit: "MB", values: perContainer, goal: 1.5 },
    ]);
  } finally {
    const left = await lab.close();
    if (left.length > 0) console.error(`left behind: ${left.join(", ")}`);
  }
}
