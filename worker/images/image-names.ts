/**
 * Which image a text means, and what names do when images come and go.
 * Pure. Invariant: a name:tag belongs to at most one image.
 * Source: Docker Engine API (image names, ids and id prefixes).
 */
import { InvalidArgumentError, NotFoundError } from "../../base/errors/errors.js";
import {
  familiarReference,
  formatReference,
  type ImageReference,
  isDigest,
  parseReference,
  repositoryOf,
} from "./image-reference.js";
import type { ImageRecord } from "./image-store.js";

/** What the index keeps of an image beyond the shared record. */
export interface StoredImage extends ImageRecord {
  /** Digests of the blobs that are kept for it: config, manifests. */
  readonly blobs: readonly string[];
  /** The layers as they are stored or travel, lowest first; undefined where no such bytes were seen yet. */
  readonly layerBlobs?: readonly (LayerBlob | undefined | null)[];
}

/** A layer's bytes as a registry or an archive had them. They are kept while an image names them. */
export interface LayerBlob {
  readonly digest: string;
  readonly sizeBytes: number;
  readonly mediaType: string;
}

export type Images = ReadonlyMap<string, StoredImage>;

/** Fewest hexadecimal digits that are taken for an id: fewer would too often be a name. */
export const ID_PREFIX_LENGTH_MIN = 4;

export type Found = {
  readonly image: StoredImage;
  /** How it was named: by one of its names, or by its id. */
  readonly by: { readonly kind: "name"; readonly reference: ImageReference } | { readonly kind: "id" };
};

/** Looks by full id, then by name, then by an id prefix that fits one image alone. */
export function findImage(images: Images, text: string): Found | undefined {
  const byId = images.get(isDigest(text) ? text : `sha256:${text}`);
  if (byId !== undefined) return { image: byId, by: { kind: "id" } };
  const reference = referenceOrUndefined(text);
  if (reference !== undefined) {
    for (const image of images.values()) {
      if (isNamed(image, reference)) return { image, by: { kind: "name", reference } };
    }
  }
  const [image, ...others] = listByPrefix(images, text);
  return image === undefined || others.length > 0 ? undefined : { image, by: { kind: "id" } };
}

/**
 * @throws {NotFoundError} in Docker's words; {InvalidArgumentError} an id prefix that fits several images.
 */
export function requireImage(images: Images, text: string): Found {
  const found = findImage(images, text);
  if (found !== undefined) return found;
  const fitting = listByPrefix(images, text);
  if (fitting.length > 1) {
    throw new InvalidArgumentError(`image id prefix ${text} fits ${fitting.length} images: give more digits`);
  }
  const reference = referenceOrUndefined(text);
  throw new NotFoundError(`No such image: ${reference === undefined ? text : familiarReference(reference)}`);
}

/** A digest decides alone; the tag beside it is only a remark. */
function isNamed(image: StoredImage, reference: ImageReference): boolean {
  if (reference.digest !== undefined)
    return image.repoDigests.includes(`${repositoryOf(reference)}@${reference.digest}`);
  return image.repoTags.includes(formatReference(reference));
}

function listByPrefix(images: Images, text: string): readonly StoredImage[] {
  const prefix = text.startsWith("sha256:") ? text.slice("sha256:".length) : text;
  if (prefix.length < ID_PREFIX_LENGTH_MIN || !/^[0-9a-f]{1,64}$/.test(prefix)) return [];
  return [...images.values()].filter((image) => image.id.startsWith(`sha256:${prefix}`));
}

function referenceOrUndefined(text: string): ImageReference | undefined {
  try {
    return parseReference(text);
  } catch (error) {
    if (error instanceof InvalidArgumentError) return undefined; // then it can only be an id
    throw error;
  }
}

/**
 * Adds names to an image and takes its tags from whoever had them. A digest that came along with a tag (of an
 * index, with an image of another platform) stays with whom it named first; asked for alone, it moves, too.
 * @returns the images that changed.
 */
export function withNames(
  images: Images,
  image: StoredImage,
  names: {
    tags?: readonly string[];
    digests?: readonly string[];
    /** Given when a person or a build gave the name, which the image remembers. */
    taggedMs?: number | undefined;
  },
): StoredImage[] {
  const { tags = [], digests = [] } = names;
  const others = [...images.values()].filter(({ id }) => id !== image.id);
  const taken = new Set(tags.length === 0 ? [] : others.flatMap(({ repoDigests }) => repoDigests));
  const own = digests.filter((digest) => !taken.has(digest));
  const moves = (name: string): boolean => tags.includes(name) || own.includes(name);
  const changed: StoredImage[] = [];
  for (const other of others) {
    const { repoTags, repoDigests } = other;
    if (![...repoTags, ...repoDigests].some(moves)) continue;
    const stays = (name: string): boolean => !moves(name);
    changed.push({ ...other, repoTags: repoTags.filter(stays), repoDigests: repoDigests.filter(stays) });
  }
  const current = images.get(image.id) ?? image;
  changed.push({
    ...image,
    repoTags: union(current.repoTags, tags),
    repoDigests: union(current.repoDigests, own),
    blobs: union(current.blobs, image.blobs),
    ...(names.taggedMs === undefined ? {} : { lastTaggedMs: names.taggedMs }),
  });
  return changed;
}

function union(left: readonly string[], right: readonly string[]): string[] {
  return [...new Set([...left, ...right])].sort();
}
