/**
 * A node as the scheduler sees it: what it is, and what its tasks hold of it.
 * Pure. Invariants: what tasks hold is the sum over `held`; counts are of tasks that should run,
 * resources and ports are of tasks that may still run.
 */
import type { Node, Task } from "../../proto/gen/skein/v1/objects.js";
import {
  type GenericResource,
  type PortConfig,
  PublishMode,
  type Resources,
} from "../../proto/gen/skein/v1/types.js";
import { isTerminal, isUnassigned, isWanted } from "../orchestrator/task-state.js";
import { NodeChange } from "./node-change.js";

export interface Held {
  readonly serviceId: string;
  readonly wanted: boolean;
  readonly resources: Resources;
  /** Host-mode ports, as `portKey`. */
  readonly ports: readonly string[];
  /** Counts of discrete kinds and the names of named ones. */
  readonly generic: ReadonlyMap<string, number | readonly string[]>;
}

const NOTHING: Resources = { nanoCpus: 0, memoryBytes: 0, generic: [] };
const NOTHING_HELD: ReadonlyMap<string, Held> = new Map();
const NO_PORTS: readonly string[] = [];
const NO_GENERIC: ReadonlyMap<string, number | readonly string[]> = new Map();

export function reservationsOf(task: Task): Resources {
  return task.spec?.resources?.reservations ?? NOTHING;
}

export function portKey(port: PortConfig): string {
  return `${port.protocol}/${port.publishedPort}`;
}

/** Host-mode ports with a fixed number: only those can conflict. */
export function hostPortsOf(task: Task): readonly string[] {
  const ports = task.endpoint?.spec?.ports;
  if (ports === undefined || ports.length === 0) return NO_PORTS;
  return ports
    .filter((port) => port.publishMode === PublishMode.HOST && port.publishedPort !== 0)
    .map(portKey);
}

/** @returns what the task holds of its node; undefined when it holds nothing. */
export function holdingOf(task: Task): Held | undefined {
  if (task.nodeId === "" || isUnassigned(task) || isTerminal(task)) return undefined;
  if (task.attached !== undefined) return undefined; // its container was not placed by anybody here
  return {
    serviceId: task.serviceId,
    wanted: isWanted(task),
    resources: reservationsOf(task),
    ports: hostPortsOf(task),
    generic: genericHeld(task.assignedGenericResources),
  };
}

/** Assigned units by kind. */
export function genericHeld(assigned: readonly GenericResource[]): Held["generic"] {
  if (assigned.length === 0) return NO_GENERIC;
  const generic = new Map<string, number | readonly string[]>();
  for (const { kind, value } of assigned) {
    const before = generic.get(kind);
    if (value?.$case === "discrete")
      generic.set(kind, (typeof before === "number" ? before : 0) + value.value);
    else if (value?.$case === "named")
      generic.set(kind, [...(Array.isArray(before) ? before : []), value.value]);
  }
  return generic;
}

/** @returns bits of what becomes possible when this is given back. */
export function freedBits(held: Held): number {
  let bits: number = held.wanted ? NodeChange.count : 0;
  const { nanoCpus, memoryBytes } = held.resources;
  if (nanoCpus > 0 || memoryBytes > 0 || held.generic.size > 0) bits |= NodeChange.room;
  if (held.ports.length > 0) bits |= NodeChange.ports;
  return bits;
}

/**
 * A service that failed this often on a node within the window is placed there only when nothing else fits.
 */
const FAILURES_MAX = 5;
/** Milliseconds. Source: SwarmKit. */
const FAILURE_WINDOW_MS = 5 * 60_000;

export class NodeInfo {
  node: Node;
  /** Number of the node in its set; free for another when the node is gone. */
  readonly at: number;
  /** By task. */
  get held(): ReadonlyMap<string, Held> {
    return this.#held ?? NOTHING_HELD;
  }
  /** Tasks that should run here. */
  taskCount = 0;
  // Most nodes of a large cluster have none of these: maps are made when something comes into them.
  #held: Map<string, Held> | undefined;
  #serviceCounts: Map<string, number> | undefined;
  /** By service, when its newest failures here happened, ms since the epoch; at most FAILURES_MAX each. */
  #failuresAtMs: Map<string, readonly number[]> | undefined;
  /** By host port, how many tasks hold it: two while one ends and the next begins. */
  #ports: Map<string, number> | undefined;
  #nanoCpusHeld = 0;
  #memoryBytesHeld = 0;

  constructor(node: Node, at: number) {
    this.node = node;
    this.at = at;
  }

  get id(): string {
    return this.node.id;
  }

  serviceCount(serviceId: string): number {
    return this.#serviceCounts?.get(serviceId) ?? 0;
  }

