/**
 * The container manager of a node: records, the runtime, images, volumes and logs joined into one life cycle.
 * Edge: the loop that carries it out; decisions are in the pure files beside it.
 * Invariants: start, cleanup and removal of one container never overlap; `die` is told once per run, before its cleanup;
 * a record says "running" only while its process is known.
 *
 *   create -> created -> start -> running -> (exit) -> exited -> start ... -> remove
 */
import { readFileSync } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../../base/clock/clock.js";
import {
  AlreadyExistsError,
  CancelledError,
  FailedPreconditionError,
  InvalidArgumentError,
  messageOf,
  NotFoundError,
  NotImplementedError,
} from "../../base/errors/errors.js";
import type { Linux } from "../../base/linux/linux-ports.js";
import type { Logger } from "../../base/log/logger.js";
import { newHexId } from "../../base/random/ids.js";
import type { Random } from "../../base/random/random.js";
import type { ImageRecord, ImageStore } from "../images/image-store.js";
import { capabilitySet } from "../runtime/capabilities.js";
import { buildOciSpec } from "../runtime/oci-spec.js";
import type { OciRuntime, RuntimeExit } from "../runtime/oci-runtime.js";
import { SeccompFilters } from "../runtime/seccomp-filter.js";
import { openConmonRuntime } from "../runtime/process-conmon-runtime.js";
import { openVolumeStore } from "../volumes/fs-volume-store.js";
import type { VolumeStore } from "../volumes/volume-store.js";
import { type BundleMaker, makeBundle } from "./container-bundle.js";
import type {
  ContainerEvent,
  ContainerManager,
  ContainerRecord,
  ContainerSpecification,
  LogReadOptions,
  LogRecord,
} from "./container-manager.js";
import { containerProcess } from "./container-process.js";
import { openContainerFiles } from "./fs-container-files.js";
import { readLog } from "./fs-log-reader.js";
import { LogRotation, type RotatedLog } from "./fs-log-rotation.js";
import { HealthMonitor } from "./health-monitor.js";
import { openLevelContainerState } from "./level-container-state.js";
import { Permits } from "./permits.js";
import { signalNumber } from "./signals.js";
import type { ContainerState, StoredContainer } from "./stored-container.js";
import { TaskQueue } from "./task-queue.js";

export interface ContainerManagerInit {
  /** Records, logs, volumes: survives a reboot. */
  readonly dir: string;
  /** Sockets, fifos, runtime state, secrets' tmpfs: gone with a reboot. At most 80 bytes long. */
  readonly runDir: string;
  /** Absolute path in the cgroup tree, e.g. "/skein"; of this daemon alone. */
  readonly cgroupParent: string;
  readonly images: ImageStore;
  readonly linux: Linux;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** @default crun when installed, else runc */
  readonly runtime?: "crun" | "runc";
  /** Containers being started at the same time; the rest wait. @default 8 */
  readonly parallelStartsMax?: number;
  /** How often exits are looked for that no event told of (the monitor was killed). @default 5_000 */
  readonly safetyPollMs?: number;
}

/** The manager of containers and, beside it, the volumes they use. */
export interface LocalContainerManager extends ContainerManager {
  readonly volumes: VolumeStore;
}

const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}$/;
const LOG_DRIVERS = ["", "json-file", "local", "none"];
/** The oldest are dropped beyond this. */
const UNTOLD_EVENTS_MAX = 1_024;
/** Health probes spawn processes: more at a time would delay starts. */
const PARALLEL_PROBES_MAX = 4;
const DEFAULT_GRACE_MS = 10_000;
const SIGKILL = 9;

/** @throws {FailedPreconditionError} when conmon or an OCI runtime is missing. */
export async function openContainerManager(init: ContainerManagerInit): Promise<LocalContainerManager> {
  await mkdir(init.dir, { recursive: true, mode: 0o711 });
  await mkdir(init.runDir, { recursive: true, mode: 0o711 });
  const { clock, log, random, cgroupParent } = init;
  const runtime = await openConmonRuntime({
    runDir: init.runDir,
    cgroupParent,
    linux: init.linux,
    clock,
    log,
    ...(init.runtime === undefined ? {} : { prefer: init.runtime }),
    ...(init.safetyPollMs === undefined ? {} : { safetyPollMs: init.safetyPollMs }),
  });
  const state = await openLevelContainerState(join(init.dir, "state"));
  const volumes = await openVolumeStore({ dir: join(init.dir, "volumes"), clock, random });
  const files = await openContainerFiles({ runDir: init.runDir, linux: init.linux, log });
  const filters = new SeccompFilters(runtime.name, process.arch);
  const maker: BundleMaker = {
    files,
    volumes,
    cgroupParent,
    lastCapability: Number(readFileSync("/proc/sys/kernel/cap_last_cap", "latin1")),
    seccomp: (specification, capabilities) => filters.choose(specification.seccomp, capabilities),
  };
  const manager = new Manager({ init, runtime, state, volumes, maker });
  await manager.recover();
  return manager;
}

