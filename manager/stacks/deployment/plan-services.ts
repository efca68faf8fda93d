/**
 * The services of a definition, one look: what has come to its turn is written, what was written is judged.
 * Pure. Invariants: a service that is as wanted is not written; one that is not is written once, when its
 * gate is open; what is written and what the stack says of it are one transaction.
 */
import type { Service } from "../../../proto/gen/skein/v1/objects.js";
import {
  type StackDefinition,
  type StackService,
  type StackServiceProgress,
  StackServiceState,
} from "../../../proto/gen/skein/v1/stack_types.js";
import { type Dependency, type Gate, gateOf } from "./dependency-gate.js";
import type { Verdict } from "./judge-service.js";
import { makeWay, portHolder } from "./port-holder.js";
import type { StackPlanBuilder } from "./stack-view.js";
import { findService, isJob, serviceChange } from "./wanted-service.js";

/** Specifications compared in one look: nothing may hold the event loop for long. */
const COMPARED_MAX = 24;

export interface ServicesPlan {
  /** First of those without which the stack can't be; undefined: none has failed. */
  readonly failed: { readonly key: string; readonly message: string } | undefined;
  readonly allSettled: boolean;
  /** Nothing is missing but the time to believe it. */
  readonly allReached: boolean;
  /**
   * The first that is not reached, for who waits too long; one that waits for others only if there is none
   * else.
   */
  readonly unreached: { readonly key: string; readonly message: string } | undefined;
}

export interface ServicesInput {
  readonly definition: StackDefinition;
  readonly because: string;
  readonly goingBack: boolean;
  /** May fail. */
  readonly dispensable: ReadonlySet<string>;
  /** Specified as in the last good revision: its troubles are not this deployment's. */
  readonly isKnownGood: (service: StackService) => boolean;
}

interface Look {
  readonly plan: StackPlanBuilder;
  readonly input: ServicesInput;
  readonly at: ReadonlyMap<string, number>;
  readonly verdicts: Map<string, Verdict>;
  readonly quietSinceMs: number;
  writes: number;
  compared: number;
}

export function planServices(plan: StackPlanBuilder, input: ServicesInput): ServicesPlan {
  const { services } = input.definition;
  const look: Look = {
    plan,
    input,
    at: new Map(services.map(({ key }, at) => [key, at])),
    verdicts: new Map(),
    quietSinceMs: plan.services.reduce((latest, { appliedAtMs }) => Math.max(latest, appliedAtMs), 0),
    writes: 0,
    compared: 0,
  };
  for (const at of services.keys()) noteApplied(look, at);
  if (plan.gone) return { failed: undefined, allSettled: false, allReached: false, unreached: undefined };
  for (const service of inOrder(services)) applyWhenDue(look, look.at.get(service.key) ?? 0, service);
  return summary(look);
}

/** Each after those it depends on, so that one look goes as far as it can. */
function inOrder(services: readonly StackService[]): readonly StackService[] {
  const byKey = new Map(services.map((service) => [service.key, service]));
  const ordered = new Set<StackService>();
  const entered = new Set<StackService>();
  const visit = (service: StackService): void => {
    if (entered.has(service)) return;
    entered.add(service);
    for (const dependency of service.dependsOn) {
      const other = byKey.get(dependency.service);
      if (other !== undefined) visit(other);
    }
    ordered.add(service);
  };
  for (const service of services) visit(service);
  return [...ordered];
}

