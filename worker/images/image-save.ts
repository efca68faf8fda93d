/**
 * Images as one stream: an OCI image layout that older readers know as a docker-archive, too.
 * Edge: to the files of the blob store, and what has to be packed again on the way.
 * Invariant: the layers and the manifest of an image that came from elsewhere are the bytes that came; each
 * blob stands in the stream once.
 * Sources: OCI image-spec 1.1 image-layout.md; docker-archive layout (manifest.json, repositories).
 */
import { createReadStream } from "node:fs";
import { CancelledError, NotFoundError } from "../../base/errors/errors.js";
import { hexOf, sha256Of } from "./chain-ids.js";
import {
  anyLayerBytes,
  blobPathInLayout,
  holdImage,
  type KeptManifest,
  keptManifests,
  manifestOf,
} from "./image-layer-bytes.js";
import type { LibraryParts } from "./image-library.js";
import { MEDIA_TYPE, type Platform, platformText } from "./image-manifest.js";
import { findImage, type StoredImage } from "./image-names.js";
import { familiarName, familiarReference, parseReference, repositoryOf } from "./image-reference.js";
import { type LayerEntry, paddingOf, TAR_END, tarHeaderOf } from "./layer-tar.js";

export interface SaveOptions {
  readonly signal?: AbortSignal;
  readonly platform?: Platform;
}

const READ_CHUNK_BYTES = 1 << 18;
const FILE_MODE = 0o644;
const FOLDER_MODE = 0o755;

interface Wanted {
  readonly image: StoredImage;
  /** Fully qualified. */
  readonly tags: readonly string[];
}

/** @throws {NotFoundError} before the first byte, when an image is not here. */
export function saveImages(
  parts: LibraryParts,
  references: readonly string[],
  options: SaveOptions,
): AsyncIterable<Uint8Array> {
  const wanted = collectWanted(parts, references, options.platform);
  return new ImageSaver(parts, wanted, options.signal).stream();
}

/** Which image ids a save of these references reads. @throws {NotFoundError} */
export function savedImageIds(parts: LibraryParts, references: readonly string[]): readonly string[] {
  return collectWanted(parts, references, undefined).map(({ image }) => image.id);
}

/** A name without a tag means all its tags; an id means the image without names. */
function collectWanted(
  parts: LibraryParts,
  references: readonly string[],
  platform: Platform | undefined,
): readonly Wanted[] {
  const images = parts.index.images;
  const wanted = new Map<string, { image: StoredImage; tags: Set<string> }>();
  const add = (image: StoredImage, tags: readonly string[]): void => {
    if (platform !== undefined && !isOf(image, platform))
      throw new NotFoundError(
        `image with reference ${references.join(", ")} was found but does not provide the specified platform ` +
          `(${platformText(platform)})`,
      );
    const known = wanted.get(image.id) ?? { image, tags: new Set<string>() };
    for (const tag of tags) known.tags.add(tag);
    wanted.set(image.id, known);
  };
  for (const text of references) {
    const found = findImage(images, text);
    if (found?.by.kind === "id") {
      add(found.image, []);
      continue;
    }
    const repository = bareRepositoryOf(text);
    const named = [...images.values()].flatMap((image) =>
      image.repoTags
        .filter((tag) => repository !== undefined && repositoryOf(parseReference(tag)) === repository)
        .map((tag) => ({ image, tag })),
    );
    for (const { image, tag } of named) add(image, [tag]);
    if (named.length > 0) continue;
    if (found === undefined)
      throw new NotFoundError(
        repository === undefined ? "reference does not exist" : `No such image: ${text}`,
      );
    const { reference } = found.by.kind === "name" ? found.by : { reference: undefined };
    const full = reference?.digest === undefined ? fullTag(text) : undefined;
    add(found.image, full === undefined ? [] : [full]);
  }
  return [...wanted.values()].map(({ image, tags }) => ({ image, tags: [...tags].sort() }));
}

