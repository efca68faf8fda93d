/**
 * Whether a step was made before: an image on the same parent whose newest line of history and whose
 * configuration are those the step would make. Edge: to the node's images.
 * Invariant: lines of history hold sums of what was copied, so an image found has the same files.
 * Source: Docker's build cache rules.
 */
import type { ImageRecord, ImageWorkshop } from "../image-store.js";
import { type BuildConfig, buildConfigOf, buildConfigToJson } from "./build-config.js";

type Images = Pick<ImageWorkshop, "childrenOf" | "find" | "history" | "list">;

export class BuildCache {
  readonly #images: Images;
  /** Names given by --cache-from that are here; empty: whatever was built here serves. */
  readonly #sources: readonly ImageRecord[];

  constructor(images: Images, cacheFrom: readonly string[]) {
    this.#images = images;
    this.#sources = cacheFrom.flatMap((name) => images.find(name) ?? []);
  }

  /** @param parentId "" : scratch. @returns the id of the image. */
  async find(parentId: string, createdBy: string, config: BuildConfig): Promise<string | undefined> {
    const wanted = canonical(config);
    const candidates = this.#candidates(parentId).filter(
      (image) => canonical(buildConfigOf(image)) === wanted,
    );
    for (const image of candidates.sort((a, b) => b.createdMs - a.createdMs)) {
      const history = await this.#images.history(image.id);
      const isChild = parentId !== "" || history.length === 1;
      if (isChild && history.at(-1)?.createdBy === createdBy && this.#trusted(image.id)) return image.id;
    }
    return undefined;
  }

  #candidates(parentId: string): ImageRecord[] {
    if (parentId === "") return this.#images.list().filter((image) => (image.parentId ?? "") === "");
    return this.#images.childrenOf(parentId).flatMap((id) => this.#images.find(id) ?? []);
  }

  /** With sources named: the image is one of them, or one of them was made of it. */
  #trusted(imageId: string): boolean {
    return this.#sources.length === 0 || this.#sources.some((source) => this.#descends(source, imageId));
  }

  #descends(image: ImageRecord, ancestorId: string): boolean {
    const seen = new Set<string>();
    for (let at: ImageRecord | undefined = image; at !== undefined && !seen.has(at.id); ) {
      if (at.id === ancestorId) return true;
      seen.add(at.id);
      at = at.parentId === undefined || at.parentId === "" ? undefined : this.#images.find(at.parentId);
    }
    return false;
  }
}

function canonical(config: BuildConfig): string {
  const json = buildConfigToJson(config);
  return JSON.stringify([sorted(json), config.author]);
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return entries.map(([key, inner]) => [key, sorted(inner)]);
}
