/**
 * From a service of a definition, and what the store has of it, to what has to be written: nothing, a new
 * service, a changed one, or another in its place.
 * Pure over a read of the store. Invariants: what means the same is not touched, however often it was
 * forced since; `spec_version` moves exactly when the meaning of the specification does, or its tasks are
 * to be made anew.
 */
import { messageOf } from "../../../base/errors/errors.js";
import { Service } from "../../../proto/gen/skein/v1/objects.js";
import type { StackService } from "../../../proto/gen/skein/v1/stack_types.js";
import { type JobStatus, type ServiceSpec, UpdateState } from "../../../proto/gen/skein/v1/types.js";
import { refuseWithoutIngress } from "../../control/ingress-network.js";
import { describeSpecChange } from "../../control/spec-change.js";
import { compareServiceSpecs, pullAuthOf, withPullAuth } from "../../control/spec-comparison.js";
import { STACK_LABEL } from "../../store/index-keys.js";
import type { ReadTx } from "../../store/types.js";
import { storedSpec } from "../control/definition-form.js";

export type ServiceChange =
  | { readonly kind: "none" }
  /** Of no consequence for tasks that run: credentials. */
  | { readonly kind: "quiet"; readonly service: Service }
  | { readonly kind: "create"; readonly service: Service }
  /** @param replaced its tasks are made anew. */
  | { readonly kind: "update"; readonly service: Service; readonly replaced: boolean }
  /** Its mode is another, which a service cannot change: it goes, and another takes its name. */
  | { readonly kind: "replace"; readonly service: Service; readonly removedId: string }
  | { readonly kind: "refused"; readonly message: string };

export interface ServiceNeeds {
  readonly tx: ReadTx;
  readonly stackName: string;
  /** "stack shop revision 4", for the cause of what follows. */
  readonly because: string;
  readonly nowMs: number;
  readonly newId: () => string;
  /** Taken back: by the rules for rollbacks. */
  readonly goingBack: boolean;
  /** Its tasks are made anew, even if nothing else differs. */
  readonly force: boolean;
}

/** The service of that name, not on its way out; whoever it belongs to. */
export function findService(tx: ReadTx, name: string): Service | undefined {
  return tx.list("service", { by: "name", name }).find(({ pendingDelete }) => !pendingDelete);
}

export function isJob(spec: ServiceSpec | undefined): boolean {
  return spec?.mode?.$case === "replicatedJob" || spec?.mode?.$case === "globalJob";
}

export function serviceChange(wanted: StackService, needs: ServiceNeeds): ServiceChange {
  const { tx } = needs;
  const name = wanted.spec?.annotations?.name ?? "";
  if (wanted.spec === undefined) return { kind: "refused", message: "it has no specification" };
  const before = findService(tx, name);
  try {
    if (before?.spec === undefined) return { kind: "create", service: created(wanted.spec, needs) };
    if (before.spec.annotations?.labels[STACK_LABEL] !== needs.stackName)
      return { kind: "refused", message: `a service ${name} is there and belongs to somebody else` };
    if (before.spec.mode?.$case !== wanted.spec.mode?.$case) {
      const service = created(wanted.spec, needs);
      return { kind: "replace", service, removedId: before.id };
    }
    return updated(wanted.spec, before, before.spec, needs);
  } catch (error) {
    return { kind: "refused", message: messageOf(error) };
  }
}

function created(wanted: ServiceSpec, needs: ServiceNeeds): Service {
  const { tx, nowMs, newId, because } = needs;
  const spec = storedSpec(tx, wanted);
  const id = newId();
  refuseWithoutIngress(tx, spec);
  const jobStatus = isJob(spec) ? { jobStatus: { iteration: 0, lastExecutionMs: nowMs } } : {};
  return Service.fromPartial({ id, spec, specChange: because, ...jobStatus });
}

function updated(
  wanted: ServiceSpec,
  service: Service,
  before: ServiceSpec,
  needs: ServiceNeeds,
): ServiceChange {
  const { tx, force, goingBack, because, nowMs } = needs;
  const resolved = storedSpec(tx, wanted, before);
  const task = withPullAuth(resolved.task, pullAuthOf(resolved) || pullAuthOf(before));
  // how often it was forced says nothing about what is wanted
  const least = Math.max(before.task?.forceUpdate ?? 0, wanted.task?.forceUpdate ?? 0);
  const forceUpdate = force ? least + 1 : least;
  const { same, sameRun, merged } = compareServiceSpecs(before, {
    ...resolved,
    ...(task === undefined ? {} : { task: { ...task, forceUpdate } }),
  });
  if (same) {
    const spec = pullAuthOf(before) === pullAuthOf(merged) ? before : { ...before, task: merged.task };
    if (isPaused(service)) {
      const resumed = { ...service, spec, specVersion: { index: 0 }, updateStatus: undefined };
      return { kind: "update", service: resumed, replaced: true };
    }
    return spec === before ? { kind: "none" } : { kind: "quiet", service: { ...service, spec } };
  }
  refuseWithoutIngress(tx, merged);
  const backwards = goingBack && !isJob(merged);
  const changes = describeSpecChange(before, merged);
  const next: Service = {
    ...service,
    spec: merged,
    specVersion: { index: 0 }, // the store puts the entry's index here
    specChange: changes === "" ? because : `${because}: ${changes}`,
    previousSpec: before,
    previousSpecVersion: service.specVersion,
    updateStatus: backwards
      ? { state: UpdateState.ROLLBACK_STARTED, startedAtMs: nowMs, completedAtMs: 0, message: because }
      : undefined,
    jobStatus: sameRun ? service.jobStatus : nextJobStatus(merged, service, nowMs),
  };
  return { kind: "update", service: next, replaced: !sameRun };
}

/** A changed job runs again, as its next iteration. */
function nextJobStatus(spec: ServiceSpec, service: Service, nowMs: number): JobStatus | undefined {
  if (!isJob(spec)) return undefined;
  return { iteration: (service.jobStatus?.iteration ?? 0) + 1, lastExecutionMs: nowMs };
}

/** Any update lets it go on, even one that changes nothing. */
function isPaused({ updateStatus }: Service): boolean {
  return updateStatus?.state === UpdateState.PAUSED || updateStatus?.state === UpdateState.ROLLBACK_PAUSED;
}
