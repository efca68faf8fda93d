/**
 * A new image made of another one: a container's writable layer on top, or only another configuration.
 * Pure over the image library. Invariant: the image that comes out has a history line per change, and as many
 * lines that are not empty as it has layers.
 * Source: OCI image-spec 1.1 config.md (history, rootfs); Docker Engine API, POST /commit.
 */
import { FailedPreconditionError, NotFoundError, UnavailableError } from "../../base/errors/errors.js";
import { addImage, blobsOf, type LibraryParts } from "./image-library.js";
import { asObject, type JsonObject, type Platform, parseJsonObject } from "./image-manifest.js";
import type { StoredImage } from "./image-names.js";
import type { CommitOptions } from "./image-store.js";
import type { Layer } from "./linux-layer-store.js";

export interface CommitContext {
  readonly parts: LibraryParts;
  readonly nowMs: number;
  readonly platform: Platform;
  /** Fully qualified. */
  readonly tags: readonly string[];
}

/** A layer that another removal takes away between its making and its naming is made once more. */
const ATTEMPTS_MAX = 3;

/**
 * @throws {NotFoundError} no such parent or container; {FailedPreconditionError} the container stands on
 * other layers than the parent; what LayerStore.snapshot throws.
 */
export async function commitImage(context: CommitContext, options: CommitOptions): Promise<StoredImage> {
  const { parts } = context;
  const parent = parentOf(parts, options.parentImageId);
  using _held = parts.pins.hold([
    ...(parent?.chainIds ?? []),
    ...(parent === undefined ? [] : blobsOf(parent)),
  ]);
  const below = parent === undefined ? {} : await readDocument(parts, parent.id);
  for (let attempt = 1; ; attempt += 1) {
    const layer = await snapshotOf(parts, parent, options);
    // From here to the pins inside addImage nothing is awaited.
    if (layer !== undefined && parts.layers.get(layer.chainId) === undefined) {
      if (attempt >= ATTEMPTS_MAX)
        throw new UnavailableError("the new layer was removed meanwhile: try again");
      continue;
    }
    return await addImage(parts, {
      configBytes: documentBytes(below, parent, layer, context, options),
      tags: context.tags,
      taggedMs: context.nowMs,
      parentId: parent?.id,
      signal: options.signal,
      provide: async ({ chainId, position }) => {
        const present = parts.layers.get(chainId);
        if (present === undefined) throw new NotFoundError(`layer ${chainId} is not on this node`);
        return { layer: present, blob: parent?.layerBlobs?.[position] ?? undefined };
      },
    });
  }
}

/** The configuration blob of an image as it is. @throws {NotFoundError} {DataLossError} */
export async function readDocument(parts: LibraryParts, imageId: string): Promise<JsonObject> {
  const image = parts.index.images.get(imageId);
  if (image === undefined) throw new NotFoundError(`No such image: ${imageId}`);
  return parseJsonObject(await parts.blobs.read(image.id), `config ${image.id}`);
}

function parentOf(parts: LibraryParts, id: string | undefined): StoredImage | undefined {
  if (id === undefined || id === "") return undefined;
  const parent = parts.index.images.get(id) ?? parts.index.images.get(`sha256:${id}`);
  if (parent === undefined) throw new NotFoundError(`No such image: ${id}`);
  return parent;
}

async function snapshotOf(
  parts: LibraryParts,
  parent: StoredImage | undefined,
  { rootfsId, signal }: CommitOptions,
): Promise<Layer | undefined> {
  if (rootfsId === undefined) return undefined;
  const rootfs = parts.rootfs.get(rootfsId);
  if (rootfs === undefined) throw new NotFoundError(`container ${rootfsId} has no root file system here`);
  const below = parent?.chainIds ?? [];
  if (rootfs.chainIds.join() !== below.join())
    throw new FailedPreconditionError(
      `container ${rootfsId} stands on image ${rootfs.imageId}, not on ${parent?.id ?? "scratch"}`,
    );
  return await parts.layers.snapshot({
    source: parts.rootfs.upperPath(rootfsId),
    parentChainId: below.at(-1),
    signal,
  });
}

function documentBytes(
  below: JsonObject,
  parent: StoredImage | undefined,
  layer: Layer | undefined,
  context: CommitContext,
  options: CommitOptions,
): Buffer {
  const created = new Date(context.nowMs).toISOString();
  const platform = options.platform ?? parent ?? context.platform;
  const history = Array.isArray(below["history"]) ? below["history"] : [];
  const line = {
    created,
    ...(options.author === "" ? {} : { author: options.author }),
    created_by: options.createdBy,
    ...(options.comment === "" ? {} : { comment: options.comment }),
    ...(layer === undefined ? { empty_layer: true } : {}),
  };
  const diffIds = [...(parent?.diffIds ?? []), ...(layer === undefined ? [] : [layer.diffId])];
  const osVersion = asObject(below)?.["os.version"];
  return Buffer.from(
    JSON.stringify({
      architecture: platform.architecture,
      ...(platform.variant === undefined ? {} : { variant: platform.variant }),
      ...(options.author === "" ? {} : { author: options.author }),
      config: options.config,
      created,
      history: [...history, line],
      os: platform.os,
      ...(osVersion === undefined ? {} : { "os.version": osVersion }),
      rootfs: { type: "layers", diff_ids: diffIds },
    }),
  );
}
