/**
 * Question: how fast are durable writes on three managers, beside three members of etcd on the same
 * machine?
 *
 * Workload: 256-byte values under new names. Skein: CreateConfig; etcd: Put of a new key. Both make an
 * object, enter its name into an index, are replicated and synced by a majority before they are
 * acknowledged, and are kept by all three. (Skein's write does more: it checks that the name is free and
 * answers with the object.) The writers are one process for both systems (grpc-client-main.ts): the same
 * code, the same number of connections, each to the leader's unix socket, without TLS; that is how skeind
 * reaches its manager. Between members: mutual TLS for Skein, plain TCP for etcd, each system's default.
 * Data lies on one file system.
 *
 * Method: first store actions proposed inside the leader, in transactions of up to 200, until every member
 * has synced the last one; what they made is removed again. Then both clusters run all the time, rounds
 * alternate between them, after a warm-up of each load; five rounds; the median of the rounds counts.
 *
 * Command: npm run bench -- raft [--rounds N] [--seconds S] [--only 1,64,256,batch] [--alone] [--prof DIR]
 * Edge: to processes.
 */
import { tmpdir } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { AnsweringChild, cpuMsOf } from "./child-process.js";
import { EtcdCluster, etcdInstalled } from "./etcd-peer.js";
import type { Load, Measured } from "./grpc-client-main.js";
import { median, report, type Sample } from "./report.js";
import { SkeinManagers } from "./skein-managers.js";

const BYTES = 256;
const WARM_UP_MS = 300;
/** Before the first round: compilers and caches of both systems. */
const FIRST_WARM_UP_MS = 4_000;
const BATCH_OBJECTS = 20_000;
const BATCH_WARM_UPS = 2;
/** Writers share these; one writer has one. */
const CONNECTIONS_MAX = 4;

interface Options {
  readonly rounds: number;
  readonly durationMs: number;
  readonly loads: readonly number[];
  readonly batch: boolean;
  readonly alone: boolean;
  readonly prof: string | undefined;
}

function optionsOf(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rounds: { type: "string", default: "5" },
      seconds: { type: "string", default: "3" },
      only: { type: "string", default: "1,64,256,batch" },
      alone: { type: "boolean", default: false },
      prof: { type: "string" },
    },
  });
  const parts = values.only.split(",");
  return {
    rounds: Number(values.rounds),
    durationMs: Number(values.seconds) * 1_000,
    loads: parts.filter((part) => part !== "batch").map(Number),
    batch: parts.includes("batch"),
    alone: values.alone,
    prof: values.prof,
  };
}

/** A round, with the CPU time of an operation in each process, microseconds. */
interface Round extends Measured {
  readonly clientUs: number;
  readonly serverUs: readonly number[];
}

interface System {
  readonly name: "skein" | "etcd";
  readonly target: string;
  /** The leader first. */
  readonly pids: readonly number[];
}

class Bench {
  readonly #options: Options;
  readonly #client = new AnsweringChild<Load>(
    fileURLToPath(new URL("./grpc-client-main.js", import.meta.url)),
  );

  constructor(options: Options) {
    this.#options = options;
  }

  async round(system: System, inFlight: number, durationMs = this.#options.durationMs): Promise<Round> {
    const pids = [this.#client.pid, ...system.pids];
    const before = pids.map(cpuMsOf);
    const startedMs = performance.now();
    const measured = (await this.#client.ask({
      system: system.name,
      target: system.target,
      connections: Math.min(inFlight, CONNECTIONS_MAX),
      inFlight,
      bytes: BYTES,
      warmUpMs: WARM_UP_MS,
      durationMs,
    })) as Measured; // what the client answers
    const operations = (measured.perSecond * (performance.now() - startedMs)) / 1_000;
    const [clientUs = 0, ...serverUs] = pids.map(
      (pid, i) => ((cpuMsOf(pid) - (before[i] ?? 0)) * 1_000) / operations,
    );
    return { ...measured, clientUs, serverUs };
  }

  async close(): Promise<void> {
    await this.#client.end();
  }
}

type Results = Map<string, Round[]>;
const keyOf = (system: System, inFlight: number): string => `${system.name} ${inFlight}`;

