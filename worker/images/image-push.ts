/**
 * A push: the layers a registry lacks, the config, then the manifest under its tag.
 * Pure over its collaborators. Invariant: a manifest is sent only when the registry has everything it names;
 * an image that was pulled goes on with the manifest it came with, so its digest stays.
 * Source: distribution-spec 1.1; progress words as the Docker CLI shows them.
 */
import { setMaxListeners } from "node:events";
import type { Clock } from "../../base/clock/clock.js";
import { codeOf, InvalidArgumentError, NotFoundError } from "../../base/errors/errors.js";
import { shortIdOf } from "./chain-ids.js";
import {
  compressedLayer,
  holdImage,
  type KeptManifest,
  keptManifests,
  manifestOf,
  rememberManifest,
} from "./image-layer-bytes.js";
import type { LibraryParts } from "./image-library.js";
import type { LayerBlob, StoredImage } from "./image-names.js";
import {
  familiarReference,
  formatReference,
  type ImageReference,
  parseReference,
  repositoryOf,
} from "./image-reference.js";
import type { ImageProgress, ImageWorkshop } from "./image-store.js";
import { Gate, KeyedLock } from "./keyed-lock.js";
import type { BlobSource, RegistryClient, RegistryUploads } from "./registry-client.js";

/** Layers sent at once, as Docker's default. */
const UPLOADS_MAX = 5;
/** Between two progress lines of one layer. */
const PROGRESS_PERIOD_MS = 100;

export interface PushComponents {
  readonly parts: LibraryParts;
  readonly client: RegistryClient;
  readonly clock: Clock;
  /** Layers uploaded at once. @default 5, as Docker's */
  readonly uploadsMax?: number | undefined;
}

/** By which a registry answers that it is there. */
const REFUSALS: ReadonlySet<string> = new Set(["unauthenticated", "permission-denied"]);

type PushOptions = Parameters<ImageWorkshop["push"]>[1];

/** @returns ids and familiar names of what was pushed. @throws what the registry session throws. */
export async function pushImages(
  components: PushComponents,
  text: string,
  options: PushOptions,
): Promise<readonly { readonly name: string; readonly imageId: string }[]> {
  const reference = parseReference(text);
  if (reference.digest !== undefined) throw new InvalidArgumentError("cannot push a digest reference");
  const repository = repositoryOf(reference);
  const bare = familiarReference({ ...reference, tag: undefined });
  const tagged = [...components.parts.index.images.values()]
    .flatMap((image) => image.repoTags.map((name) => ({ name, image })))
    .filter(({ name }) => repositoryOf(parseReference(name)) === repository)
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  options.onProgress?.({ status: `The push refers to repository [${repository}]` });
  if (tagged.length === 0) throw new NotFoundError(`An image does not exist locally with the tag: ${bare}`);
  const wanted = options.allTags ? tagged : tagged.filter(({ name }) => name === formatReference(reference));
  if (wanted.length === 0) throw new NotFoundError(`tag does not exist: ${familiarReference(reference)}`);
  const uploads = components.client.uploads(reference, options.auth);
  const pushed: { name: string; imageId: string }[] = [];
  for (const { name, image } of wanted) {
    const full = parseReference(name);
    await new ImagePush(components, uploads, full, options).run(image);
    pushed.push({ name: familiarReference(full), imageId: image.id });
  }
  return pushed;
}

class ImagePush {
  readonly #components: PushComponents;
  readonly #uploads: RegistryUploads;
  readonly #reference: ImageReference;
  readonly #options: PushOptions;
  readonly #gate: Gate;
  readonly #turns = new KeyedLock();
  /** Digests known to be in the repository. */
  readonly #there = new Set<string>();

  constructor(
    components: PushComponents,
    uploads: RegistryUploads,
    reference: ImageReference,
    options: PushOptions,
  ) {
    this.#components = components;
    this.#gate = new Gate(components.uploadsMax ?? UPLOADS_MAX);
    this.#uploads = uploads;
    this.#reference = reference;
    this.#options = options;
  }

