/**
 * What may keep a task off a node. A filter prepares what depends on the task alone, checks nodes,
 * and explains how many it refused and why.
 * Pure. Source of the shape: SwarmKit's scheduling filters.
 */
import type { Task } from "../../proto/gen/skein/v1/objects.js";
import {
  type GenericResource,
  NodeAvailability,
  NodeState,
  type Platform,
} from "../../proto/gen/skein/v1/types.js";
import { type Constraint, constraintsOf, matchesConstraint, normalArchitecture } from "./constraint.js";
import { hostPortsOf, type NodeInfo, reservationsOf } from "./node-info.js";

/** A filter made ready for one task. */
export interface PreparedFilter {
  accepts(node: NodeInfo): boolean;
  /** @param refusedNodes at least 1. @returns "1 node lacks 512 MiB of memory" */
  explain(refusedNodes: number): string;
}

export interface Filter {
  readonly name: string;
  /** Undefined when the filter has nothing to say about the task. */
  prepare(task: Task): PreparedFilter | undefined;
}

function nodes(count: number): string {
  return count === 1 ? "1 node" : `${count} nodes`;
}

function verb(count: number, one: string, many: string): string {
  return `${nodes(count)} ${count === 1 ? one : many}`;
}

const readiness: Filter = {
  name: "readiness",
  prepare: () => ({
    accepts: ({ node }) =>
      node.status?.state === NodeState.READY &&
      (node.spec?.availability ?? NodeAvailability.ACTIVE) === NodeAvailability.ACTIVE,
    explain: (count) => `${nodes(count)} not available for new tasks`,
  }),
};

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

const memory: Filter = {
  name: "memory",
  prepare: (task) => {
    const { memoryBytes } = reservationsOf(task);
    if (memoryBytes === 0) return undefined;
    return {
      accepts: (info) => info.free(task.replacesTaskId).memoryBytes >= memoryBytes,
      explain: (count) => `${verb(count, "lacks", "lack")} ${formatBytes(memoryBytes)} of memory`,
    };
  },
};

const cpus: Filter = {
  name: "cpus",
  prepare: (task) => {
    const { nanoCpus } = reservationsOf(task);
    if (nanoCpus === 0) return undefined;
    return {
      accepts: (info) => info.free(task.replacesTaskId).nanoCpus >= nanoCpus,
      explain: (count) => `${verb(count, "lacks", "lack")} ${Number((nanoCpus / 1e9).toFixed(3))} free CPUs`,
    };
  },
};

/** @returns how many units of each kind a task asks for. */
function genericDemand(units: readonly GenericResource[]): ReadonlyMap<string, number> {
  const demand = new Map<string, number>();
  for (const { kind, value } of units) {
    demand.set(kind, (demand.get(kind) ?? 0) + (value?.$case === "discrete" ? value.value : 1));
  }
  return demand;
}

const generic: Filter = {
  name: "generic resources",
  prepare: (task) => {
    const demand = [...genericDemand(reservationsOf(task).generic)];
    if (demand.length === 0) return undefined;
    const text = demand.map(([kind, count]) => `${count} ${kind}`).join(", ");
    return {
      accepts: (info) =>
        demand.every(([kind, count]) => info.freeGeneric(kind, task.replacesTaskId).count >= count),
      explain: (count) => `${verb(count, "lacks", "lack")} ${text}`,
    };
  },
};

/** Chooses the units a task gets on a node that passed the filter: named ones by name, in order. */
export function assignGeneric(task: Task, info: NodeInfo): readonly GenericResource[] {
  const assigned: GenericResource[] = [];
  for (const [kind, count] of genericDemand(reservationsOf(task).generic)) {
    const { names } = info.freeGeneric(kind, task.replacesTaskId);
    const taken = names.slice(0, count);
    for (const name of taken) assigned.push({ kind, value: { $case: "named", value: name } });
    const rest = count - taken.length;
    if (rest > 0) assigned.push({ kind, value: { $case: "discrete", value: rest } });
  }
  return assigned;
}

