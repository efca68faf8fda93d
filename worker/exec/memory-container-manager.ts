/**
 * Containers that exist only in memory: the twin of the real manager for tests of what stands above it.
 * Pure. Invariant: keeps the promises of TaskContainerManager;
 * a second instance on the same `world` finds the containers of the first, as after a restart of the daemon.
 */
import type { Clock } from "../../base/clock/clock.js";
import {
  AlreadyExistsError,
  CancelledError,
  FailedPreconditionError,
  NotFoundError,
} from "../../base/errors/errors.js";
import { newHexId } from "../../base/random/ids.js";
import type { Random } from "../../base/random/random.js";
import type {
  ContainerEvent,
  ContainerRecord,
  ContainerSpecification,
  LogReadOptions,
  LogRecord,
  TaskContainerManager,
} from "../containers/container-manager.js";
import { TASK_ID_LABEL } from "./task-names.js";

/** What outlives the daemon: the containers themselves. */
export interface ContainerWorld {
  readonly records: Map<string, ContainerRecord>;
  readonly files: Map<string, ContainerSpecification["files"]>;
  readonly logs: Map<string, LogRecord[]>;
  /** How often each container's process was started. */
  readonly starts: Map<string, number>;
  readonly listeners: Set<(event: ContainerEvent) => void>;
}

export function createContainerWorld(): ContainerWorld {
  return { records: new Map(), files: new Map(), logs: new Map(), starts: new Map(), listeners: new Set() };
}

export interface MemoryContainerManagerComponents {
  readonly clock: Clock;
  readonly random: Random;
  readonly world?: ContainerWorld;
}

export class MemoryContainerManager implements TaskContainerManager {
  readonly world: ContainerWorld;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #own = new Set<(event: ContainerEvent) => void>();
  #nextPid = 100;
  /** Thrown by the next start. */
  failStart: Error | undefined;

  constructor({ clock, random, world }: MemoryContainerManagerComponents) {
    this.#clock = clock;
    this.#random = random;
    this.world = world ?? createContainerWorld();
  }

