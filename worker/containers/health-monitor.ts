/**
 * Probes one running container in its rhythm until stopped. Pure: clock and probe are handed in.
 * Invariants: one probe at a time, none while paused; after `abort` no result is told. A probe that fails
 * before the first regular one would have run is not told: Docker would not have asked yet.
 */
import type { Clock } from "../../base/clock/clock.js";
import { messageOf } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import type { HealthCheck, HealthResult } from "./container-manager.js";
import { afterProbe, firstRegularProbeMs, type HealthState, nextProbeDelayMs } from "./health-check.js";

export interface ProbeAnswer {
  /** 0: healthy; -1: out of time. */
  readonly exitCode: number;
  readonly output: string;
}

export interface HealthMonitorInit {
  readonly check: HealthCheck;
  readonly clock: Clock;
  readonly log: Logger;
  /** How long the container runs already: not 0 when it was found again after a restart of the daemon. */
  readonly runsSinceMs: number;
  /** Known from before. */
  readonly state: Pick<HealthState, "status" | "failingStreak">;
  readonly paused: boolean;
  /** @param early asked before Docker would: nothing is told of it unless it succeeds. */
  readonly probe: (early: boolean) => Promise<ProbeAnswer>;
  readonly onResult: (state: HealthState, result: HealthResult) => void;
}

export class HealthMonitor {
  readonly #init: HealthMonitorInit;
  readonly #abort = new AbortController();
  readonly #running: Promise<void>;
  #paused = Promise.resolve();
  #resume = (): void => undefined;

  constructor(init: HealthMonitorInit) {
    this.#init = init;
    if (init.paused) this.pause();
    this.#running = this.#run();
  }

  /** No result is told from now on; a probe under way ends by itself. */
  abort(): void {
    this.#abort.abort();
    this.#resume();
  }

  /** No probe begins until `resume`. */
  pause(): void {
    this.#resume();
    this.#paused = new Promise((resolve) => {
      this.#resume = resolve;
    });
  }

  resume(): void {
    this.#resume();
  }

  /** Resolves when no probe runs any more. */
  async stop(): Promise<void> {
    this.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { check, clock } = this.#init;
    const { signal } = this.#abort;
    const startedMs = clock.monotonicMs() - this.#init.runsSinceMs;
    let state: HealthState = { ...this.#init.state, probes: 0 };
    for (;;) {
      try {
        const delayMs = nextProbeDelayMs(state, check, clock.monotonicMs() - startedMs);
        await clock.sleep(delayMs, { signal });
      } catch (error) {
        if (signal.aborted) return;
        throw error;
      }
      await this.#paused;
      if (signal.aborted) return;
      const sinceStartMs = clock.monotonicMs() - startedMs;
      const startMs = clock.nowMs();
      const early = sinceStartMs < firstRegularProbeMs(check);
      const { exitCode, output } = await this.#probe(early);
      if (signal.aborted) return;
      const success = exitCode === 0;
      state = afterProbe(state, check, { success, sinceStartMs });
      if (!success && early) continue;
      this.#init.onResult(state, { startMs, endMs: clock.nowMs(), exitCode, output });
    }
  }

  async #probe(early: boolean): Promise<ProbeAnswer> {
    try {
      return await this.#init.probe(early);
    } catch (error) {
      this.#init.log.debug("health probe could not run", { error: messageOf(error) });
      return { exitCode: -1, output: messageOf(error) };
    }
  }
}
