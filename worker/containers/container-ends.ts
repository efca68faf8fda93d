/**
 * What people do to a container that lives: signals, stop, restart, pause, forced removal.
 * Pure: runtime, clock and records are handed in. Words and order of events are Docker's.
 * Invariant: who stopped a container by hand is remembered before its process ends.
 */
import { DeadlineExceededError, FailedPreconditionError } from "../../base/errors/errors.js";
import type { ContainerEntry } from "./container-entry.js";
import type { ContainerRecord } from "./container-manager.js";
import type { ContainerParts } from "./container-parts.js";
import type { ContainerRemoval } from "./container-removal.js";
import { admitKill, admitPause, admitRemoval, admitUnpause } from "./container-rules.js";
import type { ContainerRuns } from "./container-runs.js";
import { signalNumber } from "./signals.js";

const SIGKILL = 9;
/** Longer than the look for ends that no event told of. */
const KILL_TIMEOUT_MS = 12_000;

export interface StopOptions {
  readonly gracePeriodMs?: number;
  readonly signal?: string;
}

export class ContainerEnds {
  readonly #parts: ContainerParts;
  readonly #runs: ContainerRuns;
  readonly #removal: ContainerRemoval;

  constructor(parts: ContainerParts, runs: ContainerRuns, removal: ContainerRemoval) {
    this.#parts = parts;
    this.#runs = runs;
    this.#removal = removal;
  }

  async stop(entry: ContainerEntry, options: StopOptions): Promise<ContainerRecord> {
    const signal = stopSignal(entry, options);
    await settled(entry); // a start under way is let through, or the container would run after its stop
    if (!isUp(entry)) return entry.stored.record;
    entry.cancelRestart(); // before the next wait, or its policy could start it meanwhile
    await this.#markByHand(entry);
    return this.#end(entry, signal, options.gracePeriodMs);
  }

  async restart(entry: ContainerEntry, options: StopOptions): Promise<ContainerRecord> {
    const signal = stopSignal(entry, options);
    await settled(entry);
    if (isUp(entry)) {
      entry.held = true; // its policy does not start it, nor is it removed: that is done here
      try {
        await this.#end(entry, signal, options.gracePeriodMs);
      } catch (error) {
        entry.held = false;
        throw error;
      }
    }
    const record = await this.#runs.start(entry);
    this.#parts.events.emit("restart", record);
    return record;
  }

  async kill(entry: ContainerEntry, signal: string): Promise<void> {
    const number = signalNumber(signal);
    await settled(entry, "only a start");
    const { record } = entry.stored;
    admitKill(record);
    const configured = record.specification.stopSignal;
    const ends = number === SIGKILL || configured === "" || signalNumber(configured) === number;
    entry.cancelRestart(); // before the next wait, or its policy could start it meanwhile
    if (ends) await this.#markByHand(entry);
    if (this.#endPause(entry)) return;
    const exited = entry.wait("not-running");
    this.#signal(entry, number);
    if (ends && entry.stored.record.state === "paused") await this.#thaw(entry, number !== SIGKILL);
    if (number === SIGKILL) await this.#killed(entry, exited);
  }

  pause(entry: ContainerEntry): Promise<void> {
    return entry.queue.run(async () => {
      admitPause(entry.stored.record);
      await this.#parts.runtime.setFrozen(groupOf(entry), true);
      if (entry.stored.record.state !== "running") return; // ended meanwhile
      entry.health?.pause();
      const record = entry.change({ state: "paused" });
      await this.#parts.state.save(entry.stored);
      this.#parts.events.emit("pause", record);
    });
  }

  unpause(entry: ContainerEntry): Promise<void> {
    return entry.queue.run(async () => {
      admitUnpause(entry.stored.record);
      await this.#thaw(entry, true);
    });
  }

  async remove(entry: ContainerEntry, options: { force: boolean; removeVolumes: boolean }): Promise<void> {
    const { force, removeVolumes } = options;
    if (entry.stored.record.state === "removing" && !force) {
      throw new FailedPreconditionError(`removal of container ${entry.id} is already in progress`);
    }
    await settled(entry);
    if (isUp(entry)) {
      if (!force) admitRemoval(entry.stored.record);
      entry.held = true;
      entry.cancelRestart();
      await this.#markByHand(entry);
      if (!this.#endPause(entry) && entry.live) {
        const exited = entry.wait("not-running");
        this.#signal(entry, SIGKILL);
        if (entry.stored.record.state === "paused") await this.#thaw(entry, false);
        await this.#killed(entry, exited);
      }
    }
    await this.#removal.remove(entry, { removeVolumes });
  }

  /** Signal, grace period, SIGKILL; resolves at the exit. */
  async #end(
    entry: ContainerEntry,
    signal: number,
    gracePeriodMs: number | undefined,
  ): Promise<ContainerRecord> {
    const { events } = this.#parts;
    if (this.#endPause(entry) || !entry.live) {
      events.emit("stop", entry.stored.record);
      return entry.stored.record;
    }
    const graceMs = gracePeriodMs ?? entry.stored.record.specification.stopGracePeriodMs;
    const exited = entry.wait("not-running");
    this.#signal(entry, signal);
    if (entry.stored.record.state === "paused") await this.#thaw(entry, signal !== SIGKILL);
    // -1: wait for ever, as in Docker
    const inTime = graceMs < 0 ? await exited : await this.#within(graceMs, exited);
    if (inTime === undefined) this.#signal(entry, SIGKILL);
    const ended = inTime ?? (await this.#killed(entry, exited));
    events.emit("stop", ended);
    return ended;
  }

  /** @throws {DeadlineExceededError} a process that does not even die of SIGKILL hangs in the kernel. */
  async #killed(entry: ContainerEntry, exited: Promise<ContainerRecord>): Promise<ContainerRecord> {
    const ended = await this.#within(KILL_TIMEOUT_MS, exited);
    if (ended !== undefined) return ended;
    throw new DeadlineExceededError(
      `container ${entry.id} was killed, but its process has not ended within ${KILL_TIMEOUT_MS / 1_000} s`,
    );
  }

