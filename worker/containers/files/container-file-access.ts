/**
 * A container's files, changes, processes and counters for the HTTP surface: the contract of
 * proto/engine/files.ts. Edge: to the thread that touches files, the host's ps, /proc and control groups.
 * Invariant: each look into a container holds its root and its volumes for as long as it takes, no longer.
 * What is seen is what Docker shows: the root, the volumes and binds in it, and (more than Docker) the tmpfs
 * of a running container; not /proc, /sys and /dev.
 */
import type { Clock } from "../../../base/clock/clock.js";
import { AbortedError, codeOf, messageOf, NotFoundError } from "../../../base/errors/errors.js";
import type { Logger } from "../../../base/log/logger.js";
import type { ContainerManager, ContainerRecord } from "../../../proto/engine/containers.js";
import type {
  ContainerFileAccess,
  ContainerSample,
  FileChange,
  PathStat,
} from "../../../proto/engine/files.js";
import type { VolumeStore } from "../../../proto/engine/volumes.js";
import type { ImageStore } from "../../images/image-store.js";
import { Permits } from "../permits.js";
import { ContainerSampler } from "./linux-container-sampler.js";
import { FileThread } from "./linux-file-thread.js";
import type { OverlayFolders } from "./linux-overlay-changes.js";
import type { MountSource, RootSource } from "./linux-root-view.js";
import { plainTar } from "./process-decompress.js";
import { listProcesses } from "./process-top.js";
import type { RootfsHolds } from "./rootfs-holds.js";

export interface FileAccessParts {
  readonly containers: Pick<ContainerManager, "get" | "emit"> & {
    volumesOf(id: string): readonly {
      readonly target: string;
      readonly name: string;
      readonly readOnly: boolean;
    }[];
  };
  readonly volumes: Pick<VolumeStore, "mount" | "unmount">;
  readonly images: Pick<ImageStore, "find" | "rootfsLayers">;
  readonly holds: RootfsHolds;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Diffs and sizes at a time; the rest wait in order. */
const WALKS_MAX = 4;

/** Made by the runtime in every container's writable layer; nobody's change. */
const MOUNT_POINTS = [
  "/.dockerenv",
  "/dev",
  "/dev/console",
  "/dev/mqueue",
  "/dev/pts",
  "/dev/shm",
  "/etc/hostname",
  "/etc/hosts",
  "/etc/mtab",
  "/etc/resolv.conf",
  "/proc",
  "/run/secrets",
  "/sbin/docker-init",
  "/sys",
];

export class LocalContainerFileAccess implements ContainerFileAccess {
  readonly #parts: FileAccessParts;
  readonly #thread: FileThread;
  readonly #sampler: ContainerSampler;
  /** `docker ps -s` asks for all containers at once. */
  readonly #walks = new Permits(WALKS_MAX);
  #looks = 0;

  constructor(parts: FileAccessParts) {
    this.#parts = parts;
    this.#thread = new FileThread({ clock: parts.clock });
    this.#sampler = new ContainerSampler(parts.clock);
  }

