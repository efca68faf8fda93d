/**
 * Health of a container from the results of its probes.
 * Pure. Rules are Docker's: healthy at the first success, unhealthy after `retries` failures in a row,
 * failures in the start period do not count. Ours beside them: until the first interval has passed there are
 * early probes whose failures do not count either,
 * so that what is ready at once is known to be ready at once.
 */
import type { HealthCheck, HealthResult } from "./container-manager.js";

export interface HealthState {
  readonly status: "starting" | "healthy" | "unhealthy";
  /** Counted failures in a row. */
  readonly failingStreak: number;
  /** Probes so far, of this run of the container. */
  readonly probes: number;
}

export const INITIAL_HEALTH: HealthState = { status: "starting", failingStreak: 0, probes: 0 };

const EARLY_FIRST_MS = 50;
const EARLY_FACTOR = 2;

/** Before this long after the start failures do not count. */
function countsAfterMs(check: HealthCheck): number {
  return Math.max(check.startPeriodMs, check.intervalMs);
}

/** When Docker would ask for the first time; what fails earlier is not shown. */
export function firstRegularProbeMs(check: HealthCheck): number {
  return check.startPeriodMs > 0 ? Math.min(check.startIntervalMs, check.intervalMs) : check.intervalMs;
}

const RESULTS_MAX = 5;
const OUTPUT_BYTES_MAX = 4_096;

/** The last five with the new one, its output cut to 4096 bytes. */
export function withResult(log: readonly HealthResult[], result: HealthResult): readonly HealthResult[] {
  return [...log, { ...result, output: cut(result.output) }].slice(-RESULTS_MAX);
}

function cut(output: string): string {
  const bytes = Buffer.from(output);
  if (bytes.length <= OUTPUT_BYTES_MAX) return output;
  return bytes
    .subarray(0, OUTPUT_BYTES_MAX)
    .toString("utf8")
    .replace(/\uFFFD+$/, "");
}

/** @param sinceStartMs time since the container started. @returns the pause before the next probe. */
export function nextProbeDelayMs(state: HealthState, check: HealthCheck, sinceStartMs: number): number {
  if (state.status !== "starting") return check.intervalMs;
  const regularMs =
    sinceStartMs < check.startPeriodMs ? Math.min(check.startIntervalMs, check.intervalMs) : check.intervalMs;
  const firstMs = firstRegularProbeMs(check);
  if (sinceStartMs >= firstMs) return regularMs;
  return Math.min(EARLY_FIRST_MS * EARLY_FACTOR ** Math.min(state.probes, 30), firstMs - sinceStartMs);
}

export function afterProbe(
  state: HealthState,
  check: HealthCheck,
  result: { readonly success: boolean; readonly sinceStartMs: number },
): HealthState {
  const probes = state.probes + 1;
  if (result.success) return { status: "healthy", failingStreak: 0, probes };
  if (state.status === "starting" && result.sinceStartMs < countsAfterMs(check)) return { ...state, probes };
  const failingStreak = state.failingStreak + 1;
  return { status: failingStreak >= check.retries ? "unhealthy" : state.status, failingStreak, probes };
}
