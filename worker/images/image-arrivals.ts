/**
 * Images that come as a stream: saved sets are loaded, root file systems imported.
 * Pure over the image library. Invariant: the bytes of a layer are kept as they came, unless packing its
 * folder gives them again.
 * Sources: docker-archive layout, OCI image-spec 1.1 image-layout.md; texts as the stock daemon's.
 */
import { DataLossError, InvalidArgumentError } from "../../base/errors/errors.js";
import { shortIdOf } from "./chain-ids.js";
import type { ArchiveImage } from "./image-archive-contents.js";
import { EMPTY_CONFIG, runConfigToJson } from "./image-config.js";
import { addImage, knownBlobOf, type LibraryParts, type ProvidedLayer } from "./image-library.js";
import { MEDIA_TYPE, type Platform } from "./image-manifest.js";
import type { LayerBlob, StoredImage } from "./image-names.js";
import { familiarName } from "./image-reference.js";
import type { ImageProgress, ImageRecord, ImageStore } from "./image-store.js";
import type { AddedLayer, StoredForm } from "./linux-layer-store.js";

export interface ArrivalContext {
  readonly parts: LibraryParts;
  readonly platform: Platform;
  readonly nowMs: number;
}

type LoadOptions = NonNullable<Parameters<ImageStore["load"]>[1]>;
type ImportOptions = Parameters<ImageStore["importRootfs"]>[1];

const LAYER_TYPES = {
  none: MEDIA_TYPE.dockerLayer,
  gzip: MEDIA_TYPE.dockerLayerGzip,
  zstd: MEDIA_TYPE.ociLayerZstd,
  bzip2: MEDIA_TYPE.dockerLayer,
  xz: MEDIA_TYPE.dockerLayer,
} as const;

/** @throws what the archive reader and addImage throw. */
export async function loadImages(
  context: ArrivalContext,
  tar: AsyncIterable<Uint8Array>,
  options: LoadOptions,
): Promise<readonly ImageRecord[]> {
  const { parts, platform } = context;
  const { listArchiveImages } = await import("./image-archive-contents.js");
  const { stageArchive } = await import("./linux-image-archive.js");
  await using stage = stageIn(parts, "load");
  const archive = await stageArchive(tar, { folder: stage.path, signal: options.signal });
  const loaded: ImageRecord[] = [];
  for (const image of await listArchiveImages(archive, platform)) {
    const before = new Map(image.tags.map((tag) => [tag, ownerOf(parts, tag)]));
    const stored = await loadOne(parts, image, options);
    loaded.push(stored);
    for (const [tag, owner] of before) {
      if (owner === undefined || owner === stored.id) continue;
      options.onProgress?.({
        status:
          `The image ${familiarName(tag)} already exists, renaming the old one with ID ${owner} to empty ` +
          "string",
      });
    }
    const names = image.tags.map(familiarName);
    for (const name of names) options.onProgress?.({ status: `Loaded image: ${name}` });
    if (names.length === 0) options.onProgress?.({ status: `Loaded image ID: ${stored.id}` });
  }
  return loaded.sort((a, b) => Number(b.repoTags.length > 0) - Number(a.repoTags.length > 0));
}

