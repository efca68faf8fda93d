/**
 * The local driver: <dir>/<name>/_data, a folder or what its options have mounted there.
 * Edge: to the file system and the kernel.
 * Invariant: what options name is mounted while, and only while, somebody uses it; a removal unmounts before
 * it
 * deletes, so that nothing beyond the volume is touched.
 */
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { NotImplementedError } from "../../base/errors/errors.js";
import type { Linux } from "../../base/linux/linux-ports.js";
import { mountLocal, mountPointsBelow, unmountLocal } from "./linux-local-mount.js";
import { localMount } from "./local-options.js";
import type { VolumeDriver, VolumeOptions } from "./volume-driver.js";

export class LocalDriver implements VolumeDriver {
  readonly scope = "local";
  readonly #dir: string;
  readonly #linux: Pick<Linux, "mount" | "mountAside" | "unmount"> | undefined;
  readonly #options: (name: string) => VolumeOptions;
  readonly #mounted: Set<string>;

  constructor(init: {
    dir: string;
    linux: Pick<Linux, "mount" | "mountAside" | "unmount"> | undefined;
    /** Of a volume that is there. */
    options: (name: string) => VolumeOptions;
  }) {
    this.#dir = init.dir;
    this.#linux = init.linux;
    this.#options = init.options;
    this.#mounted = new Set(mountPointsBelow(init.dir)); // also those of before a restart
  }

  async create(name: string, options: VolumeOptions): Promise<void> {
    localMount(options);
    await mkdir(this.mountpoint(name), { recursive: true, mode: 0o755 });
  }

  async remove(name: string): Promise<void> {
    await this.#unmount(name);
    await rm(join(this.#dir, name), { recursive: true, force: true });
  }

  async mount(name: string): Promise<string> {
    const target = this.mountpoint(name);
    const wanted = localMount(this.#options(name));
    if (wanted === undefined || this.#mounted.has(target)) return target;
    if (this.#linux === undefined)
      throw new NotImplementedError("volumes with options cannot be mounted here");
    await mountLocal(this.#linux, wanted, target);
    this.#mounted.add(target);
    return target;
  }

  async unmount(name: string, options: { readonly last: boolean }): Promise<void> {
    if (options.last) await this.#unmount(name);
  }

  mountpoint(name: string): string {
    return join(this.#dir, name, "_data");
  }

  async #unmount(name: string): Promise<void> {
    const target = this.mountpoint(name);
    if (!this.#mounted.has(target) || this.#linux === undefined) return;
    await unmountLocal(this.#linux, target);
    this.#mounted.delete(target);
  }
}
