/**
 * One side of the engine's benchmark: a daemon, and each measure taken of it. Edge: to processes and /proc.
 */
import { readdirSync, readFileSync } from "node:fs";
import { cpus } from "node:os";
import { performance } from "node:perf_hooks";
import { attempt } from "../test/support/lab/shell.js";
import type { EngineApi } from "./engine-api.js";
import { pause, until } from "./swarm-lab.js";

/** Jiffies of /proc/stat are of 10 ms on every Linux we meet. */
const JIFFY_MS = 10;

export interface EngineSide {
  readonly name: "skein" | "docker";
  readonly api: EngineApi;
  readonly netns: string;
  /** Of the daemon itself, containerd included. */
  readonly daemonPids: () => readonly number[];
  /** Whether a process is the per-container helper of this side. */
  readonly isHelper: (commandLine: string) => boolean;
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return performance.now() - startedAt;
}

export async function docker(side: EngineSide, args: readonly string[]): Promise<string> {
  const env = { ...process.env, DOCKER_HOST: `unix://${side.api.socketPath}`, DOCKER_API_VERSION: "1.41" };
  const { code, stdout, stderr } = await attempt("docker", args, { env, timeoutMs: 600_000 });
  if (code !== 0) throw new Error(`${side.name}: docker ${args.join(" ")} exited with ${code}: ${stderr}`);
  return stdout.trim();
}

export const runAndRemove = (side: EngineSide): Promise<number> =>
  timed(() => docker(side, ["run", "--rm", "box", "true"]));

/** The answer to start comes when the process runs. */
export async function createAndStart(side: EngineSide): Promise<number> {
  let id = "";
  const tookMs = await timed(async () => {
    id = await side.api.create(["sleep", "1000"]);
    await side.api.start(id);
  });
  await side.api.remove(id);
  return tookMs;
}

export async function manyAtOnce(side: EngineSide, count: number): Promise<number> {
  const ids: string[] = [];
  const one = async (): Promise<void> => {
    const id = await side.api.create(["sleep", "1000"]);
    ids.push(id);
    await side.api.start(id);
  };
  const tookMs = await timed(() => Promise.all(Array.from({ length: count }, one)));
  for (const id of ids) await side.api.remove(id);
  return tookMs;
}

/** CPU that the whole machine was busy, without this process. */
function busyMs(): number {
  const [, user = 0, nice = 0, system = 0, , , irq = 0, softIrq = 0] = (
    readFileSync("/proc/stat", "utf8").split("\n")[0] ?? ""
  )
    .split(/ +/)
    .map(Number);
  const own = process.cpuUsage();
  return (user + nice + system + irq + softIrq) * JIFFY_MS - (own.user + own.system) / 1000;
}

/** Create, start, end, remove: milliseconds of CPU for one. The machine must be idle else. */
export async function cpuPerLife(side: EngineSide, lives: number): Promise<number> {
  const before = busyMs();
  for (let i = 0; i < lives; i++) {
    const id = await side.api.create(["true"]);
    await side.api.start(id);
    await side.api.call("POST", `/containers/${id}/wait`);
    await side.api.remove(id);
  }
  await pause(500); // what the daemon does afterwards counts, too
  return (busyMs() - before) / lives;
}

export function memoryMb(pid: number, name: "Rss" | "Pss"): number {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  return Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(text)?.[1] ?? Number.NaN) / 1024;
}

function helpersOf(side: EngineSide): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        return side.isHelper(readFileSync(`/proc/${pid}/cmdline`, "utf8"));
      } catch {
        return false; // ended meanwhile
      }
    });
}

/** Proportional memory of the helpers, for one container. */
export async function helperMemory(side: EngineSide, count: number): Promise<number> {
  const ids: string[] = [];
  for (let i = 0; i < count; i++) {
    const id = await side.api.create(["sleep", "1000"]);
    ids.push(id);
    await side.api.start(id);
  }
  await pause(2_000);
  const total = helpersOf(side).reduce((sum, pid) => sum + memoryMb(pid, "Pss"), 0);
  for (const id of ids) await side.api.remove(id);
  return total / count;
}

export async function execTrue(side: EngineSide, id: string): Promise<number> {
  return await timed(async () => {
    const exec = await side.api.call("POST", `/containers/${id}/exec`, {
      Cmd: ["true"],
      AttachStdout: true,
      AttachStderr: true,
    });
    await side.api.runExec(String(exec["Id"]));
    const { ExitCode } = await side.api.call("GET", `/exec/${String(exec["Id"])}/json`);
    if (ExitCode !== 0) throw new Error(`${side.name}: exec ended with ${String(ExitCode)}`);
  });
}

/** Rate of one follower, in MB/s, from the container's start to the end of its log. */
export async function followLog(side: EngineSide, megabytes: number): Promise<number> {
  const line = "x".repeat(127);
  const bytes = megabytes * 2 ** 20;
  const id = await side.api.create(["sh", "-c", `yes ${line} | head -c ${bytes}`]);
  await side.api.start(id);
  let got = 0;
  const tookMs = await timed(async () => {
    got = await side.api.countFrames(`/containers/${id}/logs?follow=1&stdout=1&stderr=1`);
  });
  await side.api.remove(id);
  if (got !== bytes) throw new Error(`${side.name}: the follower got ${got} of ${bytes} bytes`);
  return bytes / 1e6 / (tookMs / 1000);
}

export async function pull(side: EngineSide, reference: string): Promise<number> {
  const tookMs = await timed(() => docker(side, ["pull", "-q", reference]));
  await docker(side, ["rmi", reference]);
  return tookMs;
}

/** Answers of /_ping while the daemon pulls: the longest, in milliseconds. Whatever holds its loop is in it. */
export async function longestPingOfPull(side: EngineSide, reference: string): Promise<number> {
  let pulling = true;
  const pulled = docker(side, ["pull", "-q", reference]).finally(() => {
    pulling = false;
  });
  let longestMs = 0;
  while (pulling) {
    longestMs = Math.max(longestMs, await timed(() => side.api.text("/_ping")));
    await pause(1);
  }
  await pulled;
  await docker(side, ["rmi", reference]);
  return longestMs;
}

/** Waits until the machine does nothing: clean-ups of the other side must not be measured. */
export async function quiet(): Promise<void> {
  let last = busyMs();
  await until(
    "a quiet machine",
    60_000,
    async () => {
      const now = busyMs();
      const busy = now - last;
      last = now;
      return busy < 0.05 * 250 * cpus().length;
    },
    250,
  );
}
