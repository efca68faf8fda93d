/**
 * Manifests and indexes: parsing, and the choice of one platform among many.
 * Pure. Invariant: what comes out has well-formed digests and sizes, so callers need not look again.
 * Source: OCI image-spec 1.1 (manifest, image index), Docker image manifest v2 schema 2.
 */
import { DataLossError, InvalidArgumentError, NotFoundError } from "../../base/errors/errors.js";
import { isDigest } from "./image-reference.js";

export const MEDIA_TYPE = {
  dockerManifest: "application/vnd.docker.distribution.manifest.v2+json",
  dockerIndex: "application/vnd.docker.distribution.manifest.list.v2+json",
  dockerConfig: "application/vnd.docker.container.image.v1+json",
  dockerLayer: "application/vnd.docker.image.rootfs.diff.tar",
  dockerLayerGzip: "application/vnd.docker.image.rootfs.diff.tar.gzip",
  ociManifest: "application/vnd.oci.image.manifest.v1+json",
  ociIndex: "application/vnd.oci.image.index.v1+json",
  ociConfig: "application/vnd.oci.image.config.v1+json",
  ociLayer: "application/vnd.oci.image.layer.v1.tar",
  ociLayerGzip: "application/vnd.oci.image.layer.v1.tar+gzip",
  ociLayerZstd: "application/vnd.oci.image.layer.v1.tar+zstd",
} as const;

/** Layers per image; Docker's own bound is 127, and more would not fit the mount data in every case. */
export const LAYER_COUNT_MAX = 256;
/** Manifests per index, well above the platforms any published image has. */
const INDEX_COUNT_MAX = 1_000;

export interface Platform {
  readonly architecture: string;
  readonly os: string;
  readonly variant?: string;
}

export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly sizeBytes: number;
  readonly platform?: Platform;
  readonly annotations: Readonly<Record<string, string>>;
}

export type Manifest =
  | { readonly kind: "image"; readonly config: Descriptor; readonly layers: readonly Descriptor[] }
  | { readonly kind: "index"; readonly manifests: readonly Descriptor[] };

/** A JSON object whose members are still unknown. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** @returns the value when it is an object, else undefined. */
export function asObject(value: unknown): JsonObject | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as JsonObject)
    : undefined;
}

/** @throws {DataLossError} when the bytes are no JSON object. */
export function parseJsonObject(bytes: Uint8Array, what: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8"));
  } catch (error) {
    throw new DataLossError(`${what} is not JSON`, { cause: error });
  }
  const object = asObject(value);
  if (object === undefined) throw new DataLossError(`${what} is not a JSON object`);
  return object;
}

/**
 * @param mediaType what the registry says it is, used when the document itself does not tell.
 * @throws {InvalidArgumentError} a kind we do not run (schema 1, artifacts); {DataLossError} malformed.
 */
export function parseManifest(bytes: Uint8Array, what: string, mediaType = ""): Manifest {
  const json = parseJsonObject(bytes, what);
  const type = typeof json["mediaType"] === "string" ? json["mediaType"] : mediaType;
  if (json["schemaVersion"] === 1 || type.includes("manifest.v1+")) {
    if (type !== MEDIA_TYPE.ociManifest) {
      throw new InvalidArgumentError(
        `${what} has the old format schema 1, which is no longer run: build the image again`,
      );
    }
  }
  if (Array.isArray(json["manifests"])) {
    return { kind: "index", manifests: parseDescriptors(json["manifests"], what, INDEX_COUNT_MAX) };
  }
  if (!Array.isArray(json["layers"]) || json["config"] === undefined) {
    throw new InvalidArgumentError(
      `${what} is neither an image manifest nor an index (media type ${type || "unknown"})`,
    );
  }
  return {
    kind: "image",
    config: parseDescriptor(json["config"], what),
    layers: parseDescriptors(json["layers"], what, LAYER_COUNT_MAX),
  };
}

/** @throws {NotFoundError} when no manifest fits, naming the platform asked for. */
export function selectPlatform(manifests: readonly Descriptor[], wanted: Platform, what: string): Descriptor {
  const candidates = manifests.filter((one) => {
    const platform = one.platform;
    return (
      platform !== undefined && platform.os === wanted.os && platform.architecture === wanted.architecture
    );
  });
  const exact = candidates.find((one) => variantOf(one.platform) === variantOf(wanted));
  const chosen =
    exact ??
    candidates[0] ??
    (manifests.length === 1 && manifests[0]?.platform === undefined ? manifests[0] : undefined);
  if (chosen !== undefined) return chosen;
  const offered = manifests.flatMap((one) =>
    one.platform === undefined ? [] : [platformText(one.platform)],
  );
  throw new NotFoundError(
    `no matching manifest for ${platformText(wanted)} in the manifest list entries of ${what}` +
      (offered.length > 0 ? ` (it has ${offered.slice(0, 20).join(", ")})` : ""),
  );
}

export function platformText(platform: Platform): string {
  const variant = platform.variant === undefined ? "" : `/${platform.variant}`;
  return `${platform.os}/${platform.architecture}${variant}`;
}

/** @param nodeArchitecture Node's process.arch. @returns the OCI platform of this machine. */
export function platformOf(nodeArchitecture: string): Platform {
  if (nodeArchitecture === "x64") return { os: "linux", architecture: "amd64" };
  if (nodeArchitecture === "arm64") return { os: "linux", architecture: "arm64", variant: "v8" };
  if (nodeArchitecture === "arm") return { os: "linux", architecture: "arm", variant: "v7" };
  if (nodeArchitecture === "ia32") return { os: "linux", architecture: "386" };
  return { os: "linux", architecture: nodeArchitecture };
}

function variantOf(platform: Platform | undefined): string {
  if (platform?.variant !== undefined) return platform.variant;
  return platform?.architecture === "arm64" ? "v8" : ""; // arm64 without a variant means v8 (image-spec)
}

function parseDescriptors(values: readonly unknown[], what: string, countMax: number): Descriptor[] {
  if (values.length > countMax)
    throw new InvalidArgumentError(`${what} lists ${values.length} entries, at most ${countMax} are taken`);
  return values.map((value) => parseDescriptor(value, what));
}

function parseDescriptor(value: unknown, what: string): Descriptor {
  const json = asObject(value);
  const digest = json?.["digest"];
  const size = json?.["size"];
  if (json === undefined || typeof digest !== "string" || !isDigest(digest)) {
    throw new DataLossError(`${what} has an entry without a sha256 digest`);
  }
  if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 0) {
    throw new DataLossError(`${what} has no valid size for ${digest}`);
  }
  const platform = asObject(json["platform"]);
  const annotations = Object.entries(asObject(json["annotations"]) ?? {}).filter(
    (entry): entry is [string, string] => typeof entry[1] === "string",
  );
  return {
    mediaType: typeof json["mediaType"] === "string" ? json["mediaType"] : "",
    digest,
    sizeBytes: size,
    annotations: Object.fromEntries(annotations),
    ...(platform === undefined ? {} : { platform: parsePlatform(platform) }),
  };
}

function parsePlatform(json: JsonObject): Platform {
  const text = (key: string): string => (typeof json[key] === "string" ? json[key] : "");
  const variant = text("variant");
  return { architecture: text("architecture"), os: text("os"), ...(variant === "" ? {} : { variant }) };
}
