/**
 * /volumes and /plugins of a node. Edge: to the node's volumes and the containers that have them.
 * `docker inspect NAME` asks both before it comes to services and secrets, and goes on only after "not
 * found".
 */
import { FailedPreconditionError, InvalidArgumentError, NotFoundError } from "../../base/errors/errors.js";
import type { VolumeRecord, VolumeStore } from "../../proto/engine/volumes.js";
import { labelsMatch } from "../convert/prune-filters.js";
import { type JsonObject, timeText } from "../convert/shape.js";
import { type Filters, parseFilters } from "../filters.js";
import type { Exchange } from "../http-exchange.js";
import type { Route } from "./route.js";

/** Of managed plugins, of which there is none. Those that would bring one are refused by name. */
const PLUGIN_ROUTES = [
  ["GET", "/plugins/:name/json"],
  ["DELETE", "/plugins/:name"],
  ["POST", "/plugins/:name/enable"],
  ["POST", "/plugins/:name/disable"],
  ["POST", "/plugins/:name/upgrade"],
  ["POST", "/plugins/:name/push"],
  ["POST", "/plugins/:name/set"],
] as const;

export interface VolumeRoutesOptions {
  readonly volumes: VolumeStore;
  readonly onPruned?: (reclaimedBytes: number) => void;
  readonly containers: {
    list(): readonly { readonly id: string }[];
    volumesOf(id: string): readonly { readonly name: string }[];
  };
}

const LIST_FILTERS = ["dangling", "driver", "label", "name"];
const PRUNE_FILTERS = ["all", "label", "label!"];
/** From this minor version on, pruning spares volumes that somebody named, unless told otherwise. */
const PRUNES_ANONYMOUS_ONLY = 42;
const CREATE_FIELDS = { driver: "Driver", name: "Name", options: "DriverOpts", labels: "Labels" } as const;

export function volumeOut(volume: VolumeRecord): JsonObject {
  return {
    CreatedAt: timeText(Math.floor(volume.createdMs / 1000) * 1000),
    Driver: volume.driver,
    Labels: Object.keys(volume.labels).length === 0 ? null : volume.labels,
    Mountpoint: volume.mountpoint,
    Name: volume.name,
    Options: Object.keys(volume.options).length === 0 ? null : volume.options,
    Scope: "local",
    ...(volume.status === undefined ? {} : { Status: volume.status }),
  };
}

export function volumeRoutes(options: VolumeRoutesOptions): Route[] {
  const { volumes } = options;
  let pruning = false;
  return [
    {
      method: "GET",
      path: "/volumes",
      handle: async ({ query }) => {
        const filters = parseFilters(query.get("filters"), LIST_FILTERS);
        const matches = volumeFilter(filters, usedVolumes(options));
        return {
          status: 200,
          json: { Volumes: volumes.list().filter(matches).map(volumeOut), Warnings: null },
        };
      },
    },
    {
      method: "POST",
      path: "/volumes/create",
      handle: async (exchange) => {
        const body = await exchange.body({ required: true });
        if (body.has("ClusterVolumeSpec"))
          throw new InvalidArgumentError("cluster volumes are not supported by Skein");
        const volume = await volumes.ensure({
          name: body.string(CREATE_FIELDS.name),
          driver: body.string(CREATE_FIELDS.driver),
          options: body.stringMap(CREATE_FIELDS.options),
          labels: body.stringMap(CREATE_FIELDS.labels),
        });
        return { status: 201, json: volumeOut(volume) };
      },
    },
    {
      method: "POST",
      path: "/volumes/prune",
      handle: async (exchange) => {
        const filters = parseFilters(exchange.query.get("filters"), PRUNE_FILTERS);
        const all = booleanFilter(filters, "all") ?? exchange.apiMinor() < PRUNES_ANONYMOUS_ONLY;
        if (pruning) throw new FailedPreconditionError("a prune operation is already running");
        pruning = true;
        try {
          const json = await prune(options, filters, all);
          options.onPruned?.(Number(json["SpaceReclaimed"] ?? 0));
          return { status: 200, json };
        } finally {
          pruning = false;
        }
      },
    },
    {
      method: "GET",
      path: "/volumes/:name",
      handle: async (exchange) => {
        const name = exchange.param("name");
        const volume = volumes.find(name);
        if (volume === undefined) throw new NotFoundError(`get ${name}: no such volume`);
        return { status: 200, json: volumeOut(volume) };
      },
    },
    {
      method: "DELETE",
      path: "/volumes/:name",
      handle: async (exchange) => {
        await volumes.remove(exchange.param("name"), { force: exchange.flag("force") });
        return { status: 204 };
      },
    },
    {
      method: "GET",
      path: "/plugins",
      handle: async ({ query }) => {
        parseFilters(query.get("filters"), ["capability", "enabled"]);
        return { status: 200, json: [] };
      },
    },
    ...PLUGIN_ROUTES.map(([method, path]) => ({
      method,
      path,
      handle: async (exchange: Exchange) => {
        throw new NotFoundError(`plugin "${exchange.param("name")}" not found`);
      },
    })),
  ];
}

