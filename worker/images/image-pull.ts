/**
 * A pull: manifest, platform, config, then the layers that are missing, each unpacked as soon as it is here.
 * Pure over its collaborators. Invariant: the image gets its name only when every layer is complete and
 * checked.
 * Source: distribution-spec 1.1; progress words as the Docker CLI shows them.
 */
import type { Clock } from "../../base/clock/clock.js";
import { DataLossError, InvalidArgumentError } from "../../base/errors/errors.js";
import { sha256Of, shortIdOf } from "./chain-ids.js";
import { parseImageConfig } from "./image-config.js";
import {
  addImage,
  knownBlobOf,
  type LibraryParts,
  type ProvidedLayer,
  type WantedLayer,
} from "./image-library.js";
import {
  asObject,
  type Descriptor,
  type Manifest,
  type Platform,
  parseJsonObject,
  parseManifest,
  platformText,
  selectPlatform,
} from "./image-manifest.js";
import type { LayerBlob } from "./image-names.js";
import {
  familiarReference,
  formatReference,
  type ImageReference,
  parseReference,
  repositoryOf,
} from "./image-reference.js";
import type { ImageProgress, ImageRecord, ImageStore, RegistryAuth } from "./image-store.js";
import { Gate, KeyedLock } from "./keyed-lock.js";
import type { RegistryClient, RegistrySession, RemoteManifest } from "./registry-client.js";

/** Layers downloaded at once on a node, as Docker's default. */
export const DOWNLOADS_MAX = 3;
/** A config or manifest held in memory. */
const JSON_BYTES_MAX = 4 * 2 ** 20;
/** Between two progress lines of one layer. */
const PROGRESS_PERIOD_MS = 100;

/** Shared by all pulls of a node: what bounds them and keeps them from doing one blob twice. */
export class PullGate {
  readonly downloads = new Gate(DOWNLOADS_MAX);
  readonly blobs = new KeyedLock();
}

export interface PullComponents {
  readonly parts: LibraryParts;
  readonly client: RegistryClient;
  readonly gate: PullGate;
  readonly clock: Clock;
}

export interface PullOptions {
  readonly platform: Platform;
  /** Whether somebody asked for it: then an image of another one is refused. */
  readonly isPlatformAsked?: boolean;
  readonly auth?: RegistryAuth;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: ImageProgress) => void;
}

type ImageManifest = Extract<Manifest, { kind: "image" }>;

/** @throws what the registry session and the layer store throw. */
export async function pullImage(
  components: PullComponents,
  text: string,
  options: PullOptions,
): Promise<ImageRecord> {
  const { parts, client } = components;
  const reference = parseReference(text);
  const report = (progress: ImageProgress): void => options.onProgress?.(progress);
  const session = client.session(reference, options.auth);
  const top = await session.fetchManifest(reference.digest ?? reference.tag ?? "latest", options.signal);
  const digested =
    reference.digest === undefined ? undefined : formatReference({ ...reference, tag: undefined });
  report({ status: `Pulling from ${reference.path}`, id: digested ?? reference.tag ?? top.digest });
  const resolved = await resolveManifest(session, top, reference, options);
  const { manifest } = resolved;
  const names = {
    tags: reference.digest === undefined ? [formatReference(reference)] : [],
    repoDigests: [`${repositoryOf(reference)}@${top.digest}`],
  };
  const before = parts.index.images.get(manifest.config.digest);
  const upToDate = before !== undefined && names.tags.every((tag) => before.repoTags.includes(tag));
  const configBytes = await fetchSmallBlob(session, manifest.config, options.signal);
  checkLayerCount(configBytes, manifest);
  const image = await addImage(parts, {
    configBytes,
    manifests: resolved.bytes,
    awaitedBlobs: manifest.layers.map((layer) => layer.digest),
    ...names,
    signal: options.signal,
    // Of an image that is here, layers are not spoken of.
    provide: layerProvider(components, session, manifest, before === undefined ? options : quiet(options)),
  });
  report({ status: `Digest: ${top.digest}` });
  const familiar = familiarReference(reference);
  report({
    status: upToDate
      ? `Status: Image is up to date for ${familiar}`
      : `Status: Downloaded newer image for ${familiar}`,
  });
  if (options.isPlatformAsked === true) warnOfPlatform(image, reference, options.platform, report);
  return image;
}

