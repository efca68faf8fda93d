/**
 * What a change of the store means to somebody who watches the cluster.
 * Pure. Changes that only the machinery cares about (leases, addresses, certificates) make no event.
 */
import type { ClusterEvent } from "../../proto/gen/skein/v1/control.js";
import type { Network, Node, Service, Stack, Task } from "../../proto/gen/skein/v1/objects.js";
import type { StackDeployment } from "../../proto/gen/skein/v1/stack_types.js";
import {
  NodeAvailability,
  NodeRole,
  NodeState,
  TaskState,
  UpdateState,
} from "../../proto/gen/skein/v1/types.js";
import { deepEqual } from "../orchestrator/spec-equality.js";
import { phaseWord } from "../stacks/deployment/stack-phase.js";
import type { StoreChange, TableName } from "../store/types.js";
import { taskName } from "./tasks.js";

type Attributes = Record<string, string>;

/** Tables whose changes make events. */
export const EVENT_TABLES = [
  "node",
  "service",
  "task",
  "secret",
  "config",
  "network",
  "stack",
] as const satisfies readonly TableName[];

/** @returns undefined when the change is of no interest. */
export function eventOf(
  change: StoreChange,
  at: { readonly index: number; readonly ordinal: number; readonly timeMs: number },
): ClusterEvent | undefined {
  const attributes = attributesOf(change);
  if (attributes === undefined) return undefined;
  return {
    index: at.index,
    ordinal: at.ordinal,
    timeMs: at.timeMs,
    type: change.table,
    action: actionOf(change),
    id: change.id,
    attributes,
  };
}

function actionOf(change: StoreChange): string {
  return change.table === "network" && change.after?.pendingDelete === true ? "remove" : change.kind;
}

function attributesOf(change: StoreChange): Attributes | undefined {
  switch (change.table) {
    case "node":
      return nodeAttributes(change.before, change.after);
    case "service":
      return serviceAttributes(change.before, change.after);
    case "task":
      return taskAttributes(change.before, change.after);
    case "secret":
    case "config":
      return { name: (change.after ?? change.before)?.annotations?.name ?? "" };
    case "network":
      return networkAttributes(change.before, change.after);
    case "stack":
      return stackAttributes(change.before, change.after);
    default:
      return undefined;
  }
}

function nodeAttributes(before: Node | undefined, after: Node | undefined): Attributes | undefined {
  const attributes: Attributes = { name: (after ?? before)?.description?.hostname ?? "" };
  if (before === undefined || after === undefined) return attributes;
  const moved = record(attributes, "state", short(stateOf(before)), short(stateOf(after)));
  const renewed = record(attributes, "role", short(before.role), short(after.role));
  record(attributes, "desired-role", short(wishOf(before)), short(wishOf(after)));
  record(attributes, "availability", short(availabilityOf(before)), short(availabilityOf(after)));
  return moved || renewed || !deepEqual(before.spec, after.spec) ? attributes : undefined;
}

const stateOf = (node: Node): string => node.status?.state ?? NodeState.UNKNOWN;
const wishOf = (node: Node): string => node.spec?.desiredRole ?? NodeRole.WORKER;
const availabilityOf = (node: Node): string => node.spec?.availability ?? NodeAvailability.ACTIVE;

/** A network is gone for its users once it only waits for its last tasks. */
function networkAttributes(before: Network | undefined, after: Network | undefined): Attributes | undefined {
  const wasGone = before === undefined || before.pendingDelete;
  const isGone = after === undefined || after.pendingDelete;
  if (wasGone === isGone) return undefined;
  return { name: (isGone ? before : after)?.spec?.annotations?.name ?? "" };
}

function serviceAttributes(before: Service | undefined, after: Service | undefined): Attributes | undefined {
  const attributes: Attributes = { name: (after ?? before)?.spec?.annotations?.name ?? "" };
  if (before === undefined || after === undefined) return attributes;
  const updated = record(
    attributes,
    "updatestate",
    short(before.updateStatus?.state ?? UpdateState.NONE),
    short(after.updateStatus?.state ?? UpdateState.NONE),
  );
  record(attributes, "replicas", replicasOf(before), replicasOf(after));
  record(
    attributes,
    "image",
    before.spec?.task?.container?.image ?? "",
    after.spec?.task?.container?.image ?? "",
  );
  return updated || !deepEqual(before.spec, after.spec) ? attributes : undefined;
}

function taskAttributes(before: Task | undefined, after: Task | undefined): Attributes | undefined {
  const task = after ?? before;
  if (task === undefined) return undefined;
  const attributes: Attributes = {
    name: taskName(task),
    "service.id": task.serviceId,
    "service.name": task.serviceAnnotations?.name ?? "",
    "node.id": task.nodeId,
    ...(task.slot > 0 ? { slot: String(task.slot) } : {}),
  };
  if (before === undefined && task.createdBecause !== "") attributes["because"] = task.createdBecause;
  if (before === undefined || after === undefined) return attributes;
  const moved = record(
    attributes,
    "state",
    short(before.status?.state ?? TaskState.NEW),
    short(after.status?.state ?? TaskState.NEW),
  );
  const desired = record(attributes, "desired-state", short(before.desiredState), short(after.desiredState));
  if (desired && after.stoppedBecause !== "") attributes["because"] = after.stoppedBecause;
  const { err = "", cause = "", container } = after.status ?? {};
  if (err !== "") attributes["error"] = err;
  if (cause !== "") attributes["cause"] = cause;
  if (moved && container?.exitCode !== undefined) attributes["exitCode"] = String(container.exitCode);
  return moved || desired ? attributes : undefined;
}

/** A phase begins, or another revision is wanted; steps within a phase are told to who watches the stack. */
function stackAttributes(before: Stack | undefined, after: Stack | undefined): Attributes | undefined {
  const attributes: Attributes = { name: (after ?? before)?.annotations?.name ?? "" };
  if (after === undefined) return attributes;
  const [old, now] = [before?.deployment, after.deployment];
  if (now === undefined) return before === undefined ? attributes : undefined;
  attributes["revision"] = String(now.revision);
  const moved = record(attributes, "phase", phaseOf(old), phaseOf(now));
  if (now.failure !== "") attributes["failure"] = now.failure;
  return moved || old?.revision !== now.revision ? attributes : undefined;
}

/** "going back" */
function phaseOf(deployment: StackDeployment | undefined): string {
  return deployment === undefined ? "" : phaseWord(deployment.phase);
}

function replicasOf(service: Service): string {
  const mode = service.spec?.mode;
  return mode?.$case === "replicated" ? String(mode.value.replicas) : "";
}

/** Notes an old and a new value under `key.old` and `key.new` when they differ. */
function record(attributes: Attributes, key: string, before: string, after: string): boolean {
  if (before === after) return false;
  attributes[`${key}.old`] = before;
  attributes[`${key}.new`] = after;
  return true;
}

/** "NODE_STATE_READY" as "ready". */
function short(value: string): string {
  return value
    .replace(/^(NODE_STATE|NODE_ROLE|NODE_AVAILABILITY|TASK_STATE|UPDATE_STATE)_/, "")
    .toLowerCase();
}
