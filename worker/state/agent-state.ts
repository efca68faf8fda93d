/**
 * What an agent must still know after a restart of the daemon. Pure (interface, and the twin in memory).
 * Invariants: never holds the data of secrets or configs, nor registry credentials;
 * what was saved is read back as it was, or not at all.
 */
import type { ManagerPeer, NodeResource, TaskStatusUpdate } from "../../proto/gen/skein/v1/dispatcher.js";
import type { Node } from "../../proto/gen/skein/v1/objects.js";

export interface SavedAgent {
  /** Store revision of `resources`; 0: nothing was saved. */
  readonly revision: number;
  /** Tasks and network resources, in no order. */
  readonly resources: readonly NodeResource[];
  /** Newest status of each task. */
  readonly statuses: readonly TaskStatusUpdate[];
  readonly managers: readonly ManagerPeer[];
  readonly node: Node | undefined;
}

export interface SavedChanges {
  /** True: replaces all resources. */
  readonly complete: boolean;
  readonly revision: number;
  readonly upserts: readonly NodeResource[];
  readonly removals: readonly string[];
}

export interface AgentState {
  load(): Promise<SavedAgent>;
  /** `removals` and the keys of `upserts` are key texts. */
  saveResources(changes: SavedChanges): Promise<void>;
  saveStatuses(updates: readonly TaskStatusUpdate[]): Promise<void>;
  removeStatus(taskId: string): Promise<void>;
  saveSession(session: { managers: readonly ManagerPeer[]; node: Node | undefined }): Promise<void>;
  close(): Promise<void>;
}

const NEVER_STORED: ReadonlySet<string> = new Set(["secret", "config", "networkKey"]);

/** @returns the resource as it may be stored; undefined when it may not. */
export function storable({ resource }: NodeResource): NodeResource | undefined {
  if (resource === undefined || NEVER_STORED.has(resource.$case)) return undefined;
  if (resource.$case !== "task") return { resource };
  const task = resource.value;
  const container = task.spec?.container;
  if (task.spec === undefined || container === undefined || container.pullAuth === "") return { resource };
  const spec = { ...task.spec, container: { ...container, pullAuth: "" } };
  return { resource: { $case: "task", value: { ...task, spec } } };
}
