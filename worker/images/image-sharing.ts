/**
 * Who shares layers with whom, in bytes. Pure over the image library.
 * Source: Docker Engine API, GET /images/json (SharedSize), GET /system/df (LayersSize).
 */
import type { LibraryParts } from "./image-library.js";

/** Per state of the index, which is a new map with each change: counting them per image asked would be a square. */
const counted = new WeakMap<LibraryParts["index"]["images"], ReadonlyMap<string, number>>();

function usersOf(images: LibraryParts["index"]["images"]): ReadonlyMap<string, number> {
  let users = counted.get(images);
  if (users === undefined) {
    const made = new Map<string, number>();
    for (const { chainIds } of images.values())
      for (const chainId of chainIds) made.set(chainId, (made.get(chainId) ?? 0) + 1);
    users = made;
    counted.set(images, users);
  }
  return users;
}

export class SharedLayers {
  readonly #parts: Pick<LibraryParts, "index" | "layers">;
  /** Chain id -> images that have it. */
  readonly #users: ReadonlyMap<string, number>;

  constructor(parts: Pick<LibraryParts, "index" | "layers">) {
    this.#parts = parts;
    this.#users = usersOf(parts.index.images);
  }

  /** Bytes of an image's layers that other images have, too; 0 for an unknown image. */
  sharedBytes(imageId: string): number {
    const image = this.#parts.index.images.get(imageId);
    if (image === undefined) return 0;
    return this.#sum(image.chainIds.filter((chainId) => (this.#users.get(chainId) ?? 0) > 1));
  }

  /** Of all layers, each once. */
  layersBytes(): number {
    return this.#sum(this.#parts.layers.chainIds());
  }

  #sum(chainIds: readonly string[]): number {
    return chainIds.reduce((sum, chainId) => sum + (this.#parts.layers.get(chainId)?.sizeBytes ?? 0), 0);
  }
}
