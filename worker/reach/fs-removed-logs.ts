/**
 * Logs of tasks whose containers are gone, for a while. Edge: to the file system.
 * The files are linked to, not copied, before the container goes. Invariants: what is kept is bounded by
 * time, bytes and tasks, and the oldest goes first; a failure to keep a log never holds up a removal.
 */
import { link, mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Clock, Timer } from "../../base/clock/clock.js";
import { messageOf } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import type { LogReadOptions, LogRecord } from "../containers/container-manager.js";
import { readLog } from "../containers/fs-log-reader.js";
import { isErrno } from "../runtime/linux-process.js";

export const KEPT_MS = 15 * 60_000;
export const KEPT_BYTES_MAX = 64 * 1024 * 1024;
export const KEPT_TASKS_MAX = 200;
/** Rotated files of one log that are kept. */
const FILES_MAX = 20;

export interface RemovedTask {
  readonly id: string;
  readonly serviceId: string;
  /** service.slot.id */
  readonly name: string;
}

interface Kept {
  readonly task: RemovedTask;
  readonly removedAtMs: number;
  readonly bytes: number;
}

export interface RemovedLogsParts {
  readonly dir: string;
  readonly clock: Clock;
  readonly log: Logger;
}

export class RemovedLogs {
  readonly #parts: RemovedLogsParts;
  /** By task, in order of removal. */
  readonly #kept = new Map<string, Kept>();
  #timer: Timer | undefined;
  #closed = false;

  private constructor(parts: RemovedLogsParts) {
    this.#parts = parts;
  }

  /** What was kept before a restart of the daemon is kept on. */
  static async open(parts: RemovedLogsParts): Promise<RemovedLogs> {
    const logs = new RemovedLogs(parts);
    await mkdir(parts.dir, { recursive: true, mode: 0o700 });
    const found: Kept[] = [];
    for (const name of await readdir(parts.dir)) {
      const kept = await readKept(join(parts.dir, name, "task.json"));
      if (kept?.task.id === name) found.push(kept);
      else await rm(join(parts.dir, name), { recursive: true, force: true });
    }
    for (const kept of found.sort((a, b) => a.removedAtMs - b.removedAtMs))
      logs.#kept.set(kept.task.id, kept);
    await logs.#bound();
    return logs;
  }

  /** Links to the log's files, the live one and the rotated ones. */
  async keep(task: RemovedTask, logPath: string): Promise<void> {
    const { clock, log } = this.#parts;
    const folder = this.#folder(task.id);
    try {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      let bytes = 0;
      for (let number = 0; number < FILES_MAX; number++) {
        const suffix = number === 0 ? "" : `.${number}`;
        const size = await linked(`${logPath}${suffix}`, join(folder, `log${suffix}`));
        if (size === undefined && number > 0) break;
        bytes += size ?? 0;
      }
      const kept = { task, removedAtMs: clock.nowMs(), bytes };
      await writeFile(join(folder, "task.json"), JSON.stringify(kept), { mode: 0o600 });
      this.#kept.delete(task.id);
      this.#kept.set(task.id, kept);
      await this.#bound();
    } catch (error) {
      log.warn("the log of a removed task is not kept", { task: task.id, error: messageOf(error) });
      await this.#drop(task.id);
    }
  }

  /** Oldest first. */
  list(): readonly RemovedTask[] {
    return [...this.#kept.values()].map(({ task }) => task);
  }

  read(taskId: string, options: LogReadOptions): AsyncIterable<LogRecord> {
    const source = {
      path: join(this.#folder(taskId), "log"),
      ended: () => true,
      onEnd: () => () => undefined,
    };
    return readLog(source, { ...options, follow: false });
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  #folder(taskId: string): string {
    return join(this.#parts.dir, taskId);
  }

  async #bound(): Promise<void> {
    const { clock, log } = this.#parts;
    this.#timer?.cancel();
    const gone: string[] = [];
    let bytes = 0;
    for (const kept of this.#kept.values()) bytes += kept.bytes;
    for (const [id, kept] of this.#kept) {
      const isOld = kept.removedAtMs + KEPT_MS <= clock.nowMs();
      if (!isOld && bytes <= KEPT_BYTES_MAX && this.#kept.size <= KEPT_TASKS_MAX) break;
      this.#kept.delete(id);
      bytes -= kept.bytes;
      gone.push(id);
    }
    const [oldest] = this.#kept.values();
    if (oldest !== undefined && !this.#closed) {
      const waitMs = Math.max(0, oldest.removedAtMs + KEPT_MS - clock.nowMs());
      this.#timer = clock.setTimer(waitMs, () => {
        this.#bound().catch((error: unknown) =>
          log.warn("old logs are not removed", { error: messageOf(error) }),
        );
      });
    }
    for (const id of gone) await this.#drop(id);
  }

  async #drop(taskId: string): Promise<void> {
    try {
      await rm(this.#folder(taskId), { recursive: true, force: true });
    } catch (error) {
      this.#parts.log.warn("an old log is not removed", { task: taskId, error: messageOf(error) });
    }
  }
}

/** @returns the size; undefined when there is no such file. */
async function linked(from: string, to: string): Promise<number | undefined> {
  try {
    await rm(to, { force: true });
    await link(from, to);
    return (await stat(to)).size;
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    throw error;
  }
}

/** @returns undefined when it is no note of ours: its folder goes. */
async function readKept(path: string): Promise<Kept | undefined> {
  try {
    const kept = JSON.parse(await readFile(path, "utf8")) as Partial<Kept>;
    const { task, removedAtMs, bytes } = kept;
    if (task === undefined || typeof removedAtMs !== "number" || typeof bytes !== "number") return undefined;
    return { task, removedAtMs, bytes };
  } catch (error) {
    if (isErrno(error, "ENOENT") || isErrno(error, "ENOTDIR") || error instanceof SyntaxError)
      return undefined;
    throw error;
  }
}
