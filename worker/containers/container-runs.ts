/**
 * Runs of a container: begun by hand or by its restart policy, ended by its process.
 * Edge: the loop that carries it out; decisions are in the pure files beside it.
 * Invariants: start, clean-up and removal of one container never overlap; `die` is told once per run, before
 * its clean-up; a record says "running" only while its process is known.
 */
import { messageOf, NotFoundError } from "../../base/errors/errors.js";
import type { RuntimeExit } from "../runtime/oci-runtime.js";
import { makeBundle, releaseBundle } from "./container-bundle.js";
import type { ContainerEntry } from "./container-entry.js";
import type { ContainerRecord } from "./container-manager.js";
import { alreadyMerged } from "./container-merge.js";
import { type ContainerNetworkAccess, shownSandbox } from "./container-networking.js";
import type { ContainerParts } from "./container-parts.js";
import type { ContainerRemoval } from "./container-removal.js";
import { endedRun, NO_RESTART, restartPauseMs, restarts } from "./container-restarts.js";
import { admitStart } from "./container-rules.js";
import { Permits } from "./permits.js";
import { startFailure } from "./start-failure.js";
import type { StoredContainer } from "./stored-container.js";

const PARALLEL_STARTS_MAX = 8;

export type StartListener = (id: string) => Promise<void>;

export class ContainerRuns {
  readonly #parts: ContainerParts;
  readonly #network: ContainerNetworkAccess;
  readonly #removal: ContainerRemoval;
  readonly #permits: Permits;
  readonly #beforeStart = new Set<StartListener>();
  #closed = false;

  constructor(parts: ContainerParts, network: ContainerNetworkAccess, removal: ContainerRemoval) {
    this.#parts = parts;
    this.#network = network;
    this.#removal = removal;
    this.#permits = new Permits(parts.init.parallelStartsMax ?? PARALLEL_STARTS_MAX);
  }

  /** @returns the way to stop listening. */
  onBeforeStart(listener: StartListener): () => void {
    this.#beforeStart.add(listener);
    return () => {
      this.#beforeStart.delete(listener);
    };
  }

