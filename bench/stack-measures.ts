/**
 * What is measured of a compose file deployed by a side's own command line: until it is accepted, until all
 * tasks run, and once more without a change. Edge: to commands and daemons.
 * Tasks are polled every 20 ms through a manager.
 */
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { fileURLToPath } from "node:url";
import { IMAGE, type SwarmHost, type SwarmSide } from "./control-side.js";
import type { Json } from "./engine-api.js";
import { IDLE_ARGS, pause, until } from "./swarm-lab.js";

const POLL_MS = 20;
const PATIENCE_MS = 180_000;
/**
 * Sixty containers at once can be too much for dockerd on a machine of two processors: what does not run by
 * then counts with this time, which is in its favour.
 */
const PEER_PATIENCE_MS = 120_000;
const MAIN = fileURLToPath(new URL("../cli/main.js", import.meta.url));

export interface StackSize {
  readonly services: number;
  readonly replicas: number;
}

function manager(side: SwarmSide): SwarmHost {
  const [first] = side.hosts;
  if (first === undefined) throw new Error("a side needs a host");
  return first;
}

/** One both dialects understand: services on the stack's own overlay, with a config each. */
export function composeText({ services, replicas }: StackSize): string {
  const service = (i: number): string => `  s${i}:
    image: ${IMAGE}
    command: ${JSON.stringify(IDLE_ARGS.map((word) => word.replaceAll("$", "$$")))}
    environment:
      NUMBER: "${i}"
    configs:
      - source: settings
        target: /settings
    deploy:
      replicas: ${replicas}
      restart_policy:
        condition: any
        delay: 0s
`;
  return (
    `version: "3.8"\nservices:\n${Array.from({ length: services }, (_, i) => service(i + 1)).join("")}` +
    "configs:\n  settings:\n    file: ./settings\n"
  );
}

export function writeCompose(side: SwarmSide, size: StackSize): string {
  writeFileSync(join(side.dir, "settings"), "a=b\n");
  const path = join(side.dir, "compose.yml");
  writeFileSync(path, composeText(size));
  return path;
}

/** @throws {Error} with what the command wrote, when it does not end with 0. */
async function command(side: SwarmSide, args: readonly string[]): Promise<string> {
  const host = `unix://${manager(side).api.socketPath}`;
  const [program, words]: [string, readonly string[]] =
    side.name === "skein"
      ? [process.execPath, [MAIN, "-H", host, ...args]]
      : ["docker", ["-H", host, ...args]];
  return await new Promise((resolve, reject) => {
    const child = spawn(program, words, { stdio: ["ignore", "pipe", "pipe"] });
    let text = "";
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
    child.once("error", reject);
    child.once("close", (code) =>
      code === 0
        ? resolve(text)
        : reject(new Error(`${side.name} ${args.join(" ")} ended with ${code}: ${text}`)),
    );
  });
}

async function tasks(side: SwarmSide, stack: string): Promise<readonly Json[]> {
  const filters = encodeURIComponent(JSON.stringify({ label: [`com.docker.stack.namespace=${stack}`] }));
  return (await manager(side).api.call("GET", `/tasks?filters=${filters}`)) as unknown as readonly Json[]; // an array
}

const stateOf = (task: Json): unknown => (task["Status"] as Json)["State"];

/** Ids of tasks with their versions: equal before and after means that nothing was touched. */
export async function touched(side: SwarmSide, stack: string): Promise<ReadonlySet<string>> {
  return new Set(
    (await tasks(side, stack)).map(
      (task) => `${String(task["ID"])} ${String((task["Version"] as Json)["Index"])}`,
    ),
  );
}

export interface Deployed {
  /** Until the command, told not to wait, has ended. */
  readonly acceptedMs: number;
  /** From its start until all tasks run. */
  readonly runningMs: number;
}

export async function deploy(
  side: SwarmSide,
  stack: string,
  { compose, size }: { readonly compose: string; readonly size: StackSize },
): Promise<Deployed> {
  const wanted = size.services * size.replicas;
  const startedAt = performance.now();
  await command(side, ["stack", "deploy", "--detach=true", "-c", compose, stack]);
  const acceptedMs = performance.now() - startedAt;
  try {
    await until(
      `${side.name}: ${wanted} running tasks`,
      side.name === "docker" ? PEER_PATIENCE_MS : PATIENCE_MS,
      async () => (await tasks(side, stack)).filter((task) => stateOf(task) === "running").length >= wanted,
      POLL_MS,
    );
  } catch (error) {
    console.error(summary(await tasks(side, stack)));
    if (side.name !== "docker") throw error;
  }
  return { acceptedMs, runningMs: performance.now() - startedAt };
}

/** How many tasks are in which state, and why: said when they do not come to run. */
function summary(list: readonly Json[]): string {
  const counts = new Map<string, number>();
  for (const task of list) {
    const text = `${String(stateOf(task))} ${String((task["Status"] as Json)["Err"] ?? "")}`;
    counts.set(text, (counts.get(text) ?? 0) + 1);
  }
  return [...counts].map(([text, count]) => `  ${count} x ${text}`).join("\n");
}

/** Milliseconds of a deployment that changes nothing, and the tasks it touched. */
export async function deployAgain(
  side: SwarmSide,
  stack: string,
  compose: string,
): Promise<{ readonly tookMs: number; readonly touched: number }> {
  await pause(2_000); // statuses that were still on their way are no touch
  const before = await touched(side, stack);
  const startedAt = performance.now();
  await command(side, ["stack", "deploy", "--detach=true", "-c", compose, stack]);
  const tookMs = performance.now() - startedAt;
  await pause(2_000);
  const after = await touched(side, stack);
  return { tookMs, touched: [...after].filter((one) => !before.has(one)).length };
}

/** Milliseconds until no container and no network of it is left. */
export async function remove(side: SwarmSide, stack: string): Promise<number> {
  const startedAt = performance.now();
  await command(side, ["stack", "rm", stack]);
  await until(
    `${side.name}: the stack is gone`,
    PATIENCE_MS,
    async () => {
      const left = await Promise.all(
        side.hosts.map(
          ({ api }) => api.call("GET", "/containers/json?all=1") as unknown as Promise<unknown[]>,
        ),
      );
      const filters = encodeURIComponent(JSON.stringify({ label: [`com.docker.stack.namespace=${stack}`] }));
      const networks = (await manager(side).api.call(
        "GET",
        `/networks?filters=${filters}`,
      )) as unknown as unknown[]; // arrays
      return left.every((list) => list.length === 0) && networks.length === 0;
    },
    POLL_MS,
  );
  const tookMs = performance.now() - startedAt;
  await pause(500);
  return tookMs;
}