  async run(image: StoredImage): Promise<void> {
    const { parts } = this.#components;
    const { signal } = this.#options;
    using _held = holdImage(parts, image);
    const prepare = (): void => {
      for (const diffId of [...image.diffIds].reverse()) this.#report(diffId, "Preparing");
    };
    // Asked first: only where a registry answers is there something to prepare for.
    const hasConfig = await this.#uploads.hasBlob(image.id, signal).catch((error: unknown) => {
      if (REFUSALS.has(codeOf(error))) prepare();
      throw error;
    });
    prepare();
    const kept = await this.#usableManifest(image);
    const layers = await this.#pushLayers(image, kept);
    const manifest = kept ?? (await manifestOf(parts, image, layers, { oci: false }));
    if (!hasConfig) await this.#uploads.pushBlob(await this.#sourceOf(image.id), { signal });
    const tag = this.#reference.tag ?? "latest";
    await this.#uploads.pushManifest(tag, manifest.bytes, manifest.mediaType, signal);
    const repoDigest = `${repositoryOf(this.#reference)}@${manifest.digest}`;
    await rememberManifest(parts, image.id, manifest, repoDigest);
    const sizeBytes = manifest.bytes.byteLength;
    this.#options.onProgress?.({
      status: `${tag}: digest: ${manifest.digest} size: ${sizeBytes}`,
      aux: { tag, digest: manifest.digest, sizeBytes },
    });
  }

  /** One that came with the image, when all its layers are here or there. */
  async #usableManifest(image: StoredImage): Promise<KeptManifest | undefined> {
    for (const kept of await keptManifests(this.#components.parts, image)) {
      const reachable = await Promise.all(
        kept.manifest.layers.map(
          async ({ digest }) => (await this.#components.parts.blobs.has(digest)) || this.#isThere(digest),
        ),
      );
      if (reachable.every((one) => one)) return kept;
    }
    return undefined;
  }

  /** @returns the layers as they are sent, lowest first. */
  async #pushLayers(image: StoredImage, kept: KeptManifest | undefined): Promise<readonly LayerBlob[]> {
    const abort = new AbortController();
    const { signal: outer } = this.#options;
    const signal = outer === undefined ? abort.signal : AbortSignal.any([abort.signal, outer]);
    setMaxListeners(0, signal); // one per layer, and these are bounded
    const outcomes = await Promise.allSettled(
      image.diffIds.map(async (diffId, position) => {
        try {
          return await this.#pushLayer(image, { diffId, position, kept, signal });
        } catch (error) {
          abort.abort();
          throw error;
        }
      }),
    );
    const failed = outcomes.flatMap((one): unknown[] => (one.status === "rejected" ? [one.reason] : []));
    const isCancel = (error: unknown): boolean =>
      error instanceof Error && "code" in error && error.code === "cancelled";
    const cause = failed.find((error) => !isCancel(error)) ?? failed[0];
    if (cause !== undefined) throw cause;
    return outcomes.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
  }

  async #pushLayer(
    image: StoredImage,
    layer: { diffId: string; position: number; kept: KeptManifest | undefined; signal: AbortSignal },
  ): Promise<LayerBlob> {
    const { diffId, position, kept, signal } = layer;
    const { parts } = this.#components;
    const task = async (): Promise<LayerBlob> => {
      const blob =
        kept?.manifest.layers[position] ?? (await compressedLayer(parts, image, position, { signal }));
      if (await this.#isThere(blob.digest, signal)) {
        this.#report(diffId, "Layer already exists");
        return blob;
      }
      const mountFrom = this.#mountSource(blob.digest);
      let shownAtMs = Number.NEGATIVE_INFINITY;
      const { clock } = this.#components;
      const how = await this.#uploads.pushBlob(await this.#sourceOf(blob.digest), {
        mountFrom,
        signal,
        onBytes: (currentBytes) => {
          if (clock.monotonicMs() - shownAtMs < PROGRESS_PERIOD_MS) return;
          shownAtMs = clock.monotonicMs();
          this.#report(diffId, "Pushing", { currentBytes, totalBytes: blob.sizeBytes });
        },
      });
      this.#there.add(blob.digest);
      this.#report(diffId, how === "mounted" ? `Mounted from ${mountFrom}` : "Pushed");
      return blob;
    };
    // Equal layers of one image take turns, so that the second finds the first.
    return await this.#turns.run(diffId, () => this.#gate.run(task, { signal }), { signal });
  }

  async #isThere(digest: string, signal?: AbortSignal): Promise<boolean> {
    if (this.#there.has(digest)) return true;
    if (!(await this.#uploads.hasBlob(digest, signal ?? this.#options.signal))) return false;
    this.#there.add(digest);
    return true;
  }

  /** Another repository of the registry that gave or took an image with the blob. */
  #mountSource(digest: string): string | undefined {
    const { domain, path } = this.#reference;
    for (const image of this.#components.parts.index.images.values()) {
      if (!(image.layerBlobs ?? []).some((blob) => blob?.digest === digest)) continue;
      for (const name of image.repoDigests) {
        const other = parseReference(name);
        if (other.domain === domain && other.path !== path) return other.path;
      }
    }
    return undefined;
  }

  async #sourceOf(digest: string): Promise<BlobSource> {
    const { blobs } = this.#components.parts;
    return {
      digest,
      sizeBytes: await blobs.sizeOf(digest),
      read: (offset) => blobs.stream(digest, offset),
    };
  }

  #report(diffId: string, status: string, sizes: Partial<ImageProgress> = {}): void {
    this.#options.onProgress?.({ status, id: shortIdOf(diffId), ...sizes });
  }
}
