/**
 * Unpacked layers of one node: one folder per chain id, `layers/<hex>/diff`, and a short link `l/<n>` to
 * each, because the data of an overlay mount has to fit one page.
 * Edge: to the file system. Invariant: a folder under `layers` is complete and its sums were right; what is
 * unfinished lies under `tmp` and `new`, which are emptied at open.
 */
import { chmod, mkdir, readdir, readFile, readlink, rename, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DataLossError, messageOf } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import { chainIdOf, hexOf, shortIdOf } from "./chain-ids.js";
import { asObject } from "./image-manifest.js";
import { KeyedLock } from "./keyed-lock.js";
import type { PackResult } from "./linux-layer-pack.js";
import type { Compression } from "./linux-layer-unpack.js";
import type { UnpackThreads } from "./linux-unpack-threads.js";
import { spreadFolders } from "./process-folder-spread.js";

export interface Layer {
  readonly chainId: string;
  readonly diffId: string;
  /** Sum of the sizes of its files. */
  readonly sizeBytes: number;
  /** Name in the folder of short links. */
  readonly link: string;
  /**
   * Bytes of its plain tar, when that tar is what packing the folder gives: then the bytes can be made again,
   * and no copy of them needs to be kept.
   */
  readonly packedBytes?: number;
}

export interface LayerLimits {
  /** Unpacked size of one layer. @default 64 GiB */
  readonly unpackedBytesMax: number;
  /** Entries of one layer. @default 4 million */
  readonly entryCountMax: number;
}

export const LAYER_LIMITS: LayerLimits = { unpackedBytesMax: 64 * 2 ** 30, entryCountMax: 4_000_000 };

export interface AddLayer {
  /** The layer as stored: plain, gzip or zstd tar. */
  readonly file: string;
  /** Of the file as stored, when known. */
  readonly digest?: string;
  /** Whether the file has just been found to have that digest. */
  readonly isChecked?: boolean;
  /** What the image's config promises; absent for an import, whose only layer defines it. */
  readonly expected?: { readonly chainId: string; readonly diffId: string };
  readonly signal?: AbortSignal | undefined;
  /** Bytes of the file read so far, now and then. */
  readonly onBytes?: (readBytes: number) => void;
}

export interface AddedLayer {
  readonly layer: Layer;
  /** What the file turned out to be; absent when the layer was there and the file was not read. */
  readonly file?: StoredForm;
}

export interface StoredForm {
  /** Of the file as stored. */
  readonly digest: string;
  readonly compression: Compression;
}

export class LayerStore {
  readonly #dir: string;
  readonly #thread: UnpackThreads;
  readonly #limits: LayerLimits;
  readonly #lock = new KeyedLock();
  readonly #layers = new Map<string, Layer>();
  #linkCount = 0;
  #temporaryCount = 0;

  private constructor(dir: string, thread: UnpackThreads, limits: LayerLimits) {
    this.#dir = dir;
    this.#thread = thread;
    this.#limits = limits;
  }

  /** Reads what is there, and removes what a crash left half done. */
  static async open(options: {
    dir: string;
    thread: UnpackThreads;
    log: Logger;
    limits?: LayerLimits;
  }): Promise<LayerStore> {
    const store = new LayerStore(options.dir, options.thread, options.limits ?? LAYER_LIMITS);
    for (const folder of ["layers", "l", "tmp", "new"]) {
      const made = await mkdir(join(options.dir, folder), { recursive: true, mode: 0o700 });
      if (folder === "new" && made !== undefined) await spreadFolders(made, options.log);
    }
    await store.#read(options.log);
    return store;
  }

  get(chainId: string): Layer | undefined {
    return this.#layers.get(chainId);
  }

