/**
 * Meets what ran on, or ended, while the daemon was away.
 * Edge: to the file system.
 * Invariants: a living container is adopted, never started a second time; what a creation, start or removal
 * cut short left behind goes; policies act only when `startByPolicy` is called, because others must be ready
 * first.
 */
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { messageOf } from "../../base/errors/errors.js";
import { removeAnonymousVolumes } from "./container-creation.js";
import { ContainerEntry } from "./container-entry.js";
import { generatedName } from "./container-names.js";
import type { ContainerNetworkAccess } from "./container-networking.js";
import type { ContainerParts } from "./container-parts.js";
import type { ContainerRemoval } from "./container-removal.js";
import { endedRun, NO_RESTART, restarts } from "./container-restarts.js";
import type { ContainerRuns } from "./container-runs.js";
import type { StoredContainer } from "./stored-container.js";

export class ContainerRecovery {
  readonly #parts: ContainerParts;
  readonly #network: ContainerNetworkAccess;
  readonly #runs: ContainerRuns;
  readonly #removal: ContainerRemoval;

  constructor(
    parts: ContainerParts,
    pieces: { network: ContainerNetworkAccess; runs: ContainerRuns; removal: ContainerRemoval },
  ) {
    this.#parts = parts;
    this.#network = pieces.network;
    this.#runs = pieces.runs;
    this.#removal = pieces.removal;
  }

  /** Records are true when it resolves: adopted, ended with their exit codes, or cleared up. */
  async recover(): Promise<void> {
    const { state, registry, networks } = this.#parts;
    const unfinished: StoredContainer[] = [];
    for (const stored of await state.load()) {
      if (stored.creating === true) {
        unfinished.push(stored);
        continue;
      }
      const entry = new ContainerEntry(stored);
      entry.atBoot = true;
      this.#takeName(entry);
      registry.add(entry);
    }
    for (const { record, volumes } of unfinished) {
      await removeAnonymousVolumes(this.#parts, volumes);
      await state.delete(record.id);
    }
    await this.#sweep(registry.ids());
    const entries = registry.entries();
    const running = entries.filter((entry) => entry.stored.process !== undefined);
    await networks?.retain(new Set(running.map((entry) => entry.id)));
    // side by side: one volume plugin that does not answer would hold up each container after the other
    await Promise.all(running.map((entry) => this.#adoptVolumes(entry)));
    for (const entry of running) await this.#adopt(entry);
    const ended = entries.filter((entry) => !entry.live && !running.includes(entry));
    await Promise.all(ended.map((entry) => entry.queue.run(() => this.#clearUp(entry))));
    // clean-ups of those that ended meanwhile
    await Promise.all(entries.map((entry) => entry.queue.idle()));
  }

  /** Starts those that their policy wants to run. */
  startByPolicy(): void {
    for (const entry of this.#parts.registry.entries()) {
      if (!entry.atBoot) continue;
      entry.atBoot = false;
      const { record, stoppedByHand = false } = entry.stored;
      const policy = record.specification.restartPolicy ?? NO_RESTART;
      const began = record.startedMs > 0 && (record.state === "exited" || record.state === "restarting");
      if (entry.live || !began || !restarts(policy, endedRun(record, stoppedByHand), "boot")) continue;
      entry.change({ state: "exited" });
      this.#parts.inBackground("start at the daemon's return", this.#runs.start(entry));
    }
  }

  /** Two of one name (a power cut kept one record, and lost the other's change) keep no daemon from starting. */
  #takeName(entry: ContainerEntry): void {
    const { registry, init } = this.#parts;
    const { id, name, specification } = entry.stored.record;
    if (!registry.isTaken(name)) {
      registry.takeName(name, id);
      return;
    }
    const given = generatedName(init.random, (candidate) => registry.isTaken(candidate));
    init.log.error("two containers have one name: one gets another", { container: id, name, given });
    registry.takeName(given, id);
    entry.change({ name: given, specification: { ...specification, name: given } });
  }

  async #adopt(entry: ContainerEntry): Promise<void> {
    const { health, runtime, bootId } = this.#parts;
    const { process, cgroupPath, bootId: startedIn = bootId } = entry.stored;
    if (process === undefined) return;
    if (startedIn !== bootId) {
      await runtime.adopt(entry.id, { ...process, startTicks: -1 }); // its number may be somebody else's now
      return;
    }
    // the record may be from just before a pause, or just before its end
    const frozen = cgroupPath !== undefined && (await runtime.isFrozen(cgroupPath));
    entry.change({ state: frozen ? "paused" : "running" });
    await this.#adoptNetwork(entry);
    health.watch(entry);
    await runtime.adopt(entry.id, process);
  }

  async #adoptNetwork(entry: ContainerEntry): Promise<void> {
    try {
      await this.#network.adopt(entry);
    } catch (error) {
      this.#parts.init.log.error("network of a running container not adopted", {
        container: entry.id,
        error: messageOf(error),
      });
    }
  }

  /** They are counted as mounted again, so that nobody unmounts them under a living container. */
  async #adoptVolumes(entry: ContainerEntry): Promise<void> {
    const { volumes, init, bootId } = this.#parts;
    const { bootId: startedIn = bootId } = entry.stored;
    if (startedIn !== bootId) return;
    for (const { name } of entry.stored.volumes) {
      try {
        if (volumes.find(name) !== undefined) await volumes.mount(name, entry.id);
      } catch (error) {
        init.log.error("volume of a running container not adopted", {
          container: entry.id,
          volume: name,
          error: messageOf(error),
        });
      }
    }
  }

  async #clearUp(entry: ContainerEntry): Promise<void> {
    const { init, runtime, registry, state } = this.#parts;
    const { record, removing } = entry.stored;
    if (!registry.has(entry.id)) return;
    try {
      const { autoRemove = false } = record.specification;
      if (removing === true || (autoRemove && record.startedMs > 0)) {
        await this.#removal.removeNow(entry, { removeVolumes: autoRemove });
        return;
      }
      if (record.state === "restarting") {
        entry.change({ state: "exited" });
        await state.save(entry.stored);
      }
      if ((await runtime.findLeftover(entry.id)) !== undefined) {
        init.log.warn("container was half started when the daemon ended", { container: entry.id });
      }
      await this.#runs.release(entry); // also of a run whose clean-up was cut short
    } catch (error) {
      init.log.error("container could not be cleared up", { container: entry.id, error: messageOf(error) });
    }
  }

  /** What a creation or removal cut short left of containers nobody knows: secrets above all. */
  async #sweep(known: ReadonlySet<string>): Promise<void> {
    const { runtime, maker, init } = this.#parts;
    await runtime.sweep(known);
    await maker.files.sweep(known);
    await maker.privateMounts.sweep(known);
    const folder = join(init.dir, "containers");
    await mkdir(folder, { recursive: true, mode: 0o710 });
    for (const id of await readdir(folder)) {
      if (!known.has(id)) await rm(join(folder, id), { recursive: true, force: true });
    }
  }
}
