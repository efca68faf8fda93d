/**
 * /networks. Edge: to the manager's control API. Overlay networks only; bridge,
 * host and none of the node are shown, not managed yet.
 */
import { createHash } from "node:crypto";
import { NotFoundError, NotImplementedError, PermissionDeniedError } from "../../base/errors/errors.js";
import { NetworkSpec } from "../../proto/gen/skein/v1/types.js";
import type { Fields } from "../convert/fields.js";
import { networkOut } from "../convert/objects-out.js";
import type { JsonObject } from "../convert/shape.js";
import { labelFilters, listFilters, parseFilters } from "../filters.js";
import type { ManagerClients } from "../manager-clients.js";
import type { NodeFacts } from "../ports.js";
import type { Route } from "./route.js";

const FILTER_KEYS = ["dangling", "driver", "id", "label", "name", "scope", "type"];

/** The networks every Docker node has: `host` and `none` by the name of their driver. */
function localNetworks(facts: NodeFacts): JsonObject[] {
  return [
    { name: "host", driver: "host" },
    { name: "none", driver: "null" },
  ].map(({ name, driver }) => ({
    Name: name,
    Id: createHash("sha256").update(`${facts.engineId}/${name}`).digest("hex"),
    Created: "2026-01-01T00:00:00Z",
    Scope: "local",
    Driver: driver,
    EnableIPv4: true,
    EnableIPv6: false,
    IPAM: { Driver: "default", Options: null, Config: [] },
    Internal: false,
    Attachable: false,
    Ingress: false,
    ConfigFrom: { Network: "" },
    ConfigOnly: false,
    Containers: {},
    Options: {},
    Labels: {},
  }));
}

function networkSpecIn(fields: Fields): NetworkSpec {
  const driver = fields.string("Driver") || "overlay";
  if (driver !== "overlay") {
    throw new NotImplementedError(
      `network driver ${JSON.stringify(driver)} is not supported yet: use overlay`,
    );
  }
  const ipam = fields.object("IPAM");
  const options = fields.stringMap("Options");
  fields.optionalBool("CheckDuplicate");
  fields.optionalBool("EnableIPv4");
  return NetworkSpec.fromPartial({
    annotations: { name: fields.string("Name"), labels: fields.stringMap("Labels") },
    driver,
    driverOptions: options,
    internal: fields.bool("Internal"),
    attachable: fields.bool("Attachable"),
    ingress: fields.bool("Ingress"),
    ipv6Enabled: fields.bool("EnableIPv6"),
    ipamDriver: ipam?.string("Driver") ?? "",
    ipamOptions: ipam?.stringMap("Options") ?? {},
    ipamConfigs: (ipam?.objects("Config") ?? []).map((config) => ({
      subnet: config.string("Subnet"),
      range: config.string("IPRange"),
      gateway: config.string("Gateway"),
      reserved: config.stringMap("AuxiliaryAddresses"),
    })),
    scope: fields.string("Scope"),
    encrypted: "encrypted" in options,
  });
}

function matches(network: JsonObject, filters: ReadonlyMap<string, readonly string[]>): boolean {
  const any = (key: string, test: (value: string) => boolean): boolean => {
    const values = filters.get(key);
    return values === undefined || values.some(test);
  };
  const { labels, keys } = labelFilters(filters.get("label"));
  const own = (network["Labels"] ?? {}) as Readonly<Record<string, string>>; // networkOut always sets it
  const builtIn = ["host", "none", "bridge"].includes(String(network["Name"]));
  return (
    any("driver", (value) => value === network["Driver"]) &&
    any("scope", (value) => value === network["Scope"]) &&
    any("name", (value) => String(network["Name"]).includes(value)) &&
    any("id", (value) => String(network["Id"]).startsWith(value)) &&
    any("type", (value) => (value === "builtin") === builtIn) &&
    Object.entries(labels).every(([key, value]) => own[key] === value) &&
    keys.every((key) => Object.hasOwn(own, key))
  );
}

export function networkRoutes(
  clients: ManagerClients,
  options: { facts: NodeFacts; isManager: () => boolean },
): Route[] {
  const { facts, isManager } = options;
  const local = (id: string): JsonObject | undefined =>
    localNetworks(facts).find((network) => network["Name"] === id || String(network["Id"]).startsWith(id));
  const list: Route["handle"] = async ({ query }) => {
    const filters = parseFilters(query.get("filters"), FILTER_KEYS);
    const swarm = isManager()
      ? (await clients.call((control) => control.listNetworks, { filters: listFilters(new Map()) })).networks
      : [];
    return {
      status: 200,
      json: [...localNetworks(facts), ...swarm.map(networkOut)].filter((network) =>
        matches(network, filters),
      ),
    };
  };
  return [
    { method: "GET", path: "/networks", handle: list },
    { method: "GET", path: "/networks/", handle: list },
    {
      method: "POST",
      path: "/networks/create",
      handle: async (exchange) => {
        const body = await exchange.body();
        const { network } = await clients.call((control) => control.createNetwork, {
          spec: networkSpecIn(body),
        });
        const unread = body
          .unread()
          .map((path) => `${path.replace(/^body\./, "")} is not supported and has no effect`);
        return { status: 201, json: { Id: network?.id ?? "", Warning: unread.join("; ") } };
      },
    },
    {
      method: "GET",
      path: "/networks/:id",
      handle: async (exchange) => {
        const id = exchange.param("id");
        const own = exchange.query.get("scope") === "swarm" ? undefined : local(id);
        if (own !== undefined) return { status: 200, json: own };
        if (!isManager()) throw new NotFoundError(`network ${id} not found`);
        const { network } = await clients.call((control) => control.getNetwork, { id });
        return { status: 200, json: network && networkOut(network) };
      },
    },
    {
      method: "DELETE",
      path: "/networks/:id",
      handle: async (exchange) => {
        const id = exchange.param("id");
        if (local(id) !== undefined)
          throw new PermissionDeniedError(`${id} is a pre-defined network and cannot be removed`);
        await clients.call((control) => control.removeNetwork, { id });
        return { status: 204 };
      },
    },
  ];
}
