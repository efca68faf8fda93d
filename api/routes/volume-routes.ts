/**
 * /volumes and /plugins, as far as they are read: `docker inspect NAME` asks both before it comes to services
 * and secrets, and goes on only after "not found". Edge: to the node's volumes.
 * Volumes are made by the tasks that name them.
 */
import { NotFoundError } from "../../base/errors/errors.js";
import { type JsonObject, timeText } from "../convert/shape.js";
import type { EngineVolume, VolumeBackend } from "../engine-ports.js";
import { labelFilters, parseFilters } from "../filters.js";
import type { Route } from "./route.js";

const FILTER_KEYS = ["driver", "label", "name"];

function volumeOut(volume: EngineVolume): JsonObject {
  return {
    CreatedAt: timeText(volume.createdMs),
    Driver: volume.driver,
    Labels: Object.keys(volume.labels).length === 0 ? null : volume.labels,
    Mountpoint: volume.mountpoint,
    Name: volume.name,
    Options: Object.keys(volume.options).length === 0 ? null : volume.options,
    Scope: "local",
  };
}

export function volumeRoutes(volumes: VolumeBackend): Route[] {
  return [
    {
      method: "GET",
      path: "/volumes",
      handle: async ({ query }) => {
        const filters = parseFilters(query.get("filters"), FILTER_KEYS);
        const { labels, keys } = labelFilters(filters.get("label"));
        const list = volumes
          .list()
          .filter((volume) => filters.get("name")?.some((part) => volume.name.includes(part)) ?? true)
          .filter((volume) => filters.get("driver")?.includes(volume.driver) ?? true)
          .filter((volume) => Object.entries(labels).every(([key, value]) => volume.labels[key] === value))
          .filter((volume) => keys.every((key) => key in volume.labels));
        return { status: 200, json: { Volumes: list.map(volumeOut), Warnings: null } };
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
    { method: "GET", path: "/plugins", handle: async () => ({ status: 200, json: [] }) },
    {
      method: "GET",
      path: "/plugins/:name/json",
      handle: async (exchange) => {
        throw new NotFoundError(`plugin "${exchange.param("name")}" not found`);
      },
    },
  ];
}
