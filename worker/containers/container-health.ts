/**
 * Gives running containers their health monitors. Pure: runtime and clock are handed in.
 * Bound: four probes at a time on a node, because each spawns processes and would delay starts;
 * the rest wait.
 */
import type { Clock } from "../../base/clock/clock.js";
import type { Logger } from "../../base/log/logger.js";
import { newHexId } from "../../base/random/ids.js";
import type { Random } from "../../base/random/random.js";
import type { ImageStore } from "../images/image-store.js";
import type { OciRuntime } from "../runtime/oci-runtime.js";
import type { ContainerEntry } from "./container-entry.js";
import type { ContainerEvents } from "./container-events.js";
import { alreadyMerged } from "./container-merge.js";
import { containerProcess } from "./container-process.js";
import { withResult } from "./health-check.js";
import { HealthMonitor } from "./health-monitor.js";
import { Permits } from "./permits.js";

const PARALLEL_PROBES_MAX = 4;

export interface ContainerHealthComponents {
  readonly images: Pick<ImageStore, "find">;
  readonly runtime: Pick<OciRuntime, "exec">;
  readonly clock: Clock;
  readonly random: Random;
  readonly events: ContainerEvents;
  readonly log: Logger;
  /**
   * The record has it already. To be kept: a daemon that is killed meanwhile must not begin to count anew.
   * A status is told, too.
   */
  readonly onChange: (entry: ContainerEntry, what: "status" | "streak") => void;
}

export class ContainerHealth {
  readonly #components: ContainerHealthComponents;
  readonly #permits = new Permits(PARALLEL_PROBES_MAX);

  constructor(components: ContainerHealthComponents) {
    this.#components = components;
  }

  /** Starts probing, if the container has a health check. */
  watch(entry: ContainerEntry): void {
    const { images, runtime, clock, log, onChange } = this.#components;
    const { id, imageId, specification, startedMs, health, failingStreak = 0 } = entry.stored.record;
    if (health === "") return;
    const config = alreadyMerged(images.find(imageId)?.config);
    const { healthcheck, shell } = containerProcess(id, specification, config);
    if (healthcheck === undefined) return;
    const [kind, ...command] = healthcheck.test;
    const args = kind === "CMD-SHELL" ? [...shell, ...command] : command;
    const timeoutWords = `Health check exceeded timeout (${goDuration(healthcheck.timeoutMs)})`;
    entry.health = new HealthMonitor({
      check: healthcheck,
      clock,
      log: log.child({ container: id }),
      runsSinceMs: Math.max(0, clock.nowMs() - startedMs),
      state: { status: health, failingStreak },
      paused: entry.stored.record.state === "paused",
      probe: (early) =>
        this.#permits.use(async () => {
          if (entry.stored.process === undefined) return { exitCode: -1, output: "container is gone" };
          const ended = early ? ignored : this.#tellProbe(entry, args);
          const { exitCode, output } = await runtime.exec(id, args, { timeoutMs: healthcheck.timeoutMs });
          ended(exitCode);
          if (exitCode !== -1) return { exitCode, output };
          return { exitCode, output: output === "" ? timeoutWords : `${timeoutWords}: ${output}` };
        }),
      onResult: (state, result) => {
        const { record } = entry.stored;
        if (!entry.live) return;
        const healthLog = withResult(record.healthLog ?? [], result);
        entry.change({ health: state.status, failingStreak: state.failingStreak, healthLog });
        if (state.status !== record.health) onChange(entry, "status");
        else if (state.failingStreak !== (record.failingStreak ?? 0)) onChange(entry, "streak");
      },
    });
  }

  /** Docker's events for a probe are those of an exec. @returns to be called with its exit code. */
  #tellProbe(entry: ContainerEntry, args: readonly string[]): (exitCode: number) => void {
    const { random, events } = this.#components;
    const execID = newHexId(random);
    const command = args.join(" ");
    events.emit("exec_create", entry.stored.record, { execID, command });
    events.emit("exec_start", entry.stored.record, { execID, command });
    return (exitCode) => {
      if (entry.live) events.emit("exec_die", entry.stored.record, { execID, exitCode: String(exitCode) });
    };
  }
}

const ignored = (): void => undefined;

/** As Go prints a duration: 30s, 1m30s, 1.5s, 200ms. */
function goDuration(ms: number): string {
  if (ms < 1_000) return `${ms}ms`;
  const hours = Math.floor(ms / 3_600_000);
  const minutes = Math.floor((ms % 3_600_000) / 60_000);
  const seconds = (ms % 60_000) / 1_000;
  const front = hours > 0 ? `${hours}h${minutes}m` : minutes > 0 ? `${minutes}m` : "";
  return `${front}${seconds}s`;
}