class ImageSaver {
  readonly #parts: LibraryParts;
  readonly #wanted: readonly Wanted[];
  readonly #signal: AbortSignal | undefined;
  readonly #written = new Set<string>();

  constructor(parts: LibraryParts, wanted: readonly Wanted[], signal: AbortSignal | undefined) {
    this.#parts = parts;
    this.#wanted = wanted;
    this.#signal = signal;
  }

  async *stream(): AsyncGenerator<Uint8Array> {
    const pins = this.#wanted.map(({ image }) => holdImage(this.#parts, image));
    try {
      for (const name of ["blobs", "blobs/sha256"]) yield headerOf(name, "folder", 0, 0);
      const saved: { wanted: Wanted; manifest: KeptManifest }[] = [];
      for (const wanted of this.#wanted) saved.push({ wanted, manifest: yield* this.#image(wanted.image) });
      yield* this.#file("index.json", Buffer.from(JSON.stringify(indexOf(saved))), 0);
      yield* this.#file("manifest.json", Buffer.from(JSON.stringify(saved.map(archiveEntryOf))), 0);
      yield* this.#file("oci-layout", Buffer.from(JSON.stringify({ imageLayoutVersion: "1.0.0" })), 0);
      const repositories = repositoriesOf(saved);
      if (repositories !== undefined)
        yield* this.#file("repositories", Buffer.from(JSON.stringify(repositories)), 0);
      yield TAR_END;
    } finally {
      for (const pin of pins) pin[Symbol.dispose]();
    }
  }

  async *#image(image: StoredImage): AsyncGenerator<Uint8Array, KeptManifest> {
    const config = await this.#parts.blobs.read(image.id);
    yield* this.#blob(image.id, config, image.createdMs);
    const kept = await this.#completeManifest(image);
    const layers = [];
    for (const [position] of image.diffIds.entries()) {
      const layer = kept?.manifest.layers[position];
      layers.push(
        layer === undefined
          ? yield* this.#layer(image, position)
          : yield* this.#stored(layer, this.#parts.blobs.path(layer.digest), image.createdMs),
      );
    }
    const manifest = kept ?? (await manifestOf(this.#parts, image, layers, { oci: true }));
    yield* this.#blob(manifest.digest, manifest.bytes, image.createdMs);
    return manifest;
  }

  /** One that came with the image, when all its layers are still here. */
  async #completeManifest(image: StoredImage): Promise<KeptManifest | undefined> {
    for (const kept of await keptManifests(this.#parts, image)) {
      const here = await Promise.all(kept.manifest.layers.map(({ digest }) => this.#parts.blobs.has(digest)));
      if (here.every((one) => one)) return kept;
    }
    return undefined;
  }

  async *#layer(image: StoredImage, position: number) {
    const layer = await anyLayerBytes(this.#parts, image, position, { signal: this.#signal });
    try {
      return yield* this.#stored(layer, layer.file, image.createdMs);
    } finally {
      if (layer.temporary) await this.#parts.layers.removeTemporary(layer.file);
    }
  }

  async *#stored<T extends { digest: string; sizeBytes: number }>(
    layer: T,
    path: string,
    createdMs: number,
  ): AsyncGenerator<Uint8Array, T> {
    if (this.#written.has(layer.digest)) return layer;
    this.#written.add(layer.digest);
    yield headerOf(blobPathInLayout(layer.digest), "file", layer.sizeBytes, createdMs);
    for await (const chunk of createReadStream(path, { highWaterMark: READ_CHUNK_BYTES })) {
      if (this.#signal?.aborted === true) throw new CancelledError("saving was cancelled");
      yield chunk as Uint8Array; // a stream without encoding gives bytes
    }
    yield new Uint8Array(paddingOf(layer.sizeBytes));
    return layer;
  }

  async *#blob(digest: string, bytes: Uint8Array, createdMs: number): AsyncGenerator<Uint8Array> {
    if (this.#written.has(digest)) return;
    this.#written.add(digest);
    yield* this.#file(blobPathInLayout(digest), bytes, createdMs);
  }

  async *#file(name: string, bytes: Uint8Array, createdMs: number): AsyncGenerator<Uint8Array> {
    yield headerOf(name, "file", bytes.byteLength, createdMs);
    yield bytes;
    yield new Uint8Array(paddingOf(bytes.byteLength));
  }
}

interface Saved {
  readonly wanted: Wanted;
  readonly manifest: KeptManifest;
}

function indexOf(saved: readonly Saved[]) {
  const manifests = saved.flatMap(({ wanted: { image, tags }, manifest }) => {
    const descriptor = {
      mediaType: manifest.mediaType,
      digest: manifest.digest,
      size: manifest.bytes.byteLength,
      platform: { architecture: image.architecture, os: image.os },
    };
    if (tags.length === 0) return [descriptor];
    return tags.map((tag) => ({
      ...descriptor,
      annotations: {
        "io.containerd.image.name": tag,
        "org.opencontainers.image.ref.name": parseReference(tag).tag ?? "",
      },
    }));
  });
  return { schemaVersion: 2, mediaType: MEDIA_TYPE.ociIndex, manifests };
}

function archiveEntryOf({ wanted: { image, tags }, manifest }: Saved) {
  const { layers } = manifest.manifest;
  return {
    Config: blobPathInLayout(image.id),
    RepoTags: tags.length === 0 ? null : tags.map(familiarName),
    Layers: layers.map(({ digest }) => blobPathInLayout(digest)),
    LayerSources: Object.fromEntries(
      layers.map(({ digest, mediaType, sizeBytes }, at) => [
        image.diffIds[at] ?? digest,
        { mediaType, size: sizeBytes, digest },
      ]),
    ),
  };
}

/** name -> tag -> id of the top layer, which only very old readers look at. */
function repositoriesOf(saved: readonly Saved[]): Record<string, Record<string, string>> | undefined {
  const repositories: Record<string, Record<string, string>> = {};
  for (const { wanted } of saved)
    for (const tag of wanted.tags) {
      const reference = parseReference(tag);
      const name = familiarReference({ ...reference, tag: undefined });
      const top = wanted.image.chainIds.at(-1) ?? sha256Of("");
      repositories[name] = { ...repositories[name], [reference.tag ?? "latest"]: hexOf(top) };
    }
  return Object.keys(repositories).length === 0 ? undefined : repositories;
}

function headerOf(name: string, kind: "file" | "folder", sizeBytes: number, timeMs: number): Buffer {
  const entry: LayerEntry = {
    name,
    kind,
    mode: kind === "file" ? FILE_MODE : FOLDER_MODE,
    uid: 0,
    gid: 0,
    mtimeSeconds: Math.max(0, Math.floor(timeMs / 1000)),
    sizeBytes,
    target: "",
    major: 0,
    minor: 0,
    xattrs: [],
  };
  return tarHeaderOf(entry);
}

function isOf(image: StoredImage, platform: Platform): boolean {
  return (
    image.os === platform.os &&
    image.architecture === platform.architecture &&
    (platform.variant === undefined || image.variant === undefined || platform.variant === image.variant)
  );
}

/** The repository of a name without tag and digest; undefined when the text has either, or is no name. */
function bareRepositoryOf(text: string): string | undefined {
  const last = text.slice(text.lastIndexOf("/") + 1);
  if (last.includes(":") || text.includes("@")) return undefined;
  try {
    return repositoryOf(parseReference(text));
  } catch {
    return undefined; // then it can only be an id
  }
}

function fullTag(text: string): string {
  const reference = parseReference(text);
  return `${repositoryOf(reference)}:${reference.tag ?? "latest"}`;
}
