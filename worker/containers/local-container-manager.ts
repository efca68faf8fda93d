/**
 * The container manager of a node: records, the runtime, images, volumes, networks and logs joined into one
 * life cycle, one piece per file.
 * Edge: composition of the edges beside it.
 */
import { join } from "node:path";
import { messageOf, NotFoundError, NotImplementedError } from "../../base/errors/errors.js";
import type { EndpointSettings } from "../../proto/engine/networks.js";
import { blockDeviceNumbers } from "../runtime/linux-devices.js";
import { blockDevicePaths, ociResources } from "../runtime/oci-resources.js";
import { admitResources } from "../runtime/resource-admission.js";
import type { VolumeStore } from "../volumes/volume-store.js";
import { ContainerCreation } from "./container-creation.js";
import { ContainerEnds, type StopOptions } from "./container-ends.js";
import type { ContainerEntry } from "./container-entry.js";
import { ContainerEvents } from "./container-events.js";
import { ContainerHealth } from "./container-health.js";
import type {
  ContainerEvent,
  ContainerRecord,
  ContainerSpecification,
  ContainerUpdate,
  LogReadOptions,
  LogRecord,
  WaitCondition,
} from "./container-manager.js";
import { admittedName } from "./container-names.js";
import { ContainerNetworkAccess } from "./container-networking.js";
import type { ContainerManagerParts, ContainerParts } from "./container-parts.js";
import { ContainerRecovery } from "./container-recovery.js";
import { ContainerRegistry } from "./container-registry.js";
import { ContainerRemoval } from "./container-removal.js";
import { admitRename } from "./container-rules.js";
import { ContainerRuns, type StartListener } from "./container-runs.js";
import { updatedSpecification } from "./container-update.js";
import { type LogSource, readLog } from "./fs-log-reader.js";
import { LogRotation, type RotatedLog } from "./fs-log-rotation.js";
import type { LocalContainerManager } from "./open-container-manager.js";
import type { StoredContainer } from "./stored-container.js";

export class ConmonContainerManager implements LocalContainerManager {
  readonly volumes: VolumeStore;
  readonly #parts: ContainerParts;
  readonly #creation: ContainerCreation;
  readonly #network: ContainerNetworkAccess;
  readonly #runs: ContainerRuns;
  readonly #ends: ContainerEnds;
  readonly #recovery: ContainerRecovery;
  readonly #rotation: LogRotation;
  #closed = false;