  /** @returns undefined when time is up. */
  async #within<T>(timeoutMs: number, work: Promise<T>): Promise<T | undefined> {
    let cancel = (): void => undefined;
    const late = new Promise<undefined>((resolve) => {
      const timer = this.#parts.init.clock.setTimer(timeoutMs, () => resolve(undefined));
      cancel = () => timer.cancel();
    });
    try {
      return await Promise.race([work, late]);
    } finally {
      cancel();
    }
  }

  /** A container that waits for its next start by policy. @returns false when it does not wait. */
  #endPause(entry: ContainerEntry): boolean {
    if (entry.stored.record.state !== "restarting") return false;
    entry.cancelRestart();
    entry.change({ state: "exited" });
    this.#parts.inBackground("saving a stop", this.#parts.state.save(entry.stored));
    entry.tellWaiters("exit");
    return true;
  }

  async #markByHand(entry: ContainerEntry): Promise<void> {
    entry.stored = { ...entry.stored, stoppedByHand: true };
    const policy = entry.stored.record.specification.restartPolicy?.name ?? "no";
    if (policy !== "no") await this.#parts.state.save(entry.stored); // only a policy asks for it later
  }

  /** Told before it happens: what was frozen may have ended by its signal before the kernel answers. */
  async #thaw(entry: ContainerEntry, tell: boolean): Promise<void> {
    const record = entry.change({ state: "running" });
    if (tell) this.#parts.events.emit("unpause", record);
    try {
      await this.#parts.runtime.setFrozen(groupOf(entry), false);
    } catch (error) {
      // its group has gone: it has ended, which may not have been told yet
      if (error instanceof FailedPreconditionError) return;
      if (entry.live) throw error;
    }
    if (!entry.live) return;
    entry.health?.resume();
    await this.#parts.state.save(entry.stored);
  }

  #signal(entry: ContainerEntry, signal: number): void {
    const { process, record } = entry.stored;
    if (process === undefined) return;
    this.#parts.events.emit("kill", record, { signal: String(signal) });
    this.#parts.runtime.kill(process, signal);
  }
}

function isUp(entry: ContainerEntry): boolean {
  return entry.live || entry.stored.record.state === "restarting";
}

/** Nothing of it is under way any more, above all no start; what was queued while this waited is waited for, too. */
async function settled(entry: ContainerEntry, what: "all" | "only a start" = "all"): Promise<void> {
  if (what === "all") await entry.queue.idle();
  while (entry.starting) await entry.queue.idle();
}

function stopSignal(entry: ContainerEntry, options: StopOptions): number {
  return signalNumber(options.signal || entry.stored.record.specification.stopSignal || "SIGTERM");
}

function groupOf(entry: ContainerEntry): string {
  return entry.stored.cgroupPath ?? "";
}
