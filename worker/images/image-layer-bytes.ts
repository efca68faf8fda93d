/**
 * The bytes of an image's layers and manifests, found or made again, for pushing and saving.
 * Pure over the image library. Invariant: what is given out has the digest it is given out under; bytes made
 * for a push are made once and then kept, so that the next push has the same digests.
 * Source: OCI image-spec 1.1 (manifest), Docker image manifest v2 schema 2.
 */
import { FailedPreconditionError, NotFoundError } from "../../base/errors/errors.js";
import { hexOf, sha256Of, shortIdOf } from "./chain-ids.js";
import { blobsOf, collectBlobs, knownBlobOf, type LibraryParts } from "./image-library.js";
import { type Manifest, MEDIA_TYPE, parseManifest } from "./image-manifest.js";
import type { LayerBlob, StoredImage } from "./image-names.js";

export type ImageManifest = Extract<Manifest, { kind: "image" }>;

const MANIFEST_INDENT = 3;

export interface KeptManifest {
  readonly bytes: Uint8Array;
  readonly digest: string;
  readonly mediaType: string;
  readonly manifest: ImageManifest;
}

/** Manifests of exactly this image that came with it or were made for a push, the newest last. */
export async function keptManifests(
  parts: LibraryParts,
  image: StoredImage,
): Promise<readonly KeptManifest[]> {
  const kept: KeptManifest[] = [];
  for (const digest of image.blobs) {
    if (digest === image.id || !(await parts.blobs.has(digest))) continue;
    const bytes = await parts.blobs.read(digest);
    const manifest = parseManifest(bytes, `manifest ${digest}`);
    if (manifest.kind !== "image" || manifest.config.digest !== image.id) continue;
    if (manifest.layers.length !== image.diffIds.length) continue;
    kept.push({ bytes, digest, mediaType: mediaTypeOf(bytes), manifest });
  }
  return kept;
}

/** A manifest for layers as they are now. Docker's form, unless a layer is in a form only OCI knows. */
export async function manifestOf(
  parts: LibraryParts,
  image: StoredImage,
  layers: readonly LayerBlob[],
  options: { oci: boolean },
): Promise<KeptManifest> {
  const isOci = options.oci || layers.some(({ mediaType }) => mediaType.startsWith("application/vnd.oci."));
  const mediaType = isOci ? MEDIA_TYPE.ociManifest : MEDIA_TYPE.dockerManifest;
  const document = {
    schemaVersion: 2,
    mediaType,
    config: {
      mediaType: isOci ? MEDIA_TYPE.ociConfig : MEDIA_TYPE.dockerConfig,
      size: await parts.blobs.sizeOf(image.id),
      digest: image.id,
    },
    layers: layers.map((layer) => ({
      mediaType: isOci ? ociTypeOf(layer.mediaType) : layer.mediaType,
      size: layer.sizeBytes,
      digest: layer.digest,
    })),
  };
  // Indented as Docker does it: the same layers make the same digest.
  const bytes = Buffer.from(JSON.stringify(document, null, isOci ? undefined : MANIFEST_INDENT));
  const digest = sha256Of(bytes);
  // the bytes were just made as an image manifest
  const manifest = parseManifest(bytes, `manifest ${digest}`) as ImageManifest;
  return { bytes, digest, mediaType, manifest };
}

/**
 * The compressed bytes of a layer, in the blob store; made when they are not there.
 * @throws {FailedPreconditionError} they are not there and cannot be made again.
 */
export async function compressedLayer(
  parts: LibraryParts,
  image: StoredImage,
  position: number,
  options: { signal?: AbortSignal | undefined },
): Promise<LayerBlob> {
  const diffId = image.diffIds[position] ?? "";
  const known = (image.layerBlobs?.[position] || undefined) ?? knownBlobOf(parts, diffId);
  const isHere = known !== undefined && (await parts.blobs.has(known.digest));
  if (isHere && !isPlain(known)) return known;
  const file = parts.layers.temporaryPath("gzip");
  try {
    const made = await (isHere
      ? parts.layers.compress(parts.blobs.path(known.digest), { file, signal: options.signal })
      : packAgain(parts, image, position, { file, gzip: true, signal: options.signal }));
    const sizeBytes = await parts.blobs.adopt(file, made.digest);
    const blob = { digest: made.digest, sizeBytes, mediaType: MEDIA_TYPE.dockerLayerGzip };
    await rememberBlob(parts, image.id, diffId, blob);
    if (isHere) await collectBlobs(parts, [known.digest]);
    return blob;
  } finally {
    await parts.layers.removeTemporary(file);
  }
}

