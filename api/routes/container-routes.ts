/**
 * /containers: listing and details of what runs on this node. Edge: to the node's container manager.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import type { ContainerManager, ContainerRecord } from "../../proto/engine/containers.js";
import { type FilterWorld, selectContainers } from "../container-filters.js";
import { networksOut } from "../convert/container-network-out.js";
import {
  type ContainerOutParts,
  type ContainerSize,
  containerOut,
  containerRowOut,
} from "../convert/container-out.js";
import type { Exchange } from "../http-exchange.js";
import type { Route } from "./route.js";

export interface ContainerRoutesOptions extends ContainerOutParts {
  readonly containers: Pick<ContainerManager, "find" | "get" | "list">;
  readonly withDescendants: (imageReference: string) => ReadonlySet<string>;
  /** Bytes on the disk; undefined where nobody counts them. */
  readonly sizeOf: (containerId: string) => Promise<ContainerSize | undefined> | undefined;
  readonly nowMs: () => number;
}

function limitIn(exchange: Exchange): number {
  const text = exchange.query.get("limit") ?? "";
  if (text === "") return 0;
  if (!/^[+-]?\d{1,15}$/.test(text))
    throw new InvalidArgumentError(`strconv.Atoi: parsing ${JSON.stringify(text)}: invalid syntax`);
  return Math.max(0, Number(text));
}

/** By the id of whom links lead to. */
function linkNames(
  containers: Pick<ContainerManager, "find" | "list">,
): ReadonlyMap<string, readonly string[]> {
  const names = new Map<string, string[]>();
  for (const { name, specification } of containers.list()) {
    for (const link of specification.networking?.links ?? []) {
      const [target = "", alias = target] = link.split(":");
      const id = containers.find(target)?.id;
      if (id !== undefined) names.set(id, [...(names.get(id) ?? []), `/${name}/${alias}`]);
    }
  }
  return names;
}

export function containerRoutes(options: ContainerRoutesOptions): Route[] {
  const { containers, nowMs } = options;
  const find = (id: string): ContainerRecord => containers.get(id);
  const world: FilterWorld = {
    withDescendants: options.withDescendants,
    find: (idOrName) => containers.find(idOrName),
    volumesOf: options.volumesOf,
    networksOf: (container) =>
      Object.entries(networksOut(container, options, 0)).map(([name, endpoint]) => ({
        name,
        id: String((endpoint as { readonly NetworkID?: string }).NetworkID ?? ""), // networksOut made it
      })),
  };
  return [
    {
      method: "GET",
      path: "/containers/json",
      handle: async (exchange) => {
        const apiMinor = exchange.apiMinor();
        const withSize = exchange.flag("size");
        const chosen = selectContainers(
          containers.list(),
          { filters: exchange.query.get("filters"), all: exchange.flag("all"), limit: limitIn(exchange) },
          world,
        );
        const links = linkNames(containers);
        const json = [];
        for (const container of chosen) {
          const size = withSize ? await options.sizeOf(container.id) : undefined;
          const shown = { apiMinor, nowMs: nowMs(), size, linkNames: links.get(container.id) ?? [] };
          json.push(containerRowOut(container, options, shown));
        }
        return { status: 200, json };
      },
    },
    {
      method: "GET",
      path: "/containers/:id/json",
      handle: async (exchange) => {
        const container = find(exchange.param("id"));
        const size = exchange.flag("size") ? await options.sizeOf(container.id) : undefined;
        const apiMinor = exchange.apiMinor();
        return { status: 200, json: containerOut(container, options, { apiMinor, nowMs: nowMs(), size }) };
      },
    },
  ];
}
