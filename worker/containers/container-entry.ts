/**
 * One container in memory: its record, what is under way with it, and who waits for its end. Pure.
 */
import { CancelledError } from "../../base/errors/errors.js";
import type { RuntimeExit } from "../runtime/oci-runtime.js";
import type { ContainerRecord } from "./container-manager.js";
import type { HealthMonitor } from "./health-monitor.js";
import type { StoredContainer } from "./stored-container.js";
import { TaskQueue } from "./task-queue.js";

export class ContainerEntry {
  stored: StoredContainer;
  /** Start, clean-up and removal, one after the other. */
  readonly queue = new TaskQueue();
  starting = false;
  /** An exit that came while the start was still being told. */
  earlyExit: RuntimeExit | undefined;
  health: HealthMonitor | undefined;
  readonly #waiters = new Set<(record: ContainerRecord) => void>();

  constructor(stored: StoredContainer) {
    this.stored = stored;
  }

  get id(): string {
    return this.stored.record.id;
  }

  /** Changes the record; the process stays as it is. */
  change(changes: Partial<ContainerRecord>): ContainerRecord {
    const record = { ...this.stored.record, ...changes };
    this.stored = { ...this.stored, record };
    return record;
  }

  forgetProcess(): void {
    const { process: _ended, ...rest } = this.stored;
    this.stored = rest;
  }

  /** Takes over an exit. @returns the new record. */
  exited(exit: RuntimeExit): ContainerRecord {
    this.forgetProcess();
    return this.change({
      state: "exited",
      pid: 0,
      exitCode: exit.exitCode,
      oomKilled: exit.oomKilled,
      finishedMs: Math.max(exit.finishedMs, this.stored.record.startedMs),
      error:
        exit.exitCode === -1 ? "the exit code was lost: the container's monitor or the host went down" : "",
    });
  }

  /**
   * Resolves at the next exit, or at once when it has exited.
   * @throws {CancelledError} when the signal fires first.
   */
  wait(signal?: AbortSignal): Promise<ContainerRecord> {
    const { record } = this.stored;
    if (record.state === "exited" || record.state === "dead") return Promise.resolve(record);
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
      this.#waiters.add(done);
      signal?.addEventListener("abort", aborted, { once: true });
    });
  }

  tellWaiters(): void {
    for (const waiter of [...this.#waiters]) waiter(this.stored.record);
  }
}
