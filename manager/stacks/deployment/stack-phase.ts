/**
 * The phases of a stack's deployment, the questions asked about them, and their words.
 * Pure. Invariant: the leader has work to do for a stack exactly while its deployment is under way.
 */
import type { Stack } from "../../../proto/gen/skein/v1/objects.js";
import {
  type StackDeployment,
  StackPhase,
  type StackServiceProgress,
} from "../../../proto/gen/skein/v1/stack_types.js";

const UNDER_WAY: ReadonlySet<StackPhase> = new Set([
  StackPhase.APPLYING,
  StackPhase.GOING_BACK,
  StackPhase.REMOVING,
]);

export function isUnderWay(stack: Stack | undefined): boolean {
  return stack?.deployment !== undefined && UNDER_WAY.has(stack.deployment.phase);
}

/** "going back", as the API and the command line say it. */
export function phaseWord(phase: StackPhase): string {
  return phase
    .replace(/^STACK_PHASE_/, "")
    .toLowerCase()
    .replaceAll("_", " ");
}

export function stackName(stack: Stack): string {
  return stack.annotations?.name ?? "";
}

/** The deployment with some of it changed, and a step further, so that who watches sees the change. */
export function changed(deployment: StackDeployment, change: Partial<StackDeployment>): StackDeployment {
  return { ...deployment, ...change, step: deployment.step + 1 };
}

/** The same list when no service's progress is another. */
export function withProgress(
  services: readonly StackServiceProgress[],
  at: number,
  change: Partial<StackServiceProgress>,
): readonly StackServiceProgress[] {
  const before = services[at];
  if (before === undefined) return services;
  const keys = Object.keys(change) as (keyof StackServiceProgress)[]; // of a partial one
  if (keys.every((key) => before[key] === change[key])) return services;
  return services.map((service, index) => (index === at ? { ...service, ...change } : service));
}
