/**
 * Filters that look at the node itself: what it is, not what runs there.
 * Pure.
 */
import {
  NodeAvailability,
  NodeState,
  type Platform,
  type PluginDescription,
} from "../../proto/gen/skein/v1/types.js";
import { constraintsOf, matchesConstraint, normalArchitecture } from "./constraint.js";
import type { Filter, FilterName, PreparedFilter } from "./filter.js";
import { NODE_ITSELF, NodeChange } from "./node-change.js";
import type { NodeInfo } from "./node-info.js";

/** "lacks" for one node, "lack" for more. */
export function verb(count: number, one: string, many: string): string {
  return count === 1 ? one : many;
}

const READINESS: PreparedFilter = {
  name: "readiness",
  key: "ready",
  looksAt: NodeChange.readiness,
  accepts: ({ node }) =>
    node.status?.state === NodeState.READY &&
    (node.spec?.availability ?? NodeAvailability.ACTIVE) === NodeAvailability.ACTIVE,
  detail: () => "not available for new tasks",
};

export const readiness: Filter = () => READINESS;

function runs(platform: Platform, wanted: Platform): boolean {
  const sameOs = wanted.os === "" || platform.os.toLowerCase() === wanted.os.toLowerCase();
  const { architecture } = wanted;
  return (
    sameOs &&
    (architecture === "" || normalArchitecture(platform.architecture) === normalArchitecture(architecture))
  );
}

export const platform: Filter = (task) => {
  const wanted = task.spec?.placement?.platforms;
  if (wanted === undefined || wanted.length === 0) return undefined;
  const text = wanted.map(({ os, architecture }) => `${os || "any"}/${architecture || "any"}`).join(" or ");
  return {
    name: "platform",
    key: `platform ${text}`,
    looksAt: NodeChange.description,
    accepts: ({ node }) => {
      const own = node.description?.platform;
      return own !== undefined && wanted.some((candidate) => runs(own, candidate));
    },
    detail: (count) => `${verb(count, "is", "are")} not ${text}`,
  };
};

export const constraint: Filter = (task) => {
  const placement = task.spec?.placement;
  if (placement === undefined || placement.constraints.length === 0) return undefined;
  const parsed = constraintsOf(placement);
  const text = placement.constraints.join(" and ");
  const base = { name: "constraint", key: `constraint ${text}`, looksAt: NODE_ITSELF } as const;
  if (typeof parsed === "string") {
    return { ...base, accepts: () => false, detail: () => parsed, explain: () => parsed };
  }
  return {
    ...base,
    accepts: ({ node }) => parsed.every((candidate) => matchesConstraint(node, candidate)),
    detail: (count) => `${verb(count, "does", "do")} not meet ${text}`,
  };
};

const EVERYWHERE: ReadonlySet<string> = new Set([
  "",
  "local",
  "overlay",
  "bridge",
  "host",
  "none",
  "null",
  "ingress",
  "json-file",
  "journald",
  "syslog",
]); // built into every node

/**
 * @returns true when the node has the plugin, or does not say which of this type it has.
 * A plugin's name may carry a tag: "vendor/driver:latest".
 */
function hasPlugin(plugins: readonly PluginDescription[], type: string, name: string): boolean {
  let tells = false;
  for (const plugin of plugins) {
    if (plugin.type !== type) continue;
    if (plugin.name === name || plugin.name === `${name}:latest`) return true;
    tells = true;
  }
  return !tells;
}

function lacksPlugin(
  name: FilterName,
  what: string,
  wanted: readonly { readonly type: string; readonly driver: string }[],
): PreparedFilter | undefined {
  const drivers = wanted.filter(({ driver }) => !EVERYWHERE.has(driver));
  if (drivers.length === 0) return undefined;
  const text = [...new Set(drivers.map(({ driver }) => driver))].sort().join(", ");
  return {
    name,
    key: `${name} ${drivers.map(({ type, driver }) => `${type} ${driver}`).join()}`,
    looksAt: NodeChange.description,
    accepts: ({ node }) => {
      const plugins = node.description?.plugins ?? [];
      return drivers.every(({ type, driver }) => hasPlugin(plugins, type, driver));
    },
    detail: (count) => `${verb(count, "lacks", "lack")} ${what} ${text}`,
  };
}

export const volume: Filter = (task) => {
  const mounts = task.spec?.container?.mounts;
  if (mounts === undefined || mounts.length === 0) return undefined;
  return lacksPlugin(
    "volume",
    "the volume driver",
    mounts.map((mount) => ({
      type: "Volume",
      driver: mount.type === "volume" ? (mount.volumeOptions?.driverName ?? "") : "",
    })),
  );
};

export const plugin: Filter = (task, { networkDriver }) => {
  const { networks, spec } = task;
  if (networks.length === 0 && spec?.logDriver === undefined) return undefined;
  return lacksPlugin("plugin", "the plugin", [
    ...networks.map(({ networkId }) => ({ type: "Network", driver: networkDriver(networkId) ?? "" })),
    { type: "Log", driver: spec?.logDriver?.name ?? "" },
  ]);
};

export const device: Filter = (task) => {
  const { devices = [], host } = task.spec?.container ?? {};
  const requested = (host?.deviceRequests ?? []).filter(({ driver }) => driver === "cdi");
  const wanted = [...new Set([...devices, ...requested.flatMap(({ deviceIds }) => deviceIds)])];
  if (wanted.length === 0) return undefined;
  const text = wanted.join(", ");
  return {
    name: "device",
    key: `device ${text}`,
    looksAt: NodeChange.description,
    accepts: ({ node }: NodeInfo) =>
      wanted.every((name) => node.description?.devices.includes(name) === true),
    detail: (count) => `${verb(count, "lacks", "lack")} the device ${text}`,
  };
};

export const encryption: Filter = (task, { encryptedNetwork }) => {
  if (task.networks.length === 0) return undefined;
  const names = task.networks.flatMap(({ networkId }) => encryptedNetwork(networkId) ?? []);
  if (names.length === 0) return undefined;
  const text = [...new Set(names)].sort().join(", ");
  return {
    name: "encryption",
    key: `encryption ${text}`,
    looksAt: NodeChange.description,
    accepts: ({ node }) => (node.description?.wireguardPublicKey ?? "") !== "",
    detail: (count) =>
      `${verb(count, "has", "have")} no WireGuard in the kernel for the encrypted network ${text}`,
  };
};