  constructor(made: ContainerManagerParts) {
    const { init, runtime, state } = made;
    const { clock, random, log, images } = init;
    this.volumes = made.volumes;
    const events = new ContainerEvents(clock);
    const inBackground = (what: string, work: Promise<unknown>): void => {
      work.then(undefined, (error: unknown) =>
        log.error("container work failed", { what, error: messageOf(error) }),
      );
    };
    const onChange = (entry: ContainerEntry, what: "status" | "streak"): void => {
      inBackground("saving health", state.save(entry.stored));
      if (what === "status") events.emit("health", entry.stored.record);
    };
    const logDir = (id: string): string => join(init.dir, "containers", id);
    const parts: ContainerParts = {
      ...made,
      networks: init.networks,
      registry: new ContainerRegistry(),
      events,
      health: new ContainerHealth({ images, runtime, clock, random, events, log, onChange }),
      logDir,
      logPath: (id) => join(logDir(id), "log"),
      inBackground,
    };
    this.#parts = parts;
    this.#network = new ContainerNetworkAccess(parts);
    const removal = new ContainerRemoval(parts, this.#network);
    const runs = new ContainerRuns(parts, this.#network, removal);
    this.#runs = runs;
    this.#creation = new ContainerCreation(parts);
    this.#ends = new ContainerEnds(parts, runs, removal);
    this.#recovery = new ContainerRecovery(parts, { network: this.#network, runs, removal });
    const reopen = (id: string): Promise<void> => runtime.reopenLog(id);
    this.#rotation = new LogRotation({ clock, log, running: () => this.#rotatedLogs(), reopen });
    runtime.onExit((exit) => runs.exited(exit));
  }

  recover(): Promise<void> {
    return this.#recovery.recover();
  }

  startByPolicy(): void {
    this.#recovery.startByPolicy();
  }

  onBeforeStart(listener: StartListener): () => void {
    return this.#runs.onBeforeStart(listener);
  }

  create(specification: ContainerSpecification): Promise<ContainerRecord> {
    return this.#creation.create(specification);
  }

  async start(id: string): Promise<ContainerRecord> {
    return this.#runs.start(this.#entry(id));
  }

  async stop(id: string, options: StopOptions = {}): Promise<ContainerRecord> {
    return this.#ends.stop(this.#entry(id), options);
  }

  async restart(id: string, options: StopOptions = {}): Promise<ContainerRecord> {
    return this.#ends.restart(this.#entry(id), options);
  }

  async kill(id: string, signal = "SIGKILL"): Promise<void> {
    await this.#ends.kill(this.#entry(id), signal || "SIGKILL");
  }

  async pause(id: string): Promise<void> {
    await this.#ends.pause(this.#entry(id));
  }

  async unpause(id: string): Promise<void> {
    await this.#ends.unpause(this.#entry(id));
  }

  async rename(id: string, name: string): Promise<void> {
    const { registry, networks, state, events } = this.#parts;
    const entry = this.#entry(id);
    const before = entry.stored.record.name;
    admitRename(before, name);
    const admitted = admittedName(name.startsWith("/") ? name : `/${name}`);
    registry.takeName(admitted, entry.id);
    await entry.queue.run(async () => {
      if (!registry.has(entry.id)) {
        registry.freeName(admitted, entry.id);
        throw new NotFoundError(`No such container: ${id}`);
      }
      const specification = { ...entry.stored.record.specification, name: admitted };
      const record = entry.change({ name: admitted, specification });
      registry.freeName(before, entry.id);
      if (entry.live) networks?.rename(entry.id, admitted);
      await state.save(entry.stored);
      events.emit("rename", record, { oldName: `/${before}` });
    });
  }

  async update(id: string, change: ContainerUpdate): Promise<readonly string[]> {
    const { runtime, state, events, maker } = this.#parts;
    const entry = this.#entry(id);
    return entry.queue.run(async () => {
      const updated = updatedSpecification(entry.stored.record, change);
      const { resources, warnings } = admitResources(updated.resources, maker.kernel);
      const specification = { ...updated, resources };
      if (entry.live && change.resources !== undefined) {
        const blockDevices = await blockDeviceNumbers(blockDevicePaths(resources));
        await runtime.setLimits(entry.stored.cgroupPath ?? "", ociResources(resources, { blockDevices }));
      }
      const record = entry.change({ specification });
      await state.save(entry.stored);
      events.emit("update", record);
      return warnings;
    });
  }

  async remove(id: string, options: { force?: boolean; removeVolumes?: boolean } = {}): Promise<void> {
    const { force = false, removeVolumes = true } = options;
    await this.#ends.remove(this.#entry(id), { force, removeVolumes });
  }

  async wait(
    id: string,
    options: { condition?: WaitCondition; signal?: AbortSignal } = {},
  ): Promise<ContainerRecord> {
    return this.#entry(id).wait(options.condition ?? "not-running", options.signal);
  }

  find(idOrName: string): ContainerRecord | undefined {
    return this.#parts.registry.find(idOrName)?.stored.record;
  }

  get(idOrName: string): ContainerRecord {
    return this.#entry(idOrName).stored.record;
  }

  list(): readonly ContainerRecord[] {
    return this.#parts.registry.list();
  }

  volumesOf(id: string): StoredContainer["volumes"] {
    return this.#parts.registry.find(id)?.stored.volumes ?? [];
  }

  hostPathsOf(id: string): { resolvConf?: string; hostname?: string; hosts?: string; log?: string } {
    const { registry, maker, logPath } = this.#parts;
    const found = registry.find(id)?.stored.record;
    if (found === undefined || found.startedMs === 0) return {};
    const { driver } = found.specification.log;
    const log = driver === "" || driver === "json-file" ? { log: logPath(found.id) } : {};
    if (found.pid === 0) return log;
    const { files } = maker;
    return {
      ...log,
      resolvConf: files.etcPath(found.id, "resolv.conf"),
      hostname: files.etcPath(found.id, "hostname"),
      hosts: files.etcPath(found.id, "hosts"),
    };
  }

  async connectNetwork(id: string, network: string, endpoint: EndpointSettings): Promise<void> {
    const entry = this.#entry(id);
    await entry.queue.run(() => this.#network.connect(entry, network, endpoint));
  }

  async disconnectNetwork(id: string, network: string, options: { force: boolean }): Promise<void> {
    const entry = this.#entry(id);
    await entry.queue.run(() => this.#network.disconnect(entry, network, options));
  }

  async removeLink(id: string, alias: string): Promise<void> {
    const entry = this.#entry(id);
    await entry.queue.run(() => this.#network.removeLink(entry, alias));
  }

  logs(id: string, options: LogReadOptions): AsyncIterable<LogRecord> {
    return readLog(this.logSource(id), options);
  }

  logSource(id: string): LogSource {
    const entry = this.#entry(id);
    if (entry.stored.record.specification.log.driver === "none")
      throw new NotImplementedError("configured logging driver does not support reading");
    const key = entry.id;
    const { registry, events, logPath } = this.#parts;
    return {
      path: logPath(key),
      ended: () => !registry.has(key) || !(entry.starting || entry.live),
      onEnd: (listener) => events.listen((event) => (event.container.id === key ? listener() : undefined)),
    };
  }

  onEvent(listener: (event: ContainerEvent) => void): () => void {
    return this.#parts.events.listen(listener);
  }

  emit(id: string, kind: ContainerEvent["kind"], attributes?: Readonly<Record<string, string>>): void {
    // what ends in a container (an exec) may be told after the container has gone: nobody asks for it then
    const entry = this.#parts.registry.byId(id) ?? this.#parts.registry.find(id);
    if (entry !== undefined) this.#parts.events.emit(kind, entry.stored.record, attributes);
  }

  /** Containers go on; only the watching ends. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const { registry, runtime, maker, state } = this.#parts;
    this.#runs.close();
    await this.#rotation.close();
    for (const entry of registry.entries()) entry.health?.abort();
    await Promise.allSettled(registry.entries().map((entry) => entry.queue.idle()));
    await runtime.close();
    if (registry.size === 0) await maker.files.unmount();
    await state.close();
  }

  #rotatedLogs(): readonly RotatedLog[] {
    return this.#parts.registry.entries().flatMap(({ live, stored: { record } }) => {
      const { driver, maxSizeBytes, maxFiles } = record.specification.log;
      if (!live || driver === "none") return [];
      return [{ id: record.id, path: this.#parts.logPath(record.id), maxSizeBytes, maxFiles }];
    });
  }

  #entry(id: string): ContainerEntry {
    return this.#parts.registry.get(id);
  }
}
