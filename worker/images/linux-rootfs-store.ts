/**
 * Writable root file systems of containers: overlayfs over an image's layers.
 * Edge: to the file system and mount(2). Layout: `rootfs/<container>/{upper,work,merged,rootfs.json}`.
 * Invariant: the folder of a container appears whole, by rename; its record keeps the layers it stands on
 * alive.
 * Source: kernel Documentation/filesystems/overlayfs.rst; mount data is limited to one page (mount(2)).
 */
import {
  chmodSync,
  closeSync,
  mkdirSync,
  openSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { mkdir, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { InvalidArgumentError, messageOf } from "../../base/errors/errors.js";
import type { Linux } from "../../base/linux/linux-ports.js";
import type { Logger } from "../../base/log/logger.js";
import { asObject } from "./image-manifest.js";
import { makeGroundLayer } from "./linux-ground-layer.js";
import type { LayerStore } from "./linux-layer-store.js";

interface Rootfs {
  readonly imageId: string;
  readonly chainIds: readonly string[];
}

/** Folder of the lowest layer. */
const GROUND = "ground";
/** Its name among the short links: those of layers begin at 1. */
const GROUND_LINK = "0";

/** Of mount data, in bytes: a page less its terminator. */
const MOUNT_DATA_BYTES_MAX = 4095;

export class RootfsStore {
  readonly #dir: string;
  readonly #linux: Pick<Linux, "mount" | "unmount">;
  readonly #layers: LayerStore;
  readonly #rootfs = new Map<string, Rootfs>();

  private constructor(dir: string, linux: Pick<Linux, "mount" | "unmount">, layers: LayerStore) {
    this.#dir = dir;
    this.#linux = linux;
    this.#layers = layers;
  }

  static async open(options: {
    dir: string;
    linux: Pick<Linux, "mount" | "unmount">;
    layers: LayerStore;
    log: Logger;
  }): Promise<RootfsStore> {
    const store = new RootfsStore(options.dir, options.linux, options.layers);
    await mkdir(join(options.dir, "rootfs"), { recursive: true, mode: 0o711 });
    makeGroundLayer(join(options.dir, GROUND));
    // a short name among the layers' own; LayerStore removes what it does not know when it opens
    symlinkSync(join("..", GROUND), join(options.dir, "l", GROUND_LINK));
    for (const containerId of await readdir(join(options.dir, "rootfs"))) {
      const rootfs = await readRootfs(join(options.dir, "rootfs", containerId, "rootfs.json"), options.log);
      if (rootfs !== undefined) store.#rootfs.set(containerId, rootfs);
    }
    return store;
  }

  /** Whether a container stands on the layer. */
  uses(chainId: string): boolean {
    for (const rootfs of this.#rootfs.values()) if (rootfs.chainIds.includes(chainId)) return true;
    return false;
  }

  /** The image of a container that has a root file system here. */
  get(containerId: string): Rootfs | undefined {
    return this.#rootfs.get(containerId);
  }

  /** The container's own files, in overlayfs form. */
  upperPath(containerId: string): string {
    return join(this.#folder(containerId), "upper");
  }

  /** The folders a container's root is made of, its own and the layers, topmost first. */
  layersOf(containerId: string): { upper: string; lowers: readonly string[] } | undefined {
    const rootfs = this.#rootfs.get(containerId);
    if (rootfs === undefined) return undefined;
    const lowers = rootfs.chainIds.flatMap((chainId) => {
      const link = this.#layers.get(chainId)?.link;
      return link === undefined ? [] : [join(this.#dir, "l", link)];
    });
    return { upper: this.upperPath(containerId), lowers: [...lowers.reverse(), join(this.#dir, GROUND)] };
  }

  /** The layers stay for it from now on, whatever becomes of the image. */
  hold(containerId: string, rootfs: Rootfs): void {
    if (!this.#rootfs.has(containerId)) this.#create(containerId, rootfs);
  }

  /** @returns the path of the mounted root. */
  async mount(containerId: string, rootfs: Rootfs): Promise<string> {
    const known = this.#rootfs.get(containerId) ?? this.#create(containerId, rootfs);
    const folder = this.#folder(containerId);
    const merged = join(folder, "merged");
    if (!isMounted(merged)) this.#mountOverlay(folder, merged, known);
    return merged;
  }

  async unmount(containerId: string): Promise<void> {
    const merged = join(this.#folder(containerId), "merged");
    if (!isMounted(merged)) return;
    try {
      await this.#linux.unmount(merged);
    } catch (error) {
      // Something still looks into it (a copy, a shell of the host): it goes when that ends.
      if (!messageOf(error).includes("EBUSY")) throw error;
      await this.#linux.unmount(merged, { detach: true });
    }
  }

  async remove(containerId: string): Promise<void> {
    await this.unmount(containerId);
    const known = this.#rootfs.delete(containerId);
    const folder = this.#folder(containerId);
    const doomed = this.#layers.temporaryPath("removed");
    try {
      await rename(folder, doomed);
    } catch (error) {
      if (!known && isMissing(error)) return;
      throw error;
    }
    await rm(doomed, { recursive: true });
  }

  #folder(containerId: string): string {
    if (!/^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/.test(containerId)) {
      throw new InvalidArgumentError(
        `container id must be a plain name, got ${JSON.stringify(containerId.slice(0, 200))}`,
      );
    }
    return join(this.#dir, "rootfs", containerId);
  }

  /** Synchronous: ten small calls on the path of every start, and no second caller in between. */
  #create(containerId: string, rootfs: Rootfs): Rootfs {
    const target = this.#folder(containerId);
    const folder = this.#layers.temporaryPath("rootfs");
    mkdirSync(folder, { mode: 0o711 });
    for (const name of ["upper", "work", "merged"]) {
      mkdirSync(join(folder, name));
      chmodSync(join(folder, name), 0o755); // whatever the umask says; upper's mode is the root folder's
    }
    writeFileSync(join(folder, "rootfs.json"), JSON.stringify(rootfs), { mode: 0o600 });
    renameSync(folder, target);
    this.#rootfs.set(containerId, rootfs);
    return rootfs;
  }

  #mountOverlay(folder: string, merged: string, rootfs: Rootfs): void {
    // overlayfs wants the topmost layer first
    const links = rootfs.chainIds.map((chainId) => this.#layers.get(chainId)?.link).reverse();
    const missing = rootfs.chainIds.find((chainId) => this.#layers.get(chainId) === undefined);
    if (missing !== undefined)
      throw new InvalidArgumentError(`layer ${missing} of image ${rootfs.imageId} is not on this node`);
    const dataWith = (linkDir: string): string => {
      const lower = [...links, GROUND_LINK].map((link) => `${linkDir}/${link}`).join(":");
      return `lowerdir=${lower},upperdir=${join(folder, "upper")},workdir=${join(folder, "work")},index=off`;
    };
    const mount = (data: string): void =>
      this.#linux.mount({ source: "overlay", target: merged, type: "overlay", data });
    const linkDir = join(this.#dir, "l");
    const data = dataWith(linkDir);
    if (Buffer.byteLength(data) <= MOUNT_DATA_BYTES_MAX) {
      mount(data);
      return;
    }
    // Too many layers for their full paths: an open folder gives the links a short one, for as long as the
    // call takes.
    const fd = openSync(linkDir, "r");
    try {
      mount(dataWith(`/proc/${process.pid}/fd/${fd}`));
    } finally {
      closeSync(fd);
    }
  }
}

/** A mount point is on another device than its folder. */
function isMounted(path: string): boolean {
  const inside = statSync(path, { throwIfNoEntry: false });
  return inside !== undefined && inside.dev !== statSync(join(path, "..")).dev;
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}

async function readRootfs(path: string, log: Logger): Promise<Rootfs | undefined> {
  try {
    const json = asObject(JSON.parse(await readFile(path, "utf8")));
    const imageId = json?.["imageId"];
    const chainIds = json?.["chainIds"];
    if (typeof imageId !== "string" || !Array.isArray(chainIds)) return undefined;
    return { imageId, chainIds: chainIds.filter((one): one is string => typeof one === "string") };
  } catch (error) {
    log.warn("record of a root file system cannot be read", { path, error: messageOf(error) });
    return undefined;
  }
}
