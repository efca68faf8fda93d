/**
 * Question: how long are writes held up, or refused, when the leader goes?
 * Workload: a config is created every 5 ms through the two other managers, none waiting for the other.
 * Four ways to go: kill -9 of daemon and manager; its cable pulled (packets dropped, no reset); a graceful
 * stop; demotion to worker. Measured: from the blow to the first acknowledged write that was sent after it;
 * the longest time without an acknowledgement; writes that failed. Seven kills, five rounds of each other
 * way. Beside it, in the same run, three etcd members with default timers under the same load, killed.
 * Command: npm run bench -- failover [--only kill,cut,stop,demotion,etcd]; with --only nothing is reported,
 * but each round is told.
 * Edge: to the lab.
 */
import { performance } from "node:perf_hooks";
import { parseArgs } from "node:util";
import type { Lab } from "../test/support/lab/lab.js";
import type { LabHost } from "../test/support/lab/lab-host.js";
import { EtcdCluster, etcdInstalled } from "./etcd-peer.js";
import { median, report } from "./report.js";
import { ask, type JsonRecord, nodes, openSwarm, pause, until } from "./swarm-lab.js";

const KILLS = 7;
const ROUNDS = 5;
const EVERY_MS = 5;
const BEFORE_MS = 500;
const AFTER_MS = 2_500;
/** A pulled cable is noticed by silence: one election timeout, 1 to 2 s. */
const AFTER_CUT_MS = 5_000;

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
  /** From the blow to the first acknowledged write that was sent after it. */
  readonly firstMs: number;
  readonly gapMs: number;
  readonly failed: number;
}

interface Course {
  readonly write: (i: number) => Promise<boolean>;
  readonly strike: () => Promise<void>;
  /** @default AFTER_MS */
  readonly afterMs?: number;
}

/** Writes every 5 ms, strikes after half a second, and looks on for a while. */
async function measure({ write, strike, afterMs = AFTER_MS }: Course): Promise<Outcome> {
  const acknowledged: { sentAt: number; at: number }[] = [];
  const pending: Promise<void>[] = [];
  const startedAt = performance.now();
  let failed = 0;
  let struckAt = Number.POSITIVE_INFINITY;
  let striking: Promise<void> | undefined;
  for (let i = 0; performance.now() - startedAt < BEFORE_MS + afterMs; i++) {
    const sentAt = performance.now();
    pending.push(
      write(i).then(
        (done) => {
          if (done) acknowledged.push({ sentAt, at: performance.now() });
          else failed += 1;
        },
        () => {
          failed += 1; // a refused write is what is being measured
        },
      ),
    );
    if (striking === undefined && performance.now() - startedAt > BEFORE_MS) {
      struckAt = performance.now();
      striking = strike();
    }
    await pause(EVERY_MS);
  }
  await Promise.all([...pending, striking]);
  const after = acknowledged.filter((each) => each.sentAt >= struckAt).map((each) => each.at);
  const instants = acknowledged.map((each) => each.at).sort((a, b) => a - b);
  const gapMs = Math.max(...instants.slice(1).map((at, i) => at - (instants[i] ?? at)));
  return { firstMs: Math.min(...after) - struckAt, gapMs, failed };
}

interface Blow {
  readonly strike: (victim: LabHost, survivor: LabHost) => Promise<void>;
  /** Brings the victim back as a manager. */
  readonly mend: (victim: LabHost, survivor: LabHost) => Promise<void>;
  readonly afterMs?: number;
}

async function setRole(victim: LabHost, survivor: LabHost, role: "manager" | "worker"): Promise<void> {
  const node = (await nodes(survivor)).find(
    (each) => (each["Description"] as JsonRecord)["Hostname"] === victim.name,
  );
  if (node === undefined) throw new Error(`${survivor.name} does not list ${victim.name}`);
  const version = (node["Version"] as JsonRecord)["Index"];
  const spec = { ...(node["Spec"] as JsonRecord), Role: role };
  await ask(survivor, "POST", `/nodes/${String(node["ID"])}/update?version=${String(version)}`, spec);
}

const BLOWS = {
  kill: { strike: (victim) => victim.killDaemon(), mend: (victim) => victim.start() },
  cut: {
    strike: (victim) => victim.partition(),
    mend: (victim) => victim.heal(),
    afterMs: AFTER_CUT_MS,
  },
  stop: { strike: (victim) => victim.stop(), mend: (victim) => victim.start() },
  demotion: {
    strike: (victim, survivor) => setRole(victim, survivor, "worker"),
    mend: async (victim, survivor) => {
      await until("the demoted node to be a worker", 30_000, async () => {
        const list = await nodes(survivor);
        return list.filter((node) => node["ManagerStatus"] !== undefined).length === 2;
      });
      await setRole(victim, survivor, "manager");
      await until("the node to be a manager again", 30_000, async () => {
        const list = await nodes(survivor);
        return list.filter((node) => node["ManagerStatus"] !== undefined).length === 3;
      });
    },
  },
} satisfies Record<string, Blow>;

