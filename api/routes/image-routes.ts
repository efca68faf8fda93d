/**
 * /images: listing, looking, naming, removing. Edge: to the node's image store.
 * Source: Docker Engine API 1.24 to 1.51; texts and orders as the stock daemon's.
 */
import { AbortedError, InvalidArgumentError, NotFoundError } from "../../base/errors/errors.js";
import type { ContainerRecord } from "../../proto/engine/containers.js";
import type { ImageRecord, ImageWorkshop } from "../../proto/engine/images.js";
import {
  danglingOf,
  imagesListed,
  LIST_FILTERS,
  matchesAny,
  PRUNE_FILTERS,
} from "../convert/image-filters.js";
import { checkRepositoryCase, familiarName } from "../convert/image-names.js";
import { historyOut, imageDetails, imageSummary } from "../convert/image-out.js";
import { omitEmpty } from "../convert/shape.js";
import { parseFilters } from "../filters.js";
import type { Exchange } from "../http-exchange.js";
import type { Route } from "./route.js";

export interface ImageRoutesOptions {
  readonly images: ImageWorkshop;
  readonly containers: { list(): readonly ContainerRecord[] };
  /** Tells the journal. */
  readonly onPruned: (reclaimedBytes: number) => void;
  readonly nowMs: () => number;
}

/** Images below one another; no chain is longer. */
const PARENTS_MAX = 1_000;
const RUNNING = new Set(["running", "paused", "restarting"]);

export function imageRoutes(options: ImageRoutesOptions): Route[] {
  const { images } = options;
  return [
    { method: "GET", path: "/images/json", handle: async (exchange) => listImages(options, exchange) },
    {
      method: "GET",
      path: "/images/:name/json",
      handle: async (exchange) => {
        const image = find(images, exchange.param("name"));
        const document = await images.document(image.id);
        const layerPaths = images.layerPaths(image.id);
        return {
          status: 200,
          json: imageDetails(image, { apiMinor: exchange.apiMinor(), document, layerPaths }),
        };
      },
    },
    {
      method: "GET",
      path: "/images/:name/history",
      handle: async (exchange) => {
        const image = find(images, exchange.param("name"));
        return { status: 200, json: historyOut(await images.history(image.id), chainOf(images, image)) };
      },
    },
    {
      method: "POST",
      path: "/images/:name/tag",
      handle: async (exchange) => {
        const repo = exchange.query.get("repo") ?? "";
        const tag = exchange.query.get("tag") ?? "";
        await images.tag(exchange.param("name"), tag === "" ? repo : `${repo}:${tag}`);
        return { status: 201 };
      },
    },
    {
      method: "DELETE",
      path: "/images/:name",
      handle: async (exchange) => {
        const name = exchange.param("name");
        if (name.trim() === "") throw new InvalidArgumentError("image name cannot be blank");
        const removed = await images.remove(name, {
          force: exchange.flag("force"),
          noPrune: exchange.flag("noprune"),
          ...usersOf(options),
        });
        return { status: 200, json: removed.map(removalLine) };
      },
    },
    { method: "POST", path: "/images/prune", handle: (exchange) => pruneImages(options, exchange) },
  ];
}

function listImages({ images, nowMs }: ImageRoutesOptions, exchange: Exchange) {
  const { query } = exchange;
  const filters = new Map(parseFilters(query.get("filters"), LIST_FILTERS));
  const single = query.get("filter") ?? ""; // before 1.41, one reference
  if (single !== "" && exchange.apiMinor() < 41)
    filters.set("reference", [...(filters.get("reference") ?? []), single]);
  const references = filters.get("reference");
  const all = images.list();
  const parents = new Set(all.map(({ parentId }) => parentId));
  const list = imagesListed(all, filters, {
    all: exchange.flag("all"),
    find: (reference) => images.find(reference),
    hasChildren: (id) => parents.has(id),
    nowMs: nowMs(),
  });
  const shared = exchange.flag("shared-size");
  return {
    status: 200,
    json: list.map((image) =>
      imageSummary(image, {
        apiMinor: exchange.apiMinor(),
        isShown: (name) => references === undefined || matchesAny(name, references),
        sharedBytes: shared ? images.sharedBytes(image.id) : undefined,
        containers: undefined,
      }),
    ),
  };
}