function runs(platform: Platform, wanted: Platform): boolean {
  const sameOs = wanted.os === "" || platform.os.toLowerCase() === wanted.os.toLowerCase();
  const { architecture } = wanted;
  return (
    sameOs &&
    (architecture === "" || normalArchitecture(platform.architecture) === normalArchitecture(architecture))
  );
}

const platform: Filter = {
  name: "platform",
  prepare: (task) => {
    const wanted = task.spec?.placement?.platforms ?? [];
    if (wanted.length === 0) return undefined;
    const text = wanted.map(({ os, architecture }) => `${os || "any"}/${architecture || "any"}`).join(" or ");
    return {
      accepts: ({ node }) => {
        const own = node.description?.platform;
        return own !== undefined && wanted.some((candidate) => runs(own, candidate));
      },
      explain: (count) => `${verb(count, "is", "are")} not ${text}`,
    };
  },
};

const constraint: Filter = {
  name: "constraint",
  prepare: (task) => {
    const placement = task.spec?.placement;
    if (placement === undefined || placement.constraints.length === 0) return undefined;
    const parsed = constraintsOf(placement);
    if (typeof parsed === "string") return { accepts: () => false, explain: () => parsed };
    const failing = (info: NodeInfo): Constraint | undefined =>
      parsed.find((candidate) => !matchesConstraint(info.node, candidate));
    return {
      accepts: (info) => failing(info) === undefined,
      explain: (count) => `${verb(count, "does", "do")} not meet ${placement.constraints.join(" and ")}`,
    };
  },
};

const hostPort: Filter = {
  name: "host ports",
  prepare: (task) => {
    const ports = hostPortsOf(task);
    if (ports.length === 0) return undefined;
    const text = ports.map((key) => key.replace(/^.*\//, "")).join(", ");
    return {
      accepts: (info) => !ports.some((key) => info.portInUse(key, task.replacesTaskId)),
      explain: (count) => `host port ${text} already in use on ${nodes(count)}`,
    };
  },
};

const maxReplicas: Filter = {
  name: "max replicas per node",
  prepare: (task) => {
    const max = task.spec?.placement?.maxReplicas ?? 0;
    if (max === 0) return undefined;
    return {
      accepts: (info) => info.serviceCount(task.serviceId) < max,
      explain: (count) => `${verb(count, "has", "have")} the most replicas allowed per node (${max})`,
    };
  },
};

/** In the order in which refusals are counted: a node is counted for the first filter it fails. */
export const FILTERS: readonly Filter[] = [
  readiness,
  platform,
  constraint,
  generic,
  cpus,
  memory,
  hostPort,
  maxReplicas,
];

/** All filters, made ready for tasks of one specification. */
export class FilterPipeline {
  readonly #prepared: readonly PreparedFilter[];

  constructor(task: Task, filters: readonly Filter[] = FILTERS) {
    this.#prepared = filters.map((filter) => filter.prepare(task)).filter((filter) => filter !== undefined);
  }

  accepts(info: NodeInfo): boolean {
    return this.#prepared.every((filter) => filter.accepts(info));
  }

  /** @returns "no suitable node (2 nodes not available for new tasks, 1 node lacks 512 MiB of memory)" */
  explain(infos: Iterable<NodeInfo>): string {
    const refused = this.#prepared.map(() => 0);
    let seen = 0;
    for (const info of infos) {
      seen++;
      const at = this.#prepared.findIndex((filter) => !filter.accepts(info));
      if (at >= 0) refused[at] = (refused[at] ?? 0) + 1;
    }
    if (seen === 0) return "no suitable node (the cluster has no node)";
    const reasons = this.#prepared.flatMap((filter, i) => {
      const count = refused[i] ?? 0;
      return count > 0 ? [filter.explain(count)] : [];
    });
    return `no suitable node (${reasons.join(", ")})`;
  }
}
