/**
 * Takes a container away with everything that belongs to it alone.
 * Edge: to the file system.
 * Invariant: told as destroyed only when nothing of it is left; a removal cut short is finished at the next
 * start of the daemon; one that fails leaves the state "dead", and can be tried again.
 */
import { rm } from "node:fs/promises";
import { FailedPreconditionError, messageOf } from "../../base/errors/errors.js";
import { releaseBundle } from "./container-bundle.js";
import { removeAnonymousVolumes } from "./container-creation.js";
import type { ContainerEntry } from "./container-entry.js";
import type { ContainerNetworkAccess } from "./container-networking.js";
import type { ContainerParts } from "./container-parts.js";

export class ContainerRemoval {
  readonly #parts: ContainerParts;
  readonly #network: ContainerNetworkAccess;

  constructor(parts: ContainerParts, network: ContainerNetworkAccess) {
    this.#parts = parts;
    this.#network = network;
  }

  /** In its turn. Gone already is fine. */
  remove(entry: ContainerEntry, options: { removeVolumes: boolean }): Promise<void> {
    return entry.queue.run(async () => {
      if (!this.#parts.registry.has(entry.id)) return;
      if (entry.live || entry.stored.record.state === "restarting") {
        throw new FailedPreconditionError(`cannot remove container ${entry.id}: it was started again`);
      }
      await this.removeNow(entry, options);
    });
  }

  /** From within the container's queue. */
  async removeNow(entry: ContainerEntry, options: { removeVolumes: boolean }): Promise<void> {
    const { state, registry, events } = this.#parts;
    entry.cancelRestart();
    entry.change({ state: "removing", error: "" }); // from here on an error is one of the removal
    entry.stored = { ...entry.stored, removing: true };
    try {
      // side by side: of what little could be gone before the mark is there, nothing is asked for any more
      await Promise.all([state.save(entry.stored), this.#clear(entry, options.removeVolumes)]);
      await state.delete(entry.id);
    } catch (error) {
      entry.change({ state: "dead", error: messageOf(error) });
      await state.save(entry.stored);
      throw error;
    }
    registry.remove(entry);
    events.emit("destroy", entry.stored.record);
    entry.tellWaiters("removed");
  }

  async #clear(entry: ContainerEntry, removeVolumes: boolean): Promise<void> {
    const { runtime, maker, init, logDir } = this.#parts;
    const { id } = entry;
    await Promise.all([runtime.delete(id), this.#network.close(entry)]);
    await Promise.all([
      init.images.removeRootfs(id),
      maker.files.remove(id),
      releaseBundle(maker, entry.stored),
      rm(logDir(id), { recursive: true, force: true }),
    ]);
    if (removeVolumes) await removeAnonymousVolumes(this.#parts, entry.stored.volumes, id);
  }
}
