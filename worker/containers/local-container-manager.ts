/**
 * The container manager of a node: records, the runtime, images, volumes and logs joined into one life cycle.
 * Edge: the loop that carries it out; decisions are in the pure files beside it.
 * Invariants: start, clean-up and removal of one container never overlap; `die` is told once per run,
 * before its clean-up; a record says "running" only while its process is known.
 *
 *   create -> created -> start -> running -> (exit) -> exited -> start ... -> remove
 */
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import {
  AlreadyExistsError,
  FailedPreconditionError,
  messageOf,
  NotFoundError,
} from "../../base/errors/errors.js";
import { newHexId } from "../../base/random/ids.js";
import type { ImageRecord } from "../images/image-store.js";
import type { OciRuntime, ProcessIdentity, RuntimeExit } from "../runtime/oci-runtime.js";
import type { VolumeStore } from "../volumes/volume-store.js";
import {
  admitContainer,
  exitCodeOfRefusal,
  type KeptSpecification,
  newRecord,
  wantedVolumes,
} from "./container-admission.js";
import { type BundleMaker, makeBundle } from "./container-bundle.js";
import { ContainerEntry } from "./container-entry.js";
import { ContainerEvents } from "./container-events.js";
import { ContainerHealth } from "./container-health.js";
import type {
  ContainerEvent,
  ContainerRecord,
  ContainerSpecification,
  LogReadOptions,
  LogRecord,
} from "./container-manager.js";
import { readLog } from "./fs-log-reader.js";
import { LogRotation, type RotatedLog } from "./fs-log-rotation.js";
import type { ContainerManagerInit, LocalContainerManager } from "./open-container-manager.js";
import { Permits } from "./permits.js";
import { signalNumber } from "./signals.js";
import type { ContainerState, StoredContainer } from "./stored-container.js";

const PARALLEL_STARTS_MAX = 8;
const SIGKILL = 9;

export interface ContainerManagerParts {
  readonly init: ContainerManagerInit;
  readonly runtime: OciRuntime;
  readonly state: ContainerState;
  readonly volumes: VolumeStore;
  readonly maker: BundleMaker;
}

export class ConmonContainerManager implements LocalContainerManager {
  readonly volumes: VolumeStore;
  readonly #init: ContainerManagerInit;
  readonly #parts: ContainerManagerParts;
  readonly #entries = new Map<string, ContainerEntry>();
  readonly #names = new Map<string, string>();
  readonly #events: ContainerEvents;
  readonly #health: ContainerHealth;
  readonly #permits: Permits;
  readonly #rotation: LogRotation;
  #closed = false;

