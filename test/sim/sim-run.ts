/**
 * One whole run: faults with all checks on, then healing and agreement. Pure.
 */
import type { PlantedBug } from "./sim-core.js";
import { SimFaults } from "./sim-faults.js";
import { type SimProfile, SimWorld } from "./sim-world.js";

export interface RunOptions {
  readonly seed: number;
  /** Simulated milliseconds under faults. @default 20000 */
  readonly faultyMs?: number;
  readonly bug?: PlantedBug | undefined;
  readonly profile?: SimProfile | undefined;
  readonly print?: ((line: string) => void) | undefined;
}

export interface RunResult {
  readonly seed: number;
  /** What was broken, if anything. */
  readonly violation: Error | undefined;
  readonly traceHash: string;
  readonly simulatedMs: number;
  readonly healMs: number;
  readonly messages: number;
  readonly acknowledged: number;
  readonly reads: number;
  readonly leaders: number;
}

/**
 * From healing to full agreement: two election timeouts of the slowest clock, then catching up by snapshot.
 */
export const AGREEMENT_BOUND_MS = 15_000;

export function runSeed(options: RunOptions): RunResult {
  const world = new SimWorld(options);
  let healMs = 0;
  let violation: Error | undefined;
  try {
    const faults = new SimFaults(world, options.profile);
    world.run(options.faultyMs ?? 20_000);
    faults.end();
    healMs = world.healAndAgree(AGREEMENT_BOUND_MS);
  } catch (error) {
    violation = error instanceof Error ? error : new Error(String(error));
  }
  return {
    seed: options.seed,
    violation,
    traceHash: world.trace.hash(),
    simulatedMs: world.queue.now,
    healMs,
    messages: world.network.sent,
    acknowledged: world.checker.acknowledged.length,
    reads: world.checker.reads,
    leaders: world.checker.leaderCount,
  };
}