  /** Free, leaving out what the given task holds. */
  freeNanoCpus(exceptTaskId = ""): number {
    const all = this.node.description?.resources?.nanoCpus ?? 0;
    return all - this.#nanoCpusHeld + (this.#ending(exceptTaskId)?.resources.nanoCpus ?? 0);
  }

  /** As `freeNanoCpus`. */
  freeMemoryBytes(exceptTaskId = ""): number {
    const all = this.node.description?.resources?.memoryBytes ?? 0;
    return all - this.#memoryBytesHeld + (this.#ending(exceptTaskId)?.resources.memoryBytes ?? 0);
  }

  /** How full the node is by reservations: the larger share of CPUs and memory, 0 to 1. */
  get fill(): number {
    const { nanoCpus = 0, memoryBytes = 0 } = this.node.description?.resources ?? NOTHING;
    const cpus = nanoCpus > 0 ? this.#nanoCpusHeld / nanoCpus : 0;
    const memory = memoryBytes > 0 ? this.#memoryBytesHeld / memoryBytes : 0;
    return Math.min(1, Math.max(cpus, memory, 0));
  }

  /** True when another task than the given, ending one holds the host port. */
  portInUse(key: string, exceptTaskId = ""): boolean {
    const count = this.#ports?.get(key) ?? 0;
    if (count === 0) return false;
    return count > (this.#ending(exceptTaskId)?.ports.includes(key) === true ? 1 : 0);
  }

  /** Free units of a kind: a number of discrete ones, or the names of those that are free. */
  freeGeneric(
    kind: string,
    exceptTaskId = "",
  ): { readonly count: number; readonly names: readonly string[] } {
    const except = this.#ending(exceptTaskId) === undefined ? "" : exceptTaskId;
    let count = 0;
    const names = new Set<string>();
    for (const unit of this.node.description?.resources?.generic ?? []) {
      if (unit.kind !== kind) continue;
      if (unit.value?.$case === "discrete") count += unit.value.value;
      else if (unit.value?.$case === "named") names.add(unit.value.value);
    }
    for (const [taskId, held] of this.held) {
      const used = taskId === except ? undefined : held.generic.get(kind);
      if (typeof used === "number") count -= used;
      else for (const name of used ?? []) names.delete(name);
    }
    return { count: count + names.size, names: [...names].sort() };
  }

  add(taskId: string, held: Held): void {
    this.remove(taskId);
    this.#held ??= new Map();
    this.#held.set(taskId, held);
    this.#nanoCpusHeld += held.resources.nanoCpus;
    this.#memoryBytesHeld += held.resources.memoryBytes;
    for (const port of held.ports) this.#countPort(port, 1);
    if (held.wanted) this.#count(held.serviceId, 1);
  }

  remove(taskId: string): void {
    const held = this.#held?.get(taskId);
    if (held === undefined) return;
    this.#held?.delete(taskId);
    this.#nanoCpusHeld -= held.resources.nanoCpus;
    this.#memoryBytesHeld -= held.resources.memoryBytes;
    for (const port of held.ports) this.#countPort(port, -1);
    if (held.wanted) this.#count(held.serviceId, -1);
  }

  noteFailure(serviceId: string, atMs: number): void {
    this.#failuresAtMs ??= new Map();
    const recent = (this.#failuresAtMs.get(serviceId) ?? []).filter(
      (time) => atMs - time < FAILURE_WINDOW_MS,
    );
    this.#failuresAtMs.set(serviceId, [...recent, atMs].slice(-FAILURES_MAX));
  }

  /** True when the service keeps failing on this node. */
  isFailing(serviceId: string, nowMs: number): boolean {
    const failures = this.#failuresAtMs?.get(serviceId);
    if (failures === undefined) return false;
    const recent = failures.filter((time) => nowMs - time < FAILURE_WINDOW_MS);
    if (recent.length === 0) this.#failuresAtMs?.delete(serviceId);
    return recent.length >= FAILURES_MAX;
  }

  /** The predecessor of a task gives up what it holds before its successor starts. */
  #ending(taskId: string): Held | undefined {
    if (taskId === "") return undefined;
    const held = this.held.get(taskId);
    return held?.wanted === false ? held : undefined;
  }

  #count(serviceId: string, by: number): void {
    this.taskCount += by;
    const count = this.serviceCount(serviceId) + by;
    this.#serviceCounts ??= new Map();
    if (count === 0) this.#serviceCounts.delete(serviceId);
    else this.#serviceCounts.set(serviceId, count);
  }

  #countPort(port: string, by: number): void {
    this.#ports ??= new Map();
    const count = (this.#ports.get(port) ?? 0) + by;
    if (count > 0) this.#ports.set(port, count);
    else this.#ports.delete(port);
  }
}
