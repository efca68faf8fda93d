/**
 * Question: how soon does a compose file of 20 services and 60 tasks run on three hosts, beside Docker
 * Swarm, and what does deploying it once more cost?
 * Command: npm run bench -- stack. Needs dockerd (Debian: docker.io); both sides alternate in one run, each
 * driven by its own command line, whose start is part of what is measured.
 * Edge: to the lab.
 */
import { dockerdMissing } from "../test/support/dockerd-peer.js";
import { openSide, type SwarmSide } from "./control-side.js";
import { median, report, type Sample } from "./report.js";
import { deploy, deployAgain, remove, type StackSize, writeCompose } from "./stack-measures.js";

const ROUNDS = Number(process.env["SKEIN_BENCH_ROUNDS"] ?? 3);
const SIZE: StackSize = { services: 20, replicas: 3 };
const MANAGERS = 3;
const RUNNING_SHARE = 0.4;

interface Figures {
  readonly accepted: number[];
  readonly running: number[];
  readonly again: number[];
  readonly touched: number[];
  readonly removed: number[];
}

const noFigures = (): Figures => ({ accepted: [], running: [], again: [], touched: [], removed: [] });

async function round(side: SwarmSide, compose: string, figures: Figures): Promise<void> {
  const { acceptedMs, runningMs } = await deploy(side, "bench", { compose, size: SIZE });
  const again = await deployAgain(side, "bench", compose);
  const removedMs = await remove(side, "bench");
  figures.accepted.push(acceptedMs);
  figures.running.push(runningMs);
  figures.again.push(again.tookMs);
  figures.touched.push(again.touched);
  figures.removed.push(removedMs);
  const words = { acceptedMs, runningMs, againMs: again.tookMs, touched: again.touched, removedMs };
  const text = Object.entries(words).map(([name, value]) => `${name} ${Math.round(value)}`);
  console.error(`  ${side.name}: ${text.join(", ")}`);
}

/** Once before it is measured: code, image and overlay on each host. */
async function warm(side: SwarmSide): Promise<string> {
  const small = { services: 2, replicas: 3 };
  const compose = writeCompose(side, small);
  await deploy(side, "warm", { compose, size: small });
  await remove(side, "warm");
  return writeCompose(side, SIZE);
}

export async function stackSamples(): Promise<readonly Sample[]> {
  const missing = dockerdMissing();
  if (missing !== undefined) throw new Error(missing);
  const sides: SwarmSide[] = [];
  const figures = { skein: noFigures(), docker: noFigures() };
  try {
    sides.push(await openSide("skein", MANAGERS), await openSide("docker", MANAGERS));
    const composes = new Map<SwarmSide, string>();
    for (const side of sides) composes.set(side, await warm(side));
    for (let i = 0; i < ROUNDS; i++)
      for (const [side, compose] of composes) await round(side, compose, figures[side.name]);
  } finally {
    for (const side of sides) {
      const left = await side.close();
      if (left.length > 0) console.error(`left behind: ${left.join(", ")}`);
    }
  }
  const { skein, docker } = figures;
  const what = `${SIZE.services} services, ${SIZE.services * SIZE.replicas} tasks`;
  const sample = (name: string, key: keyof Figures, unit = "ms"): Sample => ({
    name,
    unit,
    values: skein[key],
    peer: median(docker[key]),
  });
  return [
    { ...sample(`stack deploy of ${what}: accepted`, "accepted"), goal: 150, inclusive: true },
    {
      ...sample(`stack deploy of ${what}: all run`, "running"),
      ...{ goal: RUNNING_SHARE * median(docker.running), inclusive: true },
    },
    { ...sample("deployed again without changes", "again"), goal: 200, inclusive: true },
    {
      ...sample("tasks touched by that", "touched", "tasks"),
      ...{ goal: 0, inclusive: true, pick: "max" as const },
    },
    sample("stack rm until nothing is left", "removed"),
  ];
}

export async function run(): Promise<void> {
  report("stack", await stackSamples());
}