  constructor(parts: ContainerManagerParts) {
    const { init, runtime, state } = parts;
    const { clock, log, images } = init;
    this.#parts = parts;
    this.#init = init;
    this.volumes = parts.volumes;
    this.#permits = new Permits(init.parallelStartsMax ?? PARALLEL_STARTS_MAX);
    this.#events = new ContainerEvents(clock);
    const onChange = (entry: ContainerEntry): void => {
      this.#inBackground("saving health", state.save(entry.stored));
      this.#events.emit("health", entry.stored.record);
    };
    this.#health = new ContainerHealth({ images, runtime, clock, log, onChange });
    const reopen = (id: string): Promise<void> => runtime.reopenLog(id);
    this.#rotation = new LogRotation({ clock, log, running: () => this.#rotatedLogs(), reopen });
    runtime.onExit((exit) => this.#exited(exit));
  }

  /**
   * Meets what ran on without us: living ones are adopted, ended ones get their exit codes,
   * half-started ones are cleared up.
   */
  async recover(): Promise<void> {
    const { runtime, state } = this.#parts;
    for (const stored of await state.load()) {
      this.#entries.set(stored.record.id, new ContainerEntry(stored));
      this.#names.set(stored.record.name, stored.record.id);
    }
    await this.#sweep(new Set(this.#entries.keys()));
    for (const entry of this.#entries.values()) {
      const { id, stored } = entry;
      if (stored.process !== undefined) {
        this.#health.watch(entry);
        await runtime.adopt(id, stored.process);
        continue;
      }
      if ((await runtime.findLeftover(id)) !== undefined) {
        this.#init.log.warn("container was half started when the daemon ended", { container: id });
      }
      await this.#release(id); // also of a run whose clean-up was cut short
    }
  }

  /** What a create or removal cut short left of containers nobody knows: secrets above all. */
  async #sweep(known: ReadonlySet<string>): Promise<void> {
    await this.#parts.runtime.sweep(known);
    await this.#parts.maker.files.sweep(known);
    const logs = join(this.#init.dir, "containers");
    await mkdir(logs, { recursive: true, mode: 0o710 });
    for (const id of await readdir(logs))
      if (!known.has(id)) await rm(join(logs, id), { recursive: true, force: true });
  }

  async create(specification: ContainerSpecification): Promise<ContainerRecord> {
    const { files, ...rest } = specification;
    const kept: KeptSpecification = { ...rest, name: specification.name.replace(/^\//, "") };
    const image = this.#init.images.find(specification.image);
    if (image === undefined) throw new NotFoundError(`No such image: ${specification.image}`);
    const id = newHexId(this.#init.random);
    admitContainer(id, kept, image, this.#parts.maker);
    const holder = this.#names.get(kept.name);
    if (holder !== undefined) {
      throw new AlreadyExistsError(
        `the container name "/${kept.name}" is already in use by container ${holder}: ` +
          "remove or rename it first",
      );
    }
    this.#names.set(kept.name, id); // taken before the first wait: two creates of one name cannot both go on
    const volumes: StoredContainer["volumes"][number][] = [];
    try {
      await this.#addVolumes(volumes, kept, image);
      const placed = await this.#parts.maker.files.place(id, files);
      const createdMs = this.#init.clock.nowMs();
      const record = newRecord({ id, specification: kept, imageId: image.id, createdMs });
      const stored: StoredContainer = { record, files: placed, volumes };
      await mkdir(this.#logDir(id), { recursive: true, mode: 0o710 });
      await this.#parts.state.save(stored);
      this.#entries.set(id, new ContainerEntry(stored));
      this.#events.emit("create", record);
      return record;
    } catch (error) {
      this.#names.delete(kept.name);
      await this.#parts.maker.files.remove(id);
      await this.#removeAnonymous(volumes);
      throw error;
    }
  }

  /** Each is noted when it is made, so that a failure midway can take the anonymous ones back. */
  async #addVolumes(
    made: StoredContainer["volumes"][number][],
    specification: KeptSpecification,
    image: ImageRecord,
  ): Promise<void> {
    for (const mount of wantedVolumes(specification, image)) {
      const { name, driver, driverOptions, labels, target, readOnly, noCopy, subpath } = mount;
      const volume = await this.volumes.ensure({ name, driver, options: driverOptions, labels });
      made.push({ target, name: volume.name, anonymous: name === "", readOnly, noCopy, subpath });
    }
  }

  async #removeAnonymous(volumes: StoredContainer["volumes"]): Promise<void> {
    for (const { name, anonymous } of volumes) {
      if (anonymous && this.volumes.find(name) !== undefined) await this.volumes.remove(name);
    }
  }

  start(id: string): Promise<ContainerRecord> {
    const entry = this.#entry(id);
    return entry.queue.run(async () => {
      if (entry.stored.record.state === "running") return entry.stored.record;
      return this.#permits.use(() => this.#start(entry));
    });
  }

  async #start(entry: ContainerEntry): Promise<ContainerRecord> {
    const { id } = entry;
    const { imageId } = entry.stored.record;
    if (!this.#entries.has(id)) throw new NotFoundError(`No such container: ${id}`);
    const image = this.#init.images.find(imageId);
    if (image === undefined) throw new NotFoundError(`No such image: ${imageId}`);
    entry.starting = true;
    entry.earlyExit = undefined;
    try {
      await this.#run(entry, image);
    } catch (error) {
      const words = messageOf(error);
      entry.forgetProcess();
      entry.change({
        state: previousState(entry),
        pid: 0,
        health: "",
        error: words,
        exitCode: exitCodeOfRefusal(words),
      });
      await this.#parts.state.save(entry.stored);
      await this.#release(id);
      throw error;
    } finally {
      entry.starting = false;
    }
    const { record } = entry.stored;
    this.#events.emit("start", record);
    this.#health.watch(entry);
    const early = entry.earlyExit as RuntimeExit | undefined; // set by #exited while this method waited
    if (early !== undefined) this.#exited(early);
    return record;
  }

  async #run(entry: ContainerEntry, image: ImageRecord): Promise<void> {
    const { runtime, maker, state } = this.#parts;
    const { id } = entry;
    const { name, specification } = entry.stored.record;
    const rootfs = await this.#init.images.mountRootfs(image.id, id);
    const bundle = await makeBundle(maker, entry.stored, image, rootfs);
    const process: ProcessIdentity = await runtime.create({
      id,
      name,
      spec: bundle.spec,
      logPath: specification.log.driver === "none" ? undefined : this.#logPath(id),
      tty: specification.tty,
      openStdin: specification.openStdin,
    });
    const record: ContainerRecord = {
      ...entry.stored.record,
      state: "running",
      pid: process.pid,
      startedMs: this.#init.clock.nowMs(),
      finishedMs: 0,
      exitCode: 0,
      oomKilled: false,
      error: "",
      health: bundle.process.healthcheck === undefined ? "" : "starting",
    };
    const running: StoredContainer = { ...entry.stored, record, process };
    await Promise.all([runtime.start(id), state.save(running)]);
    entry.stored = running;
  }

  /** What a run leaves behind: runtime state, cgroup, run files, the mounted root. */
  async #release(id: string): Promise<void> {
    await this.#parts.runtime.delete(id);
    await this.#parts.maker.files.release(id);
    await this.#init.images.unmountRootfs(id);
  }

  #exited(exit: RuntimeExit): void {
    const entry = this.#entries.get(exit.id);
    if (entry === undefined) return;
    if (entry.starting) {
      entry.earlyExit = exit;
      return;
    }
    if (entry.stored.record.state !== "running") return;
    const record = entry.exited(exit);
    const monitor = entry.health;
    entry.health = undefined;
    if (exit.oomKilled) this.#events.emit("oom", record);
    this.#events.emit("die", record);
    entry.tellWaiters();
    // Told first, cleared up after: who waits for the exit does not wait for the clean-up.
    const cleanUp = async (): Promise<void> => {
      await monitor?.stop();
      if (entry.stored.record.state === "running" || !this.#entries.has(exit.id)) return;
      await this.#parts.state.save(entry.stored);
      await this.#release(exit.id);
    };
    this.#inBackground("clean-up after exit", entry.queue.run(cleanUp));
  }

  async stop(
    id: string,
    options: { gracePeriodMs?: number; signal?: string } = {},
  ): Promise<ContainerRecord> {
    const entry = this.#entry(id);
    const signal = signalNumber(options.signal || this.#stopSignal(entry));
    await entry.queue.idle(); // a start under way is let through, or the container would run after its stop
    const { record, process } = entry.stored;
    if (record.state !== "running" || process === undefined) return record;
    const graceMs = options.gracePeriodMs ?? record.specification.stopGracePeriodMs;
    const exited = entry.wait();
    this.#signal(entry, signal);
    const kill = (): void => this.#signal(entry, SIGKILL);
    // -1: wait for ever, as in Docker
    const timer = graceMs < 0 ? undefined : this.#init.clock.setTimer(graceMs, kill);
    try {
      const ended = await exited;
      this.#events.emit("stop", ended);
      return ended;
    } finally {
      timer?.cancel();
    }
  }

  #stopSignal(entry: ContainerEntry): string {
    const { imageId, specification } = entry.stored.record;
    return specification.stopSignal || this.#init.images.find(imageId)?.config.stopSignal || "SIGTERM";
  }

  #signal(entry: ContainerEntry, signal: number): void {
    if (entry.stored.process === undefined) return;
    this.#events.emit("kill", entry.stored.record);
    this.#parts.runtime.kill(entry.stored.process, signal);
  }

  async kill(id: string, signal = "SIGKILL"): Promise<void> {
    const entry = this.#entry(id);
    const number = signalNumber(signal);
    if (entry.starting) await entry.queue.idle();
    if (entry.stored.record.state !== "running") {
      throw new FailedPreconditionError(`container ${id} is not running`);
    }
    this.#signal(entry, number);
  }

  async remove(id: string, options: { force?: boolean; removeVolumes?: boolean } = {}): Promise<void> {
    const entry = this.#entry(id);
    await entry.queue.idle();
    if (entry.stored.record.state === "running") {
      if (options.force !== true) {
        throw new FailedPreconditionError(
          `cannot remove container ${id}: it is running; stop it first or force`,
        );
      }
      const exited = entry.wait();
      this.#signal(entry, SIGKILL);
      await exited;
    }
    await entry.queue.run(async () => {
      if (!this.#entries.has(entry.id)) return;
      if (entry.stored.record.state === "running") {
        throw new FailedPreconditionError(`cannot remove container ${id}: it was started again`);
      }
      await this.#remove(entry, options.removeVolumes ?? true);
    });
  }

  async #remove(entry: ContainerEntry, removeVolumes: boolean): Promise<void> {
    const { id } = entry;
    await this.#parts.runtime.delete(id);
    await this.#init.images.removeRootfs(id);
    await this.#parts.maker.files.remove(id);
    await rm(this.#logDir(id), { recursive: true, force: true });
    if (removeVolumes) await this.#removeAnonymous(entry.stored.volumes);
    await this.#parts.state.delete(id);
    this.#entries.delete(id);
    this.#names.delete(entry.stored.record.name);
    this.#events.emit("destroy", entry.stored.record);
    entry.tellWaiters(); // one that never ran has no exit to wait for any more
  }

  async wait(id: string, options: { signal?: AbortSignal } = {}): Promise<ContainerRecord> {
    return this.#entry(id).wait(options.signal);
  }

  find(idOrName: string): ContainerRecord | undefined {
    const named = this.#names.get(idOrName.replace(/^\//, "")) ?? "";
    const exact = this.#entries.get(idOrName) ?? this.#entries.get(named);
    if (exact !== undefined) return exact.stored.record;
    if (!/^[0-9a-f]{1,63}$/.test(idOrName)) return undefined;
    const matching = [...this.#entries.keys()].filter((id) => id.startsWith(idOrName));
    return matching.length === 1 ? this.#entries.get(matching[0] ?? "")?.stored.record : undefined;
  }

  volumesOf(id: string): StoredContainer["volumes"] {
    return this.#entries.get(id)?.stored.volumes ?? [];
  }

  list(): readonly ContainerRecord[] {
    return [...this.#entries.values()]
      .map((entry) => entry.stored.record)
      .sort((a, b) => b.createdMs - a.createdMs || (a.id < b.id ? -1 : 1));
  }

  logs(id: string, options: LogReadOptions): AsyncIterable<LogRecord> {
    const entry = this.#entry(id);
    if (entry.stored.record.specification.log.driver === "none") {
      throw new FailedPreconditionError(`container ${id} keeps no log: its log driver is none`);
    }
    const key = entry.stored.record.id;
    return readLog(
      {
        path: this.#logPath(key),
        ended: () => !entry.starting && (entry.stored.record.state === "exited" || !this.#entries.has(key)),
        onEnd: (listener) =>
          this.#events.listen((event) => (event.container.id === key ? listener() : undefined)),
      },
      options,
    );
  }

  onEvent(listener: (event: ContainerEvent) => void): () => void {
    return this.#events.listen(listener);
  }

  /** Containers go on; only the watching ends. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#rotation.close();
    for (const entry of this.#entries.values()) entry.health?.abort();
    await Promise.allSettled([...this.#entries.values()].map((entry) => entry.queue.idle()));
    await this.#parts.runtime.close();
    if (this.#entries.size === 0) await this.#parts.maker.files.unmount();
    await this.#parts.state.close();
  }

  #logDir(id: string): string {
    return join(this.#init.dir, "containers", id);
  }

  #logPath(id: string): string {
    return join(this.#logDir(id), "log");
  }

  #rotatedLogs(): readonly RotatedLog[] {
    return [...this.#entries.values()].flatMap(({ stored: { record } }) => {
      const { driver, maxSizeBytes, maxFiles } = record.specification.log;
      if (record.state !== "running" || driver === "none") return [];
      return [{ id: record.id, path: this.#logPath(record.id), maxSizeBytes, maxFiles }];
    });
  }

  #entry(id: string): ContainerEntry {
    const entry = this.#entries.get(this.find(id)?.id ?? "");
    if (entry === undefined) throw new NotFoundError(`No such container: ${id}`);
    return entry;
  }

  #inBackground(what: string, work: Promise<unknown>): void {
    work.then(undefined, (error: unknown) =>
      this.#init.log.error("container work failed", { what, error: messageOf(error) }),
    );
  }
}

/** A container that was never started stays "created" when its start fails. */
function previousState(entry: ContainerEntry): ContainerRecord["state"] {
  return entry.stored.record.finishedMs > 0 ? "exited" : "created";
}
