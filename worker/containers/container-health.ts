/**
 * Gives running containers their health monitors. Pure: runtime and clock are handed in.
 * Bound: four probes at a time on a node, because each spawns processes and would delay starts;
 * the rest wait.
 */
import type { Clock } from "../../base/clock/clock.js";
import type { Logger } from "../../base/log/logger.js";
import type { ImageStore } from "../images/image-store.js";
import type { OciRuntime } from "../runtime/oci-runtime.js";
import type { ContainerEntry } from "./container-entry.js";
import { containerProcess } from "./container-process.js";
import { HealthMonitor } from "./health-monitor.js";
import { Permits } from "./permits.js";

const PARALLEL_PROBES_MAX = 4;

export interface ContainerHealthComponents {
  readonly images: Pick<ImageStore, "find">;
  readonly runtime: Pick<OciRuntime, "exec">;
  readonly clock: Clock;
  readonly log: Logger;
  /** The record has its new status already. */
  readonly onChange: (entry: ContainerEntry) => void;
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
    const { id, imageId, specification, startedMs, health } = entry.stored.record;
    const image = images.find(imageId);
    if (image === undefined || health === "") return;
    const { healthcheck, shell } = containerProcess(id, specification, image.config);
    if (healthcheck === undefined) return;
    const [kind, ...command] = healthcheck.test;
    const args = kind === "CMD-SHELL" ? [...shell, ...command] : command;
    entry.health = new HealthMonitor({
      check: healthcheck,
      clock,
      log: log.child({ container: id }),
      runsSinceMs: Math.max(0, clock.nowMs() - startedMs),
      status: health,
      probe: () =>
        this.#permits.use(async () => {
          if (entry.stored.process === undefined) return false;
          return (await runtime.exec(id, args, { timeoutMs: healthcheck.timeoutMs })).exitCode === 0;
        }),
      onStatus: (status) => {
        if (entry.stored.record.state !== "running") return;
        entry.change({ health: status });
        onChange(entry);
      },
    });
  }
}
