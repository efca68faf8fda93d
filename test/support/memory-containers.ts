/**
 * Containers that run nowhere: the container manager's contract in memory, for tests of the HTTP surface.
 * Their processes end when a signal is sent or `exit` is called. Pure.
 */
import {
  AlreadyExistsError,
  FailedPreconditionError,
  NotFoundError,
  NotImplementedError,
} from "../../base/errors/errors.js";
import type {
  ContainerEvent,
  ContainerManager,
  ContainerRecord,
  ContainerSpecification,
  ContainerUpdate,
  WaitCondition,
} from "../../proto/engine/containers.js";

export interface MemoryContainersOptions {
  readonly nowMs: () => number;
  /** By reference; undefined: no such image. */
  readonly imageId: (reference: string) => string | undefined;
}

interface Waiter {
  readonly id: string;
  readonly condition: WaitCondition;
  readonly resolve: (record: ContainerRecord) => void;
}

export class MemoryContainers implements ContainerManager {
  readonly updates: ContainerUpdate[] = [];
  readonly #options: MemoryContainersOptions;
  readonly #records = new Map<string, ContainerRecord>();
  readonly #listeners = new Set<(event: ContainerEvent) => void>();
  #waiters: Waiter[] = [];
  #made = 0;

  constructor(options: MemoryContainersOptions) {
    this.#options = options;
  }

  async create(specification: ContainerSpecification): Promise<ContainerRecord> {
    const imageId = this.#options.imageId(specification.image);
    if (imageId === undefined) throw new NotFoundError(`No such image: ${specification.image}`);
    this.#made += 1;
    const id = this.#made.toString(16).padStart(64, "0");
    const name = specification.name || `made_up_${this.#made}`;
    const holder = this.list().find((record) => record.name === name);
    if (holder !== undefined)
      throw new AlreadyExistsError(`Conflict. The container name "/${name}" is taken`);
    const record: ContainerRecord = {
      id,
      name,
      imageId,
      specification,
      createdMs: this.#options.nowMs() + this.#made,
      state: "created",
      pid: 0,
      startedMs: 0,
      finishedMs: 0,
      exitCode: 0,
      oomKilled: false,
      error: "",
      health: "",
    };
    this.#records.set(id, record);
    this.#tell("create", record);
    return record;
  }

  async start(id: string): Promise<ContainerRecord> {
    const { state } = this.get(id);
    if (state === "paused")
      throw new FailedPreconditionError("cannot start a paused container, try unpause instead");
    return this.change(id, { state: "running", pid: 77, startedMs: this.#options.nowMs() }, "start");
  }

  /** As if the process had ended by itself. */
  exit(id: string, exitCode: number): ContainerRecord {
    const ended = this.change(
      id,
      { state: "exited", pid: 0, exitCode, finishedMs: this.#options.nowMs() },
      "die",
    );
    this.#wake(ended, ["not-running", "next-exit"]);
    return ended;
  }

  async stop(id: string, options: { gracePeriodMs?: number } = {}): Promise<ContainerRecord> {
    return this.exit(id, options.gracePeriodMs === 0 ? 137 : 143);
  }

  async restart(id: string): Promise<ContainerRecord> {
    if (this.get(id).state === "running") await this.stop(id);
    return this.start(id);
  }

  async kill(id: string): Promise<void> {
    const record = this.get(id);
    if (record.state !== "running")
      throw new FailedPreconditionError(`Container ${record.id} is not running`);
    this.exit(id, 137);
  }

  async pause(id: string): Promise<void> {
    const record = this.get(id);
    if (record.state !== "running")
      throw new FailedPreconditionError(`Container ${record.id} is not running`);
    this.change(id, { state: "paused" }, "pause");
  }

  async unpause(id: string): Promise<void> {
    const record = this.get(id);
    if (record.state !== "paused") throw new FailedPreconditionError(`Container ${record.id} is not paused`);
    this.change(id, { state: "running" }, "unpause");
  }

  async rename(id: string, name: string): Promise<void> {
    if (this.list().some((record) => record.name === name))
      throw new AlreadyExistsError(`Conflict. "/${name}"`);
    this.change(id, { name }, "rename");
  }

  async update(id: string, change: ContainerUpdate): Promise<readonly string[]> {
    this.get(id);
    this.updates.push(change);
    return [];
  }

  async remove(id: string, options: { force?: boolean } = {}): Promise<void> {
    const record = this.get(id);
    if (record.state === "running") {
      if (options.force !== true)
        throw new FailedPreconditionError(`You cannot remove a running container ${record.id}.`);
      this.exit(id, 137);
    }
    this.#records.delete(record.id);
    this.#wake(this.#tell("destroy", record), ["not-running", "next-exit", "removed"]);
  }

  wait(
    id: string,
    options: { condition?: WaitCondition; signal?: AbortSignal } = {},
  ): Promise<ContainerRecord> {
    const record = this.get(id);
    const condition = options.condition ?? "not-running";
    if (condition === "not-running" && record.state !== "running") return Promise.resolve(record);
    return new Promise((resolve, reject) => {
      const waiter: Waiter = { id: record.id, condition, resolve };
      this.#waiters.push(waiter);
      options.signal?.addEventListener(
        "abort",
        () => {
          this.#waiters = this.#waiters.filter((each) => each !== waiter);
          reject(new Error("gone"));
        },
        { once: true },
      );
    });
  }

  get waiting(): number {
    return this.#waiters.length;
  }

  find(idOrName: string): ContainerRecord | undefined {
    const name = idOrName.replace(/^\//, "");
    return this.list().find((record) => record.name === name || record.id === idOrName);
  }

  get(idOrName: string): ContainerRecord {
    const record = this.find(idOrName);
    if (record === undefined) throw new NotFoundError(`No such container: ${idOrName}`);
    return record;
  }

  list(): readonly ContainerRecord[] {
    return [...this.#records.values()].sort((a, b) => b.createdMs - a.createdMs);
  }

  async connectNetwork(): Promise<void> {
    throw new NotImplementedError("no networks in memory");
  }

  async disconnectNetwork(): Promise<void> {
    throw new NotImplementedError("no networks in memory");
  }

  logs(): never {
    throw new NotImplementedError("no logs in memory");
  }

  onEvent(listener: (event: ContainerEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  emit(id: string, kind: ContainerEvent["kind"], attributes: Readonly<Record<string, string>> = {}): void {
    this.#tell(kind, this.get(id), attributes);
  }

  async close(): Promise<void> {
    this.#listeners.clear();
  }

  /** Puts a record in the state a test wants. */
  change(id: string, change: Partial<ContainerRecord>, kind?: ContainerEvent["kind"]): ContainerRecord {
    const record = { ...this.get(id), ...change };
    this.#records.set(record.id, record);
    return kind === undefined ? record : this.#tell(kind, record);
  }

  #tell(
    kind: ContainerEvent["kind"],
    container: ContainerRecord,
    attributes: Readonly<Record<string, string>> = {},
  ): ContainerRecord {
    for (const listener of [...this.#listeners])
      listener({ kind, container, timeMs: this.#options.nowMs(), attributes });
    return container;
  }

  #wake(record: ContainerRecord, conditions: readonly WaitCondition[]): void {
    const woken = this.#waiters.filter(
      ({ id, condition }) => id === record.id && conditions.includes(condition),
    );
    this.#waiters = this.#waiters.filter((waiter) => !woken.includes(waiter));
    for (const { resolve } of woken) resolve(record);
  }
}
