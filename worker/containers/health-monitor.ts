/**
 * Probes one running container in its rhythm until stopped. Pure: clock and probe are handed in.
 * Invariant: one probe at a time; after `stop` no status is told.
 */
import type { Clock } from "../../base/clock/clock.js";
import { messageOf } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import type { HealthCheck } from "./container-manager.js";
import { afterProbe, type HealthState, INITIAL_HEALTH, nextProbeDelayMs } from "./health-check.js";

export interface HealthMonitorInit {
  readonly check: HealthCheck;
  readonly clock: Clock;
  readonly log: Logger;
  /** How long the container runs already: not 0 when it was found again after a restart of the daemon. */
  readonly runsSinceMs: number;
  /** Known from before. */
  readonly status: HealthState["status"];
  /** @returns true when the command ended with 0 in time. */
  readonly probe: () => Promise<boolean>;
  readonly onStatus: (status: HealthState["status"]) => void;
}

export class HealthMonitor {
  readonly #init: HealthMonitorInit;
  readonly #abort = new AbortController();
  #paused = Promise.resolve();
  #resume = (): void => undefined;
  readonly #running: Promise<void>;

  constructor(init: HealthMonitorInit) {
    this.#init = init;
    this.#running = this.#run();
  }

  /** No status is told from now on; a probe under way ends by itself. */
  abort(): void {
    this.#abort.abort();
    this.#resume();
  }

  /** No probe begins until `resume`. */
  pause(): void {
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
    const { check, clock, log, probe } = this.#init;
    const { signal } = this.#abort;
    const startMs = clock.monotonicMs() - this.#init.runsSinceMs;
    let state: HealthState = { ...INITIAL_HEALTH, status: this.#init.status };
    for (;;) {
      try {
        await clock.sleep(nextProbeDelayMs(state, check, clock.monotonicMs() - startMs), { signal });
        await this.#paused;
        if (signal.aborted) return;
        const success = await probe();
        if (signal.aborted) return;
        const next = afterProbe(state, check, { success, sinceStartMs: clock.monotonicMs() - startMs });
        if (next.status !== state.status) this.#init.onStatus(next.status);
        state = next;
      } catch (error) {
        if (signal.aborted) return;
        log.warn("health probe could not run", { error: messageOf(error) });
        state = afterProbe(state, check, { success: false, sinceStartMs: clock.monotonicMs() - startMs });
      }
    }
  }
}
