/**
 * One container in memory: its record, what is under way with it, and who waits for its end. Pure.
 */
import type { Timer } from "../../base/clock/clock.js";
import { CancelledError } from "../../base/errors/errors.js";
import type { RuntimeExit } from "../runtime/oci-runtime.js";
import type { ContainerRecord, ContainerState, WaitCondition } from "./container-manager.js";
import type { HealthMonitor } from "./health-monitor.js";
import type { StoredContainer } from "./stored-container.js";
import { TaskQueue } from "./task-queue.js";

/** What Docker shows of a process whose end nobody saw: exit codes of processes are never negative. */
const EXIT_CODE_UNKNOWN = 255;

type Moment = "exit" | "removed";

/** A process of it is there. */
export function isLive(state: ContainerState): boolean {
  return state === "running" || state === "paused";
}

export class ContainerEntry {
  stored: StoredContainer;
  /** Start, clean-up, removal, pause and update, one after the other. */
  readonly queue = new TaskQueue();
  starting = false;
  /** What its last run left: done once, in the queue, by whoever comes first: its end, or a start before it. */
  cleanUp: (() => Promise<void>) | undefined;
  /** An exit that came while the start was still being told. */
  earlyExit: RuntimeExit | undefined;
  health: HealthMonitor | undefined;
  /** Runs out when the restart policy starts it again. */
  restart: Timer | undefined;
  restartPauseMs = 0;
  /** Its next end is somebody's doing (a stop, a removal): neither its policy nor auto-remove acts on it. */
  held = false;
  /** Found again by a daemon that is not up yet: its end is looked at when the daemon is. */
  atBoot = false;
  readonly #waiters = new Map<(record: ContainerRecord) => void, Moment>();

  constructor(stored: StoredContainer) {
    this.stored = stored;
  }

  get id(): string {
    return this.stored.record.id;
  }

  get live(): boolean {
    return isLive(this.stored.record.state);
  }

  /** Changes the record; the process stays as it is. */
  change(changes: Partial<ContainerRecord>): ContainerRecord {
    const record = { ...this.stored.record, ...changes };
    this.stored = { ...this.stored, record };
    return record;
  }

  /** What belonged to its run alone is forgotten. */
  forgetRun(): void {
    const { process: _process, sandbox: _sandbox, cgroupPath: _group, bootId: _boot, ...rest } = this.stored;
    const { endpoints: _endpoints, ports: _ports, sandboxPath: _path, ...record } = rest.record;
    this.stored = { ...rest, record: { ...record, pid: 0 } };
  }

  /** Takes over an exit. @returns the new record. */
  exited(exit: RuntimeExit): ContainerRecord {
    this.forgetRun();
    return this.change({
      state: "exited",
      exitCode: exit.exitCode === -1 ? EXIT_CODE_UNKNOWN : exit.exitCode,
      oomKilled: exit.oomKilled,
      finishedMs: Math.max(exit.finishedMs, this.stored.record.startedMs),
      error:
        exit.exitCode === -1 ? "the exit code was lost: the container's monitor or the host went down" : "",
    });
  }

  cancelRestart(): void {
    this.restart?.cancel();
    this.restart = undefined;
  }

  /**
   * Resolves at the moment the condition names; not-running: at once for one that does not run.
   * @throws {CancelledError} when the signal fires first.
   */
  wait(condition: WaitCondition, signal?: AbortSignal): Promise<ContainerRecord> {
    const { record } = this.stored;
    const runs = isLive(record.state) || record.state === "restarting" || this.starting;
    if (condition === "not-running" && !runs) return Promise.resolve(record);
    return new Promise((resolve, reject) => {
      const done = (ended: ContainerRecord): void => {
        settle();
        resolve(ended);
      };
      const aborted = (): void => {
        settle();
        reject(new CancelledError(`waiting for container ${record.id} was cancelled`));
      };
      const settle = (): void => {
        this.#waiters.delete(done);
        signal?.removeEventListener("abort", aborted);
      };
      if (signal?.aborted === true) {
        aborted();
        return;
      }
      this.#waiters.set(done, condition === "removed" ? "removed" : "exit");
      signal?.addEventListener("abort", aborted, { once: true });
    });
  }

  /** Who waits for an exit, or (removed) for anything. */
  tellWaiters(moment: Moment): void {
    for (const [waiter, awaited] of [...this.#waiters]) {
      if (moment === "removed" || awaited === moment) waiter(this.stored.record);
    }
  }
}
