/**
 * Filters that look at what a node has left: resources, host ports, room for another replica.
 * Pure.
 */
import type { Task } from "../../proto/gen/skein/v1/objects.js";
import type { GenericResource } from "../../proto/gen/skein/v1/types.js";
import type { Filter } from "./filter.js";
import { NodeChange } from "./node-change.js";
import { verb } from "./node-filters.js";
import { hostPortsOf, type NodeInfo, reservationsOf } from "./node-info.js";

const UNITS = [
  { name: "GiB", bytes: 2 ** 30 },
  { name: "MiB", bytes: 2 ** 20 },
  { name: "KiB", bytes: 2 ** 10 },
] as const;

/** @returns "512 MiB", "1.5 GiB". */
export function formatBytes(bytes: number): string {
  const unit = UNITS.find((candidate) => bytes >= candidate.bytes);
  return unit === undefined ? `${bytes} B` : `${Number((bytes / unit.bytes).toFixed(1))} ${unit.name}`;
}

export const memory: Filter = (task) => {
  const { memoryBytes } = reservationsOf(task);
  if (memoryBytes === 0) return undefined;
  return {
    name: "memory",
    key: `memory ${memoryBytes}`,
    looksAt: NodeChange.room | NodeChange.description,
    accepts: (info, except) => info.freeMemoryBytes(except) >= memoryBytes,
    detail: (count) => `${verb(count, "lacks", "lack")} ${formatBytes(memoryBytes)} of memory`,
  };
};

export const cpu: Filter = (task) => {
  const { nanoCpus } = reservationsOf(task);
  if (nanoCpus === 0) return undefined;
  return {
    name: "cpu",
    key: `cpu ${nanoCpus}`,
    looksAt: NodeChange.room | NodeChange.description,
    accepts: (info, except) => info.freeNanoCpus(except) >= nanoCpus,
    detail: (count) => `${verb(count, "lacks", "lack")} ${Number((nanoCpus / 1e9).toFixed(3))} free CPUs`,
  };
};

/** @returns how many units of each kind a task asks for. */
function genericDemand(units: readonly GenericResource[]): ReadonlyMap<string, number> {
  const demand = new Map<string, number>();
  for (const { kind, value } of units) {
    demand.set(kind, (demand.get(kind) ?? 0) + (value?.$case === "discrete" ? value.value : 1));
  }
  return demand;
}

export const generic: Filter = (task) => {
  const units = reservationsOf(task).generic;
  if (units.length === 0) return undefined;
  const demand = [...genericDemand(units)];
  const text = demand.map(([kind, count]) => `${count} ${kind}`).join(", ");
  return {
    name: "generic",
    key: `generic ${text}`,
    looksAt: NodeChange.room | NodeChange.description,
    accepts: (info, except) => demand.every(([kind, count]) => info.freeGeneric(kind, except).count >= count),
    detail: (count) => `${verb(count, "lacks", "lack")} ${text}`,
  };
};

const NOTHING_ASSIGNED: readonly GenericResource[] = [];

/** Chooses the units a task gets on a node that passed the filter: named ones by name, in order. */
export function assignGeneric(task: Task, info: NodeInfo): readonly GenericResource[] {
  const units = reservationsOf(task).generic;
  if (units.length === 0) return NOTHING_ASSIGNED;
  const assigned: GenericResource[] = [];
  for (const [kind, count] of genericDemand(units)) {
    const { names } = info.freeGeneric(kind, task.replacesTaskId);
    const taken = names.slice(0, count);
    for (const name of taken) assigned.push({ kind, value: { $case: "named", value: name } });
    const rest = count - taken.length;
    if (rest > 0) assigned.push({ kind, value: { $case: "discrete", value: rest } });
  }
  return assigned;
}

/** Ports that other tasks hold on the node, and those that the routing mesh takes on every node. */
export const hostPort: Filter = (task, { set }) => {
  const ports = hostPortsOf(task);
  if (ports.length === 0) return undefined;
  const text = ports.map((key) => key.replace(/^.*\//, "")).join(", ");
  // the mesh's own ports are in the way of other services only
  const ownMesh = ports.some((key) => set.ingressPorts.get(key) === task.serviceId);
  const isTaken = (info: NodeInfo, key: string, except: string): boolean => {
    const publisher = set.ingressPorts.get(key);
    return (publisher !== undefined && publisher !== task.serviceId) || info.portInUse(key, except);
  };
  return {
    name: "host-port",
    key: `ports ${ports.join()}${ownMesh ? ` of ${task.serviceId}` : ""}`,
    looksAt: NodeChange.ports,
    accepts: (info, except) => !ports.some((key) => isTaken(info, key, except)),
    detail: () => `host port ${text} already in use`,
    explain: (nodes) => `host port ${text} already in use on ${nodes}`,
  };
};

export const maxReplicas: Filter = (task) => {
  const max = task.spec?.placement?.maxReplicas ?? 0;
  if (max === 0) return undefined;
  return {
    name: "max-replicas",
    key: `max ${max} ${task.serviceId}`,
    looksAt: NodeChange.count,
    accepts: (info) => info.serviceCount(task.serviceId) < max,
    detail: (count) => `${verb(count, "has", "have")} the most replicas allowed per node (${max})`,
  };
};
