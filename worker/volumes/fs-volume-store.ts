/**
 * Local volumes: <dir>/<name>/_data with a small record beside it. Edge: to the file system.
 * Invariants: a volume exists when its record file does; the record is written last and renamed into place.
 * What an image has is copied to <dir>/<name>/filling first, renamed to `filled` when whole, then moved in: a
 * crash is made good by the next container.
 */
import type { Dirent, Stats } from "node:fs";
import { chmod, lstat, mkdir, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../../base/clock/clock.js";
import {
  DataLossError,
  InvalidArgumentError,
  NotFoundError,
  NotImplementedError,
} from "../../base/errors/errors.js";
import { newHexId } from "../../base/random/ids.js";
import type { Random } from "../../base/random/random.js";
import { KeyedLock } from "../images/keyed-lock.js";
import { writeFileAtomic } from "../images/linux-atomic-file.js";
import { isErrno } from "../runtime/linux-process.js";
import { copyTree, takeOver } from "./fs-copy-tree.js";
import type { VolumeRecord, VolumeRequest, VolumeStore } from "./volume-store.js";

const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}$/;

export async function openVolumeStore(init: {
  dir: string;
  clock: Clock;
  random: Random;
}): Promise<VolumeStore> {
  await mkdir(init.dir, { recursive: true });
  await chmod(init.dir, 0o700); // a set-uid file that a container left must not be run by people of the host
  const store = new LocalVolumes(init);
  for (const entry of await readdir(init.dir, { withFileTypes: true })) await store.load(entry);
  return store;
}

class LocalVolumes implements VolumeStore {
  readonly #dir: string;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #records = new Map<string, VolumeRecord>();
  /** Two containers that first use a volume at the same time share one making of it. */
  readonly #making = new Map<string, Promise<VolumeRecord>>();
  readonly #filling = new KeyedLock();

  constructor(init: { dir: string; clock: Clock; random: Random }) {
    this.#dir = init.dir;
    this.#clock = init.clock;
    this.#random = init.random;
  }

  async load(entry: Dirent): Promise<void> {
    if (!entry.isDirectory()) return;
    const path = join(this.#dir, entry.name, "volume.json");
    try {
      // written by #make alone
      const record = JSON.parse(await readFile(path, "utf8")) as Omit<VolumeRecord, "mountpoint">;
      this.#records.set(entry.name, { ...record, mountpoint: join(this.#dir, entry.name, "_data") });
    } catch (error) {
      if (isErrno(error, "ENOENT")) return; // its making was interrupted: the next `ensure` finishes it
      throw new DataLossError(`record of volume ${entry.name} cannot be read`, { cause: error });
    }
  }

  find(name: string): VolumeRecord | undefined {
    return this.#records.get(name);
  }

  list(): readonly VolumeRecord[] {
    return [...this.#records.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  async ensure(request: VolumeRequest): Promise<VolumeRecord> {
    const anonymous = request.name === "";
    const name = anonymous ? newHexId(this.#random) : request.name;
    if (!NAME.test(name))
      throw new InvalidArgumentError(
        `invalid volume name ${JSON.stringify(name)}: must match ${NAME.source}`,
      );
    if (request.driver !== "" && request.driver !== "local") {
      throw new NotImplementedError(
        `volume driver ${JSON.stringify(request.driver)} is not supported: only local`,
      );
    }
    const option = Object.keys(request.options).sort()[0];
    if (option !== undefined)
      throw new NotImplementedError(
        `volume option ${JSON.stringify(option)} of the local driver is not supported`,
      );
    const known = this.#records.get(name);
    if (known !== undefined) return known;
    let making = this.#making.get(name);
    if (making === undefined) {
      making = this.#make(name, anonymous, request).finally(() => this.#making.delete(name));
      this.#making.set(name, making);
    }
    return making;
  }

  async #make(name: string, anonymous: boolean, request: VolumeRequest): Promise<VolumeRecord> {
    const folder = join(this.#dir, name);
    const mountpoint = join(folder, "_data");
    await mkdir(mountpoint, { recursive: true, mode: 0o755 });
    const record: VolumeRecord = {
      name,
      driver: "local",
      mountpoint,
      options: request.options,
      labels: request.labels,
      createdMs: this.#clock.nowMs(),
      anonymous,
    };
    // Synced when somebody means to keep it: a record torn by a power failure would keep the daemon from
    // starting.
    const text = JSON.stringify({ ...record, mountpoint: undefined });
    await writeFileAtomic(join(folder, "volume.json"), text, { sync: !anonymous });
    this.#records.set(name, record);
    return record;
  }

  async remove(name: string): Promise<void> {
    if (!this.#records.has(name)) throw new NotFoundError(`no such volume: ${name}`);
    this.#records.delete(name);
    // first: an interrupted removal leaves no half volume behind
    await rm(join(this.#dir, name, "volume.json"), { force: true });
    await rm(join(this.#dir, name), { recursive: true, force: true });
  }

  async copyUp(name: string, imageFolder: string): Promise<void> {
    const record = this.#records.get(name);
    if (record === undefined) throw new NotFoundError(`no such volume: ${name}`);
    // Containers that first use a volume at the same time: the second finds it full.
    await this.#filling.run(name, () => this.#fill(record.mountpoint, imageFolder));
  }

  /**
   * The copy is made beside the volume, where no container can put links in its way,
   * and counts once it is whole.
   */
  async #fill(mountpoint: string, imageFolder: string): Promise<void> {
    const filling = join(mountpoint, "..", "filling");
    const filled = join(mountpoint, "..", "filled");
    if ((await folderAt(filled)) === undefined) {
      if ((await readdir(mountpoint)).length > 0) return;
      await rm(filling, { recursive: true, force: true });
      await copyTree(imageFolder, filling);
      if ((await folderAt(filling)) === undefined) return; // the image has nothing there
      await rename(filling, filled);
    }
    for (const name of await readdir(filled))
      await moveUnlessThere(join(filled, name), join(mountpoint, name));
    const like = await folderAt(filled);
    if (like !== undefined) await takeOver(mountpoint, like);
    await rm(filled, { recursive: true, force: true });
  }
}

async function folderAt(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    throw error;
  }
}

/** What a container has made meanwhile stays. */
async function moveUnlessThere(from: string, to: string): Promise<void> {
  if ((await folderAt(to)) !== undefined) return;
  try {
    await rename(from, to);
  } catch (error) {
    if (!isErrno(error, "EEXIST", "ENOTEMPTY", "ENOTDIR", "EISDIR")) throw error;
  }
}
