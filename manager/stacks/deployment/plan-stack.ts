/**
 * A stack under way: what to do next about it, from the store and the time alone.
 * Pure. Invariants: any leader that looks at the store plans the same; a deployment ends on its revision,
 * on the good one before, or where it failed, and says why.
 *
 *   APPLYING ──► REACHED          GOING_BACK ──► WENT_BACK          REMOVING ──► (gone)
 *      │ failed: go back ──► GOING_BACK │ failed
 *      └── failed: keep ──► STUCK ◄─────┘
 */
import type { StackRevision } from "../../../proto/gen/skein/v1/objects.js";
import {
  StackDefinition as Definitions,
  RevisionOutcome,
  type StackDefinition,
  type StackDeployment,
  StackOnFailure,
  StackPhase,
  type StackService,
  StackServiceProgress,
  StackServiceState,
} from "../../../proto/gen/skein/v1/stack_types.js";
import type { ServiceSpec } from "../../../proto/gen/skein/v1/types.js";
import { compareServiceSpecs } from "../../control/spec-comparison.js";
import { revisionOf } from "./begin.js";
import { dispensable } from "./dependency-gate.js";
import { outcomeWords } from "./failure-words.js";
import { objectsMadeBy, unwantedObjects } from "./leftovers.js";
import { planRemoval } from "./plan-removal.js";
import { planServices, type ServicesPlan } from "./plan-services.js";
import { planFiles } from "./stack-files.js";
import { planNetworks } from "./stack-networks.js";
import { type StackPlan, StackPlanBuilder, type StackView } from "./stack-view.js";

/** Who removes a stack object by object is given this long, ms, before anything is made again. */
export const GONE_GRACE_MS = 5_000;

const NOTHING: StackPlan = { steps: [], wakeAtMs: undefined, more: false, gone: false };

export function planStack(view: StackView): StackPlan {
  const { deployment } = view.stack;
  switch (deployment?.phase) {
    case StackPhase.APPLYING:
      return planApplying(new StackPlanBuilder(view, deployment));
    case StackPhase.GOING_BACK:
      return planGoingBack(new StackPlanBuilder(view, deployment));
    case StackPhase.REMOVING:
      return planRemoval(new StackPlanBuilder(view, deployment));
    default:
      return NOTHING;
  }
}

function planApplying(plan: StackPlanBuilder): StackPlan {
  const { view, before } = plan;
  const revision = revisionOf(view.tx, view.stack.id, before.revision);
  const definition = revision?.definition;
  if (definition === undefined) return fail(plan, revision, "its revision is gone");
  const parts = planParts(plan, definition);
  if (parts === "begun") return isLate(plan) ? fail(plan, revision, PARTS_LATE) : plan.end();
  if (parts !== "there") return fail(plan, revision, parts);
  const good = goodDefinition(view, before.revision);
  const services = planServices(plan, {
    definition,
    because: `stack ${plan.name} revision ${before.revision}`,
    goingBack: false,
    dispensable: dispensable(definition),
    isKnownGood: (service) => isSame(good, service),
  });
  if (plan.gone) return afterGone(plan, revision);
  if (services.failed !== undefined)
    return fail(plan, revision, `service ${services.failed.key}: ${services.failed.message}`);
  // a monitor may be longer than the deadline: what is reached by then has not failed
  const isReached = services.allSettled || (services.allReached && isLate(plan));
  if (isReached) return reach(plan, revision, definition);
  const late = lateWords(plan, services);
  return late === undefined ? plan.end() : fail(plan, revision, late);
}

/** @returns why the parts can't be; "begun": they are once the steps are carried out. */
function planParts(plan: StackPlanBuilder, definition: StackDefinition): string {
  const { view, name: stackName } = plan;
  const { tx, newId } = view;
  const networks = planNetworks(definition.networks, { tx, newId, stackName });
  if ("refused" in networks) return networks.refused;
  const files = planFiles(definition, tx);
  if ("refused" in files) return files.refused;
  plan.steps.push(...networks.steps, ...files.steps);
  if (plan.steps.length === 0) return "there";
  plan.more = true; // services refer to them by id
  return "begun";
}

/** The store refuses them again and again: a name, for one, is taken by what is on its way out. */
const PARTS_LATE = "its networks, secrets and configs could not be made in time";