/** Of containers, running or not. */
function usedVolumes({ containers }: VolumeRoutesOptions): ReadonlySet<string> {
  const names = containers.list().flatMap(({ id }) => containers.volumesOf(id).map(({ name }) => name));
  return new Set(names);
}

function volumeFilter(filters: Filters, used: ReadonlySet<string>): (volume: VolumeRecord) => boolean {
  const dangling = booleanFilter(filters, "dangling");
  const names = filters.get("name")?.map(namePattern);
  const drivers = filters.get("driver");
  return (volume) =>
    (names === undefined || names.some((fits) => fits(volume.name))) &&
    (drivers === undefined || drivers.includes(volume.driver)) &&
    labelsMatch(filters, volume.labels) &&
    (dangling === undefined || dangling === !used.has(volume.name));
}

/** A part of the name, or an expression that fits it. What is neither a valid expression is a part. */
function namePattern(text: string): (name: string) => boolean {
  try {
    const pattern = new RegExp(text);
    return (name) => name.includes(text) || pattern.test(name);
  } catch (error) {
    if (error instanceof SyntaxError) return (name) => name.includes(text);
    throw error;
  }
}

/** @throws {InvalidArgumentError} neither true nor false, or both. */
function booleanFilter(filters: Filters, name: string): boolean | undefined {
  const values = filters.get(name);
  if (values === undefined || values.length === 0) return undefined;
  const words = new Set(values.map((value) => value.toLowerCase()));
  const isTrue = words.has("1") || words.has("true");
  const isFalse = words.has("0") || words.has("false");
  if (isTrue === isFalse || [...words].some((word) => !["0", "1", "true", "false"].includes(word)))
    throw new InvalidArgumentError(`invalid filter '${name}=[${values.join(" ")}]'`);
  return isTrue;
}

async function prune(options: VolumeRoutesOptions, filters: Filters, all: boolean): Promise<JsonObject> {
  const { volumes } = options;
  const used = usedVolumes(options);
  const deleted: string[] = [];
  let reclaimed = 0;
  for (const volume of volumes.list()) {
    if (used.has(volume.name) || volume.driver !== "local") continue;
    if ((!all && !volume.anonymous) || !labelsMatch(filters, volume.labels)) continue;
    try {
      const bytes = await volumes.usage(volume.name);
      await volumes.remove(volume.name);
      reclaimed += Math.max(0, bytes);
    } catch (error) {
      const taken = error instanceof FailedPreconditionError || error instanceof NotFoundError; // meanwhile
      if (taken) continue;
      throw error;
    }
    deleted.push(volume.name);
  }
  return { VolumesDeleted: deleted, SpaceReclaimed: reclaimed };
}