async function measureLoads(bench: Bench, systems: readonly System[], options: Options): Promise<Results> {
  const results: Results = new Map();
  if (options.loads.length === 0) return results;
  for (const system of systems) await bench.round(system, 64, FIRST_WARM_UP_MS);
  for (let number = 0; number < options.rounds; number++) {
    for (const inFlight of options.loads) {
      for (const system of systems) {
        const round = await bench.round(system, inFlight);
        const key = keyOf(system, inFlight);
        results.set(key, [...(results.get(key) ?? []), round]);
        const cpu = [round.clientUs, ...round.serverUs].map((us) => us.toFixed(0)).join(" + ");
        console.error(
          `  ${key} in flight: ${round.perSecond.toFixed(0)}/s, p50 ${round.p50Ms.toFixed(2)} ms, ` +
            `p99 ${round.p99Ms.toFixed(2)} ms; CPU us a write, client + members: ${cpu}`,
        );
      }
    }
  }
  return results;
}

async function measureBatches(managers: SkeinManagers, options: Options): Promise<number[]> {
  if (!options.batch) return [];
  const leader = managers.children[await managers.leader()];
  const rates: number[] = [];
  for (let number = -BATCH_WARM_UPS; number < options.rounds; number++) {
    const rate = await leader?.ask({ kind: "batch", objects: BATCH_OBJECTS, bytes: BYTES });
    console.error(`  batch: ${Number(rate).toFixed(0)} objects/s${number < 0 ? " (warm-up)" : ""}`);
    if (number >= 0) rates.push(Number(rate));
  }
  return rates;
}

function samplesOf(results: Results, rates: readonly number[], systems: readonly System[]): Sample[] {
  const figures = (name: string, inFlight: number, pick: (round: Round) => number): number[] =>
    (results.get(`${name} ${inFlight}`) ?? []).map(pick);
  const samples: Sample[] = [];
  const hasPeer = systems.some(({ name }) => name === "etcd");
  const against = (peer: number, factor: number): Partial<Sample> =>
    hasPeer ? { peer, goal: peer * factor, inclusive: true } : {};
  for (const key of results.keys()) {
    const [name, count] = key.split(" ");
    const inFlight = Number(count);
    if (name !== "skein") continue;
    if (inFlight === 1) {
      const p50 = (round: Round): number => round.p50Ms;
      samples.push({
        name: "durable 256-byte writes, 1 in flight: p50, at most 0.75 x etcd's",
        unit: "ms",
        values: figures("skein", 1, p50),
        ...against(median(figures("etcd", 1, p50)), 0.75),
      });
      continue;
    }
    const rate = (round: Round): number => round.perSecond;
    samples.push({
      name: `durable 256-byte writes, ${inFlight} in flight: at least 1.2 x etcd's rate`,
      unit: "1/s",
      better: "higher",
      values: figures("skein", inFlight, rate),
      ...against(median(figures("etcd", inFlight, rate)), 1.2),
    });
  }
  if (rates.length > 0) {
    samples.push({
      name: "batched store actions proposed inside the leader, durable on three members",
      unit: "objects/s",
      better: "higher",
      values: rates,
      goal: 20_000,
      inclusive: true,
    });
  }
  return samples;
}

export async function run(): Promise<void> {
  const options = optionsOf(process.argv.slice(3));
  const execArgv = options.prof === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${options.prof}`];
  const managers = await SkeinManagers.open({ execArgv });
  const etcd = !options.alone && etcdInstalled() ? new EtcdCluster({ unixSockets: true }) : undefined;
  if (!etcdInstalled()) console.error("etcd is not installed (Debian: etcd-server): no peer in this run");
  console.error(`  data below ${tmpdir()}`);
  const bench = new Bench(options);
  try {
    const leader = await managers.leader();
    const pids = managers.children.map(({ pid }) => pid);
    const systems: System[] = [
      {
        name: "skein",
        target: managers.socketOf(leader),
        pids: [pids[leader] ?? 0, ...pids.filter((_, i) => i !== leader)],
      },
    ];
    const rates = await measureBatches(managers, options);
    if (etcd !== undefined) {
      for (const member of [0, 1, 2]) etcd.start(member);
      const leading = await etcd.leader();
      const { pids: all } = etcd;
      systems.push({
        name: "etcd",
        target: etcd.socketOf(leading),
        pids: [all[leading] ?? 0, ...all.filter((_, i) => i !== leading)],
      });
    }
    await managers.children[leader]?.ask({ kind: "hold" }); // what counts begins here
    const results = await measureLoads(bench, systems, options);
    const holdMs = Number(await managers.children[leader]?.ask({ kind: "hold" }));
    console.error(`  longest hold of the leader's event loop under these loads: ${holdMs.toFixed(1)} ms`);
    report("raft", samplesOf(results, rates, systems));
  } finally {
    await bench.close();
    await etcd?.close();
    await managers.close();
  }
}
