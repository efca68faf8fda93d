/**
 * Question: what do containers cost with skeind, beside Debian's dockerd on the same machine in the same run?
 * Command: npm run bench -- engine. Rounds alternate between the two. Goals are ratios, ours to dockerd's;
 * the peer's own figure stands beside each. Edge: to the lab and dockerd.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DockerdPeer, dockerdMissing } from "../test/support/dockerd-peer.js";
import { busyboxImage } from "../test/support/lab/busybox-image.js";
import { Lab } from "../test/support/lab/lab.js";
import { startRegistry } from "../test/support/registry-process.js";
import { EngineApi } from "./engine-api.js";
import { writeBigImage } from "./engine-image.js";
import {
  cpuPerLife,
  createAndStart,
  docker,
  type EngineSide,
  execTrue,
  followLog,
  helperMemory,
  longestPingOfPull,
  manyAtOnce,
  memoryMb,
  pull,
  quiet,
  runAndRemove,
} from "./engine-side.js";
import { median, report, type Sample } from "./report.js";
import { pause } from "./swarm-lab.js";

const ROUNDS = 20;
const AT_ONCE = 30;
const HEAVY_ROUNDS = 5;
const LIVES = 20;
const LOG_MB = 200;
const INSECURE = ["--insecure-registry", "10.99.0.0/24"];

type Measure = (side: EngineSide) => Promise<number>;

interface Pair {
  readonly skein: EngineSide;
  readonly docker: EngineSide;
}

/** Our values as they are and the peer's median; the goal is told in our unit. */
async function compared(
  pair: Pair,
  name: string,
  options: { unit: string; ratio: number; rounds: number; warm?: number },
  measure: Measure,
): Promise<Sample> {
  const ours: number[] = [];
  const theirs: number[] = [];
  const warm = options.warm ?? 2;
  for (let round = 0; round < options.rounds + warm; round++) {
    for (const [side, values] of [
      [pair.skein, ours],
      [pair.docker, theirs],
    ] as const) {
      await quiet();
      const value = await measure(side);
      if (round >= warm) values.push(value);
    }
  }
  const peer = median(theirs);
  const label = `${name}: <= ${options.ratio} x docker's`;
  return { name: label, unit: options.unit, values: ours, goal: options.ratio * peer, inclusive: true, peer };
}

async function idleMemory(pair: Pair): Promise<Sample> {
  await pause(20_000);
  const total = (side: EngineSide): number =>
    side.daemonPids().reduce((sum, pid) => sum + memoryMb(pid, "Rss"), 0);
  const theirs = total(pair.docker);
  const name = "resident memory of the idle daemon: below dockerd + containerd";
  return { name, unit: "MB", values: [total(pair.skein)], goal: theirs, peer: theirs };
}