/** Judges what was applied. */
function noteApplied(look: Look, at: number): void {
  const { plan, input } = look;
  const progress = plan.progress(at);
  if (progress === undefined || !isThere(progress)) return;
  const service = plan.view.tx.get("service", progress.serviceId);
  if (service === undefined || service.pendingDelete) {
    plan.gone = true;
    return;
  }
  const verdict = plan.view.judge(service, {
    sinceMs: progress.appliedAtMs,
    quietSinceMs: look.quietSinceMs,
    goingBack: input.goingBack,
  });
  plan.wakeAt(verdict.wakeAtMs);
  look.verdicts.set(progress.key, verdict);
  if (progress.state === StackServiceState.UNCHANGED) return;
  const specVersion = progress.specVersion || (service.specVersion?.index ?? 0);
  if (verdict.failure !== "")
    plan.note(at, { state: StackServiceState.FAILED, message: verdict.failure, specVersion });
  else if (verdict.reached) plan.note(at, { state: StackServiceState.REACHED, message: "", specVersion });
  // how many tasks run is told by the tasks: a count here would be a commit for each of them
  else plan.note(at, { state: StackServiceState.APPLIED, message: "", specVersion });
}

function isThere({ state }: StackServiceProgress): boolean {
  return (
    state === StackServiceState.APPLIED ||
    state === StackServiceState.REACHED ||
    state === StackServiceState.UNCHANGED
  );
}

function find(look: Look, key: string): Dependency | undefined {
  const at = look.at.get(key);
  const progress = at === undefined ? undefined : look.plan.progress(at);
  return progress && { progress, verdict: look.verdicts.get(key) };
}

function applyWhenDue(look: Look, at: number, wanted: StackService): void {
  const { plan, input } = look;
  const progress = plan.progress(at);
  if (progress === undefined || progress.state !== StackServiceState.WAITING) return;
  const { view } = plan;
  const refused = view.refused.get(progress.name);
  if (refused !== undefined) {
    fail(look, at, refused);
    return;
  }
  if (look.writes >= view.writesMax) return;
  const gate = gateOf(wanted, { find: (key) => find(look, key), goingBack: input.goingBack });
  const before = findService(view.tx, progress.name);
  // one that waits was compared before: it is not as wanted, or what it is restarted with is undecided
  const isKnown = before === undefined || progress.message !== "";
  if (gate.kind === "closed" && isKnown && !mustTurnAround(look, before)) {
    wait(look, at, gate);
    return;
  }
  if (look.compared >= COMPARED_MAX) {
    plan.wakeAt(view.nowMs); // the rest at the next look
    return;
  }
  look.compared += 1;
  const restarts = restartOf(look, wanted);
  const change = serviceChange(wanted, {
    tx: view.tx,
    stackName: plan.name,
    because: input.because,
    nowMs: view.nowMs,
    newId: view.newId,
    goingBack: input.goingBack,
    force: restarts === "yes" || (before !== undefined && isFailedJob(look, before)),
  });
  if (change.kind === "refused") {
    refuse(look, at, gate, change.message);
    return;
  }
  if (change.kind === "none" || change.kind === "quiet") {
    // before its gate: it is there already, and only a dependency that is made anew could change that
    if (restarts === "unknown") {
      wait(look, at, gate);
      return;
    }
    if (change.kind === "quiet") plan.steps.push({ kind: "updateService", service: change.service });
    applied(look, at, {
      service: change.kind === "quiet" ? change.service : before,
      state: StackServiceState.UNCHANGED,
    });
    return;
  }
  if (gate.kind === "never") {
    fail(look, at, gate.message);
    return;
  }
  if (gate.kind === "closed" && !mustTurnAround(look, before)) {
    wait(look, at, gate);
    return;
  }
  const holder = portHolder(plan, change.service);
  if (holder !== undefined && !makeWay(plan, input.definition, holder)) {
    const name = holder.spec?.annotations?.name ?? holder.id;
    wait(look, at, { kind: "closed", message: `waits for a port that ${name} still publishes` });
    return;
  }
  look.writes += 1;
  if (change.kind === "replace") plan.steps.push({ kind: "removeService", serviceId: change.removedId });
  plan.steps.push(
    change.kind === "update"
      ? { kind: "updateService", service: change.service }
      : { kind: "createService", service: change.service },
  );
  applied(look, at, {
    service: change.service,
    state: StackServiceState.APPLIED,
    created: progress.created || change.kind === "create",
    replaced: change.kind !== "update" || change.replaced,
  });
}

