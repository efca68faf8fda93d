/**
 * /networks: those of this node and, on a manager, those of the cluster, as one list. Edge: to the manager's
 * control API. A name belongs to one of both; overlay is the cluster's driver, all others are local.
 */
import {
  AlreadyExistsError,
  codeOf,
  InvalidArgumentError,
  NotFoundError,
  NotImplementedError,
  PermissionDeniedError,
} from "../../base/errors/errors.js";
import type { ContainerManager, ContainerRecord } from "../../proto/engine/containers.js";
import type { LocalNetworkRecord, LocalNetworks } from "../../proto/engine/networks.js";
import { isNodeNetwork } from "../../proto/engine/node-networks.js";
import { clusterNetworkIn } from "../convert/cluster-network-in.js";
import { networkOut } from "../convert/cluster-network-out.js";
import { endpointIn } from "../convert/container-in-networking.js";
import type { Fields } from "../convert/fields.js";
import { localNetworkIn } from "../convert/local-network-in.js";
import { isPredefinedNetwork, localNetworkOut } from "../convert/local-network-out.js";
import { labelsMatch, untilOf } from "../convert/prune-filters.js";
import type { JsonObject } from "../convert/shape.js";
import { type Filters, labelFilters, parseFilters } from "../filters.js";
import type { ManagerClients } from "../manager-clients.js";
import { type ClusterNetworkParts, ClusterNetworks } from "./cluster-networks.js";
import type { Route } from "./route.js";

const CONFIG_ONLY_RULE =
  "configuration network can only contain network specific fields. Network operator fields like " +
  "[ ingress | internal | attachable | scope ] are not supported.";
const FILTER_KEYS = ["dangling", "driver", "id", "label", "name", "scope", "type"];
const PRUNE_KEYS = ["label", "label!", "until"];

export interface NetworkRouteParts extends ClusterNetworkParts {
  /** undefined: this node has none. */
  readonly local: LocalNetworks | undefined;
  readonly containers: Pick<ContainerManager, "list" | "get" | "connectNetwork" | "disconnectNetwork">;
  readonly nowMs: () => number;
  readonly onPruned?: (reclaimedBytes: number) => void;
}

export function networkRoutes(clients: ManagerClients, parts: NetworkRouteParts): Route[] {
  const networks = new Networks(clients, parts);
  return [
    { method: "GET", path: "/networks", handle: ({ query }) => networks.list(query.get("filters")) },
    { method: "GET", path: "/networks/", handle: ({ query }) => networks.list(query.get("filters")) },
    {
      method: "POST",
      path: "/networks/create",
      handle: async (exchange) => networks.create(await exchange.body({ required: true })),
    },
    {
      method: "GET",
      path: "/networks/:id",
      handle: async (exchange) => ({
        status: 200,
        json: await networks.inspect(exchange.param("id"), exchange.query),
      }),
    },
    {
      method: "DELETE",
      path: "/networks/:id",
      handle: async (exchange) => {
        await networks.remove(exchange.param("id"));
        return { status: 204 };
      },
    },
    {
      // Skein's own
      method: "POST",
      path: "/networks/:id/update",
      handle: async (exchange) => {
        await networks.update(exchange.param("id"), await exchange.body({ required: true }));
        return { status: 200 };
      },
    },
    {
      method: "POST",
      path: "/networks/prune",
      handle: async ({ query }) => ({ status: 200, json: await networks.prune(query.get("filters")) }),
    },
    {
      method: "POST",
      path: "/networks/:id/connect",
      handle: async (exchange) => {
        await networks.connect(exchange.param("id"), await exchange.body());
        return { status: 200 };
      },
    },
    {
      method: "POST",
      path: "/networks/:id/disconnect",
      handle: async (exchange) => {
        await networks.disconnect(exchange.param("id"), await exchange.body());
        return { status: 200 };
      },
    },
  ];
}

class Networks {
  readonly #cluster: ClusterNetworks;
  readonly #parts: NetworkRouteParts;

  constructor(clients: ManagerClients, parts: NetworkRouteParts) {
    this.#parts = parts;
    this.#cluster = new ClusterNetworks(clients, parts);
  }

