/**
 * Question: how long does a whole process take to read, check and normalise 5 000 lines of compose; and what
 * do hostile files cost until they are refused?
 * Command: npm run bench -- compose. Each measure is `node` from start to exit; beside it what an empty
 * program takes in the same run. Edge: to processes and files.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { fileURLToPath } from "node:url";
import { report, type Sample } from "./report.js";

const ROUNDS = 15;
const HOSTILE_ROUNDS = 3;
const MAIN = fileURLToPath(new URL("./compose-read-main.js", import.meta.url));

/** A file as people write them: anchors, variables, short and long forms; `lines` long at least. */
function realistic(lines: number): string {
  const head = [
    "x-common: &common",
    "  restart: always",
    "  logging: {driver: json-file, options: {max-size: 10m}}",
    "services:",
  ];
  const service = (i: number): string[] => [
    `  service${i}:`,
    "    <<: *common",
    `    image: registry.example.org/team/service${i}:\${TAG:-latest}`,
    '    command: ["serve", "--port", "8080"]',
    "    environment:",
    `      NAME: service${i}`,
    "      LEVEL: ${LEVEL:-info}",
    '      WORKERS: "4"',
    "    deploy:",
    "      replicas: ${REPLICAS:-2}",
    "      resources:",
    '        limits: {cpus: "0.5", memory: 64m}',
    "      labels:",
    "        - traefik.enable=true",
    "    ports:",
    `      - "${10_000 + i}:8080"`,
    "    networks:",
    "      - front",
    "      - back",
    "    healthcheck:",
    "      test: curl -f http://localhost:8080/health",
    "      interval: 10s",
    "    volumes:",
    "      - data:/var/lib/data",
    "",
  ];
  const body: string[] = [];
  for (let i = 0; head.length + body.length < lines; i++) body.push(...service(i));
  return [...head, ...body, "networks: {front: {}, back: {}}", "volumes: {data: {}}", ""].join("\n");
}

const many = (count: number, line: (i: number) => string): string =>
  Array.from({ length: count }, (_, i) => line(i)).join("\n");

const HOSTILE: Readonly<Record<string, () => string>> = {
  "aliases of aliases": () =>
    `x0: &a0 [x, x]\n${many(60, (i) => `x${i + 1}: &a${i + 1} [${Array(10).fill(`*a${i}`).join(", ")}]`)}`,
  "100 000 brackets": () => `x: ${"[".repeat(100_000)}`,
  "merge keys upon merge keys": () =>
    `x0: &x0 {a: 1}\n${many(5_000, (i) => `x${i + 1}: &x${i + 1}\n  <<: *x${i}\n  k${i}: 1`)}`,
  "10 MB of keys": () => many(1_000_000, (i) => `k${i}: v`),
  "2 MB of items": () => `x:\n${many(300_000, () => "  - a")}`,
  "variables of 1 MB": () => `services: {}\nx:\n${many(10_000, () => "  - $BIG")}`,
};

interface Outcome {
  readonly wholeMs: number;
  readonly peakMib: number;
  /** Of the main thread. */
  readonly cpuMs: number;
  readonly readMs: number;
  readonly refusal?: string;
}

function read(file: string): Outcome {
  const startedAt = performance.now();
  const text = execFileSync(process.execPath, [MAIN, file], { encoding: "utf8" });
  const wholeMs = performance.now() - startedAt;
  return { ...(JSON.parse(text) as Outcome), wholeMs }; // the program's own line
}

function empty(): number {
  const startedAt = performance.now();
  execFileSync(process.execPath, ["-e", ""]);
  return performance.now() - startedAt;
}

export async function run(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "skein-compose-"));
  const samples: Sample[] = [];
  try {
    const file = join(folder, "compose.yml");
    writeFileSync(file, realistic(5_000));
    const [outcomes, empties]: [Outcome[], number[]] = [[], []];
    for (let round = 0; round < ROUNDS; round++) {
      empties.push(empty());
      const outcome = read(file);
      if (outcome.refusal !== undefined) throw new Error(outcome.refusal);
      outcomes.push(outcome);
    }
    samples.push(
      {
        name: "5 000 lines read, checked and normalised, whole process",
        unit: "ms",
        values: outcomes.map(({ wholeMs }) => wholeMs),
        goal: 300,
        inclusive: true,
      },
      {
        name: "5 000 lines read, checked and normalised, node and its modules started",
        unit: "ms",
        values: outcomes.map(({ readMs }) => readMs),
        goal: 300,
        inclusive: true,
      },
      {
        name: "5 000 lines: main thread on a CPU, start of node included",
        unit: "ms",
        values: outcomes.map(({ cpuMs }) => cpuMs),
      },
      { name: "an empty program", unit: "ms", values: empties },
      { name: "5 000 lines: peak memory", unit: "MiB", values: outcomes.map(({ peakMib }) => peakMib) },
    );
    for (const [name, make] of Object.entries(HOSTILE)) {
      writeFileSync(file, make());
      const hostile = Array.from({ length: HOSTILE_ROUNDS }, () => read(file));
      const refusal = hostile[0]?.refusal;
      if (refusal === undefined) throw new Error(`${name} was accepted`);
      console.log(`${name}: ${refusal.replace(folder, "")}`);
      samples.push(
        {
          name: `${name}: refused after`,
          unit: "ms",
          values: hostile.map(({ wholeMs }) => wholeMs),
          pick: "max",
          goal: 3_000,
        },
        {
          name: `${name}: peak memory`,
          unit: "MiB",
          values: hostile.map(({ peakMib }) => peakMib),
          pick: "max",
          goal: 400,
        },
      );
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  report("compose", samples);
}
