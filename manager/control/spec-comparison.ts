/**
 * When two service specifications mean the same. What means the same keeps its old spelling,
 * so that nothing is restarted over it.
 * Pure.
 */
import type { ServiceSpec, TaskSpec } from "../../proto/gen/skein/v1/types.js";
import { deepEqual } from "../orchestrator/spec-equality.js";
import {
  normalEndpoint,
  normalMode,
  normalRun,
  normalTask,
  normalUpdate,
} from "../orchestrator/spec-normal.js";

export interface SpecComparison {
  /** Nothing differs that anybody could notice, credentials for pulling aside. */
  readonly same: boolean;
  /** The tasks would run as the same: a job need not run again. */
  readonly sameRun: boolean;
  /** The new specification, in the old spelling where that means the same. */
  readonly merged: ServiceSpec;
}

export function compareServiceSpecs(before: ServiceSpec, after: ServiceSpec): SpecComparison {
  const sameTask = deepEqual(normalTask(before.task), normalTask(after.task));
  const sameEndpoint = deepEqual(normalEndpoint(before.endpoint), normalEndpoint(after.endpoint));
  const same =
    sameTask &&
    sameEndpoint &&
    deepEqual(before.annotations, after.annotations) &&
    deepEqual(normalMode(before.mode), normalMode(after.mode)) &&
    deepEqual(normalUpdate(before.update), normalUpdate(after.update)) &&
    deepEqual(normalUpdate(before.rollback), normalUpdate(after.rollback));
  return {
    same,
    sameRun: sameTask || deepEqual(normalRun(before.task), normalRun(after.task)),
    merged: {
      ...after,
      task: sameTask ? withPullAuth(before.task, pullAuthOf(after)) : after.task,
      endpoint: sameEndpoint ? before.endpoint : after.endpoint,
    },
  };
}

export function pullAuthOf(spec: ServiceSpec | undefined): string {
  return spec?.task?.container?.pullAuth ?? "";
}

export function withPullAuth(task: TaskSpec | undefined, pullAuth: string): TaskSpec | undefined {
  if (task?.container === undefined || task.container.pullAuth === pullAuth) return task;
  return { ...task, container: { ...task.container, pullAuth } };
}