function isLate({ before, view }: StackPlanBuilder): boolean {
  return view.nowMs >= before.deadlineMs;
}

function lateWords(plan: StackPlanBuilder, { unreached }: ServicesPlan): string | undefined {
  if (!isLate(plan)) {
    plan.wakeAt(plan.before.deadlineMs);
    return undefined;
  }
  const { key, message } = unreached ?? { key: "", message: "" };
  return `service ${key} was not reached in time: ${message}`;
}

function goodDefinition({ tx, stack }: StackView, except: number): StackDefinition | undefined {
  const number = stack.goodRevision;
  return number === 0 || number === except ? undefined : revisionOf(tx, stack.id, number)?.definition;
}

/** What was found out about a service's specification in an earlier revision; it lives as long as that. */
const findings = new WeakMap<ServiceSpec, { readonly wanted: ServiceSpec; readonly same: boolean }>();

function isSame(good: StackDefinition | undefined, { spec }: StackService): boolean {
  const name = spec?.annotations?.name;
  const old = good?.services.find((service) => service.spec?.annotations?.name === name)?.spec;
  if (old === undefined || spec === undefined) return false;
  const known = findings.get(old);
  if (known?.wanted === spec) return known.same;
  const { same } = compareServiceSpecs(old, spec);
  findings.set(old, { wanted: spec, same });
  return same;
}

/** All is as the revision has it: what is too much goes, and the revision is good. */
function reach(
  plan: StackPlanBuilder,
  revision: StackRevision | undefined,
  definition: StackDefinition,
): StackPlan {
  const { view, before, name } = plan;
  const { tx, stack } = view;
  const wanted = new Set(definition.services.map(({ spec }) => spec?.annotations?.name));
  for (const { id, spec } of tx.list("service", { by: "stackName", stackName: name })) {
    const serviceName = spec?.annotations?.name ?? id;
    if (wanted.has(serviceName)) continue;
    const at = plan.services.findIndex(({ serviceId }) => serviceId === id);
    if (at < 0 && !before.prune) continue;
    plan.steps.push({ kind: "removeService", serviceId: id });
    if (at >= 0) plan.note(at, { state: StackServiceState.REMOVED, message: "" });
    else plan.services = [...plan.services, removedEntry(plan, { id, serviceName })];
  }
  plan.steps.push(...unwantedObjects(tx, { stack, definition, prune: before.prune }));
  if (revision !== undefined)
    plan.steps.push({ kind: "judgeRevision", revision, outcome: RevisionOutcome.GOOD, failure: "" });
  const failed = plan.services.find(({ state }) => state === StackServiceState.FAILED);
  const failure = failed === undefined ? "" : `service ${failed.key}, which may fail: ${failed.message}`;
  return plan.end(
    { phase: StackPhase.REACHED, endedAtMs: view.nowMs, failure },
    { goodRevision: before.revision },
  );
}

function removedEntry(
  plan: StackPlanBuilder,
  { id, serviceName }: { readonly id: string; readonly serviceName: string },
): StackServiceProgress {
  const prefix = `${plan.name}_`;
  const key = serviceName.startsWith(prefix) ? serviceName.slice(prefix.length) : serviceName;
  const state = StackServiceState.REMOVED;
  return StackServiceProgress.fromPartial({ key, name: serviceName, serviceId: id, state });
}

function fail(plan: StackPlanBuilder, revision: StackRevision | undefined, why: string): StackPlan {
  const { view, before } = plan;
  const keeps = before.onFailure === StackOnFailure.KEEP;
  const { goodRevision } = view.stack;
  const failure = `${why}; ${outcomeWords(keeps ? undefined : goodRevision)}`;
  plan.steps.length = 0; // nothing that is new begins any more
  plan.services = plan.services.map((service, at) =>
    service.state === StackServiceState.APPLIED && before.services[at]?.state === StackServiceState.WAITING
      ? before.services[at]
      : service,
  );
  if (revision !== undefined)
    plan.steps.push({ kind: "judgeRevision", revision, outcome: RevisionOutcome.FAILED, failure });
  const endedAtMs = view.nowMs;
  if (keeps) return plan.end({ phase: StackPhase.STUCK, endedAtMs, failure });
  const backwards = beginGoingBack(plan);
  return plan.end({ ...backwards, failure });
}