/** @param tag fully qualified. */
export async function importImage(
  context: ArrivalContext,
  tar: AsyncIterable<Uint8Array>,
  options: ImportOptions & { tag: string | undefined },
): Promise<StoredImage> {
  const { parts, nowMs } = context;
  const { applyChanges } = await import("./dockerfile-changes.js");
  const config = applyChanges(EMPTY_CONFIG, options.changes ?? []);
  const { stageFile } = await import("./linux-image-archive.js");
  await using stage = stageIn(parts, "import");
  await stageFile(tar, stage.path, { signal: options.signal });
  const added = await addOnly(parts, stage.path, options.signal);
  using _held = parts.pins.hold([added.layer.chainId, ...(added.file ? [added.file.digest] : [])]);
  const blob = await keepBytes(parts, added, stage.path);
  const created = new Date(nowMs).toISOString();
  const comment = options.message ?? "Imported from -";
  const platform = options.platform ?? context.platform;
  const configBytes = Buffer.from(
    JSON.stringify({
      architecture: platform.architecture,
      ...(platform.variant === undefined ? {} : { variant: platform.variant }),
      os: platform.os,
      created,
      ...(comment === "" ? {} : { comment }),
      config: runConfigToJson(config),
      rootfs: { type: "layers", diff_ids: [added.layer.diffId] },
      history: [{ created, ...(comment === "" ? {} : { comment }) }],
    }),
  );
  return await addImage(parts, {
    configBytes,
    tags: options.tag === undefined ? [] : [options.tag],
    taggedMs: nowMs,
    signal: options.signal,
    provide: async ({ chainId, diffId, signal }) => {
      const present = parts.layers.get(chainId);
      if (present !== undefined) return { layer: present, blob };
      // Removed in the moment between: unpacked once more.
      return await parts.layers.add({ file: stage.path, expected: { chainId, diffId }, signal });
    },
  });
}

/** @throws {DataLossError} in the daemon's words. */
async function addOnly(
  parts: LibraryParts,
  file: string,
  signal: AbortSignal | undefined,
): Promise<AddedLayer> {
  try {
    return await parts.layers.add({ file, signal });
  } catch (error) {
    if (!(error instanceof DataLossError)) throw error;
    const { tarErrorWords } = await import("./linux-image-archive.js");
    throw new DataLossError(tarErrorWords(error.message.replace(/^layer \S+ is damaged: /, "")), {
      cause: error,
    });
  }
}

async function loadOne(parts: LibraryParts, image: ArchiveImage, options: LoadOptions): Promise<StoredImage> {
  const { layers, manifestBytes, configBytes, tags } = image;
  return await addImage(parts, {
    configBytes,
    tags,
    ...(manifestBytes === undefined ? {} : { manifests: [manifestBytes] }),
    signal: options.signal,
    provide: async ({ position, diffId, chainId, signal, hold }): Promise<ProvidedLayer> => {
      const source = layers[position];
      if (source === undefined)
        throw new InvalidArgumentError(
          `the archive has ${layers.length} layers, the image's config names more`,
        );
      const added = await parts.layers.add({ ...source, expected: { chainId, diffId }, signal });
      const { sizeBytes } = added.layer;
      if (added.file !== undefined) {
        const progress: ImageProgress = { id: shortIdOf(diffId), status: "Loading layer" };
        options.onProgress?.({ ...progress, currentBytes: sizeBytes, totalBytes: sizeBytes });
      }
      if (added.file !== undefined) hold(added.file.digest);
      const blob = await keepBytes(parts, added, source.file);
      return { layer: added.layer, blob: blob ?? knownBlobOf(parts, diffId) };
    },
  });
}

/**
 * Takes the file of a layer among the blobs. @returns undefined when the bytes can be made again, or were not
 * looked at because the layer was there.
 */
async function keepBytes(
  parts: LibraryParts,
  added: AddedLayer,
  path: string,
): Promise<LayerBlob | undefined> {
  const form: StoredForm | undefined = added.file;
  if (form === undefined || added.layer.packedBytes !== undefined) return undefined;
  if (form.compression === "bzip2" || form.compression === "xz") return undefined; // no registry takes these
  const sizeBytes = await parts.blobs.adopt(path, form.digest);
  return { digest: form.digest, sizeBytes, mediaType: LAYER_TYPES[form.compression] };
}

function ownerOf(parts: LibraryParts, tag: string): string | undefined {
  for (const image of parts.index.images.values()) if (image.repoTags.includes(tag)) return image.id;
  return undefined;
}

function stageIn(parts: LibraryParts, what: string): AsyncDisposable & { path: string } {
  const path = parts.layers.temporaryPath(what);
  return { path, [Symbol.asyncDispose]: () => parts.layers.removeTemporary(path) };
}
