/**
 * What may keep a task off a node. A filter prepares what depends on the task alone, checks nodes,
 * and explains how many it refused and why.
 * Pure. Source of the shape: SwarmKit's scheduling filters.
 */
import type { Task } from "../../proto/gen/skein/v1/objects.js";
import type { FilterRefusal } from "../../proto/gen/skein/v1/types.js";
import { constraint, device, encryption, platform, plugin, readiness, volume } from "./node-filters.js";
import type { NodeInfo } from "./node-info.js";
import type { NodeSet } from "./node-set.js";
import { cpu, generic, hostPort, maxReplicas, memory } from "./room-filters.js";

/** As FilterRefusal.filter names it. */
export type FilterName =
  | "readiness"
  | "platform"
  | "constraint"
  | "volume"
  | "plugin"
  | "device"
  | "encryption"
  | "generic"
  | "cpu"
  | "memory"
  | "host-port"
  | "max-replicas";

/** A filter made ready for the tasks of one specification. */
export interface PreparedFilter {
  readonly name: FilterName;
  /** Equal for tasks that ask the same of a node. */
  readonly key: string;
  /** Bits of NodeChange after which a node that was refused may be accepted. */
  readonly looksAt: number;
  /** @param exceptTaskId what this task holds counts as free when it is ending: a predecessor; "": none. */
  accepts(node: NodeInfo, exceptTaskId: string): boolean;
  /** About the nodes it refused. @param count at least 1. @returns "lacks 512 MiB of memory" */
  detail(count: number): string;
  /** @returns a whole phrase, where "1 node" and the detail do not make one. */
  explain?(nodes: string): string;
}

/** What filters look at beside task and node. */
export interface FilterContext {
  readonly set: NodeSet;
  /** Driver of a network; undefined: unknown, or every node has it. */
  readonly networkDriver: (networkId: string) => string | undefined;
  /** Name of a network whose traffic between nodes is encrypted; undefined: it is not. */
  readonly encryptedNetwork: (networkId: string) => string | undefined;
}

/** Undefined when the filter has nothing to say about the task. */
export type Filter = (task: Task, context: FilterContext) => PreparedFilter | undefined;

/** In the order in which refusals are counted: a node is counted for the first filter it fails. */
export const FILTERS: readonly Filter[] = [
  readiness,
  platform,
  constraint,
  volume,
  plugin,
  device,
  encryption,
  generic,
  cpu,
  memory,
  hostPort,
  maxReplicas,
];

export interface Refusal {
  /** "no suitable node (2 nodes not available for new tasks, 1 node lacks 512 MiB of memory)" */
  readonly reason: string;
  readonly refusals: readonly FilterRefusal[];
}

/** All filters, made ready for tasks of one specification. */
export class FilterPipeline {
  readonly filters: readonly PreparedFilter[];
  /** Equal for tasks that the same nodes are right for. */
  readonly key: string;

  constructor(task: Task, context: FilterContext, filters: readonly Filter[] = FILTERS) {
    const prepared: PreparedFilter[] = [];
    let key = "";
    for (const filter of filters) {
      const made = filter(task, context);
      if (made === undefined) continue;
      prepared.push(made);
      key += `${made.key}\n`;
    }
    this.filters = prepared;
    this.key = key;
  }

  accepts(info: NodeInfo, exceptTaskId = ""): boolean {
    return this.refusedBy(info, exceptTaskId) < 0;
  }

  /** @returns position of the first filter that refuses the node; -1: none does. */
  refusedBy(info: NodeInfo, exceptTaskId = ""): number {
    const { filters } = this;
    for (let at = 0; at < filters.length; at++) {
      if (filters[at]?.accepts(info, exceptTaskId) === false) return at;
    }
    return -1;
  }

  /** @param counts nodes refused, by filter. */
  explain(counts: readonly number[]): Refusal {
    const phrases: string[] = [];
    const refusals: FilterRefusal[] = [];
    for (const [at, filter] of this.filters.entries()) {
      const count = counts[at] ?? 0;
      if (count === 0) continue;
      const nodes = count === 1 ? "1 node" : `${count} nodes`;
      const detail = filter.detail(count);
      phrases.push(filter.explain?.(nodes) ?? `${nodes} ${detail}`);
      refusals.push({ filter: filter.name, nodes: count, detail });
    }
    const why = phrases.length === 0 ? "the cluster has no node" : phrases.join(", ");
    return { reason: `no suitable node (${why})`, refusals };
  }
}