  async stat(containerId: string, path: string): Promise<PathStat> {
    const record = this.#parts.containers.get(containerId);
    return await this.#look(record, async (source) => {
      const result = await this.#missing(
        { containerId, path },
        this.#thread.run({ kind: "stat", source, path }),
      );
      if (result.kind !== "stat") throw new NotFoundError(path);
      return result.stat;
    });
  }

  async read(
    containerId: string,
    path: string,
    options: { signal?: AbortSignal },
  ): Promise<{ readonly stat: PathStat; readonly tar: AsyncIterable<Uint8Array> }> {
    const record = this.#parts.containers.get(containerId);
    const { source, release } = await this.#open(record);
    try {
      const job = this.#thread.read({ kind: "read", source, path }, options);
      const { stat, tar } = await this.#missing({ containerId, path }, job);
      if (stat === undefined) throw new NotFoundError(path);
      this.#parts.containers.emit(record.id, "archive-path");
      // a generator that is never begun has no end of its own
      options.signal?.addEventListener("abort", () => this.#inBackground(release()), { once: true });
      return { stat, tar: releasing(tar, release) };
    } catch (error) {
      await release();
      throw error;
    }
  }

  async write(
    containerId: string,
    path: string,
    tar: AsyncIterable<Uint8Array>,
    options: { noOverwriteDirNonDir: boolean; copyUidGid: boolean; signal?: AbortSignal },
  ): Promise<void> {
    const record = this.#parts.containers.get(containerId);
    const { noOverwriteDirNonDir, copyUidGid, signal } = options;
    const { user } = record.specification;
    await this.#look(record, async (source) => {
      const job = {
        kind: "write",
        source,
        path,
        noOverwriteDirNonDir,
        user: copyUidGid && user !== "" ? user : undefined,
      } as const;
      await this.#missing({ containerId, path }, this.#thread.run(job, { signal, input: plainTar(tar) }));
    });
    this.#parts.containers.emit(record.id, "extract-to-dir");
  }

  async changes(containerId: string): Promise<readonly FileChange[]> {
    const { id } = this.#parts.containers.get(containerId);
    const folders = this.#layersOf(id);
    if (folders === undefined) return []; // never started, never looked into
    const job = { kind: "changes", folders, ignored: MOUNT_POINTS } as const;
    const result = await this.#walks.use(() => this.#thread.run(job));
    return result.kind === "changes" ? result.changes : [];
  }

  async *exportRootfs(containerId: string, options: { signal?: AbortSignal }): AsyncGenerator<Uint8Array> {
    const record = this.#parts.containers.get(containerId);
    const { source, release } = await this.#open(record);
    try {
      const { tar } = await this.#thread.read({ kind: "export", source }, options);
      this.#parts.containers.emit(record.id, "export");
      yield* tar;
    } finally {
      await release();
    }
  }

  async size(containerId: string): Promise<{ readonly writableBytes: number; readonly rootfsBytes: number }> {
    const { id, imageId } = this.#parts.containers.get(containerId);
    const upper = this.#layersOf(id)?.upper;
    const result =
      upper === undefined
        ? undefined
        : await this.#walks.use(() => this.#thread.run({ kind: "size", folder: upper }));
    const writableBytes = result?.kind === "size" ? result.bytes : 0;
    return { writableBytes, rootfsBytes: writableBytes + (this.#parts.images.find(imageId)?.sizeBytes ?? 0) };
  }

  async top(
    containerId: string,
    psArguments: string,
  ): Promise<{ readonly titles: readonly string[]; readonly processes: readonly (readonly string[])[] }> {
    const record = this.#parts.containers.get(containerId);
    if (record.pid <= 0) throw new AbortedError(`Container ${record.id} is not running`);
    if (record.state === "restarting")
      throw new AbortedError(`Container ${record.id} is restarting, wait until the container is running`);
    const list = await listProcesses(record, { psArguments, clock: this.#parts.clock });
    this.#parts.containers.emit(record.id, "top");
    return list;
  }

  async sample(containerId: string): Promise<ContainerSample> {
    const record = this.#parts.containers.get(containerId);
    if (record.pid <= 0) throw new AbortedError(`Container ${record.id} is not running`);
    return await this.#sampler.sample(record);
  }

  close(): Promise<void> {
    return this.#thread.close();
  }

  #inBackground(work: Promise<void>): void {
    work.then(undefined, (error: unknown) =>
      this.#parts.log.error("letting go of a container's files failed", { error: messageOf(error) }),
    );
  }

  #layersOf(id: string): OverlayFolders | undefined {
    return this.#parts.images.rootfsLayers?.(id);
  }

  async #look<T>(record: ContainerRecord, work: (source: RootSource) => Promise<T>): Promise<T> {
    const { source, release } = await this.#open(record);
    try {
      return await work(source);
    } finally {
      await release();
    }
  }

  /** @returns what the container sees, and the way to let go of it; letting go twice is harmless. */
  async #open(record: ContainerRecord): Promise<{ source: RootSource; release: () => Promise<void> }> {
    const { holds, volumes } = this.#parts;
    const { id, imageId, specification } = record;
    const root = await holds.hold(imageId, id);
    const held: string[] = [];
    const holder = `copy-${++this.#looks}`;
    let released = false;
    const release = async (): Promise<void> => {
      if (released) return;
      released = true;
      for (const name of held) await volumes.unmount(name, holder);
      await holds.release(id);
    };
    try {
      const mounts =
        record.pid > 0
          ? mountsOfRunning(record, this.#parts.containers.volumesOf(id))
          : await this.#mountsOfStopped(record, async (name) => {
              const path = await volumes.mount(name, holder);
              held.push(name);
              return path;
            });
      return { source: { root, readOnly: specification.readOnly, mounts }, release };
    } catch (error) {
      await release();
      throw error;
    }
  }

  async #mountsOfStopped(
    { id, specification }: ContainerRecord,
    mountVolume: (name: string) => Promise<string>,
  ): Promise<readonly MountSource[]> {
    const mounts: MountSource[] = [];
    for (const mount of specification.mounts) {
      const { target } = mount;
      if (mount.kind === "bind")
        mounts.push({ target, base: mount.source, path: "", readOnly: mount.readOnly });
    }
    for (const { name, target, readOnly } of this.#parts.containers.volumesOf(id)) {
      const asked = specification.mounts.find((mount) => mount.kind === "volume" && mount.target === target);
      const path = asked?.kind === "volume" ? asked.subpath : "";
      mounts.push({ target, base: await mountVolume(name), path, readOnly });
    }
    return mounts;
  }

  /** "Not found" of a path, in Docker's words. */
  async #missing<T>(asked: { containerId: string; path: string }, work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      if (codeOf(error) !== "not-found") throw error;
      const { path, containerId } = asked;
      throw new NotFoundError(`Could not find the file ${path} in container ${containerId}`, {
        cause: error,
      });
    }
  }
}

/** Through the container's own eyes: what is mounted there now, whatever the host's paths show. */
function mountsOfRunning(
  record: ContainerRecord,
  volumes: readonly { readonly target: string; readonly readOnly: boolean }[],
): readonly MountSource[] {
  const base = `/proc/${record.pid}/root`;
  const targets = new Map<string, boolean>();
  for (const path of ["/etc/hosts", "/etc/hostname", "/etc/resolv.conf"]) targets.set(path, false);
  for (const mount of record.specification.mounts) {
    const readOnly = mount.kind === "image" || (mount.kind !== "tmpfs" && mount.readOnly);
    targets.set(mount.target, readOnly);
  }
  for (const { target, readOnly } of volumes) targets.set(target, readOnly);
  return [...targets].map(([target, readOnly]) => ({ target, base, path: target, readOnly }));
}

async function* releasing(
  tar: AsyncGenerator<Uint8Array>,
  release: () => Promise<void>,
): AsyncGenerator<Uint8Array> {
  try {
    yield* tar;
  } finally {
    await release();
  }
}