interface Parts {
  readonly init: ContainerManagerInit;
  readonly runtime: OciRuntime;
  readonly state: ContainerState;
  readonly volumes: VolumeStore;
  readonly maker: BundleMaker;
}

interface Entry {
  stored: StoredContainer;
  /** Start, cleanup and removal, one after the other. */
  readonly queue: TaskQueue;
  readonly waiters: Set<(record: ContainerRecord) => void>;
  starting: boolean;
  /** An exit that came while the start was still being told. */
  earlyExit: RuntimeExit | undefined;
  health: HealthMonitor | undefined;
}

class Manager implements LocalContainerManager {
  readonly volumes: VolumeStore;
  readonly #init: ContainerManagerInit;
  readonly #parts: Parts;
  readonly #entries = new Map<string, Entry>();
  readonly #names = new Map<string, string>();
  readonly #listeners = new Set<(event: ContainerEvent) => void>();
  readonly #permits: Permits;
  readonly #probes = new Permits(PARALLEL_PROBES_MAX);
  readonly #rotation: LogRotation;
  /** What happened before anybody listened, such as exits found when opening. The first listener gets it. */
  #untold: ContainerEvent[] = [];
  #closed = false;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#init = parts.init;
    this.volumes = parts.volumes;
    this.#permits = new Permits(parts.init.parallelStartsMax ?? 8);
    parts.runtime.onExit((exit) => this.#exited(exit));
    const { clock, log } = parts.init;
    this.#rotation = new LogRotation({
      clock,
      log,
      running: () => this.#rotatedLogs(),
      reopen: (id) => parts.runtime.reopenLog(id),
    });
  }

  /** Meets what ran on without us: living ones are adopted, ended ones get their exit codes, half-started ones are cleared up. */
  async recover(): Promise<void> {
    for (const stored of await this.#parts.state.load()) {
      const entry: Entry = {
        stored,
        queue: new TaskQueue(),
        waiters: new Set(),
        starting: false,
        earlyExit: undefined,
        health: undefined,
      };
      this.#entries.set(stored.record.id, entry);
      this.#names.set(stored.record.name, stored.record.id);
    }
    for (const entry of this.#entries.values()) {
      const { stored } = entry;
      const { id } = stored.record;
      if (stored.process !== undefined) {
        this.#watchHealth(entry);
        await this.#parts.runtime.adopt(id, stored.process);
      } else {
        const leftover = await this.#parts.runtime.findLeftover(id);
        if (leftover !== undefined)
          this.#init.log.warn("container was half started when the daemon ended", { container: id });
        await this.#parts.runtime.delete(id);
      }
    }
  }

  async create(specification: ContainerSpecification): Promise<ContainerRecord> {
    const { files, ...kept } = specification;
    const image = this.#init.images.find(specification.image);
    if (image === undefined) throw new NotFoundError(`No such image: ${specification.image}`);
    const id = newHexId(this.#init.random);
    validate(id, kept, image, this.#parts.maker);
    const name = specification.name.replace(/^\//, "");
    if (!NAME.test(name))
      throw new InvalidArgumentError(
        `invalid container name ${JSON.stringify(name)}: must match ${NAME.source}`,
      );
    const holder = this.#names.get(name);
    if (holder !== undefined) {
      throw new AlreadyExistsError(
        `the container name "/${name}" is already in use by container ${holder}: remove or rename it first`,
      );
    }
    this.#names.set(name, id); // taken before the first wait: two creates of one name cannot both go on
    try {
      const volumes = await this.#volumesFor(kept, image);
      const placed = await this.#parts.maker.files.place(id, files);
      const record: ContainerRecord = {
        id,
        name,
        imageId: image.id,
        specification: { ...kept, name },
        createdMs: this.#init.clock.nowMs(),
        state: "created",
        pid: 0,
        startedMs: 0,
        finishedMs: 0,
        exitCode: 0,
        oomKilled: false,
        error: "",
        health: "",
      };
      const stored: StoredContainer = { record, files: placed, volumes };
      await mkdir(this.#logDir(id), { recursive: true, mode: 0o710 });
      await this.#parts.state.save(stored);
      this.#entries.set(id, {
        stored,
        queue: new TaskQueue(),
        waiters: new Set(),
        starting: false,
        earlyExit: undefined,
        health: undefined,
      });
      this.#emit("create", record);
      return record;
    } catch (error) {
      this.#names.delete(name);
      await this.#parts.maker.files.remove(id);
      throw error;
    }
  }

  async #volumesFor(
    specification: Omit<ContainerSpecification, "files">,
    image: ImageRecord,
  ): Promise<StoredContainer["volumes"]> {
    const wanted = specification.mounts.flatMap((mount) => (mount.kind === "volume" ? [mount] : []));
    const targets = new Set(specification.mounts.map((mount) => mount.target));
    const ofImage = image.config.volumes
      .filter((target) => !targets.has(target))
      .map((target) => ({
        name: "",
        target,
        readOnly: false,
        noCopy: false,
        subpath: "",
        driver: "",
        driverOptions: {},
        labels: {},
      }));
    const made: StoredContainer["volumes"][number][] = [];
    for (const mount of [...wanted, ...ofImage]) {
      const record = await this.volumes.ensure({
        name: mount.name,
        driver: mount.driver,
        options: mount.driverOptions,
        labels: mount.labels,
      });
      const { target, readOnly, noCopy, subpath } = mount;
      made.push({ target, name: record.name, anonymous: mount.name === "", readOnly, noCopy, subpath });
    }
    return made;
  }

  start(id: string): Promise<ContainerRecord> {
    const entry = this.#entry(id);
    return entry.queue.run(async () => {
      if (entry.stored.record.state === "running") return entry.stored.record;
      return this.#permits.use(() => this.#start(entry));
    });
  }

  async #start(entry: Entry): Promise<ContainerRecord> {
    const { runtime, maker, state } = this.#parts;
    const { id, imageId, specification } = entry.stored.record;
    if (!this.#entries.has(id)) throw new NotFoundError(`No such container: ${id}`);
    const image = this.#init.images.find(imageId);
    if (image === undefined) throw new NotFoundError(`No such image: ${imageId}`);
    entry.starting = true;
    entry.earlyExit = undefined;
    try {
      const rootfs = await this.#init.images.mountRootfs(imageId, id);
      const bundle = await makeBundle(maker, entry.stored, image, rootfs);
      const process = await runtime.create({
        id,
        name: entry.stored.record.name,
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
      await Promise.all([runtime.start(id), state.save({ ...entry.stored, record, process })]);
      entry.stored = { ...entry.stored, record, process };
    } catch (error) {
      entry.starting = false;
      await this.#startFailed(entry, error);
      throw error;
    }
    entry.starting = false;
    const { record } = entry.stored;
    this.#emit("start", record);
    this.#watchHealth(entry);
    const early = entry.earlyExit as RuntimeExit | undefined; // set by #exited while this method waited
    if (early !== undefined) this.#exited(early);
    return record;
  }

  async #startFailed(entry: Entry, cause: unknown): Promise<void> {
    const { process: _gone, ...rest } = entry.stored;
    const record: ContainerRecord = {
      ...entry.stored.record,
      error: messageOf(cause),
      exitCode: exitCodeOfRefusal(messageOf(cause)),
    };
    entry.stored = { ...rest, record };
    await this.#parts.state.save(entry.stored);
    await this.#release(entry);
  }

  /** What a run leaves behind: runtime state, cgroup, run files, the mounted root. */
  async #release(entry: Entry): Promise<void> {
    const { id } = entry.stored.record;
    await this.#parts.runtime.delete(id);
    await this.#parts.maker.files.release(id);
    await this.#init.images.unmountRootfs(id);
  }

  #watchHealth(entry: Entry): void {
    const { id, imageId, specification, startedMs, health } = entry.stored.record;
    const image = this.#init.images.find(imageId);
    if (image === undefined || health === "") return;
    const { healthcheck, shell } = containerProcess(id, specification, image.config);
    if (healthcheck === undefined) return;
    const [kind, ...command] = healthcheck.test;
    const args = kind === "CMD-SHELL" ? [...shell, ...command] : command;
    const { clock, log } = this.#init;
    entry.health = new HealthMonitor({
      check: healthcheck,
      clock,
      log: log.child({ container: id }),
      runsSinceMs: Math.max(0, clock.nowMs() - startedMs),
      status: health,
      probe: () =>
        this.#probes.use(async () => {
          if (entry.stored.process === undefined) return false;
          const result = await this.#parts.runtime.exec(id, args, { timeoutMs: healthcheck.timeoutMs });
          return result.exitCode === 0;
        }),
      onStatus: (status) => {
        if (entry.stored.record.state !== "running") return;
        entry.stored = { ...entry.stored, record: { ...entry.stored.record, health: status } };
        this.#inBackground("saving health", this.#parts.state.save(entry.stored));
        this.#emit("health", entry.stored.record);
      },
    });
  }

  #exited(exit: RuntimeExit): void {
    const entry = this.#entries.get(exit.id);
    if (entry === undefined) return;
    if (entry.starting) {
      entry.earlyExit = exit;
      return;
    }
    if (entry.stored.record.state !== "running") return;
    const { process: _ended, ...rest } = entry.stored;
    const record: ContainerRecord = {
      ...entry.stored.record,
      state: "exited",
      pid: 0,
      exitCode: exit.exitCode,
      oomKilled: exit.oomKilled,
      finishedMs: Math.max(exit.finishedMs, entry.stored.record.startedMs),
      error:
        exit.exitCode === -1 ? "the exit code was lost: the container's monitor or the host went down" : "",
    };
    entry.stored = { ...rest, record };
    const monitor = entry.health;
    entry.health = undefined;
    if (exit.oomKilled) this.#emit("oom", record);
    this.#emit("die", record);
    for (const waiter of entry.waiters) waiter(record);
    entry.waiters.clear();
    // Told first, cleared up after: who waits for the exit does not wait for the clean-up.
    this.#inBackground(
      "clean-up after exit",
      entry.queue.run(async () => {
        await monitor?.stop();
        if (entry.stored.record.state === "running" || !this.#entries.has(exit.id)) return;
        await this.#parts.state.save(entry.stored);
        await this.#release(entry);
      }),
    );
  }

  async stop(
    id: string,
    options: { gracePeriodMs?: number; signal?: string } = {},
  ): Promise<ContainerRecord> {
    const entry = this.#entry(id);
    const { record } = entry.stored;
    if (record.state !== "running" || entry.stored.process === undefined) return record;
    const { specification } = record;
    const signal = signalNumber(options.signal || this.#stopSignal(entry));
    const graceMs = options.gracePeriodMs ?? specification.stopGracePeriodMs ?? DEFAULT_GRACE_MS;
    const exited = this.wait(id);
    this.#signal(entry, signal);
    const timer =
      graceMs < 0 ? undefined : this.#init.clock.setTimer(graceMs, () => this.#signal(entry, SIGKILL));
    try {
      const ended = await exited;
      this.#emit("stop", ended);
      return ended;
    } finally {
      timer?.cancel();
    }
  }

  #stopSignal(entry: Entry): string {
    const image = this.#init.images.find(entry.stored.record.imageId);
    return entry.stored.record.specification.stopSignal || image?.config.stopSignal || "SIGTERM";
  }

  #signal(entry: Entry, signal: number): void {
    if (entry.stored.process === undefined) return;
    this.#emit("kill", entry.stored.record);
    this.#parts.runtime.kill(entry.stored.process, signal);
  }

  async kill(id: string, signal = "SIGKILL"): Promise<void> {
    const entry = this.#entry(id);
    const number = signalNumber(signal);
    if (entry.stored.record.state !== "running")
      throw new FailedPreconditionError(`container ${id} is not running`);
    this.#signal(entry, number);
  }

  async remove(id: string, options: { force?: boolean; removeVolumes?: boolean } = {}): Promise<void> {
    const entry = this.#entry(id);
    if (entry.stored.record.state === "running") {
      if (options.force !== true)
        throw new FailedPreconditionError(
          `cannot remove container ${id}: it is running; stop it first or force`,
        );
      const exited = this.wait(id);
      this.#signal(entry, SIGKILL);
      await exited;
    }
    await entry.queue.run(async () => {
      if (!this.#entries.has(id)) return;
      if (entry.stored.record.state === "running")
        throw new FailedPreconditionError(`cannot remove container ${id}: it was started again`);
      await this.#remove(entry, options.removeVolumes ?? true);
    });
  }

  async #remove(entry: Entry, removeVolumes: boolean): Promise<void> {
    const { id, name } = entry.stored.record;
    await this.#parts.runtime.delete(id);
    await this.#init.images.removeRootfs(id);
    await this.#parts.maker.files.remove(id);
    await rm(this.#logDir(id), { recursive: true, force: true });
    for (const volume of entry.stored.volumes) {
      if (removeVolumes && volume.anonymous && this.volumes.find(volume.name) !== undefined)
        await this.volumes.remove(volume.name);
    }
    await this.#parts.state.delete(id);
    this.#entries.delete(id);
    this.#names.delete(name);
    this.#emit("destroy", entry.stored.record);
  }

  wait(id: string, options: { signal?: AbortSignal } = {}): Promise<ContainerRecord> {
    const entry = this.#entry(id);
    const { record } = entry.stored;
    if (record.state === "exited" || record.state === "dead") return Promise.resolve(record);
    const { signal } = options;
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        entry.waiters.delete(done);
        signal?.removeEventListener("abort", aborted);
      };
      const done = (ended: ContainerRecord): void => {
        settle();
        resolve(ended);
      };
      const aborted = (): void => {
        settle();
        reject(new CancelledError(`waiting for container ${id} was cancelled`));
      };
      if (signal?.aborted === true) return aborted();
      entry.waiters.add(done);
      signal?.addEventListener("abort", aborted, { once: true });
    });
  }

  find(idOrName: string): ContainerRecord | undefined {
    const exact =
      this.#entries.get(idOrName) ?? this.#entries.get(this.#names.get(idOrName.replace(/^\//, "")) ?? "");
    if (exact !== undefined) return exact.stored.record;
    if (!/^[0-9a-f]{1,63}$/.test(idOrName)) return undefined;
    const matching = [...this.#entries.keys()].filter((id) => id.startsWith(idOrName));
    return matching.length === 1 ? this.#entries.get(matching[0] ?? "")?.stored.record : undefined;
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
        onEnd: (listener) => this.onEvent((event) => (event.container.id === key ? listener() : undefined)),
      },
      options,
    );
  }

  onEvent(listener: (event: ContainerEvent) => void): () => void {
    this.#listeners.add(listener);
    const untold = this.#untold;
    this.#untold = [];
    for (const event of untold) listener(event);
    return () => this.#listeners.delete(listener);
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

  #entry(id: string): Entry {
    const entry = this.#entries.get(id) ?? this.#entries.get(this.find(id)?.id ?? "");
    if (entry === undefined) throw new NotFoundError(`No such container: ${id}`);
    return entry;
  }

  #emit(kind: ContainerEvent["kind"], container: ContainerRecord): void {
    const event: ContainerEvent = { kind, container, timeMs: this.#init.clock.nowMs() };
    if (this.#listeners.size === 0) {
      this.#untold.push(event);
      if (this.#untold.length > UNTOLD_EVENTS_MAX) this.#untold.shift();
    }
    for (const listener of this.#listeners) listener(event);
  }

  #inBackground(what: string, work: Promise<unknown>): void {
    work.then(undefined, (error: unknown) =>
      this.#init.log.error("container work failed", { what, error: messageOf(error) }),
    );
  }
}

