/**
 * A what-if answer as a plan: each task's fate, and what each service goes through.
 * Pure. Invariant: nothing is written. Where several nodes are equally good, the cluster may choose another
 * of them than the plan does.
 */
import type { Node, Service } from "../../proto/gen/skein/v1/objects.js";
import type { Plan, PlannedTask } from "../../proto/gen/skein/v1/plan.js";
import { hostOf } from "../causes/cause-view.js";
import type { Outcome, WhatIfAnswer } from "../scheduler/what-if.js";
import { disruptionOf } from "./disruption.js";

/** Tasks a plan tells of one by one; all are counted. */
export const PLANNED_TASKS_MAX = 2_000;

export interface PlanOptions {
  readonly title: string;
  readonly answer: WhatIfAnswer;
  /** As it is today. */
  readonly node: (id: string) => Node | undefined;
}

export function planOf({ title, answer, node }: PlanOptions): Plan {
  const { outcomes, state } = answer;
  const byService = new Map<string, Outcome[]>();
  for (const outcome of outcomes) {
    if (!isNews(outcome, state.servicesTouched)) continue;
    const own = byService.get(outcome.service.id);
    if (own === undefined) byService.set(outcome.service.id, [outcome]);
    else own.push(outcome);
  }
  const known = (id: string): Node | undefined => state.node(id) ?? node(id);
  const ordered = [...byService.values()].sort((a, b) =>
    nameOf(a[0]?.service) < nameOf(b[0]?.service) ? -1 : 1,
  );
  const tasks: PlannedTask[] = [];
  for (const own of ordered) {
    const unplaced = own.filter(isUnplaced);
    for (const outcome of [...unplaced, ...own.filter((each) => !isUnplaced(each))]) {
      if (tasks.length === PLANNED_TASKS_MAX) break;
      tasks.push(plannedTask(outcome, known));
    }
  }
  const told = ordered.reduce((sum, own) => sum + own.length, 0);
  return {
    title,
    fits: fits(outcomes),
    tasks,
    tasksLeftOut: told - tasks.length,
    services: ordered.map((own) => disruptionOf(own, state.nodes.length)),
    warnings: [],
  };
}

/** What waited before and waits on is not this change's doing. */
export function fits(outcomes: readonly Outcome[]): boolean {
  return !outcomes.some((outcome) => isUnplaced(outcome) && outcome.kind !== "pending");
}

export function isUnplaced({ after, nodeId }: Outcome): boolean {
  return after !== undefined && nodeId === undefined;
}

/** Tasks of other services that wait as before are left out. */
function isNews(outcome: Outcome, touched: ReadonlySet<string>): boolean {
  return outcome.kind !== "pending" || outcome.nodeId !== undefined || touched.has(outcome.service.id);
}

function plannedTask(outcome: Outcome, node: (id: string) => Node | undefined): PlannedTask {
  const { service, before, after, refusal } = outcome;
  const name = (nodeId: string): string => (nodeId === "" ? "" : hostOf(node(nodeId), nodeId));
  const beforeNodeId = before?.nodeId ?? "";
  const afterNodeId = outcome.nodeId ?? "";
  const place = isGlobal(service) ? name(after?.nodeId || afterNodeId || beforeNodeId) : String(outcome.slot);
  return {
    serviceId: service.id,
    name: `${nameOf(service)}.${place}`,
    kind: outcome.kind,
    detail: outcome.detail,
    beforeTaskId: before?.id ?? "",
    beforeNodeId,
    beforeNodeName: name(beforeNodeId),
    begins: after !== undefined,
    afterNodeId,
    afterNodeName: name(afterNodeId),
    startFirst: outcome.startFirst,
    reason: refusal?.reason ?? "",
    refusals: [...(refusal?.refusals ?? [])],
  };
}

export function nameOf(service: Service | undefined): string {
  return service?.spec?.annotations?.name || service?.id || "";
}

function isGlobal({ spec }: Service): boolean {
  return spec?.mode?.$case === "global" || spec?.mode?.$case === "globalJob";
}
