/**
 * Question: how soon does a swarm on three hosts do what it is asked, on real containers, beside Docker
 * Swarm?
 * Command: npm run bench -- control-lab. Needs dockerd (Debian: docker.io); both sides alternate in one run.
 * Edge: to the lab.
 */
import { dockerdMissing } from "../test/support/dockerd-peer.js";
import {
  createNetwork,
  createToRunning,
  loseNode,
  replaceKilled,
  rollingUpdate,
  scaleDown,
} from "./control-measures.js";
import { openSide, type SwarmSide } from "./control-side.js";
import { median, report, type Sample } from "./report.js";

const ROUNDS = 5;
const LOSS_ROUNDS = 3;
const MANY = 30;

interface Measure {
  readonly name: string;
  /** Share of the peer's time that is the goal. */
  readonly share: number;
  readonly rounds: number;
  readonly take: (side: SwarmSide) => Promise<number>;
}

const ON_MANAGERS: readonly Measure[] = [
  {
    name: "service create of 1 replica on an overlay to running",
    share: 0.15,
    rounds: ROUNDS,
    take: (side) => createToRunning(side, { replicas: 1 }),
  },
  {
    name: `service create of ${MANY} replicas on an overlay to running`,
    share: 0.3,
    rounds: ROUNDS,
    take: (side) => createToRunning(side, { replicas: MANY }),
  },
  {
    name: `scale ${MANY} to 1 until the containers are gone`,
    share: 0.4,
    rounds: ROUNDS,
    take: (side) => scaleDown(side, MANY),
  },
  { name: "killed task replaced, delay 0", share: 0.25, rounds: ROUNDS, take: replaceKilled },
  {
    name: "rolling update of 5 replicas, stop-first, monitor 1 ms, until completed",
    share: 0.35,
    rounds: ROUNDS,
    take: (side) => rollingUpdate(side, 5),
  },
];

const ON_WORKERS: readonly Measure[] = [
  {
    name: "node killed to its tasks running elsewhere",
    share: 0.25,
    rounds: LOSS_ROUNDS,
    take: (side) => loseNode(side, "killed"),
  },
  {
    name: "node cut off to its tasks running elsewhere",
    share: 0.25,
    rounds: LOSS_ROUNDS,
    take: (side) => loseNode(side, "cut off"),
  },
];

async function compare(managers: number, measures: readonly Measure[]): Promise<readonly Sample[]> {
  const sides: SwarmSide[] = [];
  const samples: Sample[] = [];
  try {
    sides.push(await openSide("skein", managers), await openSide("docker", managers));
    for (const side of sides) {
      await createNetwork(side);
      await createToRunning(side, { replicas: 6 }); // warm: code, image and overlay on each host
    }
    for (const { name, share, rounds, take } of measures) {
      const values = { skein: [] as number[], docker: [] as number[] };
      for (let round = 0; round < rounds; round++) {
        for (const side of sides) values[side.name].push(await take(side));
        const last = sides.map((side) => `${side.name} ${Math.round(values[side.name].at(-1) ?? 0)} ms`);
        console.error(`  ${name}: ${last.join(", ")}`);
      }
      const peer = median(values.docker);
      samples.push({ name, unit: "ms", values: values.skein, goal: share * peer, inclusive: true, peer });
    }
  } finally {
    for (const side of sides) {
      const left = await side.close();
      if (left.length > 0) console.error(`left behind: ${left.join(", ")}`);
    }
  }
  return samples;
}

export async function controlLabSamples(): Promise<readonly Sample[]> {
  const missing = dockerdMissing();
  if (missing !== undefined) throw new Error(missing);
  return [...(await compare(HOSTS_AS_MANAGERS, ON_MANAGERS)), ...(await compare(1, ON_WORKERS))];
}

/** All three hosts manage, save where a host is lost: then one does, so that the loss costs no manager. */
const HOSTS_AS_MANAGERS = 3;

export async function run(): Promise<void> {
  report("control-lab", await controlLabSamples());
}
