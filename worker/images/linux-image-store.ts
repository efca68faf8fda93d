/**
 * The image store of one node. Edge: to the file system, mount(2), and registries through a client loaded
 * when first needed.
 * Invariant: after any crash the store opens with every image that was named before, and without leftovers.
 * Source: OCI image-spec 1.1; Docker Engine API for names, texts and rules.
 */
import { chmod, mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../../base/clock/clock.js";
import {
  FailedPreconditionError,
  InvalidArgumentError,
  messageOf,
  NotFoundError,
} from "../../base/errors/errors.js";
import type { Linux } from "../../base/linux/linux-ports.js";
import type { Logger } from "../../base/log/logger.js";
import type { Random } from "../../base/random/random.js";
import { systemRandom } from "../../base/random/system-random.js";
import { shortIdOf } from "./chain-ids.js";
import { type ArrivalContext, importImage, loadImages } from "./image-arrivals.js";
import { commitImage, readDocument } from "./image-commit.js";
import { ImageEvents } from "./image-events.js";
import { historyOf, type SizedHistoryEntry } from "./image-history.js";
import { blobsOf, collectBlobs, collectLayers, type LibraryParts } from "./image-library.js";
import { type Platform, platformOf } from "./image-manifest.js";
import { findImage, requireImage, type StoredImage, withNames } from "./image-names.js";
import { Pins } from "./image-pins.js";
import { DOWNLOADS_MAX, describeRemoteImage, PullGate, pullImage } from "./image-pull.js";
import { familiarName, familiarReference, formatReference, parseReference } from "./image-reference.js";
import { planRemoval, type RemovalOptions } from "./image-removal.js";
import { SharedLayers } from "./image-sharing.js";
import type {
  CommitOptions,
  ImageDocument,
  ImageEvent,
  ImageRecord,
  ImageStore,
  ImageWorkshop,
  RegistryAuth,
  RegistryOptions,
} from "./image-store.js";
import { BlobStore } from "./linux-blob-store.js";
import { ImageIndex } from "./linux-image-index.js";
import { type LayerLimits, LayerStore } from "./linux-layer-store.js";
import { RootfsStore } from "./linux-rootfs-store.js";
import { UnpackThreads } from "./linux-unpack-threads.js";
import type { RegistryClient } from "./registry-client.js";
import { NO_PROXIES, type ProxySettings } from "./registry-proxy.js";

export interface ImageStoreOptions {
  /** Made when missing; on one file system that overlayfs takes as upper (not on another overlay). */
  readonly dir: string;
  readonly linux: Pick<Linux, "mount" | "unmount" | "makeNode" | "setXattr">;
  readonly clock: Clock;
  readonly log: Logger;
  readonly random?: Random;
  /**
   * Hosts, host:port or CIDR ranges with private addresses that may be spoken to without TLS. Loopback always
   * may.
   */
  readonly insecureRegistries?: readonly string[];
  /** Of docker.io, as URLs. */
  readonly registryMirrors?: readonly string[];
  /**
   * Folders with a folder per host[:port] holding *.crt (CAs) and *.cert with *.key (client); the first that
   * has one counts.
   * @default none
   */
  readonly certsDirs?: readonly string[];
  /** @default none */
  readonly proxies?: ProxySettings;
  /** @default this machine's */
  readonly platform?: Platform;
  readonly layerLimits?: LayerLimits;
}

/** @throws {DataLossError} when the index is damaged; {InvalidArgumentError} for an unusable folder. */
export async function openImageStore(options: ImageStoreOptions): Promise<ImageWorkshop> {
  const { dir, linux, clock, log } = options;
  if (/[:,\\]/.test(dir))
    throw new InvalidArgumentError(
      `image folder must not hold : , or \\, which mount data gives a meaning, got ${dir}`,
    );
  await mkdir(dir, { recursive: true });
  await chmod(dir, 0o700); // set-uid files of layers and containers must not be run by people of the host
  const thread = new UnpackThreads({ linux, clock });
  const limits = options.layerLimits;
  const layers = await LayerStore.open({ dir, thread, log, ...(limits === undefined ? {} : { limits }) });
  const parts: LibraryParts = {
    layers,
    index: await ImageIndex.open(join(dir, "images.json")),
    blobs: await BlobStore.open({ dir, temporaryPath: (what) => layers.temporaryPath(what) }),
    rootfs: await RootfsStore.open({ dir, linux, layers, log }),
    pins: new Pins(),
  };
  await collectLayers(parts, layers.chainIds());
  await collectBlobs(parts, await parts.blobs.digests());
  return new NodeImageStore(options, parts, thread);
}

type LoadOptions = NonNullable<Parameters<ImageStore["load"]>[1]>;
type PullOptions = NonNullable<Parameters<ImageStore["pull"]>[1]>;

class NodeImageStore implements ImageWorkshop {
  readonly #options: ImageStoreOptions;
  readonly #parts: LibraryParts;
  readonly #thread: UnpackThreads;
  readonly #platform: Platform;
  readonly #pullGate = new PullGate();
  readonly #events: ImageEvents;
  #registry: Promise<RegistryClient> | undefined;
  #registryOptions: RegistryOptions;
  #closed = false;

  constructor(options: ImageStoreOptions, parts: LibraryParts, thread: UnpackThreads) {
    this.#options = options;
    this.#parts = parts;
    this.#thread = thread;
    this.#platform = options.platform ?? platformOf(process.arch);
    this.#registryOptions = {
      mirrors: options.registryMirrors ?? [],
      insecureRegistries: options.insecureRegistries ?? [],
    };
    this.#events = new ImageEvents({ log: options.log, nowMs: () => options.clock.nowMs() });
  }

  find(reference: string): ImageRecord | undefined {
    return findImage(this.#parts.index.images, reference)?.image;
  }

  list(): readonly ImageRecord[] {
    return [...this.#parts.index.images.values()];
  }

  async pull(reference: string, options: PullOptions = {}): Promise<ImageRecord> {
    const client = await this.#openRegistry();
    const components = { parts: this.#parts, client, gate: this.#pullGate, clock: this.#options.clock };
    const platform = options.platform ?? this.#platform;
    const isPlatformAsked = options.platform !== undefined;
    const image = await pullImage(components, reference, { ...options, platform, isPlatformAsked });
    this.#tell("pull", familiarReference(parseReference(reference)), image.id);
    return image;
  }

  async describeRemote(
    reference: string,
    options: Parameters<ImageStore["describeRemote"]>[1] = {},
  ): ReturnType<ImageStore["describeRemote"]> {
    return await describeRemoteImage(await this.#openRegistry(), reference, options);
  }

  async load(tar: AsyncIterable<Uint8Array>, options: LoadOptions = {}): Promise<readonly ImageRecord[]> {
    this.#mustBeOpen();
    const loaded = await loadImages(this.#arrival(), tar, options);
    for (const image of loaded) this.#tell("load", image.id, image.id);
    return loaded;
  }

  async importRootfs(
    tar: AsyncIterable<Uint8Array>,
    options: Parameters<ImageStore["importRootfs"]>[1],
  ): Promise<ImageRecord> {
    this.#mustBeOpen();
    const tag = options.reference === undefined ? undefined : tagOf(options.reference);
    const image = await importImage(this.#arrival(), tar, { ...options, tag });
    this.#tell("import", image.id, image.id);
    if (tag !== undefined) this.#tell("tag", familiarName(tag), image.id);
    return image;
  }

  async tag(reference: string, target: string): Promise<void> {
    const name = tagOf(target);
    const id = await this.#parts.index.update((images) => {
      const { image } = requireImage(images, reference);
      const taggedMs = this.#options.clock.nowMs();
      return { put: withNames(images, image, { tags: [name], taggedMs }), result: image.id };
    });
    this.#tell("tag", familiarName(name), id);
  }

  async remove(
    reference: string,
    options: RemovalOptions = {},
  ): Promise<readonly { untagged?: string; deleted?: string }[]> {
    const steps = await this.#parts.index.update((images) => {
      const result = planRemoval(images, reference, options);
      return {
        put: result.filter((step) => !step.deletes).map(({ image, untag }) => without(image, untag)),
        delete: result.filter((step) => step.deletes).map(({ image }) => image.id),
        result,
      };
    });
    const lines: { untagged?: string; deleted?: string }[] = [];
    for (const { image, untag, deletes } of steps) {
      for (const name of untag) lines.push({ untagged: written(name, reference) });
      // Digests that go with the last tag of their repository are not told of.
      const told = untag.filter((name, i) => i === 0 || !name.includes("@"));
      for (const _name of told) this.#events.emit("untag", image.id, image.id, image.config.labels);
      if (!deletes) continue;
      lines.push({ deleted: image.id });
      this.#events.emit("delete", image.id, image.id);
      const layers = await collectLayers(this.#parts, [...image.chainIds].reverse());
      lines.push(...layers.map((chainId) => ({ deleted: chainId })));
      await collectBlobs(this.#parts, blobsOf(image));
    }
    return lines;
  }

  async commit(options: CommitOptions): Promise<ImageRecord> {
    this.#mustBeOpen();
    const tags = options.names.map(tagOf);
    const nowMs = this.#options.clock.nowMs();
    const context = { parts: this.#parts, nowMs, platform: this.#platform, tags };
    const image = await commitImage(context, options);
    this.#tell("commit", options.names[0] ?? image.id, image.id);
    for (const name of options.names) this.#tell("tag", familiarName(tagOf(name)), image.id);
    return image;
  }

  async document(imageId: string): Promise<ImageDocument> {
    return await readDocument(this.#parts, requireImage(this.#parts.index.images, imageId).image.id);
  }

  async history(imageId: string): Promise<readonly SizedHistoryEntry[]> {
    const { image } = requireImage(this.#parts.index.images, imageId);
    const layerBytes = image.chainIds.map((chainId) => this.#parts.layers.get(chainId)?.sizeBytes ?? 0);
    return historyOf(await readDocument(this.#parts, image.id), layerBytes);
  }

  childrenOf(imageId: string): readonly string[] {
    return this.list().flatMap((image) => (image.parentId === imageId ? [image.id] : []));
  }

  sharedBytes(imageId: string): number {
    return new SharedLayers(this.#parts).sharedBytes(imageId);
  }

  layersBytes(): number {
    return new SharedLayers(this.#parts).layersBytes();
  }

  layerPaths(imageId: string): readonly string[] {
    const { image } = requireImage(this.#parts.index.images, imageId);
    return image.chainIds.map((chainId) => this.#parts.layers.diffPath(chainId));
  }

  onEvent(listener: (event: ImageEvent) => void): () => void {
    return this.#events.listen(listener);
  }

  async push(reference: string, options: Parameters<ImageWorkshop["push"]>[1]): Promise<void> {
    const client = await this.#openRegistry();
    const { pushImages } = await import("./image-push.js");
    const { uploadsMax } = this.#registryOptions;
    const components = { parts: this.#parts, client, clock: this.#options.clock, uploadsMax };
    for (const { name, imageId } of await pushImages(components, reference, options))
      this.#tell("push", name, imageId);
  }

  async save(
    references: readonly string[],
    options: Parameters<ImageWorkshop["save"]>[1],
  ): Promise<AsyncIterable<Uint8Array>> {
    this.#mustBeOpen();
    const { saveImages, savedImageIds } = await import("./image-save.js");
    const stream = saveImages(this.#parts, references, options);
    for (const id of savedImageIds(this.#parts, references)) this.#tell("save", id, id);
    return stream;
  }

  async authenticate(auth: RegistryAuth, options: { signal?: AbortSignal } = {}): Promise<string> {
    const { loginTo } = await import("./registry-login.js");
    return await loginTo(await this.#openRegistry(), auth, options.signal);
  }

  async search(
    term: string,
    options: Parameters<ImageWorkshop["search"]>[1],
  ): ReturnType<ImageWorkshop["search"]> {
    const { searchRegistry } = await import("./registry-search.js");
    return await searchRegistry(await this.#openRegistry(), term, options);
  }

  async listRemoteTags(
    reference: string,
    options: { auth?: RegistryAuth; signal?: AbortSignal } = {},
  ): Promise<readonly string[]> {
    return await (await this.#openRegistry()).listTags(parseReference(reference), options);
  }

  setRegistryOptions(options: RegistryOptions): void {
    this.#registryOptions = options;
    this.#pullGate.downloads.resize(options.downloadsMax ?? DOWNLOADS_MAX);
    const failed = (error: unknown): void =>
      this.#options.log.warn("registries go on as before", { error: messageOf(error) });
    this.#registry?.then((client) => client.setOptions(options)).catch(failed);
  }

  /** @param imageId "" for an empty root. */
  async mountRootfs(imageId: string, containerId: string): Promise<string> {
    const known = this.#parts.rootfs.get(containerId);
    if (known !== undefined) return await this.#parts.rootfs.mount(containerId, known);
    if (imageId === "") return await this.#parts.rootfs.mount(containerId, { imageId, chainIds: [] });
    const image = this.#parts.index.images.get(imageId) ?? this.#parts.index.images.get(`sha256:${imageId}`);
    if (image === undefined) throw new NotFoundError(`No such image: ${shortIdOf(imageId)}`);
    using _held = this.#parts.pins.hold(image.chainIds);
    return await this.#parts.rootfs.mount(containerId, { imageId: image.id, chainIds: image.chainIds });
  }

  holdRootfs(imageId: string, containerId: string): void {
    const image = this.#parts.index.images.get(imageId) ?? this.#parts.index.images.get(`sha256:${imageId}`);
    if (image !== undefined)
      this.#parts.rootfs.hold(containerId, { imageId: image.id, chainIds: image.chainIds });
  }

  async unmountRootfs(containerId: string): Promise<void> {
    await this.#parts.rootfs.unmount(containerId);
  }

  rootfsLayers(containerId: string): { upper: string; lowers: readonly string[] } | undefined {
    return this.#parts.rootfs.layersOf(containerId);
  }

  async removeRootfs(containerId: string): Promise<void> {
    const chainIds = this.#parts.rootfs.get(containerId)?.chainIds ?? [];
    await this.#parts.rootfs.remove(containerId);
    await collectLayers(this.#parts, [...chainIds].reverse()); // of an image removed by force meanwhile
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#thread.close();
    const registry = this.#registry;
    if (registry !== undefined) (await registry).close();
  }

  #tell(kind: ImageEvent["kind"], reference: string, imageId: string): void {
    this.#events.emit(kind, reference, imageId, this.#parts.index.images.get(imageId)?.config.labels);
  }

  #arrival(): ArrivalContext {
    return { parts: this.#parts, platform: this.#platform, nowMs: this.#options.clock.nowMs() };
  }

  async #openRegistry(): Promise<RegistryClient> {
    this.#mustBeOpen();
    this.#registry ??= this.#loadRegistry();
    return await this.#registry;
  }

  async #loadRegistry(): Promise<RegistryClient> {
    const { createHttpRegistryClient } = await import("./http-registry-client.js");
    const { clock, log, random = systemRandom, certsDirs = [], proxies = NO_PROXIES } = this.#options;
    return createHttpRegistryClient({ clock, log, random }, { ...this.#registryOptions, certsDirs, proxies });
  }

  #mustBeOpen(): void {
    if (this.#closed) throw new FailedPreconditionError("the image store is closed");
  }
}

function tagOf(reference: string): string {
  const parsed = parseReference(reference);
  if (parsed.digest !== undefined)
    throw new InvalidArgumentError(`refusing to create a tag with a digest reference: ${reference}`);
  return formatReference(parsed);
}

/** What goes is shown as it was asked for where that says more: with a tag beside the digest. */
function written(name: string, asked: string): string {
  const familiar = familiarName(name);
  if (!name.includes("@") || !asked.includes("@")) return familiar;
  const reference = parseReference(asked);
  return formatReference({ ...reference, tag: undefined }) === name ? familiarReference(reference) : familiar;
}

function without(image: StoredImage, names: readonly string[]): StoredImage {
  const stay = (name: string): boolean => !names.includes(name);
  return { ...image, repoTags: image.repoTags.filter(stay), repoDigests: image.repoDigests.filter(stay) };
}
