/**
 * Whether a service's turn has come: what it depends on is started, healthy or completed, as the file says.
 * Pure. Invariants: a closed gate says what it waits for; a dependency that can do without lets everybody
 * pass once it has failed, or is not there.
 */
import {
  StackCondition,
  type StackDefinition,
  type StackDependency,
  type StackService,
  type StackServiceProgress,
  StackServiceState,
} from "../../../proto/gen/skein/v1/stack_types.js";
import type { Verdict } from "./judge-service.js";

export interface Dependency {
  readonly progress: StackServiceProgress;
  /** undefined: not applied yet. */
  readonly verdict: Verdict | undefined;
}

export type Gate =
  | { readonly kind: "open" }
  | { readonly kind: "closed"; readonly message: string }
  | { readonly kind: "never"; readonly message: string };

const OPEN: Gate = { kind: "open" };

export interface GateOptions {
  readonly find: (key: string) => Dependency | undefined;
  /** What was not touched is not waited for: it was so before. */
  readonly goingBack: boolean;
}

/** Of all that the service depends on, the first that is not there yet. */
export function gateOf({ dependsOn }: StackService, options: GateOptions): Gate {
  let closed: Gate = OPEN;
  for (const dependency of dependsOn) {
    const gate = gateOfOne(dependency, options);
    if (gate.kind === "never") return gate;
    if (closed.kind === "open") closed = gate;
  }
  return closed;
}

function gateOfOne(dependency: StackDependency, { find, goingBack }: GateOptions): Gate {
  const { service, condition, optional } = dependency;
  const found = find(service);
  if (found === undefined)
    return optional
      ? OPEN
      : { kind: "never", message: `it depends on ${service}, which is not in the stack` };
  const { progress, verdict } = found;
  if (progress.state === StackServiceState.FAILED) return optional ? OPEN : waits(service, "which failed");
  if (goingBack && progress.state === StackServiceState.UNCHANGED) return OPEN;
  if (verdict === undefined) return waits(service);
  if (optional && verdict.failure !== "") return OPEN;
  switch (condition) {
    case StackCondition.COMPLETED:
      return verdict.completed ? OPEN : waits(`${service} to complete`);
    case StackCondition.HEALTHY:
      if (!verdict.runs) return waits(`${service} to be healthy`);
      if (verdict.hasHealth) return OPEN;
      return optional
        ? OPEN
        : { kind: "never", message: `it waits for ${service} to be healthy, which has no health check` };
    default:
      return verdict.runs ? OPEN : waits(service);
  }
}

function waits(what: string, why = ""): Gate {
  return { kind: "closed", message: why === "" ? `waits for ${what}` : `waits for ${what}, ${why}` };
}

/** Keys of services that may fail without anybody minding: all who depend on them can do without. */
export function dispensable({ services }: StackDefinition): ReadonlySet<string> {
  const optional = new Set<string>();
  const needed = new Set<string>();
  for (const { dependsOn } of services)
    for (const dependency of dependsOn) (dependency.optional ? optional : needed).add(dependency.service);
  for (const key of needed) optional.delete(key);
  return optional;
}