  async list(filterText: string | null): Promise<{ status: number; json: JsonObject[] }> {
    const filters = parseFilters(filterText, FILTER_KEYS);
    const local = this.#parts.local?.list() ?? [];
    const used = new Set(
      local.filter(({ id }) => (this.#parts.local?.members(id).length ?? 0) > 0).map(({ id }) => id),
    );
    const cluster = await this.#cluster.list();
    if (filters.has("dangling")) for (const id of await this.#cluster.used()) used.add(id);
    const all = [...local.map((record) => localNetworkOut(record)), ...cluster.map(networkOut)];
    return { status: 200, json: all.filter((network) => matches(network, filters, used)) };
  }

  async inspect(id: string, query: URLSearchParams): Promise<JsonObject> {
    const scope = query.get("scope") ?? "";
    const verbose = query.get("verbose") ?? "";
    if (verbose !== "" && !/^(1|0|t|f|true|false)$/i.test(verbose))
      throw new InvalidArgumentError(
        `invalid value for verbose: strconv.ParseBool: parsing ${JSON.stringify(verbose)}: invalid syntax`,
      );
    const own = this.#parts.local?.find(id);
    // what services name, each node having its own: by the same id on all of them
    if (scope === "swarm" && own !== undefined && isNodeNetwork(own.name) && this.#parts.isManager())
      return { ...localNetworkOut(own), Id: own.name, Scope: scope };
    if (own !== undefined && scope !== "swarm")
      return localNetworkOut(own, this.#parts.local?.members(own.id));
    if (scope === "local") throw new NotFoundError(`network ${id} not found`);
    return this.#cluster.inspect(id, { verbose: /^(1|t|true)$/i.test(verbose) });
  }

  async create(fields: Fields): Promise<{ status: number; json: JsonObject }> {
    const name = fields.string("Name");
    const id = isOfCluster(fields) ? await this.#createInCluster(fields) : await this.#createLocal(fields);
    const unread = fields
      .unread()
      .map((path) => `${path.replace(/^body\./, "")} is not supported and has no effect`);
    if (id === "") throw new NotFoundError(`network ${name} not found`);
    return { status: 201, json: { Id: id, Warning: unread.join("; ") } };
  }

  async remove(id: string): Promise<void> {
    const own = this.#parts.local?.find(id);
    if (own !== undefined) await this.#parts.local?.remove(own.id);
    else await this.#cluster.remove(id);
  }

  /** @throws {InvalidArgumentError} a local one. */
  async update(id: string, fields: Fields): Promise<void> {
    if (this.#parts.local?.find(id) !== undefined)
      throw new InvalidArgumentError(`network ${id} is local: only the cluster's networks can be changed`);
    await this.#cluster.update(id, fields);
  }

  async prune(filterText: string | null): Promise<JsonObject> {
    const filters = parseFilters(filterText, PRUNE_KEYS);
    const until = untilOf(filters, this.#parts.nowMs());
    const isMeant = (network: JsonObject): boolean => {
      const labels = (network["Labels"] ?? {}) as Readonly<Record<string, string>>; // ours to make
      const createdMs = Date.parse(String(network["Created"]));
      return labelsMatch(filters, labels) && (until === undefined || createdMs < until);
    };
    const deleted: string[] = [];
    for (const record of this.#parts.local?.list() ?? []) {
      if (record.configOnly === true || isPredefinedNetwork(record.name) || !isMeant(localNetworkOut(record)))
        continue;
      if ((this.#parts.local?.members(record.id).length ?? 0) > 0) continue;
      if (await unlessInUse(this.#parts.local?.remove(record.id))) deleted.push(record.name);
    }
    for (const network of this.#parts.isManager() ? await this.#cluster.list() : []) {
      if (network.spec?.ingress === true || !isMeant(networkOut(network))) continue;
      if (await unlessInUse(this.#cluster.remove(network.id)))
        deleted.push(network.spec?.annotations?.name ?? network.id);
    }
    this.#parts.onPruned?.(0);
    return { NetworksDeleted: deleted.length === 0 ? null : deleted };
  }

  async connect(id: string, fields: Fields): Promise<void> {
    const container = this.#parts.containers.get(containerIn(fields));
    const network = await this.#joinable(id, container);
    const endpoint = endpointIn(fields.object("EndpointConfig"));
    if (network === "host") {
      throw new InvalidArgumentError(
        "container cannot be disconnected from host network or connected to host network",
      );
    }
    if (network === "none") {
      throw new InvalidArgumentError(
        "container cannot be connected to multiple networks with one of the networks in private (none) mode",
      );
    }
    await this.#parts.containers.connectNetwork(container.id, network, endpoint);
  }

  async disconnect(id: string, fields: Fields): Promise<void> {
    const force = fields.bool("Force");
    const wanted = containerIn(fields);
    let container: ContainerRecord;
    try {
      container = this.#parts.containers.get(wanted);
    } catch (error) {
      // By force it is the endpoint that is looked for: its container may be gone.
      if (force && error instanceof NotFoundError) throw new NotFoundError(`endpoint ${wanted} not found`);
      throw error;
    }
    const network = await this.#joinable(id, container);
    await this.#parts.containers.disconnectNetwork(container.id, network, { force });
  }

  /**
   * @returns its name. In a cluster the managers decide, who know all networks: now, or at the start.
   * @throws {NotFoundError}
   */
  async #joinable(id: string, container: ContainerRecord): Promise<string> {
    const own = this.#parts.local?.find(id);
    if (own !== undefined) return own.name;
    const ofCluster = (await this.#cluster.list()).find(
      (network) => network.id === id || network.spec?.annotations?.name === id,
    );
    if (ofCluster !== undefined) return ofCluster.spec?.annotations?.name ?? ofCluster.id;
    const isUp = container.state === "running" || container.state === "paused";
    if (isUp || this.#parts.known?.() !== undefined) return id;
    throw new NotFoundError(`network ${id} not found`);
  }

  async #createLocal(fields: Fields): Promise<string> {
    const request = localNetworkIn(fields);
    const { local } = this.#parts;
    if (local === undefined) throw new NotImplementedError("this node has no local networks");
    const taken = (await this.#cluster.list()).some(({ spec }) => spec?.annotations?.name === request.name);
    if (taken) throw new AlreadyExistsError(`network with name ${request.name} already exists`);
    return (await local.create(request)).id;
  }

  /** @throws {NotFoundError} */
  #settings(name: string): LocalNetworkRecord {
    const record = this.#parts.local?.list().find((one) => one.configOnly === true && one.name === name);
    if (record === undefined)
      throw new NotFoundError(`configuration network ${JSON.stringify(name)} does not exist`);
    return record;
  }

  async #createInCluster(fields: Fields): Promise<string> {
    const spec = clusterNetworkIn(fields, (settings) => this.#settings(settings));
    const name = spec.annotations?.name ?? "";
    if (this.#parts.local?.list().some((record) => record.name === name))
      throw new AlreadyExistsError(`network with name ${name} already exists`);
    return this.#cluster.create(spec);
  }
}

/** @returns false when somebody has taken or removed it meanwhile. */
async function unlessInUse(removal: Promise<unknown> | undefined): Promise<boolean> {
  try {
    await removal;
    return true;
  } catch (error) {
    if (["failed-precondition", "permission-denied", "not-found"].includes(codeOf(error))) return false;
    throw error;
  }
}

/** @throws {InvalidArgumentError} none is named. */
function containerIn(fields: Fields): string {
  const name = fields.string("Container");
  if (name === "") throw new InvalidArgumentError('invalid name or ID supplied: ""');
  return name;
}

/** Local is what is not asked of the cluster by driver, scope or purpose. */
function isOfCluster(fields: Fields): boolean {
  const driver = fields.string("Driver");
  const scope = fields.string("Scope");
  if (fields.bool("ConfigOnly")) {
    if (scope === "swarm" || fields.bool("Ingress")) throw new PermissionDeniedError(CONFIG_ONLY_RULE);
    return false;
  }
  if (driver === "overlay" || (driver === "" && (scope === "swarm" || fields.bool("Ingress")))) return true;
  if (fields.bool("Ingress"))
    throw new PermissionDeniedError("Ingress network can only be global scope network");
  if (scope !== "" && scope !== "local")
    throw new InvalidArgumentError(
      `scope ${JSON.stringify(scope)} is none of a ${driver || "bridge"} network: local is`,
    );
  return false;
}

function matches(network: JsonObject, filters: Filters, used: ReadonlySet<string>): boolean {
  const any = (key: string, test: (value: string) => boolean): boolean => {
    const values = filters.get(key);
    return values === undefined || values.some(test);
  };
  const { labels, keys } = labelFilters(filters.get("label"));
  const own = (network["Labels"] ?? {}) as Readonly<Record<string, string>>; // both conversions set it
  const isBuiltIn = isPredefinedNetwork(String(network["Name"])) || network["Ingress"] === true;
  const isDangling = !isBuiltIn && !used.has(String(network["Id"]));
  return (
    any("driver", (value) => value === network["Driver"]) &&
    any("scope", (value) => value === network["Scope"]) &&
    any("name", (value) => String(network["Name"]).includes(value)) &&
    any("id", (value) => String(network["Id"]).startsWith(value)) &&
    any("type", (value) => (typeWord(value) === "builtin") === isBuiltIn) &&
    any("dangling", (value) => booleanWord(value) === isDangling) &&
    Object.entries(labels).every(([key, value]) => own[key] === value) &&
    keys.every((key) => Object.hasOwn(own, key))
  );
}

function typeWord(value: string): string {
  if (value === "builtin" || value === "custom") return value;
  throw new InvalidArgumentError(`invalid filter: 'type'='${value}'`);
}

function booleanWord(value: string): boolean {
  if (["1", "true", "True", "TRUE", "t", "T"].includes(value)) return true;
  if (["0", "false", "False", "FALSE", "f", "F"].includes(value)) return false;
  throw new InvalidArgumentError(`invalid filter 'dangling=[${value}]'`);
}