/** @throws as RegistrySession.fetchManifest. */
export async function describeRemoteImage(
  client: RegistryClient,
  text: string,
  options: { auth?: RegistryAuth; signal?: AbortSignal },
): ReturnType<ImageStore["describeRemote"]> {
  const reference = parseReference(text);
  const session = client.session(reference, options.auth, "describe");
  const top = await session.fetchManifest(reference.digest ?? reference.tag ?? "latest", options.signal);
  const manifest = parseManifest(top.bytes, familiarReference(reference), top.mediaType);
  return {
    digest: top.digest,
    mediaType: top.mediaType,
    sizeBytes: top.bytes.byteLength,
    platforms:
      manifest.kind === "index"
        ? platformsOf(manifest.manifests)
        : [await platformOfConfig(session, manifest.config, options.signal)],
  };
}

/** Entries for "unknown" platforms are attestations, nothing that runs. */
function platformsOf(manifests: readonly Descriptor[]): Platform[] {
  return manifests.flatMap((one) =>
    one.platform === undefined || one.platform.os === "unknown" ? [] : [one.platform],
  );
}

async function platformOfConfig(
  session: RegistrySession,
  config: Descriptor,
  signal: AbortSignal | undefined,
): Promise<Platform> {
  const json = parseJsonObject(await fetchSmallBlob(session, config, signal), `config ${config.digest}`);
  const { architecture, os, variant } = asObject(json) ?? {};
  return {
    architecture: typeof architecture === "string" ? architecture : "",
    os: typeof os === "string" ? os : "",
    ...(typeof variant === "string" && variant !== "" ? { variant } : {}),
  };
}

async function resolveManifest(
  session: RegistrySession,
  top: RemoteManifest,
  reference: ImageReference,
  options: PullOptions,
): Promise<{ manifest: ImageManifest; bytes: readonly Uint8Array[] }> {
  const what = familiarReference(reference);
  const manifest = parseManifest(top.bytes, what, top.mediaType);
  if (manifest.kind === "image") return { manifest, bytes: [top.bytes] };
  const chosen = selectPlatform(manifest.manifests, options.platform, what);
  const fetched = await session.fetchManifest(chosen.digest, options.signal);
  const inner = parseManifest(fetched.bytes, `manifest ${chosen.digest} of ${what}`, fetched.mediaType);
  if (inner.kind !== "image")
    throw new InvalidArgumentError(`${what} has an index inside its index, which is not supported`);
  return { manifest: inner, bytes: [top.bytes, fetched.bytes] };
}

function quiet({ onProgress: _unheard, ...options }: PullOptions): PullOptions {
  return options;
}

/** An image that is not one of several has the platform it has: the one asked for is only a wish. */
function warnOfPlatform(
  image: ImageRecord,
  reference: ImageReference,
  wanted: Platform,
  report: (progress: ImageProgress) => void,
): void {
  const { os, architecture, variant } = image;
  const isSame = os === wanted.os && architecture === wanted.architecture;
  if (isSame && (wanted.variant === undefined || variant === undefined || variant === wanted.variant)) return;
  const actual = platformText({ os, architecture, ...(variant === undefined ? {} : { variant }) });
  report({
    status:
      `WARNING: image with reference ${familiarReference(reference)} was found but does not match the ` +
      `specified platform: wanted ${platformText(wanted)}, actual: ${actual}`,
  });
}

function checkLayerCount(configBytes: Uint8Array, manifest: ImageManifest): void {
  const { diffIds } = parseImageConfig(configBytes, `config ${manifest.config.digest}`);
  if (diffIds.length !== manifest.layers.length) {
    throw new DataLossError(
      `config ${manifest.config.digest} names ${diffIds.length} layers, ` +
        `its manifest ${manifest.layers.length}`,
    );
  }
}

