/**
 * The images of a node as one consistent set: index, blobs and layers together, and the garbage between them.
 * Pure over its stores. Invariant: what an image, a container or work under way needs is never removed.
 */
import { codeOf } from "../../base/errors/errors.js";
import { invariant } from "../../base/errors/invariant.js";
import { chainIdsOf, sha256Of } from "./chain-ids.js";
import { parseImageConfig } from "./image-config.js";
import type { LayerBlob, StoredImage } from "./image-names.js";
import { withNames } from "./image-names.js";
import type { Pins } from "./image-pins.js";
import type { BlobStore } from "./linux-blob-store.js";
import type { ImageIndex } from "./linux-image-index.js";
import type { Layer, LayerStore } from "./linux-layer-store.js";
import type { RootfsStore } from "./linux-rootfs-store.js";

export interface LibraryParts {
  readonly index: ImageIndex;
  readonly blobs: BlobStore;
  readonly layers: LayerStore;
  readonly rootfs: RootfsStore;
  readonly pins: Pins;
}

export interface NewImage {
  readonly configBytes: Uint8Array;
  /** Manifest and index, kept beside the config. */
  readonly manifests?: readonly Uint8Array[];
  readonly tags?: readonly string[];
  readonly repoDigests?: readonly string[];
  /** The image it was made of here. */
  readonly parentId?: string | undefined;
  /** Given when the names are a person's or a build's. */
  readonly taggedMs?: number | undefined;
  /** One per layer. */
  readonly layerBlobs?: readonly (LayerBlob | undefined)[] | undefined;
  /** Makes sure of one layer; called for each, all at once. */
  readonly provide: (layer: WantedLayer) => Promise<Layer>;
  readonly signal?: AbortSignal | undefined;
}

export interface WantedLayer {
  /** Lowest is 0. */
  readonly position: number;
  readonly diffId: string;
  readonly chainId: string;
  /** Fires when the caller gives up or another layer of the image failed. */
  readonly signal: AbortSignal;
}

/**
 * Unpacks what is missing, then names the image.
 * @throws what `provide` throws; {DataLossError} for a bad config.
 */
export async function addImage(parts: LibraryParts, image: NewImage): Promise<StoredImage> {
  const id = sha256Of(image.configBytes);
  const parsed = parseImageConfig(image.configBytes, `config ${id}`);
  const chainIds = chainIdsOf(parsed.diffIds);
  const kept = [image.configBytes, ...(image.manifests ?? [])];
  using held = parts.pins.hold([...chainIds, ...kept.map(sha256Of)]);
  const abort = new AbortController();
  const signal = image.signal === undefined ? abort.signal : AbortSignal.any([abort.signal, image.signal]);
  const outcomes = await Promise.allSettled(
    chainIds.map(async (chainId, position) => {
      try {
        const diffId = parsed.diffIds[position];
        invariant(diffId !== undefined, "there is a chain id per diff id");
        return await image.provide({ position, diffId, chainId, signal });
      } catch (error) {
        abort.abort();
        throw error;
      }
    }),
  );
  // All have ended, so nothing writes any more when the caller hears of the failure.
  const errors = outcomes.flatMap((outcome): unknown[] =>
    outcome.status === "rejected" ? [outcome.reason] : [],
  );
  // The first failure cancels the other layers; what they say is not the cause.
  const cause = errors.find((error) => codeOf(error) !== "cancelled") ?? errors[0];
  if (cause !== undefined) {
    held[Symbol.dispose]();
    // Layers that are complete help when the same is tried again soon; when it cannot succeed, they are
    // garbage.
    if (!["unavailable", "cancelled"].includes(codeOf(cause)))
      await collectLayers(parts, [...chainIds].reverse());
    throw cause;
  }
  const layers = outcomes.flatMap((outcome) => (outcome.status === "fulfilled" ? [outcome.value] : []));
  const blobs: string[] = [];
  for (const bytes of kept) blobs.push(await parts.blobs.put(bytes));
  const sizeBytes = layers.reduce((sum, layer) => sum + layer.sizeBytes, 0);
  return await parts.index.update((images) => {
    const before = images.get(id);
    const parentId = before?.parentId ?? image.parentId;
    const stored: StoredImage = {
      ...parsed,
      id,
      repoTags: [],
      repoDigests: [],
      sizeBytes,
      chainIds,
      blobs,
      layerBlobs: mergedBlobs(chainIds.length, image.layerBlobs, before?.layerBlobs),
      ...(parentId === undefined ? {} : { parentId }),
      ...(before?.lastTaggedMs === undefined ? {} : { lastTaggedMs: before.lastTaggedMs }),
    };
    const { tags = [], repoDigests: digests = [] } = image;
    const taggedMs = tags.length > 0 ? image.taggedMs : undefined;
    const put = withNames(images, stored, { tags, digests, taggedMs });
    return { put, result: put.at(-1) ?? stored };
  });
}

/** The newest knowledge wins; JSON has null where nothing is known. */
function mergedBlobs(
  count: number,
  newer: readonly (LayerBlob | undefined)[] | undefined,
  older: StoredImage["layerBlobs"],
): readonly (LayerBlob | undefined)[] {
  return Array.from({ length: count }, (_, at) => newer?.[at] ?? older?.[at] ?? undefined);
}

/** Digests of all blobs an image needs. */
export function blobsOf(image: StoredImage): readonly string[] {
  return [...image.blobs, ...(image.layerBlobs ?? []).flatMap((one) => (one ? [one.digest] : []))];
}

/** Removes layers that nothing needs, in the order given. @returns their chain ids. */
export async function collectLayers(
  parts: LibraryParts,
  candidates: readonly string[],
): Promise<readonly string[]> {
  const removed: string[] = [];
  for (const chainId of candidates) {
    const isGarbage = (): boolean => !parts.pins.has(chainId) && !isLayerUsed(parts, chainId);
    if (await parts.layers.remove(chainId, isGarbage)) removed.push(chainId);
  }
  return removed;
}

function isLayerUsed(parts: LibraryParts, chainId: string): boolean {
  for (const image of parts.index.images.values()) if (image.chainIds.includes(chainId)) return true;
  return parts.rootfs.uses(chainId);
}

/** Removes blobs that nothing needs. */
export async function collectBlobs(parts: LibraryParts, candidates: readonly string[]): Promise<void> {
  for (const digest of candidates) {
    const used = [...parts.index.images.values()].some((image) => blobsOf(image).includes(digest));
    if (!used && !parts.pins.has(digest)) await parts.blobs.remove(digest);
  }
}
