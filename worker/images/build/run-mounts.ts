/**
 * RUN --mount: caches that outlive builds, files of the context or of an image, memory.
 * Edge: to the file system. Invariant: a source is found within its root, and opened by its real path; a
 * locked cache has one user at a time; a secret that is required is refused, for the classic protocol brings
 * none. Source: Dockerfile reference, "RUN --mount".
 */

import { createHash } from "node:crypto";
import { renameSync } from "node:fs";
import { chmod, lchown, mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../../../base/clock/clock.js";
import { InvalidArgumentError, NotFoundError } from "../../../base/errors/errors.js";
import type { ImageBuilder } from "../../../proto/engine/build.js";
import type { ContainerMount } from "../../../proto/engine/containers.js";
import { KeyedLock } from "../keyed-lock.js";
import { inWorkingDir } from "./context-path.js";
import type { RunInstruction } from "./dockerfile-instructions.js";
import type { ContentHasher } from "./fs-content-hash.js";
import { hasCode, lstatOrNothing, type Owner, type RootedTree } from "./fs-rooted-tree.js";
import type { RunMount } from "./run-mount.js";
import { type Expansion, expandWord } from "./shell-words.js";

export interface MountSources {
  readonly context: RootedTree;
  /** By the value of `from`. */
  readonly roots: ReadonlyMap<string, RootedTree>;
  readonly imageIds: ReadonlyMap<string, string>;
  readonly expansion: Expansion;
  readonly workingDir: string;
  readonly signal: AbortSignal;
}

export interface HeldMounts extends Disposable {
  readonly mounts: readonly ContainerMount[];
}

type CacheUsage = ReturnType<ImageBuilder["cacheUsage"]>[number];

interface CacheRecord {
  readonly id: string;
  readonly description: string;
  readonly createdMs: number;
  lastUsedMs: number;
  usageCount: number;
  sizeBytes: number;
  inUse: number;
  /** Used since it was measured. */
  changed: boolean;
}

/** Caches of a node; a build that wants one more is refused until some are pruned. */
const CACHES_MAX = 1_024;
const DEFAULT_MODE = 0o755;

export class RunMounts {
  readonly #dir: string;
  readonly #clock: Clock;
  readonly #records = new Map<string, CacheRecord>();
  readonly #locks = new KeyedLock();
  #removals = 0;

  private constructor(dir: string, clock: Clock) {
    this.#dir = dir;
    this.#clock = clock;
  }

  static async open(options: { dir: string; clock: Clock }): Promise<RunMounts> {
    const mounts = new RunMounts(options.dir, options.clock);
    await mkdir(options.dir, { recursive: true, mode: 0o700 });
    for (const name of (await readdir(options.dir)).sort()) await mounts.#load(name);
    return mounts;
  }

  /** What the mounts add to the line of history: equal lines, equal mounts with equal files. */
  async note(instruction: RunInstruction, sources: MountSources, hasher: ContentHasher): Promise<string> {
    const notes: string[] = instruction.network === "default" ? [] : [`--network=${instruction.network}`];
    for (const mount of instruction.mounts) {
      const { type, target, source, from, id, readOnly, mode, uid, gid } = mount;
      const own = id === target ? "" : id;
      const said = {
        type,
        target,
        source,
        from,
        id: own,
        mode: mode?.toString(8),
        uid: uid || "",
        gid: gid || "",
      };
      const fields = Object.entries(said).flatMap(([key, value]) =>
        value === undefined || value === "" ? [] : [`${key}=${value}`],
      );
      if (readOnly !== (type === "bind")) fields.push(readOnly ? "ro" : "rw");
      if (type === "bind") fields.push(await this.#sumOf(mount, sources, hasher));
      notes.push(`--mount=${fields.join(",")}`);
    }
    return notes.length === 0 ? "" : ` # ${notes.join(" ")}`;
  }

  async #sumOf(mount: RunMount, sources: MountSources, hasher: ContentHasher): Promise<string> {
    if (mount.from !== "") return sources.imageIds.get(mount.from) ?? "";
    const found = sources.context.find(expandWord(mount.source, sources.expansion), {
      followLast: true,
    });
    if (found.stats === undefined) return "missing";
    const options = { owners: false, excludes: () => false, signal: sources.signal };
    return await hasher.of(found.absolute, found.stats, "", options);
  }

  /** Waits for locked caches. @throws {InvalidArgumentError} {NotFoundError} a source is missing. */
  async open(instruction: RunInstruction, sources: MountSources): Promise<HeldMounts> {
    const mounts: ContainerMount[] = [];
    const releases: (() => void)[] = [];
    const release = (): void => {
      for (const one of releases.splice(0).reverse()) one();
    };
    try {
      // In one order for all builds, and each once: nobody waits for whom it keeps waiting, itself included.
      const locked = instruction.mounts.filter(
        ({ type, sharing }) => type === "cache" && sharing !== "shared",
      );
      for (const key of [...new Set(locked.map(keyOf))].sort())
        releases.push(await this.#lock(key, sources.signal));
      for (const mount of instruction.mounts) {
        const made = await this.#mount(mount, sources, releases);
        if (made !== undefined) mounts.push(made);
      }
    } catch (error) {
      release();
      throw error;
    }
    return { mounts, [Symbol.dispose]: release };
  }

  async #mount(
    mount: RunMount,
    sources: MountSources,
    releases: (() => void)[],
  ): Promise<ContainerMount | undefined> {
    const expand = (word: string): string => expandWord(word, sources.expansion);
    const target = inWorkingDir(sources.workingDir, expand(mount.target)).replace(/(.)\/$/, "$1");
    switch (mount.type) {
      case "secret":
        if (!mount.required) return undefined; // as Docker: it may be missing
        throw new NotFoundError(
          `secret ${mount.id || mount.source}: not found: the classic build protocol brings no secrets`,
        );
      case "tmpfs":
        return { kind: "tmpfs", target, sizeBytes: mount.sizeBytes, mode: mount.mode ?? 0o1777, options: [] };
      case "bind": {
        const tree = mount.from === "" ? sources.context : sources.roots.get(mount.from);
        const found = tree?.find(expand(mount.source) || "/", { followLast: true });
        if (found?.stats === undefined)
          throw new NotFoundError(`mount source ${JSON.stringify(mount.source)} was not found`);
        if (!mount.readOnly && mount.from === "")
          throw new InvalidArgumentError(
            "RUN --mount=type=bind,rw of the build context is not supported by Skein: COPY it instead",
          );
        return bind(found.absolute, target, mount.readOnly);
      }
      case "cache":
        return await this.#cache(mount, target, releases);
    }
  }

  async #cache(mount: RunMount, target: string, releases: (() => void)[]): Promise<ContainerMount> {
    if (mount.from !== "")
      throw new InvalidArgumentError("RUN --mount=type=cache,from=… is not supported by Skein");
    const key = keyOf(mount);
    const nowMs = this.#clock.nowMs();
    let record = this.#records.get(key);
    if (record === undefined) {
      if (this.#records.size >= CACHES_MAX)
        throw new InvalidArgumentError(`a node keeps at most ${CACHES_MAX} caches of builds: prune some`);
      const description = `cache of builds: ${mount.id}`;
      record = {
        id: key,
        description,
        createdMs: nowMs,
        lastUsedMs: nowMs,
        usageCount: 0,
        sizeBytes: 0,
        inUse: 0,
        changed: true,
      };
      this.#records.set(key, record);
    }
    const held = record;
    held.inUse += 1;
    held.changed = true;
    held.usageCount += 1;
    held.lastUsedMs = nowMs;
    releases.push(() => {
      held.inUse -= 1;
    });
    const folder = join(this.#dir, key, "data");
    await makeCacheFolder(folder, { uid: mount.uid, gid: mount.gid }, mount.mode ?? DEFAULT_MODE);
    const kept = { description: held.description, createdMs: held.createdMs, lastUsedMs: held.lastUsedMs };
    await writeFile(
      join(this.#dir, key, "cache.json"),
      JSON.stringify({ ...kept, usageCount: held.usageCount }),
    );
    return bind(folder, target, mount.readOnly);
  }

  /** Held until the returned function is called. */
  async #lock(key: string, signal: AbortSignal): Promise<() => void> {
    return await new Promise<() => void>((resolve, reject) => {
      const held = this.#locks.run(
        key,
        () =>
          new Promise<void>((release) => {
            resolve(release);
          }),
        { signal },
      );
      held.catch(reject);
    });
  }

  async #load(name: string): Promise<void> {
    if (!/^[0-9a-f]{32}$/.test(name)) {
      await rm(join(this.#dir, name), { recursive: true, force: true }); // a removal that was cut short
      return;
    }
    const json = await this.#recordOf(name);
    if (json === undefined) return await rm(join(this.#dir, name), { recursive: true, force: true });
    const { description = "", createdMs = 0, lastUsedMs = 0, usageCount = 0 } = json;
    this.#records.set(name, {
      id: name,
      description,
      createdMs,
      lastUsedMs,
      usageCount,
      sizeBytes: await sizeOf(join(this.#dir, name, "data")),
      inUse: 0,
      changed: false,
    });
  }

  /** @returns undefined when it was not written whole: the machine went down meanwhile, and it is made anew. */
  async #recordOf(name: string): Promise<Partial<CacheRecord> | undefined> {
    try {
      const text = await readFile(join(this.#dir, name, "cache.json"), "utf8");
      return JSON.parse(text) as Partial<CacheRecord>; // written by #cache
    } catch (error) {
      if (error instanceof SyntaxError || hasCode(error, "ENOENT")) return undefined;
      throw error;
    }
  }

  /** After a step that used them: how large they are now. */
  async measure(): Promise<void> {
    for (const record of this.#records.values()) {
      if (!record.changed) continue;
      record.changed = false;
      record.sizeBytes = await sizeOf(join(this.#dir, record.id, "data"));
    }
  }

  usage(): readonly CacheUsage[] {
    return [...this.#records.values()].map((record) => ({
      id: record.id,
      parentId: "",
      description: record.description,
      sizeBytes: record.sizeBytes,
      createdMs: record.createdMs,
      lastUsedMs: record.lastUsedMs,
      usageCount: record.usageCount,
      inUse: record.inUse > 0,
      shared: false,
    }));
  }

  /** @returns false when it is in use, or gone. */
  async remove(id: string): Promise<boolean> {
    if (this.#records.get(id)?.inUse !== 0) return false;
    this.#removals += 1;
    const doomed = join(this.#dir, `removed-${id}-${this.#removals}`);
    this.#records.delete(id);
    // At once: whoever wants the cache from now on makes a folder of its own.
    renameSync(join(this.#dir, id), doomed);
    await rm(doomed, { recursive: true, force: true });
    return true;
  }
}

function keyOf({ uid, gid, id }: RunMount): string {
  return createHash("sha256").update(`${uid}:${gid}:${id}`).digest("hex").slice(0, 32);
}

async function makeCacheFolder(path: string, owner: Owner, mode: number): Promise<void> {
  if (lstatOrNothing(path) !== undefined) return;
  await mkdir(path, { recursive: true });
  await lchown(path, owner.uid, owner.gid);
  await chmod(path, mode);
}

function bind(source: string, target: string, readOnly: boolean): ContainerMount {
  return {
    kind: "bind",
    source,
    target,
    readOnly,
    propagation: "",
    recursive: false,
    createSource: false,
  };
}

async function sizeOf(folder: string): Promise<number> {
  let total = 0;
  const walk = async (path: string): Promise<void> => {
    for (const entry of await readdir(path, { withFileTypes: true })) {
      const inner = join(path, entry.name);
      if (entry.isDirectory()) await walk(inner);
      else if (entry.isFile()) total += (await stat(inner)).size;
    }
  };
  try {
    await walk(folder);
  } catch (error) {
    if (!hasCode(error, "ENOENT")) throw error; // it changed meanwhile
  }
  return total;
}
