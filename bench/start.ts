/**
 * Question: how long from POST /services/create until all tasks run,
 * on three hosts with an overlay? And one container by our container manager, beside `crun run` alone?
 * Command: npm run bench -- start. Tasks are polled every 20 ms, as the peers were measured.
 * Edge: to the lab.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import type { LabHost } from "../test/support/lab/lab-host.js";
import { openContainerLab } from "../worker/containers/container-lab.js";
import { report, type Sample } from "./report.js";
import { ask, IDLE_ARGS, type JsonRecord, openSwarm, pause, until } from "./swarm-lab.js";

const ROUNDS = 7;
const POLL_MS = 20;

async function tasksOf(host: LabHost, name: string): Promise<JsonRecord[]> {
  const filters = encodeURIComponent(JSON.stringify({ service: [name], "desired-state": ["running"] }));
  // the listing is an array
  return (await ask(host, "GET", `/tasks?filters=${filters}`)) as unknown as JsonRecord[];
}

async function startService(host: LabHost, replicas: number, network: string | undefined): Promise<number> {
  const name = `bench${replicas}`;
  const startedAt = performance.now();
  await ask(
    host,
    "POST",
    "/services/create",
    {
      Name: name,
      TaskTemplate: {
        ContainerSpec: { Image: "skein-hello:latest", Args: IDLE_ARGS },
        ...(network === undefined ? {} : { Networks: [{ Target: network }] }),
      },
      Mode: { Replicated: { Replicas: replicas } },
    },
    201,
  );
  await until(
    `${replicas} running tasks`,
    60_000,
    async () =>
      (await tasksOf(host, name)).filter((task) => (task["Status"] as JsonRecord)["State"] === "running")
        .length === replicas,
    POLL_MS,
  );
  const tookMs = performance.now() - startedAt;
  await ask(host, "DELETE", `/services/${name}`);
  return tookMs;
}

async function quiet(hosts: readonly LabHost[]): Promise<void> {
  await until("no container left", 60_000, async () => {
    const lists = await Promise.all(hosts.map((host) => ask(host, "GET", "/containers/json?all=1")));
    return lists.every((list) => (list as unknown as unknown[]).length === 0);
  });
  await pause(300);
}

/** `crun run` of /bin/true in a new bundle without network set-up: what the bare runtime costs. */
function crunAlone(rounds: number): number[] {
  const dir = mkdtempSync("/tmp/skein-bench-");
  try {
    mkdirSync(join(dir, "rootfs", "bin"), { recursive: true });
    for (const folder of ["proc", "sys", "dev"]) mkdirSync(join(dir, "rootfs", folder));
    execFileSync("cp", ["/bin/busybox", join(dir, "rootfs", "bin", "true")]);
    execFileSync("crun", ["spec"], { cwd: dir });
    const spec = JSON.parse(
      execFileSync("cat", [join(dir, "config.json")], { encoding: "utf8" }),
    ) as JsonRecord;
    const spawned = {
      ...spec,
      process: { ...(spec["process"] as JsonRecord), args: ["true"], terminal: false },
    };
    const linux = { ...(spec["linux"] as JsonRecord), cgroupsPath: "/skein-bench" };
    writeFileSync(join(dir, "config.json"), JSON.stringify({ ...spawned, linux }));
    return Array.from({ length: rounds }, () => {
      const startedAt = performance.now();
      // On a hybrid cgroup host crun refuses the unified hierarchy: it is hidden, as the daemon does it.
      const crun = `exec crun run --bundle ${dir} skein-bench-${process.pid}`;
      const command = `umount /sys/fs/cgroup/unified 2>/dev/null; ${crun}`;
      execFileSync("unshare", ["-m", "sh", "-c", command], { stdio: "ignore" });
      return performance.now() - startedAt;
    });
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/**
 * Create and start by our container manager, until the container's process runs; seccomp and cgroup included.
 */
async function oneContainer(rounds: number): Promise<number[]> {
  const lab = await openContainerLab();
  try {
    const values: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const startedAt = performance.now();
      const { id } = await lab.manager.create(lab.spec({ args: [...IDLE_ARGS] }));
      await lab.manager.start(id);
      values.push(performance.now() - startedAt);
      await lab.manager.remove(id, { force: true });
      await pause(50);
    }
    return values.slice(2); // the first ones warm the code
  } finally {
    await lab.close();
  }
}

export async function run(): Promise<void> {
  const lab = await openSwarm({ managers: 3 });
  const samples: Sample[] = [];
  try {
    const host = lab.host(1);
    await ask(host, "POST", "/networks/create", { Name: "bench", Driver: "overlay" }, 201);
    await startService(host, 3, "bench"); // warm: code, image, overlay
    await quiet(lab.hosts);
    for (const [label, network] of [
      ["overlay", "bench"],
      ["no network", undefined],
    ] as const) {
      for (const replicas of [1, 10, 30]) {
        const values: number[] = [];
        for (let round = 0; round < ROUNDS; round++) {
          values.push(await startService(host, replicas, network));
          await quiet(lab.hosts);
        }
        const goal = network === undefined ? undefined : { 1: 200, 30: 2_500 }[replicas];
        samples.push({
          name: `service create of ${replicas} replicas to all running (${label})`,
          unit: "ms",
          values,
          ...(goal === undefined ? {} : { goal }),
        });
      }
    }
  } finally {
    const left = await lab.close();
    if (left.length > 0) console.error(`left behind: ${left.join(", ")}`);
  }
  samples.push({
    name: "one container, create and start by the container manager (no network)",
    unit: "ms",
    values: await oneContainer(22),
  });
  samples.push({
    name: "crun run of true alone (create, start, delete; with unshare)",
    unit: "ms",
    values: crunAlone(20),
  });
  report("start", samples);
}