async function measureAll(pair: Pair, big: string): Promise<Sample[]> {
  const samples: Sample[] = [await idleMemory(pair)];
  const add = async (
    name: string,
    options: { unit: string; ratio: number; rounds: number; warm?: number },
    measure: Measure,
  ): Promise<void> => {
    console.error(`measuring: ${name}`);
    samples.push(await compared(pair, name, options, measure));
  };
  const ms = { unit: "ms", rounds: ROUNDS };
  await add("docker run --rm true", { ...ms, ratio: 0.4 }, runAndRemove);
  await add("API create + start to process running", { ...ms, ratio: 0.25 }, createAndStart);
  await add(`${AT_ONCE} containers at once`, { ...ms, ratio: 0.35, rounds: HEAVY_ROUNDS, warm: 1 }, (side) =>
    manyAtOnce(side, AT_ONCE),
  );
  await add("CPU per container life", { ...ms, ratio: 0.3, rounds: HEAVY_ROUNDS, warm: 1 }, (side) =>
    cpuPerLife(side, LIVES),
  );
  await add(
    "memory per running container beyond its processes",
    { unit: "MB", ratio: 0.2, rounds: 3, warm: 0 },
    (side) => helperMemory(side, 10),
  );
  const running = new Map<string, string>();
  for (const side of [pair.skein, pair.docker]) {
    const id = await side.api.create(["sleep", "10000"]);
    await side.api.start(id);
    running.set(side.name, id);
  }
  await add("exec round trip of true", { ...ms, ratio: 0.5 }, (side) =>
    execTrue(side, running.get(side.name) ?? ""),
  );
  for (const side of [pair.skein, pair.docker]) await side.api.remove(running.get(side.name) ?? "");
  await add("pull of 300 MB, 15 000 files", { ...ms, ratio: 0.8, rounds: HEAVY_ROUNDS, warm: 1 }, (side) =>
    pull(side, big),
  );
  const pings: number[] = [];
  for (let round = 0; round < HEAVY_ROUNDS; round++) {
    await quiet();
    pings.push(await longestPingOfPull(pair.skein, big));
  }
  samples.push({
    name: "longest /_ping during the pull (unpack never holds the event loop for more than 20 ms)",
    unit: "ms",
    values: pings,
    goal: 20,
    inclusive: true,
  });
  const rates: number[] = [];
  for (let round = 0; round < HEAVY_ROUNDS; round++) {
    await quiet();
    rates.push(await followLog(pair.skein, LOG_MB));
  }
  await quiet();
  const theirs = await followLog(pair.docker, LOG_MB);
  const name = "log follow through one follower without loss: 50 MB/s";
  samples.push({
    name,
    unit: "MB/s",
    values: rates,
    goal: 50,
    better: "higher",
    inclusive: true,
    peer: theirs,
  });
  return samples;
}

export async function run(): Promise<void> {
  const missing = dockerdMissing();
  if (missing !== undefined) throw new Error(missing);
  const lab = await Lab.open({ hosts: 1, clients: 2, daemonArgs: INSECURE });
  const host = lab.host(1);
  const [peerPlace, registryPlace] = lab.clients;
  if (peerPlace === undefined || registryPlace === undefined) throw new Error("the lab has too few clients");
  mkdirSync(join(lab.dir, "files"));
  await host.start();
  const netns = peerPlace.netns;
  const peer = await DockerdPeer.open({
    dir: join(lab.dir, "dockerd"),
    netns,
    ownNetns: false,
    daemonArgs: INSECURE,
  });
  const registry = await startRegistry({
    netns: registryPlace.netns,
    listen: `${registryPlace.address}:5000`,
  });
  const pair: Pair = {
    skein: {
      name: "skein",
      api: new EngineApi(host.socketPath),
      netns: host.netns,
      daemonPids: () => [host.daemonPid ?? 0],
      isHelper: (line) => line.startsWith("/usr/bin/conmon") && line.includes(`${host.dir}/`),
    },
    docker: {
      name: "docker",
      api: new EngineApi(peer.socketPath),
      netns,
      daemonPids: () => peer.pids,
      isHelper: (line) => line.includes("containerd-shim") && line.includes(join(lab.dir, "dockerd")),
    },
  };
  try {
    const box = join(lab.dir, "files", "box.tar");
    writeFileSync(box, await busyboxImage({ tags: ["box:latest"] }));
    for (const side of [pair.skein, pair.docker]) await docker(side, ["load", "-i", box]);
    const big = `${registryPlace.address}:5000/big:1`;
    const archive = join(lab.dir, "files", "big.tar");
    await writeBigImage(archive, big);
    await docker(pair.docker, ["load", "-i", archive]);
    await docker(pair.docker, ["push", "-q", big]);
    await docker(pair.docker, ["rmi", big]);
    report("engine", await measureAll(pair, big));
  } finally {
    for (const side of [pair.skein, pair.docker]) side.api.close();
    await registry.close();
    await peer.close();
    const left = await lab.close();
    if (left.length > 0) console.error(`left behind: ${left.join(", ")}`);
  }
}
