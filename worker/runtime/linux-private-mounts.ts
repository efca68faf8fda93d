/**
 * Mounts the daemon makes for one container outside its root: shared memory that others may join, and parts
 * of
 * volumes. The runtime, another process, then binds them by paths that no container can change.
 * Edge: to the kernel. Invariant: all are below <runDir>/m/<container>, so that `release` finds them also
 * after
 * a restart of the daemon.
 */
import { closeSync, existsSync, fstatSync } from "node:fs";
import { mkdir, readdir, rmdir, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Linux } from "../../base/linux/linux-ports.js";
import { isErrno } from "./linux-process.js";

const FOLDER_NAME_LENGTH = 16;

export class PrivateMounts {
  readonly #base: string;
  readonly #linux: Pick<Linux, "mount" | "unmount" | "openInRoot">;

  constructor(runDir: string, linux: Pick<Linux, "mount" | "unmount" | "openInRoot">) {
    this.#base = join(runDir, "m");
    this.#linux = linux;
  }

  /** Where the shared memory of a container is, if it has some that others may join. */
  sharedMemoryPath(id: string): string {
    return join(this.#folder(id), "shm");
  }

  async mountSharedMemory(id: string, sizeBytes: number): Promise<string> {
    const target = await this.#place(id, "shm", true);
    this.#linux.mount({
      source: "shm",
      target,
      type: "tmpfs",
      flags: ["nosuid", "nodev", "noexec"],
      data: `mode=1777,size=${sizeBytes}`,
    });
    return target;
  }

  /**
   * Binds what a path names below a folder. It is opened without leaving the folder, and the handle is what
   * is
   * mounted: links put there meanwhile change nothing.
   * @throws {InternalError} ending in EXDEV when the path leads out, ENOENT when nothing is there.
   */
  async bindBelow(id: string, name: string, place: { root: string; path: string }): Promise<string> {
    const fd = this.#linux.openInRoot({
      root: place.root,
      path: place.path.replace(/^\/+/, "") || ".",
      leaving: "refused",
    });
    try {
      const target = await this.#place(id, name, fstatSync(fd).isDirectory());
      this.#linux.mount({ source: `/proc/self/fd/${fd}`, target, type: "", flags: ["rbind"] });
      this.#linux.mount({ source: "none", target, type: "", flags: ["rprivate"] });
      return target;
    } finally {
      closeSync(fd);
    }
  }

  /** Unmounts and removes all of a container. None is fine. */
  async release(id: string): Promise<void> {
    await this.#clear(this.#folder(id));
  }

  /** Those of containers that are not in the set go. */
  async sweep(known: ReadonlySet<string>): Promise<void> {
    if (!existsSync(this.#base)) return;
    const kept = new Set([...known].map((id) => id.slice(0, FOLDER_NAME_LENGTH)));
    for (const name of await readdir(this.#base))
      if (!kept.has(name)) await this.#clear(join(this.#base, name));
  }

  #folder(id: string): string {
    return join(this.#base, id.slice(0, FOLDER_NAME_LENGTH));
  }

  async #place(id: string, name: string, isFolder: boolean): Promise<string> {
    await mkdir(this.#folder(id), { recursive: true, mode: 0o700 });
    const target = join(this.#folder(id), name);
    await this.#unmount(target); // of a run whose clean-up was cut short
    if (isFolder) await mkdir(target, { recursive: true });
    else await writeFile(target, "");
    return target;
  }

  async #clear(folder: string): Promise<void> {
    if (!existsSync(folder)) return;
    for (const entry of await readdir(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      await this.#unmount(path);
      // What is left is the bare place; rmdir and unlink never go below a mount.
      await (entry.isDirectory() ? rmdir(path) : unlink(path));
    }
    await rmdir(folder);
  }

  async #unmount(path: string): Promise<void> {
    try {
      await this.#linux.unmount(path, { detach: true });
    } catch (error) {
      if (!endsWith(error, "EINVAL", "ENOENT")) throw error; // no mount, or nothing there
    }
  }
}

/** The port names the errno as the last word of its refusals. */
export function endsWith(error: unknown, ...names: readonly string[]): boolean {
  return (
    isErrno(error, ...names) ||
    (error instanceof Error && names.some((name) => error.message.endsWith(` ${name}`)))
  );
}