/** Everything that can be refused before there is a root file system. */
function validate(
  id: string,
  specification: Omit<ContainerSpecification, "files">,
  image: ImageRecord,
  maker: BundleMaker,
): void {
  const process = containerProcess(id, specification, image.config);
  signalNumber(process.stopSignal);
  if (!LOG_DRIVERS.includes(specification.log.driver)) {
    throw new NotImplementedError(
      `log driver ${specification.log.driver} is not supported: json-file, local or none`,
    );
  }
  const capabilities = capabilitySet(
    { add: specification.capAdd, drop: specification.capDrop },
    maker.lastCapability,
  );
  const { bpf, json } = maker.seccomp(specification, capabilities);
  buildOciSpec({
    ...specification,
    rootfs: "/",
    args: process.args,
    env: process.env,
    cwd: process.cwd,
    user: { uid: 0, gid: 0, additionalGids: [] },
    hostname: process.hostname,
    capabilities,
    cgroupPath: `${maker.cgroupParent}/${id}`,
    mounts: specification.mounts.map((mount) => ({
      destination: mount.target,
      type: mount.kind,
      source: "",
      options: [],
    })),
    seccompBpf: bpf,
    seccomp: json,
  });
}

/** Docker's codes for a command that cannot be started: 127 missing, 126 not executable, 128 anything else. */
function exitCodeOfRefusal(words: string): number {
  if (/not found|no such file/i.test(words)) return 127;
  return /permission denied/i.test(words) ? 126 : 128;
}
