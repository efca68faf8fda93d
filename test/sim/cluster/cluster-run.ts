/**
 * One whole run of a simulated cluster: its schedule with all checks on, then healing, then agreement. Pure.
 */
import { SeededRandom } from "../../../base/random/seeded-random.js";
import { CALM } from "../sim-network.js";
import { disagreements } from "./cluster-agreement.js";
import type { ClusterBug } from "./cluster-bugs.js";
import { ClusterViolation } from "./cluster-checks.js";
import { doFault } from "./cluster-faults.js";
import { CLUSTER_FAULTS, type ClusterEvent, drawClusterSchedule } from "./cluster-schedule.js";
import { ClusterUser } from "./cluster-user.js";
import { ClusterWorld } from "./cluster-world.js";

export interface ClusterRunOptions {
  readonly seed: number;
  /** Simulated milliseconds under faults. @default 40000 */
  readonly faultyMs?: number | undefined;
  readonly schedule?: readonly ClusterEvent[] | undefined;
  readonly bug?: ClusterBug | undefined;
  readonly print?: ((line: string) => void) | undefined;
}

export interface ClusterRunResult {
  readonly seed: number;
  readonly violation: Error | undefined;
  readonly traceHash: string;
  readonly simulatedMs: number;
  readonly healMs: number;
  readonly commits: number;
  readonly starts: number;
  readonly deeds: number;
  readonly acknowledged: number;
}

export const CLUSTER_FAULTY_MS = 40_000;
/** From the end of all faults to agreement: orphaning, drain deadline, restart delays and a paced update. */
export const CLUSTER_AGREEMENT_MS = 120_000;

/** How long a cluster that has agreed is looked at, and what it may write then; more for what cannot run. */
const REST_MS = 5_000;
const REST_COMMITS_MAX = 25;
const ENDLESS_COMMITS_MAX = 400;

/** Of seven seeds four have stacks; the others are as they were before there were any. */
const STACK_SEEDS: ReadonlySet<number> = new Set([2, 3, 5, 6]);

export function clusterScheduleOf({ seed, faultyMs }: ClusterRunOptions): readonly ClusterEvent[] {
  const random = new SeededRandom(`cluster-schedule-${seed}`);
  return drawClusterSchedule(random, faultyMs ?? CLUSTER_FAULTY_MS, { stacks: STACK_SEEDS.has(seed % 7) });
}

export async function runClusterSeed(options: ClusterRunOptions): Promise<ClusterRunResult> {
  const world = new ClusterWorld(options);
  const user = new ClusterUser(world);
  const faults: readonly string[] = CLUSTER_FAULTS;
  let healMs = 0;
  let violation: Error | undefined;
  let isStormy = true;
  try {
    await world.found();
    for (const event of options.schedule ?? clusterScheduleOf(options)) {
      world.queue.after(event.atMs, () => {
        if (!isStormy) return;
        if (faults.includes(event.kind)) doFault(world, event);
        else user.do(event);
      });
    }
    await world.run(options.faultyMs ?? CLUSTER_FAULTY_MS);
    isStormy = false;
    const healedMs = world.queue.now;
    world.note(0, "all faults end", 9);
    world.network.quality = CALM;
    world.heal();
    for (const machine of world.machines) machine.boot();
    await agree(world);
    healMs = world.queue.now - healedMs;
    user.check();
  } catch (error) {
    violation = error instanceof Error ? error : new Error(String(error));
  }
  const { commits, starts } = world.checks;
  const { deeds, acknowledged } = user;
  return {
    seed: options.seed,
    violation,
    traceHash: world.trace.hash(),
    simulatedMs: world.queue.now,
    healMs,
    commits,
    starts,
    deeds,
    acknowledged,
  };
}

/** Twice in a row, so that nothing only passes by. */
async function agree(world: ClusterWorld): Promise<void> {
  const untilMs = world.queue.now + CLUSTER_AGREEMENT_MS;
  let calm = 0;
  let last: readonly string[] = [];
  while (world.queue.now < untilMs && calm < 3) {
    await world.run(1_000);
    last = disagreements(world);
    calm = last.length === 0 ? calm + 1 : 0;
  }
  if (calm < 3) throw new ClusterViolation("desired state is reached", last.slice(0, 6).join("; "));
  const before = world.checks.commits;
  await world.run(REST_MS);
  const commits = world.checks.commits - before;
  const allowed = REST_COMMITS_MAX + ENDLESS_COMMITS_MAX * world.endlessServices().length;
  if (commits > allowed)
    throw new ClusterViolation("what has converged is left alone", `${commits} commits in ${REST_MS} ms`);
}
