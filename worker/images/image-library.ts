/**
 * The images of a node as one consistent set: index, blobs and layers together, and the garbage between them.
 * Pure over its stores. Invariant: what an image, a container or work under way needs is never removed.
 */
import { setMaxListeners } from "node:events";
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
  /** Makes sure of one layer; called for each, all at once. */
  readonly provide: (layer: WantedLayer) => Promise<ProvidedLayer>;
  /** Digests of blobs that `provide` makes. */
  readonly awaitedBlobs?: readonly string[];
  readonly signal?: AbortSignal | undefined;
}

export interface ProvidedLayer {
  readonly layer: Layer;
  /** Its bytes as they came, now in the blob store. */
  readonly blob?: LayerBlob | undefined;
}

export interface WantedLayer {
  /** Lowest is 0. */
  readonly position: number;
  readonly diffId: string;
  readonly chainId: string;
  /** Keeps a blob until the image has its name, or has failed. */
  readonly hold: (digest: string) => void;
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
  const awaited = image.awaitedBlobs ?? [];
  using held = parts.pins.hold([...chainIds, ...kept.map(sha256Of), ...awaited]);
  using late = parts.pins.group();
  const hold = (digest: string): void => late.hold(digest);
  const abort = new AbortController();
  const signal = image.signal === undefined ? abort.signal : AbortSignal.any([abort.signal, image.signal]);
  setMaxListeners(0, signal); // one per layer, and these are bounded
  const outcomes = await Promise.allSettled(
    chainIds.map(async (chainId, position) => {
      try {
        const diffId = parsed.diffIds[position];
        invariant(diffId !== undefined, "there is a chain id per diff id");
        return await image.provide({ position, diffId, chainId, signal, hold });
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
    late[Symbol.dispose](); // the digest of a plain tar is its chain id when it is the lowest layer
    // Layers that are complete help when the same is tried again soon; when it cannot succeed, they are
    // garbage.
    if (!["unavailable", "cancelled"].includes(codeOf(cause))) {
      await collectLayers(parts, [...chainIds].reverse());
      await collectBlobs(parts, awaited);
    }
    throw cause;
  }
  const provided = outcomes.flatMap((outcome) => (outcome.status === "fulfilled" ? [outcome.value] : []));
  const blobs: string[] = [];
  for (const bytes of kept) blobs.push(await parts.blobs.put(bytes));
  const sizeBytes = provided.reduce((sum, { layer }) => sum + layer.sizeBytes, 0);
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
      layerBlobs: provided.map(({ blob }, at) => blob ?? before?.layerBlobs?.[at]),
      ...(parentId === undefined ? {} : { parentId }),
      ...(before?.lastTaggedMs === undefined ? {} : { lastTaggedMs: before.lastTaggedMs }),
    };
    const { tags = [], repoDigests: digests = [] } = image;
    const taggedMs = tags.length > 0 ? image.taggedMs : undefined;
    const put = withNames(images, stored, { tags, digests, taggedMs });
    return { put, result: put.at(-1) ?? stored };
  });
}

/** The bytes of a layer as some image of this node has them. */
export function knownBlobOf(parts: LibraryParts, diffId: string): LayerBlob | undefined {
  for (const image of parts.index.images.values()) {
    const blob = image.layerBlobs?.[image.diffIds.indexOf(diffId)];
    if (blob) return blob;
  }
  return undefined;
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
