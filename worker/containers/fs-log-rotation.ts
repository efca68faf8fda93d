/**
 * Keeps the logs of running containers within their sizes: looks at them every two seconds,
 * moves the full ones aside, and has the monitor open a new file. Edge: to the log files. Bound: size x
 * files, plus what is written in two seconds.
 */
import { rm } from "node:fs/promises";
import type { Clock, Timer } from "../../base/clock/clock.js";
import { messageOf } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import { logSize, ROTATED_FILES_MAX, shiftLogs } from "./fs-log-files.js";

/**
 * Often enough that a fast writer stays near its limit, seldom enough to cost nothing:
 * one stat per running container.
 */
const LOOK_EVERY_MS = 2_000;
/** When the request names no size: logs are bounded always. */
const DEFAULT_SIZE_BYTES = 20 * 1024 * 1024;
const DEFAULT_FILES = 5;
/** Time the monitor gets to let go of the renamed file when only one is kept. */
const SPARE_KEPT_MS = 1_000;

export interface RotatedLog {
  readonly id: string;
  readonly path: string;
  /** 0: the default. */
  readonly maxSizeBytes: number;
  readonly maxFiles: number;
}

export interface LogRotationComponents {
  readonly clock: Clock;
  readonly log: Logger;
  running(): readonly RotatedLog[];
  reopen(id: string): Promise<void>;
}

export class LogRotation {
  readonly #components: LogRotationComponents;
  readonly #timer: Timer;
  #pass: Promise<void> | undefined;

  constructor(components: LogRotationComponents) {
    this.#components = components;
    this.#timer = components.clock.setInterval(LOOK_EVERY_MS, () => {
      this.#pass ??= this.look().finally(() => {
        this.#pass = undefined;
      });
    });
  }

  /** One round over all running containers. */
  async look(): Promise<void> {
    for (const log of this.#components.running()) {
      try {
        await this.#rotate(log);
      } catch (error) {
        this.#components.log.warn("log could not be rotated", { container: log.id, error: messageOf(error) });
      }
    }
  }

  async #rotate(log: RotatedLog): Promise<void> {
    const sizeMax = log.maxSizeBytes > 0 ? log.maxSizeBytes : DEFAULT_SIZE_BYTES;
    const filesMax = log.maxFiles > 0 ? log.maxFiles : log.maxSizeBytes > 0 ? 1 : DEFAULT_FILES;
    if ((await logSize(log.path)) < sizeMax) return;
    await shiftLogs(log.path, Math.min(filesMax, ROTATED_FILES_MAX));
    await this.#components.reopen(log.id);
    if (filesMax > 1) return;
    await this.#components.clock.sleep(SPARE_KEPT_MS);
    await rm(`${log.path}.1`, { force: true });
  }

  async close(): Promise<void> {
    this.#timer.cancel();
    await this.#pass;
  }
}