/** Services of the good revision, then those that are to go. */
function beginGoingBack(plan: StackPlanBuilder): Partial<StackDeployment> {
  const { view, before } = plan;
  const good = goodDefinition(view, before.revision);
  const goingBackTo = good === undefined ? 0 : view.stack.goodRevision;
  const names = new Set((good?.services ?? []).map(({ spec }) => spec?.annotations?.name));
  const back = (good?.services ?? []).map(({ key, spec }) =>
    StackServiceProgress.fromPartial({ key, name: spec?.annotations?.name ?? "" }),
  );
  const made = plan.services.filter(
    ({ name, created, serviceId, state }) =>
      created && serviceId !== "" && state !== StackServiceState.REMOVED && !names.has(name),
  );
  plan.services = [...back, ...made];
  plan.more = true; // at once
  const lastsMs = Math.max(before.deadlineMs - before.startedAtMs, 0);
  return { phase: StackPhase.GOING_BACK, goingBackTo, deadlineMs: view.nowMs + lastsMs };
}

function planGoingBack(plan: StackPlanBuilder): StackPlan {
  const { view, before } = plan;
  const { tx, stack } = view;
  const revision = revisionOf(tx, stack.id, before.revision);
  const definition =
    before.goingBackTo === 0
      ? Definitions.fromPartial({})
      : revisionOf(tx, stack.id, before.goingBackTo)?.definition;
  if (definition === undefined) return stuck(plan, `revision ${before.goingBackTo} is gone`);
  for (const [at, { created, state, serviceId, name }] of plan.services.entries()) {
    const isWanted = definition.services.some(({ spec }) => spec?.annotations?.name === name);
    if (isWanted || !created || state === StackServiceState.REMOVED) continue;
    plan.steps.push({ kind: "removeService", serviceId });
    plan.note(at, { state: StackServiceState.REMOVED, message: "" });
    plan.more = true;
  }
  if (plan.more) return plan.end();
  const parts = planParts(plan, definition);
  if (parts === "begun") return isLate(plan) ? stuck(plan, PARTS_LATE) : plan.end();
  if (parts !== "there") return stuck(plan, parts);
  const services = planServices(plan, {
    definition,
    because: `stack ${plan.name} back to revision ${before.goingBackTo}`,
    goingBack: true,
    dispensable: new Set(),
    isKnownGood: () => true,
  });
  if (plan.gone) return afterGone(plan, revision);
  if (services.failed !== undefined)
    return stuck(plan, `service ${services.failed.key}: ${services.failed.message}`);
  if (services.allSettled) {
    if (revision !== undefined) plan.steps.push(...objectsMadeBy(tx, revision, stack));
    return plan.end({ phase: StackPhase.WENT_BACK, endedAtMs: view.nowMs });
  }
  const late = lateWords(plan, services);
  return late === undefined ? plan.end() : stuck(plan, late);
}

function stuck(plan: StackPlanBuilder, why: string): StackPlan {
  const { before, view } = plan;
  const failure = `${before.failure}; going back failed, too: ${why}`;
  return plan.end({ phase: StackPhase.STUCK, endedAtMs: view.nowMs, failure });
}

/** Services are gone that nobody here removed: the whole stack by and by, or just these? */
function afterGone(plan: StackPlanBuilder, revision: StackRevision | undefined): StackPlan {
  const { view, before, name } = plan;
  const { tx, nowMs } = view;
  const untilMs = (view.goneSinceMs ?? nowMs) + GONE_GRACE_MS;
  plan.steps.length = 0;
  plan.services = before.services;
  if (nowMs < untilMs) {
    plan.wakeAt(untilMs);
    return plan.end();
  }
  if (tx.list("service", { by: "stackName", stackName: name }).length === 0) {
    const failure = "its services were removed by somebody else";
    return plan.end({ phase: StackPhase.REMOVING, failure });
  }
  const isGone = ({ serviceId, state }: StackServiceProgress): boolean =>
    serviceId !== "" && state !== StackServiceState.REMOVED && tx.get("service", serviceId) === undefined;
  const gone = plan.services.find(isGone);
  if (before.phase === StackPhase.APPLYING)
    return fail(plan, revision, `service ${gone?.key ?? ""} was removed by somebody else`);
  for (const [at, progress] of plan.services.entries())
    if (isGone(progress)) plan.note(at, { state: StackServiceState.WAITING, serviceId: "", specVersion: 0 });
  return plan.end();
}