  /** By hand, or at the return of the daemon: the policy's count begins anew. */
  start(entry: ContainerEntry): Promise<ContainerRecord> {
    return entry.queue.run(async () => {
      if (entry.cleanUp !== undefined) await this.#cleanUpFirst(entry);
      const { record } = entry.stored;
      if (!this.#parts.registry.has(entry.id)) throw new NotFoundError(`No such container: ${entry.id}`);
      if (!admitStart(record)) return record;
      entry.restartPauseMs = 0;
      entry.held = false;
      entry.stored = { ...entry.stored, stoppedByHand: false };
      entry.change({ restartCount: 0 });
      return this.#permits.use(() => this.#start(entry));
    });
  }

  /** The process of a container has ended. */
  exited(exit: RuntimeExit): void {
    const entry = this.#parts.registry.byId(exit.id);
    if (entry === undefined) return;
    if (entry.starting) {
      entry.earlyExit = exit;
      return;
    }
    if (!entry.live) return;
    const { events, registry, state, init } = this.#parts;
    const monitor = entry.health;
    entry.health = undefined;
    monitor?.abort();
    const ended = entry.exited(exit);
    const ranMs = ended.finishedMs - ended.startedMs;
    const { autoRemove = false, restartPolicy = NO_RESTART } = ended.specification;
    const byHand = entry.held || entry.stored.stoppedByHand === true;
    const again = !entry.atBoot && restarts(restartPolicy, endedRun(ended, byHand), "exit");
    const record = again
      ? entry.change({ state: "restarting", restartCount: (ended.restartCount ?? 0) + 1 })
      : ended;
    if (exit.oomKilled) events.emit("oom", record);
    events.emit("die", record, {
      exitCode: String(record.exitCode),
      execDuration: String(Math.floor(ranMs / 1_000)),
    });
    if (again) {
      entry.restartPauseMs = restartPauseMs(entry.restartPauseMs, ranMs);
      entry.restart = init.clock.setTimer(entry.restartPauseMs, () => this.#startAgain(entry));
    }
    entry.tellWaiters("exit");
    // Told first, cleared up after: who waits for the exit does not wait for the clean-up.
    const cleanUp = async (): Promise<void> => {
      await monitor?.stop();
      if (entry.live || !registry.has(exit.id)) return;
      if (autoRemove && !entry.held) {
        await this.#removal.removeNow(entry, { removeVolumes: true });
        return;
      }
      await Promise.all([state.save(entry.stored), this.release(entry)]);
    };
    entry.cleanUp = cleanUp;
    this.#parts.inBackground(
      "clean-up after exit",
      entry.queue.run(() => this.#cleanUp(entry)),
    );
  }

  /** It ended while its start waited for its turn. A failure is no reason not to try. */
  async #cleanUpFirst(entry: ContainerEntry): Promise<void> {
    try {
      await this.#cleanUp(entry);
    } catch (error) {
      this.#parts.init.log.error("clean-up before a start failed", {
        container: entry.id,
        error: messageOf(error),
      });
    }
  }

  /** None due is fine. */
  async #cleanUp(entry: ContainerEntry): Promise<void> {
    const { cleanUp } = entry;
    entry.cleanUp = undefined;
    await cleanUp?.();
  }

  /** What a run leaves behind: sandbox, runtime state, cgroup, run files, the mounted root. */
  async release(entry: ContainerEntry): Promise<void> {
    const { runtime, maker, init } = this.#parts;
    await Promise.all([runtime.delete(entry.id), this.#network.close(entry)]);
    await Promise.all([releaseBundle(maker, entry.stored), init.images.unmountRootfs(entry.id)]);
  }

  readonly #peer = (idOrName: string): ContainerRecord => this.#parts.registry.get(idOrName).stored.record;

  /** No more starts by policy. */
  close(): void {
    this.#closed = true;
    for (const entry of this.#parts.registry.entries()) entry.cancelRestart();
  }

  #startAgain(entry: ContainerEntry): void {
    entry.restart = undefined;
    const start = entry.queue.run(async () => {
      await this.#permits.use(async () => {
        // it may have been stopped while it waited for its turn
        if (!this.#closed && entry.stored.record.state === "restarting") await this.#start(entry);
      });
    });
    this.#parts.inBackground("start by restart policy", start);
  }

  async #start(entry: ContainerEntry): Promise<ContainerRecord> {
    const { events, health } = this.#parts;
    const { state: before } = entry.stored.record;
    entry.starting = true;
    entry.earlyExit = undefined;
    try {
      await this.#run(entry);
    } catch (thrown) {
      const { specification, finishedMs } = entry.stored.record;
      const [command = ""] = [...specification.entrypoint, ...specification.args];
      const { error, exitCode } = startFailure(thrown, command);
      entry.forgetRun();
      const ended = finishedMs > 0 ? "exited" : "created";
      entry.change({ state: ended, health: "", error: error.message, exitCode });
      if (before === "restarting") entry.tellWaiters("exit");
      await this.#clearUpFailedStart(entry);
      throw error;
    } finally {
      entry.starting = false;
    }
    const { record } = entry.stored;
    events.emit("start", record);
    health.watch(entry);
    const early = entry.earlyExit as RuntimeExit | undefined; // set by `exited` while this method waited
    if (early !== undefined) this.exited(early);
    return record;
  }

  /** A failure here does not hide why the start failed. */
  async #clearUpFailedStart(entry: ContainerEntry): Promise<void> {
    const { state, init } = this.#parts;
    try {
      if (entry.stored.record.specification.autoRemove === true) {
        await this.#removal.removeNow(entry, { removeVolumes: true });
      } else {
        await Promise.all([state.save(entry.stored), this.release(entry)]);
      }
    } catch (error) {
      const words = messageOf(error);
      init.log.error("failed start was not cleared up", { container: entry.id, error: words });
    }
  }

  async #run(entry: ContainerEntry): Promise<void> {
    const { runtime, maker, state, init } = this.#parts;
    const { id, name, imageId, specification } = entry.stored.record;
    runtime.expectCreate();
    const [rootfs, network] = await bothSettled(
      init.images.mountRootfs(imageId, id),
      this.#network.open(entry),
    );
    const asRun = { ...entry.stored.record, specification: network.specification };
    // the image may have been removed by force since: what is needed of it is in the record and in the root
    const merged = { config: alreadyMerged(init.images.find(imageId)?.config) };
    const bundle = await makeBundle(maker, { ...entry.stored, record: asRun }, merged, rootfs, this.#peer);
    const process = await runtime.create({
      id,
      name,
      spec: bundle.spec,
      ...(bundle.runtime === undefined ? {} : { runtime: bundle.runtime }),
      logPath: specification.log.driver === "none" ? undefined : this.#parts.logPath(id),
      tty: specification.tty,
      openStdin: specification.openStdin,
      // a terminal's input never ends with a client
      stdinOnce: specification.stdinOnce === true && !specification.tty,
    });
    await Promise.all([...this.#beforeStart].map((listener) => listener(id)));
    const record: ContainerRecord = {
      ...entry.stored.record,
      state: "running",
      pid: process.pid,
      startedMs: init.clock.nowMs(),
      finishedMs: 0,
      exitCode: 0,
      oomKilled: false,
      error: "",
      health: bundle.process.healthcheck === undefined ? "" : "starting",
      healthLog: [],
      failingStreak: 0,
      ...(network.sandbox === undefined ? {} : shownSandbox(network.sandbox)),
    };
    const running: StoredContainer = {
      ...entry.stored,
      record,
      process,
      cgroupPath: bundle.spec.linux.cgroupsPath,
      bootId: this.#parts.bootId,
      ...(network.sandbox === undefined ? {} : { sandbox: network.sandbox }),
    };
    await Promise.all([runtime.start(id), state.save(running)]);
    entry.stored = running;
  }
}

/** Both side by side; the second is over, too, when the first fails. */
async function bothSettled<A, B>(first: Promise<A>, second: Promise<B>): Promise<[A, B]> {
  await Promise.allSettled([first, second]);
  return [await first, await second];
}
