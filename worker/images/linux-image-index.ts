/**
 * The images of one node by id, in one JSON file that is replaced as a whole: some kilobytes per image,
 * changed by people and deployments, never on a hot path.
 * Edge: to the file system. Invariant: memory and file are the same after each `put` and `delete`.
 */
import { readFile } from "node:fs/promises";
import { DataLossError } from "../../base/errors/errors.js";
import { asObject } from "./image-manifest.js";
import type { Images, StoredImage } from "./image-names.js";
import { KeyedLock } from "./keyed-lock.js";
import { writeFileAtomic } from "./linux-atomic-file.js";

const FORMAT_VERSION = 1;

export class ImageIndex {
  readonly #path: string;
  readonly #lock = new KeyedLock();
  #images: ReadonlyMap<string, StoredImage>;

  private constructor(path: string, images: ReadonlyMap<string, StoredImage>) {
    this.#path = path;
    this.#images = images;
  }

  /** @throws {DataLossError} when the file is there and cannot be understood. */
  static async open(path: string): Promise<ImageIndex> {
    let text: string;
    try {
      text = await readFile(path, "utf8");
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT")
        return new ImageIndex(path, new Map());
      throw error;
    }
    return new ImageIndex(path, parseIndex(text, path));
  }

  get images(): Images {
    return this.#images;
  }

  /**
   * One change after the other: `change` sees the newest state and answers what to put and what to delete.
   */
  update<T>(
    change: (images: Images) => { put?: readonly StoredImage[]; delete?: readonly string[]; result: T },
  ): Promise<T> {
    return this.#lock.run("", async () => {
      const { put = [], delete: doomed = [], result } = change(this.#images);
      if (put.length === 0 && doomed.length === 0) return result;
      const next = new Map(this.#images);
      for (const image of put) next.set(image.id, image);
      for (const id of doomed) next.delete(id);
      await writeFileAtomic(
        this.#path,
        JSON.stringify({ version: FORMAT_VERSION, images: [...next.values()] }),
      );
      this.#images = next;
      return result;
    });
  }
}

function parseIndex(text: string, path: string): ReadonlyMap<string, StoredImage> {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new DataLossError(`image index ${path} is not JSON`, { cause: error });
  }
  const object = asObject(json);
  const images = object?.["images"];
  if (object?.["version"] !== FORMAT_VERSION || !Array.isArray(images)) {
    throw new DataLossError(`image index ${path} has not the format version ${FORMAT_VERSION}`);
  }
  // Written by this file from StoredImage values, whole or not at all, so its members have their types. JSON
  // drops members that are undefined; reading `healthcheck` gives undefined either way.
  return new Map((images as StoredImage[]).map((image) => [image.id, image]));
}
