/**
 * One whole run: its schedule with all checks on, then healing and agreement, then the clients' histories.
 * Pure.
 */
import { SeededRandom } from "../../base/random/seeded-random.js";
import { coreFoundry } from "./core-foundry.js";
import { createHostFoundry } from "./host-foundry.js";
import { SimActions } from "./sim-actions.js";
import type { PlantedBug, WorldName } from "./sim-bugs.js";
import { SimClients } from "./sim-clients.js";
import { SimHistory } from "./sim-history.js";
import { PROFILES, type ProfileName } from "./sim-profiles.js";
import { drawSchedule, type SimEvent } from "./sim-schedule.js";
import { SimWorld } from "./sim-world.js";

export interface RunOptions {
  readonly seed: number;
  /** @default core */
  readonly world?: WorldName | undefined;
  /** @default mixed */
  readonly profile?: ProfileName | undefined;
  readonly bug?: PlantedBug | undefined;
  /** Simulated milliseconds under faults. @default 20000 */
  readonly faultyMs?: number | undefined;
  /** Instead of the one drawn from the seed. */
  readonly schedule?: readonly SimEvent[] | undefined;
  readonly print?: ((line: string) => void) | undefined;
}

export interface RunResult {
  readonly seed: number;
  /** What was broken, if anything. */
  readonly violation: Error | undefined;
  readonly violatedAtMs: number | undefined;
  readonly traceHash: string;
  readonly simulatedMs: number;
  readonly healMs: number;
  readonly messages: number;
  readonly acknowledged: number;
  readonly reads: number;
  readonly leaders: number;
  readonly membershipChanges: number;
  /** Operations that the clients' histories hold, and keys whose history was too tangled to judge. */
  readonly operations: number;
  readonly undecided: number;
}

export const FAULTY_MS = 20_000;
/**
 * From healing to full agreement: two election timeouts of the slowest clock, then catching up by snapshot.
 */
export const AGREEMENT_BOUND_MS = 15_000;

/** What a seed does to a run when nobody says otherwise. */
export function scheduleOf(options: RunOptions): readonly SimEvent[] {
  const random = new SeededRandom(`raft-schedule-${options.seed}`);
  return drawSchedule(random, PROFILES[options.profile ?? "mixed"], options.faultyMs ?? FAULTY_MS);
}

export async function runSeed(options: RunOptions): Promise<RunResult> {
  const { seed, bug, print } = options;
  const profile = PROFILES[options.profile ?? "mixed"];
  const world = new SimWorld({
    seed,
    bug,
    print,
    profile,
    foundry: options.world === "host" ? createHostFoundry() : coreFoundry,
  });
  const history = new SimHistory();
  let healMs = 0;
  let violation: Error | undefined;
  let violatedAtMs: number | undefined;
  try {
    const actions = new SimActions(world, new SimClients(world, history));
    actions.schedule(options.schedule ?? scheduleOf(options));
    await world.run(options.faultyMs ?? FAULTY_MS);
    actions.end();
    healMs = await world.healAndAgree(AGREEMENT_BOUND_MS);
    history.check();
  } catch (error) {
    violation = error instanceof Error ? error : new Error(String(error));
    violatedAtMs = world.queue.now;
  }
  return {
    seed,
    violation,
    violatedAtMs,
    traceHash: world.trace.hash(),
    simulatedMs: world.queue.now,
    healMs,
    messages: world.network.sent,
    acknowledged: world.checker.acknowledged,
    reads: world.checker.reads,
    leaders: world.checker.leaderCount,
    membershipChanges: world.checker.membershipChanges,
    operations: history.answered,
    undecided: history.undecided,
  };
}