function applied(
  look: Look,
  at: number,
  made: {
    readonly service: Service | undefined;
    readonly state: StackServiceState;
    readonly created?: boolean;
    readonly replaced?: boolean;
  },
): void {
  const { plan } = look;
  const { service, state, created, replaced } = made;
  const isNew = state === StackServiceState.APPLIED;
  plan.note(at, {
    state,
    message: "",
    serviceId: service?.id ?? "",
    specVersion: isNew ? 0 : (service?.specVersion?.index ?? 0),
    appliedAtMs: plan.view.nowMs,
    ...(created === undefined ? {} : { created }),
    ...(replaced === undefined ? {} : { replaced }),
  });
  if (isNew || service === undefined) return;
  const judged = {
    sinceMs: plan.view.nowMs,
    quietSinceMs: look.quietSinceMs,
    goingBack: look.input.goingBack,
  };
  const verdict = plan.view.judge(service, judged);
  plan.wakeAt(verdict.wakeAtMs);
  look.verdicts.set(plan.progress(at)?.key ?? "", verdict);
}

function wait(look: Look, at: number, gate: Gate): void {
  look.plan.note(at, { message: gate.kind === "open" ? "" : gate.message });
}

function fail(look: Look, at: number, message: string): void {
  look.plan.note(at, { state: StackServiceState.FAILED, message });
}

/** What the store would not take now, it may once those before it are applied. */
function refuse(look: Look, at: number, gate: Gate, message: string): void {
  if (gate.kind === "closed") wait(look, at, gate);
  else fail(look, at, message);
}

/** Half way to what failed it serves nobody: it turns around without waiting for its turn. */
function mustTurnAround(look: Look, before: Service | undefined): boolean {
  if (!look.input.goingBack || before === undefined) return false;
  return !look.plan.view.judge(before, { sinceMs: 0, quietSinceMs: 0, goingBack: true }).reached;
}

/** Whether what it depends on, and follows when that is restarted, is made anew by this deployment. */
function restartOf(look: Look, { dependsOn }: StackService): "yes" | "no" | "unknown" {
  let answer: "yes" | "no" | "unknown" = "no";
  for (const { service, restart } of dependsOn) {
    const found = restart ? find(look, service) : undefined;
    if (found === undefined) continue;
    if (found.progress.state === StackServiceState.WAITING) return "unknown";
    if (found.progress.replaced) answer = "yes";
  }
  return answer;
}

/** A job that did not end well is run anew; one that did, or still runs, is as wanted. */
function isFailedJob(look: Look, before: Service): boolean {
  if (!isJob(before.spec) || look.input.goingBack) return false;
  return look.plan.view.judge(before, { sinceMs: 0, quietSinceMs: 0, goingBack: false }).failure !== "";
}

function summary(look: Look): ServicesPlan {
  const { plan, input } = look;
  let failed: ServicesPlan["failed"];
  let unreached: ServicesPlan["unreached"];
  let waiting: ServicesPlan["unreached"];
  let allSettled = true;
  let allReached = true;
  for (const [at, wanted] of input.definition.services.entries()) {
    const progress = plan.progress(at);
    if (progress === undefined) continue;
    const { key, state, message } = progress;
    if (state === StackServiceState.FAILED) {
      if (!input.dispensable.has(key)) failed ??= { key, message };
      continue;
    }
    const verdict = look.verdicts.get(key);
    if (verdict?.settled === true) continue;
    if (state === StackServiceState.UNCHANGED) {
      if (input.goingBack || input.isKnownGood(wanted)) {
        continue;
      }
      if (verdict !== undefined && verdict.failure !== "" && !input.dispensable.has(key)) {
        failed ??= { key, message: verdict.failure };
      }
    }
    allSettled = false;
    if (verdict?.reached !== true) allReached = false;
    const lacks = { key, message: message || verdict?.message || "it is not reached" };
    if (state === StackServiceState.WAITING) waiting ??= lacks;
    else unreached ??= lacks;
  }
  return { failed, allSettled, allReached, unreached: unreached ?? waiting };
}