  create(specification: ContainerSpecification): Promise<ContainerRecord> {
    const taken = this.list().some((record) => record.name === specification.name);
    if (taken) return Promise.reject(new AlreadyExistsError(`container name ${specification.name} is taken`));
    const { files, ...kept } = specification;
    const record: ContainerRecord = {
      id: newHexId(this.#random),
      name: specification.name,
      imageId: `sha256:${specification.image}`,
      specification: kept,
      createdMs: this.#clock.nowMs(),
      state: "created",
      pid: 0,
      startedMs: 0,
      finishedMs: 0,
      exitCode: 0,
      oomKilled: false,
      error: "",
      health: "",
    };
    this.world.files.set(record.id, files);
    this.world.logs.set(record.id, []);
    return Promise.resolve(this.#set(record, "create"));
  }

  start(id: string): Promise<ContainerRecord> {
    const record = this.#get(id);
    const failure = this.failStart;
    this.failStart = undefined;
    if (failure !== undefined) return Promise.reject(failure);
    if (record.state === "running") return Promise.resolve(record);
    this.world.starts.set(id, (this.world.starts.get(id) ?? 0) + 1);
    const checked = (record.specification.healthcheck?.test.length ?? 0) > 0;
    const health = checked ? ("starting" as const) : ("" as const);
    this.#nextPid += 1;
    const running = {
      ...record,
      state: "running" as const,
      pid: this.#nextPid,
      startedMs: this.#clock.nowMs(),
      health,
    };
    return Promise.resolve(this.#set(running, "start"));
  }

  stop(id: string): Promise<ContainerRecord> {
    const record = this.#get(id);
    return Promise.resolve(record.state === "running" ? this.#exit(record, { exitCode: 143 }) : record);
  }

  kill(id: string): Promise<void> {
    const record = this.#get(id);
    if (record.state === "running") this.#exit(record, { exitCode: 137 });
    return Promise.resolve();
  }

  remove(id: string, options: { force?: boolean } = {}): Promise<void> {
    const record = this.#get(id);
    if (record.state === "running") {
      if (!options.force) return Promise.reject(new FailedPreconditionError(`container ${id} is running`));
      this.#exit(record, { exitCode: 137 });
    }
    this.world.records.delete(id);
    this.#emit({ kind: "destroy", container: record, timeMs: this.#clock.nowMs() });
    return Promise.resolve();
  }

  wait(id: string, options: { signal?: AbortSignal } = {}): Promise<ContainerRecord> {
    const record = this.world.records.get(id);
    if (record === undefined) return Promise.reject(new NotFoundError(`no such container: ${id}`));
    if (record.state === "exited") return Promise.resolve(record);
    return new Promise((resolve, reject) => {
      const stop = this.onEvent((event) => {
        if (event.container.id !== id || event.kind !== "die") return;
        stop();
        resolve(event.container);
      });
      const onAbort = (): void => {
        stop();
        reject(new CancelledError("waiting for a container was cancelled"));
      };
      if (options.signal?.aborted) onAbort();
      options.signal?.addEventListener("abort", onAbort, { once: true });
    });
  }

  find(idOrName: string): ContainerRecord | undefined {
    return this.world.records.get(idOrName) ?? this.list().find((record) => record.name === idOrName);
  }

  list(): readonly ContainerRecord[] {
    return [...this.world.records.values()];
  }

  async *logs(id: string, options: LogReadOptions): AsyncIterable<LogRecord> {
    const lines = this.world.logs.get(id) ?? [];
    let at = options.tail < 0 ? 0 : Math.max(0, lines.length - options.tail);
    for (;;) {
      for (; at < lines.length; at++) {
        const line = lines[at];
        if (line !== undefined && options[line.stream]) yield line;
      }
      if (!options.follow || options.signal?.aborted || this.find(id)?.state !== "running") return;
      await this.#nextEvent(id, options.signal);
    }
  }

  onEvent(listener: (event: ContainerEvent) => void): () => void {
    this.world.listeners.add(listener);
    this.#own.add(listener);
    return () => {
      this.world.listeners.delete(listener);
      this.#own.delete(listener);
    };
  }

  close(): Promise<void> {
    for (const listener of this.#own) this.world.listeners.delete(listener);
    this.#own.clear();
    return Promise.resolve();
  }

  // ---- the hand of the test ----

  ofTask(taskId: string): ContainerRecord | undefined {
    return this.list().find((record) => record.specification.labels[TASK_ID_LABEL] === taskId);
  }

  exit(id: string, end: { exitCode: number; oomKilled?: boolean }): void {
    this.#exit(this.#get(id), end);
  }

  setHealth(id: string, health: ContainerRecord["health"]): void {
    this.#set({ ...this.#get(id), health }, "health");
  }

  writeLog(id: string, text: string, stream: LogRecord["stream"] = "stdout"): void {
    const timestamp = new Date(this.#clock.nowMs()).toISOString();
    this.world.logs.get(id)?.push({ stream, timestamp, data: Buffer.from(text) });
    this.#emit({ kind: "health", container: this.#get(id), timeMs: this.#clock.nowMs() });
  }

  #nextEvent(id: string, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        stop();
        signal?.removeEventListener("abort", done);
        resolve();
      };
      const stop = this.onEvent((event) => {
        if (event.container.id === id) done();
      });
      signal?.addEventListener("abort", done, { once: true });
    });
  }

  #get(id: string): ContainerRecord {
    const record = this.world.records.get(id);
    if (record === undefined) throw new NotFoundError(`no such container: ${id}`);
    return record;
  }

  #exit(record: ContainerRecord, end: { exitCode: number; oomKilled?: boolean }): ContainerRecord {
    const finishedMs = this.#clock.nowMs();
    const oomKilled = end.oomKilled ?? false;
    return this.#set(
      { ...record, state: "exited", pid: 0, finishedMs, exitCode: end.exitCode, oomKilled },
      "die",
    );
  }

  #set(record: ContainerRecord, kind: ContainerEvent["kind"]): ContainerRecord {
    this.world.records.set(record.id, record);
    this.#emit({ kind, container: record, timeMs: this.#clock.nowMs() });
    return record;
  }

  #emit(event: ContainerEvent): void {
    for (const listener of [...this.world.listeners]) listener(event);
  }
}