/**
 * The bytes of a layer in whatever form is nearest: as they came, else as a plain tar made anew.
 * @returns the file, which the caller may remove when it is temporary.
 */
export async function anyLayerBytes(
  parts: LibraryParts,
  image: StoredImage,
  position: number,
  options: { signal?: AbortSignal | undefined },
): Promise<LayerBlob & { readonly file: string; readonly temporary: boolean }> {
  const diffId = image.diffIds[position] ?? "";
  const known = (image.layerBlobs?.[position] || undefined) ?? knownBlobOf(parts, diffId);
  if (known !== undefined && (await parts.blobs.has(known.digest)))
    return { ...known, file: parts.blobs.path(known.digest), temporary: false };
  const file = parts.layers.temporaryPath("tar");
  try {
    const made = await packAgain(parts, image, position, { file, gzip: false, signal: options.signal });
    return {
      digest: made.digest,
      sizeBytes: made.fileBytes,
      mediaType: MEDIA_TYPE.ociLayer,
      file,
      temporary: true,
    };
  } catch (error) {
    await parts.layers.removeTemporary(file);
    throw error;
  }
}

export function isPlain(blob: LayerBlob): boolean {
  return blob.mediaType === MEDIA_TYPE.dockerLayer || blob.mediaType === MEDIA_TYPE.ociLayer;
}

async function packAgain(
  parts: LibraryParts,
  image: StoredImage,
  position: number,
  options: { file: string; gzip: boolean; signal?: AbortSignal | undefined },
) {
  const chainId = image.chainIds[position] ?? "";
  const diffId = image.diffIds[position] ?? "";
  const layer = parts.layers.get(chainId);
  if (layer === undefined) throw new NotFoundError(`layer ${shortIdOf(diffId)} is not on this node`);
  const made = layer.packedBytes === undefined ? undefined : await parts.layers.pack(chainId, options);
  if (made?.diffId === diffId) return made;
  throw new FailedPreconditionError(
    `layer ${shortIdOf(diffId)} of image ${shortIdOf(image.id)} was unpacked by an earlier version, which did ` +
      "not keep its bytes: pull or load the image again",
  );
}

/** For this image and every other that has the layer. */
async function rememberBlob(
  parts: LibraryParts,
  imageId: string,
  diffId: string,
  blob: LayerBlob,
): Promise<void> {
  using _held = parts.pins.hold([blob.digest]);
  await parts.index.update((images) => {
    const put = [...images.values()].flatMap((image): StoredImage[] => {
      if (!image.diffIds.includes(diffId)) return [];
      const blobs = image.diffIds.map((one, at) => {
        const before = image.layerBlobs?.[at] || undefined;
        return one === diffId && (image.id === imageId || before === undefined || isPlain(before))
          ? blob
          : before;
      });
      return [{ ...image, layerBlobs: blobs }];
    });
    return { put, result: undefined };
  });
}

/** Keeps a manifest with its image, and adds the digest under which a repository knows it. */
export async function rememberManifest(
  parts: LibraryParts,
  imageId: string,
  manifest: KeptManifest,
  repoDigest: string,
): Promise<void> {
  using _held = parts.pins.hold([manifest.digest]);
  await parts.blobs.put(manifest.bytes);
  await parts.index.update((images) => {
    const image = images.get(imageId);
    if (image === undefined) return { result: undefined };
    const add = (list: readonly string[], one: string): readonly string[] =>
      list.includes(one) ? list : [...list, one];
    const put = {
      ...image,
      blobs: add(image.blobs, manifest.digest),
      repoDigests: [...add(image.repoDigests, repoDigest)].sort(),
    };
    return { put: [put], result: undefined };
  });
}

/** All that must not be collected while the image is read. */
export function holdImage(parts: LibraryParts, image: StoredImage): Disposable {
  return parts.pins.hold([...image.chainIds, ...blobsOf(image)]);
}

/** blobs/sha256/<hex> */
export function blobPathInLayout(digest: string): string {
  return `blobs/sha256/${hexOf(digest)}`;
}

export function ociTypeOf(mediaType: string): string {
  if (mediaType === MEDIA_TYPE.dockerLayerGzip) return MEDIA_TYPE.ociLayerGzip;
  if (mediaType === MEDIA_TYPE.dockerLayer) return MEDIA_TYPE.ociLayer;
  return mediaType;
}

function mediaTypeOf(bytes: Uint8Array): string {
  const json: unknown = JSON.parse(Buffer.from(bytes).toString("utf8"));
  const type = typeof json === "object" && json !== null && "mediaType" in json ? json.mediaType : undefined;
  // OCI manifests may leave it out; Docker's have it
  return typeof type === "string" ? type : MEDIA_TYPE.ociManifest;
}
