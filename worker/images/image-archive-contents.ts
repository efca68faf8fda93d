/**
 * Which images a staged archive holds, and where the parts of each lie.
 * Pure over a staged archive. Sources: docker-archive layout (manifest.json); OCI image-spec 1.1
 * image-layout.md.
 */
import { DataLossError, InvalidArgumentError } from "../../base/errors/errors.js";
import { hexOf, sha256Of } from "./chain-ids.js";
import { asObject, type Descriptor, type Platform, parseManifest, selectPlatform } from "./image-manifest.js";
import { formatReference, isDigest, parseReference } from "./image-reference.js";
import type { StagedArchive } from "./linux-image-archive.js";

export interface ArchiveImage {
  readonly configBytes: Uint8Array;
  /** Lowest first. */
  readonly layers: readonly { readonly file: string; readonly digest?: string }[];
  /** Fully qualified name:tag. */
  readonly tags: readonly string[];
  /** Kept beside the config, when the archive has it. */
  readonly manifestBytes?: Uint8Array;
}

/** @throws {InvalidArgumentError} no image set; {DataLossError} a blob whose digest is wrong. */
export async function listArchiveImages(
  archive: StagedArchive,
  platform: Platform,
): Promise<readonly ArchiveImage[]> {
  if (archive.has("manifest.json")) return await listDockerImages(archive);
  if (archive.has("index.json")) return await listOciImages(archive, platform);
  throw new InvalidArgumentError(
    "the archive has neither manifest.json nor index.json: it is no set of saved images",
  );
}

async function listDockerImages(archive: StagedArchive): Promise<ArchiveImage[]> {
  const entries = parseJson(await archive.readSmall("manifest.json"), "manifest.json");
  if (!Array.isArray(entries)) throw new DataLossError("manifest.json of the archive is not a list");
  const manifests = await manifestsByConfig(archive);
  const images: ArchiveImage[] = [];
  for (const entry of entries) {
    const json = asObject(entry);
    const configName = json?.["Config"];
    const layerNames = json?.["Layers"];
    if (typeof configName !== "string" || !Array.isArray(layerNames)) {
      throw new DataLossError("manifest.json of the archive has an entry without Config or Layers");
    }
    const configBytes = await archive.readSmall(configName);
    const promised = digestInName(configName);
    if (promised !== undefined) checkDigest(configBytes, promised);
    const tags = Array.isArray(json?.["RepoTags"])
      ? json["RepoTags"].filter((tag): tag is string => typeof tag === "string")
      : [];
    images.push({
      configBytes,
      layers: layerNames.map((name) => dockerLayer(archive, String(name))),
      tags: tags.map((tag) => formatReference(parseReference(tag))),
      ...manifestFor(manifests, sha256Of(configBytes), layerNames),
    });
  }
  return images;
}

interface LayoutManifest {
  readonly bytes: Uint8Array;
  readonly layerDigests: readonly string[];
}

/** An archive that is an OCI layout as well has the manifests under which registries know its images. */
async function manifestsByConfig(archive: StagedArchive): Promise<ReadonlyMap<string, LayoutManifest>> {
  const found = new Map<string, LayoutManifest>();
  if (!archive.has("index.json")) return found;
  const index = parseManifest(await archive.readSmall("index.json"), "index.json of the archive");
  if (index.kind !== "index") return found;
  for (const { digest, mediaType } of index.manifests) {
    if (!archive.has(blobName(digest))) continue;
    const bytes = await readBlob(archive, digest);
    const manifest = parseManifest(bytes, `manifest ${digest}`, mediaType);
    if (manifest.kind === "image")
      found.set(manifest.config.digest, { bytes, layerDigests: manifest.layers.map((one) => one.digest) });
  }
  return found;
}

/** Only a manifest that speaks of the very files that manifest.json names. */
function manifestFor(
  manifests: ReadonlyMap<string, LayoutManifest>,
  configDigest: string,
  layerNames: readonly unknown[],
): { manifestBytes?: Uint8Array } {
  const manifest = manifests.get(configDigest);
  const isSame = manifest?.layerDigests.map(blobName).join() === layerNames.join();
  return manifest !== undefined && isSame ? { manifestBytes: manifest.bytes } : {};
}

function dockerLayer(archive: StagedArchive, name: string): ArchiveImage["layers"][number] {
  const digest = name.startsWith("blobs/sha256/") ? digestInName(name) : undefined;
  return { file: archive.path(name), ...(digest === undefined ? {} : { digest }) };
}

async function listOciImages(archive: StagedArchive, platform: Platform): Promise<ArchiveImage[]> {
  const index = parseManifest(await archive.readSmall("index.json"), "index.json of the archive");
  if (index.kind !== "index") throw new DataLossError("index.json of the archive is no index");
  const images: ArchiveImage[] = [];
  for (const descriptor of index.manifests)
    images.push(await readOciImage(archive, descriptor, platform, nameOf(descriptor)));
  return images;
}

async function readOciImage(
  archive: StagedArchive,
  descriptor: Descriptor,
  platform: Platform,
  name: string | undefined,
): Promise<ArchiveImage> {
  const manifestBytes = await readBlob(archive, descriptor.digest);
  const manifest = parseManifest(manifestBytes, `manifest ${descriptor.digest}`, descriptor.mediaType);
  if (manifest.kind === "index") {
    const chosen = selectPlatform(manifest.manifests, platform, name ?? descriptor.digest);
    return await readOciImage(archive, chosen, platform, name);
  }
  return {
    manifestBytes,
    configBytes: await readBlob(archive, manifest.config.digest),
    layers: manifest.layers.map((layer) => ({
      file: archive.path(blobName(layer.digest)),
      digest: layer.digest,
    })),
    tags: name === undefined ? [] : [name],
  };
}

/** A bare tag ("latest") names no repository, so the image stays without a name. */
function nameOf(descriptor: Descriptor): string | undefined {
  const full = descriptor.annotations["io.containerd.image.name"];
  const name = full ?? descriptor.annotations["org.opencontainers.image.ref.name"];
  if (name === undefined || (full === undefined && !/[:/]/.test(name))) return undefined;
  const reference = parseReference(name);
  return reference.tag === undefined ? undefined : formatReference({ ...reference, digest: undefined });
}

async function readBlob(archive: StagedArchive, digest: string): Promise<Uint8Array> {
  const bytes = await archive.readSmall(blobName(digest));
  checkDigest(bytes, digest);
  return bytes;
}

function blobName(digest: string): string {
  return `blobs/sha256/${hexOf(digest)}`;
}

function checkDigest(bytes: Uint8Array, digest: string): void {
  const found = sha256Of(bytes);
  if (found !== digest)
    throw new DataLossError(`blob ${digest} of the archive has the wrong digest: its bytes give ${found}`);
}

/** <hex>.json and blobs/sha256/<hex> promise a digest; other names promise nothing. */
function digestInName(name: string): string | undefined {
  const last = name.slice(name.lastIndexOf("/") + 1).replace(/\.json$/, "");
  return isDigest(`sha256:${last}`) ? `sha256:${last}` : undefined;
}

function parseJson(bytes: Uint8Array, what: string): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString("utf8"));
  } catch (error) {
    throw new DataLossError(`${what} of the archive is not JSON`, { cause: error });
  }
}
