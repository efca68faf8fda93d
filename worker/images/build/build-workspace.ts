/**
 * What one build holds on the machine: a folder, mounted roots, containers; and the sweep of what builds left
 * that were killed. Edge: to the file system, the node's images and containers.
 * Invariant: a root's id is written down before it is mounted, and a container carries its build's id; so a
 * build that is gone has left nothing that is not found here.
 */
import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { messageOf } from "../../../base/errors/errors.js";
import type { Logger } from "../../../base/log/logger.js";
import { newHexId } from "../../../base/random/ids.js";
import type { Random } from "../../../base/random/random.js";
import type { ContainerManager } from "../../../proto/engine/containers.js";
import type { ImageWorkshop } from "../image-store.js";
import { BUILD_ANNOTATION } from "./run-step.js";

export interface WorkspaceParts {
  /** Of all builds. */
  readonly dir: string;
  readonly images: Pick<ImageWorkshop, "mountRootfs" | "removeRootfs">;
  readonly containers: Pick<ContainerManager, "list" | "remove">;
  readonly random: Random;
  readonly log: Logger;
}

export class BuildWorkspace {
  readonly id: string;
  readonly folder: string;
  readonly #parts: WorkspaceParts;
  readonly #roots = new Set<string>();
  readonly #doomed = new Set<string>();

  private constructor(parts: WorkspaceParts, id: string) {
    this.#parts = parts;
    this.id = id;
    this.folder = join(parts.dir, "running", id);
  }

  static async open(parts: WorkspaceParts): Promise<BuildWorkspace> {
    const workspace = new BuildWorkspace(parts, newHexId(parts.random, 32));
    await mkdir(join(workspace.folder, "context"), { recursive: true, mode: 0o700 });
    await mkdir(join(workspace.folder, "roots"));
    return workspace;
  }

  newRootId(): string {
    return newHexId(this.#parts.random);
  }

  /** A writable root of the image ("" : empty), until `releaseRoot` or the end. */
  async mountRoot(imageId: string, rootId: string): Promise<string> {
    await writeFile(join(this.folder, "roots", rootId), "");
    this.#roots.add(rootId);
    return await this.#parts.images.mountRootfs(imageId, rootId);
  }

  async releaseRoot(rootId: string): Promise<void> {
    if (!this.#roots.delete(rootId)) return;
    await this.#parts.images.removeRootfs(rootId);
    await rm(join(this.folder, "roots", rootId), { force: true });
  }

  /** Removed at the end, whatever happens. */
  doom(containerId: string): void {
    this.#doomed.add(containerId);
  }

  spare(containerId: string): void {
    this.#doomed.delete(containerId);
  }

  async removeContainer(containerId: string): Promise<void> {
    await this.#parts.containers.remove(containerId, { force: true, removeVolumes: true });
    this.#doomed.delete(containerId);
  }

  /** Takes everything away; what fails is logged, and swept at the next start. */
  async close(): Promise<void> {
    let clean = true;
    const attempt = async (what: string, work: Promise<void>): Promise<void> => {
      try {
        await work;
      } catch (error) {
        clean = false;
        this.#parts.log.error("a build could not be cleaned up", {
          build: this.id,
          what,
          error: messageOf(error),
        });
      }
    };
    for (const id of [...this.#doomed]) await attempt(`container ${id}`, this.removeContainer(id));
    for (const id of [...this.#roots]) await attempt(`root ${id}`, this.releaseRoot(id));
    if (clean) await attempt("folder", rm(this.folder, { recursive: true, force: true }));
  }
}

/** Takes away what builds left that were killed with the daemon; what cannot be is logged, and tried again. */
export async function sweepBuilds(parts: WorkspaceParts): Promise<void> {
  const running = join(parts.dir, "running");
  await mkdir(running, { recursive: true, mode: 0o700 });
  for (const id of await readdir(running)) {
    parts.log.warn("a build was cut short", { build: id });
    try {
      await sweep(parts, running, id);
    } catch (error) {
      parts.log.error("a build could not be cleaned up", { build: id, error: messageOf(error) });
    }
  }
}

async function sweep(parts: WorkspaceParts, running: string, id: string): Promise<void> {
  for (const { id: containerId, specification } of parts.containers.list()) {
    if (specification.isolation?.annotations?.[BUILD_ANNOTATION] === id)
      await parts.containers.remove(containerId, { force: true, removeVolumes: true });
  }
  const folder = join(running, id);
  await mkdir(join(folder, "roots"), { recursive: true }); // killed while it was made
  for (const rootId of await readdir(join(folder, "roots"))) await parts.images.removeRootfs(rootId);
  await rm(folder, { recursive: true, force: true });
}
