/**
 * Who shares layers with whom, in bytes. Pure over the image library.
 * Source: Docker Engine API, GET /images/json (SharedSize), GET /system/df (LayersSize).
 */
import type { LibraryParts } from "./image-library.js";

export class SharedLayers {
  readonly #parts: Pick<LibraryParts, "index" | "layers">;
  /** Chain id -> images that have it. */
  readonly #users = new Map<string, number>();

  constructor(parts: Pick<LibraryParts, "index" | "layers">) {
    this.#parts = parts;
    for (const image of parts.index.images.values())
      for (const chainId of image.chainIds) this.#users.set(chainId, (this.#users.get(chainId) ?? 0) + 1);
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