/** One after the other, and only what nothing uses: a conflict leaves that image. */
async function pruneImages(options: ImageRoutesOptions, exchange: Exchange) {
  const { images, nowMs } = options;
  const filters = new Map(parseFilters(exchange.query.get("filters"), PRUNE_FILTERS));
  const danglingOnly = danglingOf(filters) ?? true;
  filters.delete("dangling");
  const used = new Set(options.containers.list().map(({ imageId }) => imageId));
  const candidates = imagesListed(images.list(), filters, {
    all: true,
    find: () => undefined,
    hasChildren: () => false,
    nowMs: nowMs(),
  });
  const before = images.layersBytes();
  const lines: { untagged?: string; deleted?: string }[] = [];
  for (const { id } of candidates) {
    const image = images.find(id); // an earlier removal may have taken it along
    if (image === undefined || used.has(id) || images.childrenOf(id).length > 0) continue;
    const isNamed = image.repoTags.length > 0 || image.repoDigests.length > 0;
    if (danglingOnly && image.repoTags.length > 0) continue;
    // By each of its names, as people would: the last one takes the image.
    const names = isNamed ? [...image.repoTags, ...image.repoDigests] : [id];
    for (const name of names)
      if (isNamed ? images.find(name)?.id === id : images.find(id) !== undefined)
        lines.push(...(await removeUnlessTaken(options, name)));
  }
  const reclaimedBytes = Math.max(0, before - images.layersBytes());
  options.onPruned(reclaimedBytes);
  return {
    status: 200,
    json: {
      ImagesDeleted: lines.length === 0 ? null : lines.map(removalLine),
      SpaceReclaimed: reclaimedBytes,
    },
  };
}

/** A container or an image may have been made of it meanwhile, or somebody else has removed it. */
async function removeUnlessTaken(options: ImageRoutesOptions, name: string) {
  try {
    return await options.images.remove(name, usersOf(options));
  } catch (error) {
    if (error instanceof AbortedError || error instanceof NotFoundError) return [];
    throw error;
  }
}

function removalLine({ untagged, deleted }: { untagged?: string; deleted?: string }) {
  return omitEmpty({
    Untagged: untagged === undefined ? undefined : familiarName(untagged),
    Deleted: deleted,
  });
}

function usersOf({ containers }: ImageRoutesOptions) {
  const list = containers.list();
  return {
    usedBy: (imageId: string) => list.find((container) => container.imageId === imageId)?.id,
    runningOn: (imageId: string) =>
      list.find((container) => container.imageId === imageId && RUNNING.has(container.state))?.id,
  };
}

/** @throws {NotFoundError} with the words of the daemon. */
function find(images: ImageWorkshop, reference: string): ImageRecord {
  const image = images.find(reference);
  if (image !== undefined) return image;
  // A name that is none is the client's fault; ids, whole and in part, are names by their form.
  if (!/^sha256:/.test(reference)) checkRepositoryCase(reference);
  const last = reference.slice(reference.lastIndexOf("/") + 1);
  const isTagged = last.includes(":") || reference.includes("@");
  throw new NotFoundError(`No such image: ${familiarName(isTagged ? reference : `${reference}:latest`)}`);
}

/** The image, its parent, and so on, as far as they are here. */
function chainOf(images: ImageWorkshop, image: ImageRecord) {
  const chain: { id: string; tags: readonly string[] }[] = [];
  for (let at: ImageRecord | undefined = image; at !== undefined && chain.length < PARENTS_MAX; ) {
    chain.push({ id: at.id, tags: at.repoTags.map(familiarName) });
    at = at.parentId === undefined ? undefined : images.find(at.parentId);
  }
  return chain;
}
