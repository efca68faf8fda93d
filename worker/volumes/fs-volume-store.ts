/**
 * Volumes of a node: <dir>/<name>/ holds a small record, and the data of local ones. Edge: to the file
 * system.
 * Invariants: a volume exists when its record file does; the record is written last and renamed into place;
 * what
 * is done with one volume is done one after the other; one that a container has is not removed.
 */
import type { Dirent } from "node:fs";
import { chmod, mkdir, readdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../../base/clock/clock.js";
import {
  AlreadyExistsError,
  DataLossError,
  FailedPreconditionError,
  InvalidArgumentError,
  messageOf,
  NotFoundError,
  SkeinError,
} from "../../base/errors/errors.js";
import type { Linux } from "../../base/linux/linux-ports.js";
import { newHexId } from "../../base/random/ids.js";
import type { Random } from "../../base/random/random.js";
import { KeyedLock } from "../images/keyed-lock.js";
import { writeFileAtomic } from "../images/linux-atomic-file.js";
import type { PluginFolders } from "../plugins/unix-plugin-client.js";
import { isErrno } from "../runtime/linux-process.js";
import type { XattrAccess } from "./fs-copy-tree.js";
import { folderUsage } from "./fs-folder-usage.js";
import { fillFolder, fillMounted } from "./fs-volume-fill.js";
import { LocalDriver } from "./local-driver.js";
import { openVolumePlugin } from "./unix-volume-plugin.js";
import type { VolumeDriver } from "./volume-driver.js";
import type { VolumeEvent, VolumeRecord, VolumeRequest, VolumeStore } from "./volume-store.js";

const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{1,254}$/;
export const ANONYMOUS_LABEL = "com.docker.volume.anonymous";

export interface VolumeStoreInit {
  readonly dir: string;
  readonly clock: Clock;
  readonly random: Random;
  /** Absent: volumes with options and extended attributes are not to be had. */
  readonly linux?: Pick<Linux, "mount" | "mountAside" | "unmount" | "readXattrs" | "setXattr">;
  /** Ids of the containers, running or not, that have the volume. */
  readonly usersOf?: (name: string) => readonly string[];
  readonly plugins?: { readonly folders?: PluginFolders; readonly timeoutMs?: number };
}

export async function openVolumeStore(init: VolumeStoreInit): Promise<VolumeStore> {
  await mkdir(init.dir, { recursive: true });
  await chmod(init.dir, 0o700); // a set-uid file that a container left must not be run by people of the host
  const store = new NodeVolumes(init);
  for (const entry of await readdir(init.dir, { withFileTypes: true })) await store.load(entry);
  return store;
}

type Kept = Omit<VolumeRecord, "mountpoint">;

class NodeVolumes implements VolumeStore {
  readonly #init: VolumeStoreInit;
  readonly #records = new Map<string, Kept>();
  readonly #turns = new KeyedLock();
  /** Containers for which a volume is mounted now. */
  readonly #mounted = new Map<string, Set<string>>();
  readonly #local: LocalDriver;
  readonly #plugins = new Map<string, VolumeDriver>();
  readonly #listeners = new Set<(event: VolumeEvent) => void>();
  readonly #xattrs: XattrAccess | undefined;

  constructor(init: VolumeStoreInit) {
    this.#init = init;
    this.#xattrs = init.linux;
    this.#local = new LocalDriver({
      dir: init.dir,
      linux: init.linux,
      options: (name) => this.#records.get(name)?.options ?? {},
    });
  }

  async load(entry: Dirent): Promise<void> {
    if (!entry.isDirectory()) return;
    const path = join(this.#init.dir, entry.name, "volume.json");
    try {
      const bytes = await readFile(path);
      // Those of anonymous volumes are not synced: a power cut may leave an empty file, or zeros.
      const record = bytes.every((byte) => byte === 0)
        ? await this.#found(entry.name)
        : (JSON.parse(bytes.toString("utf8")) as Kept); // written by #ensured alone
      this.#records.set(entry.name, record);
    } catch (error) {
      if (isErrno(error, "ENOENT")) return; // its making was interrupted: the next `ensure` finishes it
      throw new DataLossError(`record of volume ${entry.name} cannot be read`, { cause: error });
    }
  }

  /** An anonymous volume whose record was lost: its data may still be some container's. */
  async #found(name: string): Promise<Kept> {
    const { birthtimeMs } = await stat(join(this.#init.dir, name));
    const labels = { [ANONYMOUS_LABEL]: "" };
    return {
      name,
      driver: "local",
      options: {},
      labels,
      createdMs: Math.round(birthtimeMs),
      anonymous: true,
    };
  }

  find(name: string): VolumeRecord | undefined {
    const kept = this.#records.get(name);
    return kept === undefined ? undefined : this.#shown(kept);
  }

  list(): readonly VolumeRecord[] {
    return [...this.#records.values()]
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .map((kept) => this.#shown(kept));
  }

  async ensure(request: VolumeRequest): Promise<VolumeRecord> {
    // named by who makes it, when it must be known before it is there
    const anonymous = request.name === "" || ANONYMOUS_LABEL in request.labels;
    const name = request.name === "" ? newHexId(this.#init.random) : request.name;
    // Two containers that first use a volume at the same time share one making of it.
    return this.#turns.run(name, async () => {
      try {
        return this.#shown(await this.#ensured(name, anonymous, request));
      } catch (error) {
        throw prefixed(`create ${name}: `, error);
      }
    });
  }

  async #ensured(name: string, anonymous: boolean, request: VolumeRequest): Promise<Kept> {
    const driverName = request.driver === "" ? "local" : request.driver;
    const known = this.#records.get(name);
    if (known !== undefined) {
      if (request.driver === "" || driverName === known.driver) return known;
      await this.#driver(driverName); // an unknown one is told of first
      throw new AlreadyExistsError(
        `conflict: volume name must be unique: a volume named "${name}" already exists ` +
          `with the "${known.driver}" driver`,
      );
    }
    const driver = await this.#driver(driverName); // an unknown one is told of first
    checkName(name);
    await driver.create(name, request.options);
    const record: Kept = {
      name,
      driver: driverName,
      options: request.options,
      labels: anonymous ? { ...request.labels, [ANONYMOUS_LABEL]: "" } : request.labels,
      createdMs: this.#init.clock.nowMs(),
      anonymous,
    };
    const folder = join(this.#init.dir, name);
    await mkdir(folder, { recursive: true, mode: 0o711 });
    // Synced when somebody means to keep it: a record torn by a power failure would keep the daemon from
    // starting.
    await writeFileAtomic(join(folder, "volume.json"), JSON.stringify(record), { sync: !anonymous });
    this.#records.set(name, record);
    this.#tell("create", record);
    return record;
  }

  remove(name: string, options: { force?: boolean } = {}): Promise<void> {
    return this.#turns.run(name, async () => {
      const record = this.#records.get(name);
      if (record === undefined) {
        if (options.force === true) return;
        throw new NotFoundError(`get ${name}: no such volume`);
      }
      const users = new Set([...(this.#init.usersOf?.(name) ?? []), ...(this.#mounted.get(name) ?? [])]);
      if (users.size > 0) {
        throw new FailedPreconditionError(`remove ${name}: volume is in use - [${[...users].join(", ")}]`);
      }
      await this.#removeData(record, options.force === true);
      this.#tell("destroy", record);
    });
  }

  async #removeData(record: Kept, force: boolean): Promise<void> {
    const { name } = record;
    const folder = join(this.#init.dir, name);
    if (record.driver !== "local") {
      try {
        await (await this.#driver(record.driver)).remove(name);
      } catch (error) {
        // A plugin that is gone for good must not keep its volumes in the list for ever.
        if (!force) throw prefixed(`remove ${name}: `, error);
      }
    }
    this.#records.delete(name);
    // first: an interrupted removal leaves no half volume behind
    await rm(join(folder, "volume.json"), { force: true });
    if (record.driver === "local") await this.#local.remove(name);
    else await rm(folder, { recursive: true, force: true });
  }

  mount(name: string, containerId: string): Promise<string> {
    return this.#turns.run(name, async () => {
      const record = this.#get(name);
      const users = this.#mounted.get(name) ?? new Set<string>();
      const driver = await this.#driver(record.driver);
      const path = await driver.mount(name, { containerId, first: users.size === 0 });
      const isNew = !users.has(containerId);
      this.#mounted.set(name, users.add(containerId));
      if (isNew) this.#tell("mount", record, containerId);
      return path;
    });
  }

  async unmount(name: string, containerId: string): Promise<void> {
    if (this.#mounted.get(name)?.has(containerId) !== true) return;
    await this.#turns.run(name, async () => {
      const users = this.#mounted.get(name);
      const record = this.#records.get(name);
      if (users?.delete(containerId) !== true) return;
      if (users.size === 0) this.#mounted.delete(name);
      if (record === undefined) return;
      await (await this.#driver(record.driver)).unmount(name, { containerId, last: users.size === 0 });
      this.#tell("unmount", record, containerId);
    });
  }

  copyUp(name: string, imageFolder: string): Promise<void> {
    // Containers that first use a volume at the same time: the second finds it full.
    return this.#turns.run(name, async () => {
      const record = this.#get(name);
      const mountpoint = this.#shown(record).mountpoint;
      if (record.driver === "local" && Object.keys(record.options).length === 0) {
        await fillFolder(mountpoint, imageFolder, this.#xattrs);
      } else if (mountpoint !== "" && (this.#mounted.get(name)?.size ?? 0) <= 1) {
        await fillMounted(mountpoint, imageFolder, this.#xattrs);
      }
    });
  }

  async usage(name: string): Promise<number> {
    const { driver, options } = this.#get(name);
    // Of what lies elsewhere nothing is told, as in Docker.
    if (driver !== "local" || Object.keys(options).length > 0) return -1;
    return folderUsage(this.#local.mountpoint(name));
  }

  onEvent(listener: (event: VolumeEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  /** Mounts stay: containers that run on use them. */
  async close(): Promise<void> {
    this.#listeners.clear();
  }

  #get(name: string): Kept {
    const record = this.#records.get(name);
    if (record === undefined) throw new NotFoundError(`get ${name}: no such volume`);
    return record;
  }

  #shown(kept: Kept): VolumeRecord {
    const driver = kept.driver === "local" ? this.#local : this.#plugins.get(kept.driver);
    return { ...kept, mountpoint: driver?.mountpoint(kept.name) ?? "" };
  }

  async #driver(name: string): Promise<VolumeDriver> {
    if (name === "local") return this.#local;
    const known = this.#plugins.get(name);
    if (known !== undefined) return known;
    const opened = await openVolumePlugin(name, this.#init.plugins);
    this.#plugins.set(name, opened);
    return opened;
  }

  #tell(kind: VolumeEvent["kind"], { name, driver }: Kept, containerId?: string): void {
    const timeMs = this.#init.clock.nowMs();
    for (const listener of this.#listeners)
      listener({ kind, name, driver, timeMs, ...(containerId === undefined ? {} : { containerId }) });
  }
}

function checkName(name: string): void {
  if (name.length === 1)
    throw new InvalidArgumentError(
      "volume name is too short, names should be at least two alphanumeric characters",
    );
  if (!NAME.test(name))
    throw new InvalidArgumentError(
      `"${name}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are ` +
        "allowed. If you intended to pass a host directory, use absolute path",
    );
}

/** The same error with more said before it. */
function prefixed(words: string, error: unknown): unknown {
  if (!(error instanceof SkeinError)) return error;
  const Same = error.constructor as new (message: string, options: { cause: unknown }) => SkeinError;
  return new Same(`${words}${messageOf(error)}`, { cause: error });
}
