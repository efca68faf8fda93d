/**
 * When a task no longer is what its service asks for. Labels,
 * replicas and update settings of the service do not count: only what a task is made from,
 * and the published ports.
 * Pure. Source: SwarmKit's rule that a difference in pull credentials,
 * or in constraints which the task's node still meets, is no reason to replace a task.
 */
import type { Node, Service, Task } from "../../proto/gen/skein/v1/objects.js";
import {
  EndpointMode,
  type EndpointSpec,
  PlacementStrategy,
  type TaskSpec,
  TaskState,
} from "../../proto/gen/skein/v1/types.js";
import { satisfiesPlacement } from "../scheduler/constraint.js";
import { observedState, stateRank } from "./task-state.js";

/** Structural equality of plain data; a missing field equals one that is undefined. */
export function deepEqual(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (a instanceof Uint8Array || b instanceof Uint8Array) {
    return a instanceof Uint8Array && b instanceof Uint8Array && Buffer.compare(a, b) === 0;
  }
  if (Array.isArray(a) || Array.isArray(b)) {
    if (!Array.isArray(a) || !Array.isArray(b) || a.length !== b.length) return false;
    for (let i = 0; i < a.length; i++) if (!deepEqual(a[i], b[i])) return false;
    return true;
  }
  return covers(a, b) && covers(b, a, { keysOnly: true });
}

/** Every field of `a` has its equal in `b`; with `keysOnly` it is enough that it is there. */
function covers(a: object, b: object, options: { keysOnly: boolean } = { keysOnly: false }): boolean {
  for (const key in a) {
    const left: unknown = Reflect.get(a, key);
    if (left === undefined) continue;
    const right: unknown = Reflect.get(b, key);
    if (right === undefined || !(options.keysOnly || deepEqual(left, right))) return false;
  }
  return true;
}

const NO_ENDPOINT: EndpointSpec = { mode: EndpointMode.VIP, ports: [] };

/** An absent endpoint specification means: a VIP, no ports. */
export function sameEndpointSpec(a: EndpointSpec | undefined, b: EndpointSpec | undefined): boolean {
  return deepEqual(a ?? NO_ENDPOINT, b ?? NO_ENDPOINT);
}

/** The newest specification found equal or different, per task specification: both are immutable. */
const compared = new WeakMap<TaskSpec, { readonly to: TaskSpec; readonly equal: boolean }>();

function sameTaskSpec(task: TaskSpec, service: TaskSpec): boolean {
  if (task === service) return true;
  const known = compared.get(task);
  if (known?.to === service) return known.equal;
  const equal = deepEqual(task, service);
  compared.set(task, { to: service, equal });
  return equal;
}

function withoutPullAuth(spec: TaskSpec): TaskSpec {
  return spec.container === undefined ? spec : { ...spec, container: { ...spec.container, pullAuth: "" } };
}

function withoutConstraints(spec: TaskSpec): TaskSpec {
  const placement = spec.placement ?? {
    constraints: [],
    spreadPreferences: [],
    platforms: [],
    maxReplicas: 0,
    strategy: PlacementStrategy.DEFAULT,
  };
  return { ...spec, placement: { ...placement, constraints: [] } };
}

/** @param node the task's node when it has one. @returns true when an update must replace the task. */
export function isDirty(task: Task, service: Service, node: Node | undefined): boolean {
  const wanted = service.spec?.task;
  if (wanted === undefined || task.spec === undefined) return wanted !== task.spec;
  if (!sameEndpointSpec(task.endpoint?.spec, service.spec?.endpoint)) return true;
  if (sameTaskSpec(task.spec, wanted)) return false;
  const rank = stateRank(observedState(task));
  const pulled = rank >= stateRank(TaskState.READY) && rank <= stateRank(TaskState.RUNNING);
  let [left, right] = [task.spec, wanted];
  if (pulled) [left, right] = [withoutPullAuth(left), withoutPullAuth(right)];
  if (node !== undefined && satisfiesPlacement(node, wanted.placement)) {
    [left, right] = [withoutConstraints(left), withoutConstraints(right)];
  }
  return !deepEqual(left, right);
}
