/**
 * Question: how long are writes refused after kill -9 of the leading manager?
 * Workload: a config is created every 5 ms through the two survivors, none waiting for the other.
 * Measured: from the kill to the first acknowledged write that was sent after it; and the longest time
 * without an acknowledgement. Seven rounds. Beside it, in the same run, three etcd members with default
 * timers under the same load. Command: npm run bench -- failover.
 * Edge: to the lab.
 */
import { performance } from "node:perf_hooks";
import type { Lab } from "../test/support/lab/lab.js";
import type { LabHost } from "../test/support/lab/lab-host.js";
import { EtcdCluster, etcdInstalled } from "./etcd-peer.js";
import { median, report } from "./report.js";
import { type JsonRecord, nodes, openSwarm, pause, until } from "./swarm-lab.js";

const ROUNDS = 7;
const EVERY_MS = 5;
const BEFORE_MS = 500;
const AFTER_MS = 2_500;

async function leader(lab: Lab): Promise<LabHost> {
  let name: unknown;
  await until("a leader and two followers", 30_000, async () => {
    for (const host of lab.hosts) {
      if (host.daemonPid === undefined) continue;
      const list = await nodes(host).catch((error: unknown) => {
        if (error instanceof Error) return [] as JsonRecord[]; // still electing: asked again
        throw error;
      });
      const managers = list.map((node) => ({
        ...(node["ManagerStatus"] as JsonRecord),
        name: (node["Description"] as JsonRecord)["Hostname"],
      }));
      const leading = managers.find((manager) => (manager as JsonRecord)["Leader"] === true);
      if (
        leading !== undefined &&
        managers.every((manager) => (manager as JsonRecord)["Reachability"] === "reachable")
      ) {
        name = leading.name;
        return true;
      }
    }
    return false;
  });
  const found = lab.hosts.find((host) => host.name === name);
  if (found === undefined) throw new Error("no leader");
  return found;
}

interface Outcome {
  /** From the kill to the first acknowledged write that was sent after it. */
  readonly firstMs: number;
  readonly gapMs: number;
}

/** Writes every 5 ms, kills after half a second, and looks on for two and a half more. */
async function measure(write: (i: number) => Promise<boolean>, kill: () => Promise<void>): Promise<Outcome> {
  const acknowledged: { sentAt: number; at: number }[] = [];
  const pending: Promise<void>[] = [];
  const startedAt = performance.now();
  let killedAt = Number.POSITIVE_INFINITY;
  let killing: Promise<void> | undefined;
  for (let i = 0; performance.now() - startedAt < BEFORE_MS + AFTER_MS; i++) {
    const sentAt = performance.now();
    pending.push(
      write(i).then(
        (done) => {
          if (done) acknowledged.push({ sentAt, at: performance.now() });
        },
        () => undefined, // a refused write is what is being measured
      ),
    );
    if (killing === undefined && performance.now() - startedAt > BEFORE_MS) {
      killedAt = performance.now();
      killing = kill();
    }
    await pause(EVERY_MS);
  }
  await Promise.all([...pending, killing]);
  const after = acknowledged.filter((each) => each.sentAt >= killedAt).map((each) => each.at);
  const instants = acknowledged.map((each) => each.at).sort((a, b) => a - b);
  const gapMs = Math.max(...instants.slice(1).map((at, i) => at - (instants[i] ?? at)));
  return { firstMs: Math.min(...after) - killedAt, gapMs };
}

async function round(lab: Lab, number: number): Promise<Outcome> {
  const victim = await leader(lab);
  const survivors = lab.hosts.filter((host) => host !== victim);
  await pause(500);
  const outcome = await measure(
    async (i) => {
      const host = survivors[i % 2] ?? victim;
      return (
        (await host.api("POST", "/configs/create", { Name: `f${number}-${i}`, Data: "eA==" })).status === 201
      );
    },
    () => victim.killDaemon(),
  );
  await victim.start();
  return outcome;
}

async function etcdRounds(): Promise<Outcome[]> {
  const etcd = new EtcdCluster();
  try {
    for (const member of [0, 1, 2]) etcd.start(member);
    const outcomes: Outcome[] = [];
    for (let number = 0; number < ROUNDS; number++) {
      const victim = await etcd.leader();
      const survivors = [0, 1, 2].filter((member) => member !== victim);
      await pause(500);
      outcomes.push(
        await measure(
          (i) => etcd.put(survivors[i % 2] ?? 0, `f${number}-${i}`),
          () => etcd.kill(victim),
        ),
      );
      etcd.start(victim);
    }
    return outcomes;
  } finally {
    await etcd.close();
  }
}

export async function run(): Promise<void> {
  const lab = await openSwarm({ managers: 3 });
  const results: Outcome[] = [];
  try {
    for (let i = 0; i < ROUNDS; i++) results.push(await round(lab, i));
  } finally {
    const left = await lab.close();
    if (left.length > 0) console.error(`left behind: ${left.join(", ")}`);
  }
  const peers = etcdInstalled() ? await etcdRounds() : [];
  if (peers.length === 0) console.error("etcd is not installed (Debian: etcd-server): no peer in this run");
  const peer = (pick: (outcome: Outcome) => number): { peer?: number } =>
    peers.length === 0 ? {} : { peer: median(peers.map(pick)) };
  report("failover", [
    {
      name: "kill -9 of the leader to the first acknowledged write",
      unit: "ms",
      values: results.map(({ firstMs }) => firstMs),
      goal: 400,
      ...peer(({ firstMs }) => firstMs),
    },
    {
      name: "longest time without an acknowledged write",
      unit: "ms",
      values: results.map(({ gapMs }) => gapMs),
      ...peer(({ gapMs }) => gapMs),
    },
  ]);
}
