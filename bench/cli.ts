/**
 * Question: how long until the command line has said what it was asked? From the start of the process to its
 * end, against a daemon that answers at once, beside node alone (`node -e 0`) and the stock docker command in
 * the same run, one after the other in turn.
 * Command: npm run bench -- cli. Edge: to processes.
 */
import { spawnSync } from "node:child_process";
import { performance } from "node:perf_hooks";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { report, type Sample } from "./report.js";

const ROUNDS = 21;
const GOAL_MS = 120;
const MAIN = fileURLToPath(new URL("../cli/main.js", import.meta.url));

/** In a thread of its own: the processes are waited for without an event loop. */
const DAEMON = `
const { createServer } = require("node:http");
const { parentPort } = require("node:worker_threads");
const services = Array.from({ length: 20 }, (_, i) => ({
  ID: "service" + i, Version: { Index: 1 },
  Spec: { Name: "web" + i, Mode: { Replicated: { Replicas: 3 } },
    TaskTemplate: { ContainerSpec: { Image: "nginx:1" } } },
  ServiceStatus: { RunningTasks: 3, DesiredTasks: 3 },
}));
const server = createServer((request, response) => {
  response.setHeader("api-version", "1.47");
  response.setHeader("content-type", "application/json");
  const path = request.url.split("?")[0];
  response.end(path.endsWith("/services") ? JSON.stringify(services) :
    JSON.stringify({ Version: "1", ApiVersion: "1.47", MinAPIVersion: "1.24", Swarm: {} }));
});
server.listen(0, "127.0.0.1", () => parentPort.postMessage(server.address().port));
`;

function timed(command: string, args: readonly string[], host: string): number {
  const env = { ...process.env, SKEIN_HOST: host, DOCKER_HOST: host };
  const began = performance.now();
  const { status, stderr, error } = spawnSync(command, args, { env, encoding: "utf8" });
  const tookMs = performance.now() - began;
  if (error !== undefined || status !== 0)
    throw new Error(`${command} ${args.join(" ")} failed: ${error?.message ?? stderr}`);
  return tookMs;
}

const hasDocker = (): boolean => spawnSync("docker", ["--version"]).status === 0;

interface Case {
  readonly name: string;
  readonly words: readonly string[];
  readonly docker: readonly string[];
}

const CASES: readonly Case[] = [
  { name: "skein --help", words: ["--help"], docker: ["--help"] },
  { name: "skein version", words: ["version"], docker: ["version"] },
  { name: "skein stack --help", words: ["stack", "--help"], docker: ["stack", "--help"] },
  {
    name: "skein service create --help",
    words: ["service", "create", "--help"],
    docker: ["service", "create", "--help"],
  },
  { name: "skein service ls", words: ["service", "ls"], docker: ["service", "ls"] },
  {
    name: "skein service ls --format",
    words: ["service", "ls", "--format", "{{.Name}} {{.Replicas}}"],
    docker: ["service", "ls", "--format", "{{.Name}} {{.Replicas}}"],
  },
  {
    name: "completion of a service's name",
    words: ["__complete", "service", "ps", "web1"],
    docker: ["__complete", "service", "ps", "web1"],
  },
];

export async function run(): Promise<void> {
  const daemon = new Worker(DAEMON, { eval: true });
  const port = await new Promise<number>((resolve) => daemon.once("message", resolve));
  const host = `tcp://127.0.0.1:${port}`;
  const withDocker = hasDocker();
  const floor: number[] = [];
  const ours = CASES.map((): number[] => []);
  const dockers = CASES.map((): number[] => []);
  for (let round = 0; round < ROUNDS; round++) {
    floor.push(timed(process.execPath, ["-e", "0"], host));
    CASES.forEach(({ words, docker }, i) => {
      ours[i]?.push(timed(process.execPath, [MAIN, ...words], host));
      if (withDocker) dockers[i]?.push(timed("docker", docker, host));
    });
  }
  await daemon.terminate();
  const median = (values: readonly number[]): number =>
    [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0;
  const samples: Sample[] = CASES.map(({ name }, i) => ({
    name,
    unit: "ms",
    values: ours[i] ?? [],
    goal: GOAL_MS,
    ...(withDocker ? { peer: median(dockers[i] ?? []) } : {}),
  }));
  report("cli", [{ name: "node alone", unit: "ms", values: floor }, ...samples]);
}
