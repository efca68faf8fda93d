/**
 * When a task no longer is what its service asks for. Labels,
 * replicas and update settings of the service do not count: only what a task is made from,
 * and the ports it publishes on its own node.
 * Pure. Source: SwarmKit's rule that a difference in pull credentials,
 * or in constraints which the task's node still meets, is no reason to replace a task. Ours: what means the
 * same, the strategy that chose the node, and ports and modes that the network alone is concerned with, are
 * none either.
 */
import type { Node, Service, Task } from "../../proto/gen/skein/v1/objects.js";
import {
  EndpointSpec,
  type PortConfig,
  PublishMode,
  type TaskSpec,
  TaskState,
} from "../../proto/gen/skein/v1/types.js";
import { satisfiesPlacement } from "../scheduler/constraint.js";
import { normalEndpoint, normalRun } from "./spec-normal.js";
import { observedState, stateRank } from "./task-state.js";

/** Structural equality of plain data; a missing field equals one that is undefined, and -0 equals 0. */
export function deepEqual(a: unknown, b: unknown): boolean {
  if (a === b || Object.is(a, b)) return true;
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

const NO_ENDPOINT: EndpointSpec = EndpointSpec.fromPartial({});

/** An absent endpoint specification means: a VIP, no ports. */
export function sameEndpointSpec(a: EndpointSpec | undefined, b: EndpointSpec | undefined): boolean {
  return deepEqual(a ?? NO_ENDPOINT, b ?? NO_ENDPOINT);
}

/** What was found out about a service's task specification; it lives as long as that. */
interface Findings {
  /** By index of the spec version that a task was made from: tasks of one version have one specification. */
  readonly same: Map<number, boolean>;
  readonly sameButConstraints: Map<number, boolean>;
}

/** Specifications are immutable. */
const findingsOf = new WeakMap<TaskSpec, Findings>();

/** Asks `compare` once per version of the task's specification. */
function findOut(
  task: Task,
  wanted: TaskSpec,
  question: { readonly about: keyof Findings; readonly compare: () => boolean },
): boolean {
  const version = task.specVersion?.index ?? 0;
  if (version === 0) return question.compare();
  let findings = findingsOf.get(wanted);
  if (findings === undefined) {
    findings = { same: new Map(), sameButConstraints: new Map() };
    findingsOf.set(wanted, findings);
  }
  const known = findings[question.about].get(version);
  if (known !== undefined) return known;
  const answer = question.compare();
  findings[question.about].set(version, answer);
  return answer;
}

function sameTaskSpec(task: TaskSpec, service: TaskSpec): boolean {
  return deepEqual(task, service) || deepEqual(normalRun(task), normalRun(service));
}

/** Normal forms leave the credentials out; until the image is pulled they count. */
function samePullAuth(task: TaskSpec, service: TaskSpec): boolean {
  return (task.container?.pullAuth ?? "") === (service.container?.pullAuth ?? "");
}

function sameButConstraints(task: TaskSpec, service: TaskSpec): boolean {
  const without = (spec: TaskSpec): TaskSpec => ({
    ...spec,
    placement: spec.placement && { ...spec.placement, constraints: [] },
  });
  return deepEqual(normalRun(without(task)), normalRun(without(service)));
}

/**
 * Published ports of the mesh and virtual addresses are given to every node with the service: a task serves
 * them as it is, if it has an address on the transit network, which all tasks have but those of internal
 * networks. Ports of host mode belong to the task.
 */
function needsNewEndpoint(task: Task, service: Service): boolean {
  const [before, after] = [task.endpoint?.spec ?? NO_ENDPOINT, service.spec?.endpoint ?? NO_ENDPOINT];
  if (before === after || deepEqual(before, after)) return false;
  const hostPorts = (spec: EndpointSpec): readonly PortConfig[] =>
    spec.ports.filter(({ publishMode }) => publishMode === PublishMode.HOST);
  const normal = (spec: EndpointSpec): object => normalEndpoint({ ...NO_ENDPOINT, ports: hostPorts(spec) });
  if (!deepEqual(normal(before), normal(after))) return true;
  return after.ports.length > 0 && before.ports.length === 0 && task.gatewayAddress === "";
}

/** @param node the task's node when it has one. @returns true when an update must replace the task. */
export function isDirty(task: Task, service: Service, node: Node | undefined): boolean {
  const wanted = service.spec?.task;
  if (wanted === undefined || task.spec === undefined) return wanted !== task.spec;
  if (needsNewEndpoint(task, service)) return true;
  if (task.spec === wanted) return false;
  const rank = stateRank(observedState(task));
  const pulled = rank >= stateRank(TaskState.READY) && rank <= stateRank(TaskState.RUNNING);
  if (!pulled && !samePullAuth(task.spec, wanted)) return true;
  const { spec } = task;
  if (findOut(task, wanted, { about: "same", compare: () => sameTaskSpec(spec, wanted) })) return false;
  if (node === undefined || !satisfiesPlacement(node, wanted.placement)) return true;
  const compare = (): boolean => sameButConstraints(spec, wanted);
  return !findOut(task, wanted, { about: "sameButConstraints", compare });
}