  chainIds(): readonly string[] {
    return [...this.#layers.keys()];
  }

  /** Folder with the files of the layer. */
  diffPath(chainId: string): string {
    return join(this.#dir, "layers", hexOf(chainId), "diff");
  }

  /** A fresh path on the same file system, gone after the next open at the latest. */
  temporaryPath(what: string): string {
    this.#temporaryCount += 1;
    return join(this.#dir, "tmp", `${what}-${this.#temporaryCount}`);
  }

  /** Missing is fine. */
  async removeTemporary(path: string): Promise<void> {
    await rm(path, { recursive: true, force: true });
  }

  /**
   * Unpacks a layer, unless it is there; a second caller waits for the first.
   * @throws {DataLossError} when a sum differs; {InvalidArgumentError} when a path leaves the root;
   * {CancelledError}.
   */
  async add(request: AddLayer): Promise<AddedLayer> {
    const { expected } = request;
    if (expected === undefined) return await this.#unpack(request);
    const { signal } = request;
    return await this.#lock.run(
      expected.chainId,
      async () => {
        const present = this.#layers.get(expected.chainId);
        return present === undefined ? await this.#unpack(request) : { layer: present };
      },
      { signal },
    );
  }

  /** Makes the plain or gzip tar of a layer whose tar can be made again. */
  async pack(
    chainId: string,
    options: { file: string; gzip: boolean; signal?: AbortSignal | undefined },
  ): Promise<PackResult> {
    const { file, gzip, signal } = options;
    return await this.#thread.pack({ root: this.diffPath(chainId), file, gzip }, { signal });
  }

  /** Compresses a plain tar. */
  async compress(
    source: string,
    options: { file: string; signal?: AbortSignal | undefined },
  ): Promise<PackResult> {
    return await this.#thread.compress({ source, file: options.file }, { signal: options.signal });
  }

  /**
   * Removes a layer that is there and `isGarbage` when its turn comes: from that moment `get` no longer gives
   * it, so whoever needs it next unpacks it anew. @returns whether it was removed.
   */
  async remove(chainId: string, isGarbage: () => boolean): Promise<boolean> {
    return await this.#lock.run(chainId, async () => {
      const layer = this.#layers.get(chainId);
      if (layer === undefined || !isGarbage()) return false;
      this.#layers.delete(chainId);
      const doomed = this.temporaryPath("removed");
      await rename(join(this.#dir, "layers", hexOf(chainId)), doomed);
      await rm(join(this.#dir, "l", layer.link), { force: true });
      await rm(doomed, { recursive: true });
      return true;
    });
  }

  /**
   * Copies a container's writable layer on top of the layers it stands on.
   * @returns undefined when there is nothing in it.
   * @throws {ResourceExhaustedError} too large; {InvalidArgumentError} what a layer cannot hold;
   * {CancelledError}.
   */
  async snapshot(request: {
    source: string;
    parentChainId: string | undefined;
    signal?: AbortSignal | undefined;
  }): Promise<Layer | undefined> {
    const { source, parentChainId, signal } = request;
    const folder = this.temporaryPath("snapshot");
    await mkdir(join(folder, "diff"), { recursive: true });
    await chmod(join(folder, "diff"), 0o755); // whatever the umask says
    try {
      const root = join(folder, "diff");
      const { diffId, tarBytes, sizeBytes, entryCount } = await this.#thread.snapshot(
        { source, root, ...this.#limits },
        { signal },
      );
      if (entryCount === 0) return undefined;
      const chainId = chainIdOf(parentChainId, diffId);
      const facts = { chainId, diffId, sizeBytes, packedBytes: tarBytes };
      return await this.#lock.run(
        chainId,
        async () => this.#layers.get(chainId) ?? (await this.#keep(folder, facts)),
      );
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  async #unpack({ file, digest, isChecked, expected, signal, onBytes }: AddLayer): Promise<AddedLayer> {
    this.#temporaryCount += 1;
    const folder = join(this.#dir, "new", `${this.#temporaryCount}`);
    const name = shortIdOf(digest ?? expected?.diffId ?? "sha256:imported");
    await mkdir(join(folder, "diff"), { recursive: true });
    await chmod(join(folder, "diff"), 0o755); // whatever the umask says
    try {
      const result = await this.#thread.unpack(
        {
          file,
          root: join(folder, "diff"),
          layer: digest ?? expected?.diffId ?? name,
          ...(isChecked === true && digest !== undefined ? { knownDigest: digest } : {}),
          ...this.#limits,
        },
        { signal, ...(onBytes === undefined ? {} : { onBytes }) },
      );
      if (digest !== undefined && result.digest !== digest) {
        throw new DataLossError(`layer ${digest} has the wrong digest: its bytes give ${result.digest}`);
      }
      if (expected !== undefined && result.diffId !== expected.diffId) {
        throw new DataLossError(
          `layer ${digest ?? expected.diffId} unpacks to diff id ${result.diffId}, ` +
            `the image's config says ${expected.diffId}`,
        );
      }
      const { diffId, sizeBytes, compression } = result;
      const form: StoredForm = { digest: result.digest, compression };
      // A plain tar that packing the folder would give again need not be kept.
      const sum =
        compression === "none" ? await this.#thread.sum(join(folder, "diff"), { signal }) : undefined;
      const packed = sum?.diffId === diffId ? { packedBytes: sum.tarBytes } : {};
      const facts = { chainId: expected?.chainId ?? diffId, diffId, sizeBytes, ...packed };
      if (expected !== undefined) return { layer: await this.#keep(folder, facts), file: form };
      // An import learns its chain id only now, so only now it can take its turn.
      const layer = await this.#lock.run(
        diffId,
        async () => this.#layers.get(diffId) ?? (await this.#keep(folder, facts)),
      );
      return { layer, file: form };
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  async #keep(folder: string, facts: Omit<Layer, "link">): Promise<Layer> {
    const link = this.#nextLink();
    const layer = { ...facts, link };
    await writeFile(join(folder, "layer.json"), JSON.stringify(layer), { mode: 0o600 });
    await symlink(join("..", "layers", hexOf(facts.chainId), "diff"), join(this.#dir, "l", link));
    await rename(folder, join(this.#dir, "layers", hexOf(facts.chainId)));
    this.#layers.set(facts.chainId, layer);
    return layer;
  }

  #nextLink(): string {
    this.#linkCount += 1;
    return this.#linkCount.toString(36);
  }

  async #read(log: Logger): Promise<void> {
    const at = (...parts: string[]): string => join(this.#dir, ...parts);
    for (const place of ["tmp", "new"])
      for (const name of await readdir(at(place)))
        await rm(at(place, name), { recursive: true, force: true });
    for (const name of await readdir(at("layers"))) {
      const layer = await readLayer(at("layers", name, "layer.json"), name, log);
      if (layer === undefined) await rm(at("layers", name), { recursive: true, force: true });
      else this.#layers.set(layer.chainId, layer);
    }
    const wanted = new Map(
      [...this.#layers.values()].map((layer) => [
        layer.link,
        join("..", "layers", hexOf(layer.chainId), "diff"),
      ]),
    );
    for (const name of await readdir(at("l"))) {
      if ((await readlink(at("l", name))) === wanted.get(name)) wanted.delete(name);
      else await rm(at("l", name), { force: true });
      this.#linkCount = Math.max(this.#linkCount, Number.parseInt(name, 36) || 0);
    }
    for (const [name, target] of wanted) await symlink(target, at("l", name));
    for (const layer of this.#layers.values())
      this.#linkCount = Math.max(this.#linkCount, Number.parseInt(layer.link, 36) || 0);
  }
}

async function readLayer(path: string, hex: string, log: Logger): Promise<Layer | undefined> {
  try {
    const json = asObject(JSON.parse(await readFile(path, "utf8")));
    const { chainId, diffId, sizeBytes, link, packedBytes } = json ?? {};
    if (typeof chainId !== "string" || hexOf(chainId) !== hex || typeof diffId !== "string")
      throw new DataLossError("wrong ids");
    if (typeof sizeBytes !== "number" || typeof link !== "string" || !/^[0-9a-z]+$/.test(link))
      throw new DataLossError("wrong facts");
    const facts = { chainId, diffId, sizeBytes, link };
    return typeof packedBytes === "number" ? { ...facts, packedBytes } : facts;
  } catch (error) {
    log.warn("layer folder without a readable record is removed", { layer: hex, error: messageOf(error) });
    return undefined;
  }
}