function layerProvider(
  components: PullComponents,
  session: RegistrySession,
  manifest: ImageManifest,
  options: PullOptions,
) {
  const { parts, gate } = components;
  return async (wanted: WantedLayer): Promise<ProvidedLayer> => {
    const { signal } = wanted;
    const descriptor = manifest.layers[wanted.position];
    if (descriptor === undefined) throw new DataLossError(`the manifest has no layer ${wanted.position}`);
    const id = shortIdOf(descriptor.digest);
    const report = (status: string, sizes: Partial<ImageProgress> = {}): void =>
      options.onProgress?.({ status, id, ...sizes });
    const present = parts.layers.get(wanted.chainId);
    if (present !== undefined) {
      report("Already exists");
      const isHere = await parts.blobs.has(descriptor.digest);
      return { layer: present, blob: isHere ? blobOf(descriptor) : knownBlobOf(parts, wanted.diffId) };
    }
    report("Pulling fs layer");
    {
      const fetchIfMissing = async (): Promise<void> => {
        if (await parts.blobs.has(descriptor.digest)) return;
        if (gate.downloads.isFull) report("Waiting");
        await gate.downloads.run(() => download(components, session, descriptor, signal, report), { signal });
      };
      await gate.blobs.run(descriptor.digest, fetchIfMissing, { signal });
      report("Download complete");
      const extracting = pacedReport(components.clock, (currentBytes) =>
        report("Extracting", { currentBytes, totalBytes: descriptor.sizeBytes }),
      );
      const { layer } = await parts.layers.add({
        file: parts.blobs.path(descriptor.digest),
        digest: descriptor.digest,
        isChecked: true, // while it was written, or when the blob store took it in
        expected: wanted,
        signal,
        onBytes: extracting,
      });
      report("Extracting", { currentBytes: descriptor.sizeBytes, totalBytes: descriptor.sizeBytes });
      report("Pull complete");
      return { layer, blob: blobOf(descriptor) };
    }
  };
}

function blobOf({ digest, sizeBytes, mediaType }: Descriptor): LayerBlob {
  return { digest, sizeBytes, mediaType };
}

function pacedReport(clock: Clock, report: (bytes: number) => void): (bytes: number) => void {
  let shownAtMs = Number.NEGATIVE_INFINITY;
  return (bytes) => {
    if (clock.monotonicMs() - shownAtMs < PROGRESS_PERIOD_MS) return;
    shownAtMs = clock.monotonicMs();
    report(bytes);
  };
}

async function download(
  components: PullComponents,
  session: RegistrySession,
  descriptor: Descriptor,
  signal: AbortSignal,
  report: (status: string, sizes?: Partial<ImageProgress>) => void,
): Promise<void> {
  const { parts, clock } = components;
  const totalBytes = descriptor.sizeBytes;
  await using writer = await parts.blobs.write(descriptor);
  await session.fetchBlob(descriptor, writer, {
    signal,
    onBytes: pacedReport(clock, (currentBytes) => report("Downloading", { currentBytes, totalBytes })),
  });
  report("Verifying Checksum");
  await writer.commit();
}

async function fetchSmallBlob(
  session: RegistrySession,
  descriptor: Descriptor,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  if (descriptor.sizeBytes > JSON_BYTES_MAX) {
    throw new InvalidArgumentError(
      `config ${descriptor.digest} has ${descriptor.sizeBytes} bytes, at most ${JSON_BYTES_MAX} are taken`,
    );
  }
  let chunks: Uint8Array[] = [];
  let writtenBytes = 0;
  const sink = {
    get writtenBytes() {
      return writtenBytes;
    },
    write: async (chunk: Uint8Array) => {
      writtenBytes += chunk.byteLength;
      if (writtenBytes > descriptor.sizeBytes)
        throw new DataLossError(`blob ${descriptor.digest} is longer than its manifest says`);
      chunks.push(chunk);
    },
    restart: async () => {
      chunks = [];
      writtenBytes = 0;
    },
  };
  await session.fetchBlob(descriptor, sink, { signal });
  const bytes = Buffer.concat(chunks);
  const found = sha256Of(bytes);
  if (found !== descriptor.digest)
    throw new DataLossError(`blob ${descriptor.digest} has the wrong digest: its bytes give ${found}`);
  return bytes;
}