async function rounds(lab: Lab, kind: keyof typeof BLOWS, count: number): Promise<Outcome[]> {
  const { strike, mend, ...rest } = BLOWS[kind] as Blow;
  const outcomes: Outcome[] = [];
  for (let number = 0; number < count; number++) {
    const victim = await leader(lab);
    const [one, other] = lab.hosts.filter((host) => host !== victim);
    if (one === undefined || other === undefined) throw new Error("three managers are needed");
    await pause(500);
    const outcome = await measure({
      ...rest,
      write: async (i) => {
        const body = { Name: `${kind}${number}-${i}`, Data: "eA==" };
        return (i % 2 === 0 ? one : other)
          .api("POST", "/configs/create", body, { timeoutMs: 10_000 })
          .then(({ status }) => status === 201);
      },
      strike: () => strike(victim, one),
    });
    outcomes.push(outcome);
    console.error(
      `${kind} ${number + 1}: first write after ${outcome.firstMs.toFixed(0)} ms, ` +
        `longest gap ${outcome.gapMs.toFixed(0)} ms, ${outcome.failed} failed`,
    );
    await mend(victim, one);
  }
  return outcomes;
}

async function etcdRounds(): Promise<Outcome[]> {
  const etcd = new EtcdCluster();
  try {
    for (const member of [0, 1, 2]) etcd.start(member);
    const outcomes: Outcome[] = [];
    for (let number = 0; number < KILLS; number++) {
      const victim = await etcd.leader();
      const survivors = [0, 1, 2].filter((member) => member !== victim);
      await pause(500);
      outcomes.push(
        await measure({
          write: (i) => etcd.put(survivors[i % 2] ?? 0, `f${number}-${i}`),
          strike: () => etcd.kill(victim),
        }),
      );
      etcd.start(victim);
    }
    return outcomes;
  } finally {
    await etcd.close();
  }
}

export async function run(): Promise<void> {
  const { values } = parseArgs({
    args: process.argv.slice(3),
    options: { only: { type: "string" } },
  });
  const wanted = (kind: string): boolean => values.only?.split(",").includes(kind) ?? true;
  const lab = await openSwarm({ managers: 3 });
  const results: Record<keyof typeof BLOWS, Outcome[]> = { kill: [], cut: [], stop: [], demotion: [] };
  try {
    for (const kind of ["kill", "cut", "stop", "demotion"] as const)
      if (wanted(kind)) results[kind] = await rounds(lab, kind, kind === "kill" ? KILLS : ROUNDS);
  } finally {
    const left = await lab.close();
    if (left.length > 0) console.error(`left behind: ${left.join(", ")}`);
  }
  const peers = wanted("etcd") && etcdInstalled() ? await etcdRounds() : [];
  if (values.only !== undefined) return;
  if (peers.length === 0) console.error("etcd is not installed (Debian: etcd-server): no peer in this run");
  const peer = peers.length === 0 ? {} : { peer: median(peers.map(({ firstMs }) => firstMs)) };
  const first = (outcomes: readonly Outcome[]): number[] => outcomes.map(({ firstMs }) => firstMs);
  const inclusive = true;
  const graceful = ([name, outcomes]: readonly [string, readonly Outcome[]]) => [
    {
      name: `${name}: failed writes, all rounds`,
      unit: "writes",
      values: outcomes.map(({ failed }) => failed),
      pick: "max" as const,
      goal: 0,
      inclusive,
    },
    {
      name: `${name}: longest time without an acknowledged write, worst round`,
      unit: "ms",
      values: outcomes.map(({ gapMs }) => gapMs),
      pick: "max" as const,
      goal: 100,
      inclusive,
    },
  ];
  report("failover", [
    {
      name: "process kill of the leader to the first acknowledged write, median",
      unit: "ms",
      values: first(results.kill),
      goal: 300,
      inclusive,
      ...peer,
    },
    {
      name: "process kill of the leader to the first acknowledged write, worst",
      unit: "ms",
      values: first(results.kill),
      pick: "max",
      goal: 1_500,
      inclusive,
      ...(peers.length === 0 ? {} : { peer: Math.max(...first(peers)) }),
    },
    {
      name: "link cut of the leader to the first acknowledged write, median",
      unit: "ms",
      values: first(results.cut),
      goal: 1_600,
      inclusive,
    },
    ...graceful(["graceful stop of the leader", results.stop]),
    ...graceful(["demotion of the leader", results.demotion]),
  ]);
}
