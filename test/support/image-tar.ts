/**
 * Makes layers and image archives in memory for tests. Pure but for hashing and gzip.
 */
import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { type Header, pack } from "tar-stream";

export interface TarEntry extends Partial<Omit<Header, "name" | "pax">> {
  readonly name: string;
  readonly content?: string | Uint8Array;
  readonly pax?: Readonly<Record<string, string>>;
}

const EPOCH = new Date(1_700_000_000_000);

/** @returns a plain tar of the entries, in their order. */
export async function buildTar(entries: readonly TarEntry[]): Promise<Buffer> {
  const packer = pack();
  const chunks: Buffer[] = [];
  const read = (async () => {
    for await (const chunk of packer as AsyncIterable<Buffer>) chunks.push(chunk);
  })();
  for (const { content = "", ...header } of entries) {
    const bytes = typeof content === "string" ? Buffer.from(content) : Buffer.from(content);
    packer.entry(
      { mtime: EPOCH, mode: header.type === "directory" ? 0o755 : 0o644, ...header, size: bytes.length },
      bytes,
    );
  }
  packer.finalize();
  await read;
  return Buffer.concat(chunks);
}

export function digestOf(bytes: Uint8Array | string): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

export interface BuiltBlob {
  readonly bytes: Buffer;
  readonly digest: string;
  readonly mediaType: string;
}

export interface BuiltImage {
  readonly config: BuiltBlob;
  /** gzip, lowest first. */
  readonly layers: readonly BuiltBlob[];
  /** Plain tars of the same layers. */
  readonly plainLayers: readonly Buffer[];
  readonly manifest: BuiltBlob;
}

export interface BuildImageOptions {
  readonly layers: readonly (readonly TarEntry[])[];
  readonly config?: Readonly<Record<string, unknown>>;
  readonly architecture?: string;
}

/** Builds an image in Docker's manifest v2 schema 2 form. */
export async function buildImage(options: BuildImageOptions): Promise<BuiltImage> {
  const plainLayers = await Promise.all(options.layers.map(buildTar));
  const layers = plainLayers.map((plain) =>
    blobOf(gzipSync(plain), "application/vnd.docker.image.rootfs.diff.tar.gzip"),
  );
  const config = blobOf(
    Buffer.from(
      JSON.stringify({
        architecture: options.architecture ?? (process.arch === "x64" ? "amd64" : process.arch),
        os: "linux",
        created: "2026-01-02T03:04:05Z",
        config: options.config ?? { Cmd: ["/bin/sh"], Env: ["PATH=/bin"] },
        rootfs: { type: "layers", diff_ids: plainLayers.map(digestOf) },
      }),
    ),
    "application/vnd.docker.container.image.v1+json",
  );
  const manifest = blobOf(
    Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: "application/vnd.docker.distribution.manifest.v2+json",
        config: descriptorOf(config),
        layers: layers.map(descriptorOf),
      }),
    ),
    "application/vnd.docker.distribution.manifest.v2+json",
  );
  return { config, layers, plainLayers, manifest };
}

/** What `docker save` writes. */
export async function dockerArchive(image: BuiltImage, repoTags: readonly string[]): Promise<Buffer> {
  const hex = image.config.digest.slice("sha256:".length);
  const layerNames = image.plainLayers.map((_, index) => `layer${index}/layer.tar`);
  return buildTar([
    ...image.plainLayers.map((plain, index) => ({ name: layerNames[index] ?? "", content: plain })),
    { name: `${hex}.json`, content: image.config.bytes },
    {
      name: "manifest.json",
      content: JSON.stringify([{ Config: `${hex}.json`, RepoTags: repoTags, Layers: layerNames }]),
    },
  ]);
}

/** An OCI image layout with one image. */
export async function ociLayout(image: BuiltImage, name: string): Promise<Buffer> {
  const blobs = [image.manifest, image.config, ...image.layers];
  return buildTar([
    { name: "oci-layout", content: JSON.stringify({ imageLayoutVersion: "1.0.0" }) },
    ...blobs.map((blob) => ({ name: `blobs/${blob.digest.replace(":", "/")}`, content: blob.bytes })),
    {
      name: "index.json",
      content: JSON.stringify({
        schemaVersion: 2,
        manifests: [
          { ...descriptorOf(image.manifest), annotations: { "org.opencontainers.image.ref.name": name } },
        ],
      }),
    },
  ]);
}

export function blobOf(bytes: Buffer, mediaType: string): BuiltBlob {
  return { bytes, mediaType, digest: digestOf(bytes) };
}

export function descriptorOf(blob: BuiltBlob): { mediaType: string; digest: string; size: number } {
  return { mediaType: blob.mediaType, digest: blob.digest, size: blob.bytes.length };
}

/** A stream of the bytes in chunks. */
export async function* chunksOf(bytes: Buffer, chunkBytes = 64 * 1024): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += chunkBytes) yield bytes.subarray(at, at + chunkBytes);
}
