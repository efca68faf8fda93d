/**
 * /system/df: what images, containers, volumes and the build cache take on the disk. Edge: to the node's
 * stores. Nothing is walked twice at a time: who asks meanwhile gets the same answer.
 */
import { InvalidArgumentError, NotFoundError } from "../../base/errors/errors.js";
import type { ImageWorkshop } from "../../proto/engine/images.js";
import { containerRowOut } from "../convert/container-out.js";
import { imageSummary } from "../convert/image-out.js";
import { type JsonObject, timeText } from "../convert/shape.js";
import type { EngineBackend } from "../ports.js";
import type { ContainerRoutesOptions } from "./container-routes.js";
import type { Route } from "./route.js";
import { volumeOut } from "./volume-routes.js";

const TYPES = ["container", "image", "volume", "build-cache"] as const;
type UsageType = (typeof TYPES)[number];

export interface DiskUsageOptions {
  readonly backend: EngineBackend;
  readonly images: ImageWorkshop;
  readonly containers: ContainerRoutesOptions;
}

/** @throws {InvalidArgumentError} an unknown type. */
function typesOf(asked: readonly string[]): ReadonlySet<UsageType> {
  const unknown = asked.find((type) => !TYPES.some((each) => each === type));
  if (unknown !== undefined) throw new InvalidArgumentError(`unknown object type: ${unknown}`);
  return new Set(asked.length === 0 ? TYPES : (asked as UsageType[])); // checked above
}

function imagesOut({ backend, images }: DiskUsageOptions, apiMinor: number): JsonObject[] {
  const users = new Map<string, number>();
  for (const { imageId } of backend.containers.list()) users.set(imageId, (users.get(imageId) ?? 0) + 1);
  return images.list().map((image) =>
    imageSummary(image, {
      apiMinor,
      isShown: () => true,
      sharedBytes: images.sharedBytes(image.id),
      containers: users.get(image.id) ?? 0,
    }),
  );
}

async function containersOut(options: DiskUsageOptions, apiMinor: number): Promise<JsonObject[]> {
  const rows: JsonObject[] = [];
  const { containers } = options;
  for (const container of options.backend.containers.list()) {
    const size = await containers.sizeOf(container.id);
    if (size === undefined && options.backend.containers.find(container.id) === undefined) continue;
    rows.push(containerRowOut(container, containers, { apiMinor, nowMs: containers.nowMs(), size }));
  }
  return rows;
}

async function volumesOut({ backend }: DiskUsageOptions): Promise<JsonObject[]> {
  const { volumes } = backend.containers;
  const users = new Map<string, number>();
  for (const { id } of backend.containers.list())
    for (const { name } of backend.containers.volumesOf(id)) users.set(name, (users.get(name) ?? 0) + 1);
  const rows: JsonObject[] = [];
  for (const volume of volumes.list()) {
    // what a plugin or a network file system holds is not ours to walk
    const isLocal = volume.driver === "local" && Object.keys(volume.options).length === 0;
    const Size = isLocal ? await unlessGone(volumes.usage(volume.name)) : -1;
    if (Size === undefined) continue;
    rows.push({ ...volumeOut(volume), UsageData: { RefCount: users.get(volume.name) ?? 0, Size } });
  }
  return rows;
}

/** Walking takes its time: what was removed meanwhile is left out. */
async function unlessGone<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof NotFoundError) return undefined;
    throw error;
  }
}

function cacheOut({ building }: EngineBackend): JsonObject[] {
  return (building?.builder.cacheUsage() ?? []).map((record) => ({
    ID: record.id,
    Parent: record.parentId,
    Type: "regular",
    Description: record.description,
    InUse: record.inUse,
    Shared: record.shared,
    Size: record.sizeBytes,
    CreatedAt: timeText(record.createdMs),
    LastUsedAt: timeText(record.lastUsedMs),
    UsageCount: record.usageCount,
  }));
}

export function diskUsageRoutes(options: DiskUsageOptions): Route[] {
  const running = new Map<string, Promise<JsonObject>>();
  const measure = async (types: ReadonlySet<UsageType>, apiMinor: number): Promise<JsonObject> => ({
    LayersSize: types.has("image") ? options.images.layersBytes() : 0,
    Images: types.has("image") ? imagesOut(options, apiMinor) : null,
    Containers: types.has("container") ? await containersOut(options, apiMinor) : null,
    Volumes: types.has("volume") ? await volumesOut(options) : null,
    BuildCache: types.has("build-cache") ? cacheOut(options.backend) : null,
    ...(apiMinor < 42 ? { BuilderSize: 0 } : {}), // once said of the cache as a whole
  });
  return [
    {
      method: "GET",
      path: "/system/df",
      handle: async (exchange) => {
        const types = typesOf(exchange.query.getAll("type"));
        const apiMinor = exchange.apiMinor();
        const key = `${apiMinor} ${[...types].join()}`;
        let answer = running.get(key);
        if (answer === undefined) {
          answer = measure(types, apiMinor).finally(() => running.delete(key));
          running.set(key, answer);
        }
        return { status: 200, json: await answer };
      },
    },
  ];
}
