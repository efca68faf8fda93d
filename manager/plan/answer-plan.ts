/**
 * Answers a request for a plan: finds what is meant, supposes it, and composes what follows.
 * Pure over the store, which is only read. Bounds: 100 services in one scale; of "any node" the nodes with
 * the most tasks are tried, 200 at most, for 10 s.
 */
import { InvalidArgumentError, NotFoundError } from "../../base/errors/errors.js";
import { newId } from "../../base/random/ids.js";
import type { Node } from "../../proto/gen/skein/v1/objects.js";
import type { NodeLoss, Plan, PlanReply, PlanRequest } from "../../proto/gen/skein/v1/plan.js";
import { NodeState } from "../../proto/gen/skein/v1/types.js";
import { hostOf } from "../causes/cause-view.js";
import type { ControlComponents } from "../control/control-components.js";
import { findObject } from "../control/find-object.js";
import { ServiceControl } from "../control/services.js";
import { isTerminal, isWanted } from "../orchestrator/task-state.js";
import { type WhatIfAnswer, whatIf } from "../scheduler/what-if.js";
import { type ClusterPicture, pictureOf, type Supposition } from "../scheduler/what-if-question.js";
import type { ReadTx } from "../store/types.js";
import { fits, isUnplaced, nameOf, planOf } from "./plan.js";

export type PlanComponents = Pick<ControlComponents, "store" | "clock" | "random" | "log" | "raft">;
type Question = NonNullable<PlanRequest["question"]>;

const SCALED_SERVICES_MAX = 100;
const LOST_NODES_MAX = 200;
/** Milliseconds after which no further node is tried: the answer comes before its caller gives up. */
const LOSSES_TRIED_FOR_MS = 10_000;
const LOSS_SERVICES_MAX = 10;

export interface Case {
  readonly title: string;
  readonly picture: ClusterPicture;
  readonly suppositions: readonly Supposition[];
}

/**
 * @throws {InvalidArgumentError} no question, or what creating or updating would refuse;
 * {NotFoundError} no such service or node.
 */
export async function answerPlan(components: PlanComponents, { question }: PlanRequest): Promise<PlanReply> {
  if (question === undefined) throw new InvalidArgumentError("a plan needs a question");
  if (question.$case === "loseAnyNode") return worstLoss(components);
  const posed = components.store.view((tx) => pose(components, tx, question));
  const answer = await ask(components, posed);
  return { plan: planFor(posed, answer), losses: [], nodesLeftOut: 0 };
}

/** What follows from all of what is supposed together. */
export async function planOfCase(components: Pick<PlanComponents, "clock">, posed: Case): Promise<Plan> {
  return planFor(posed, await ask(components, posed));
}

function ask(
  { clock }: Pick<PlanComponents, "clock">,
  { picture, suppositions }: Case,
): Promise<WhatIfAnswer> {
  return whatIf({ picture, suppositions, nowMs: clock.nowMs() });
}

function planFor({ title, picture }: Case, answer: WhatIfAnswer): ReturnType<typeof planOf> {
  const nodes = new Map(picture.nodes.map((node) => [node.id, node]));
  return planOf({ title, answer, node: (id) => nodes.get(id) });
}

function pose(
  components: PlanComponents,
  tx: ReadTx,
  question: Exclude<Question, { $case: "loseAnyNode" }>,
): Case {
  const services = new ServiceControl(components);
  const picture = pictureOf(tx);
  const node = (reference: string): Node => findObject(tx, "node", reference);
  switch (question.$case) {
    case "create": {
      const service = services.supposeCreated(tx, question.value, newId(components.random));
      const suppositions = [{ kind: "service", service } as const];
      return { title: `creation of service ${nameOf(service)}`, picture, suppositions };
    }
    case "update": {
      const service = services.supposeUpdated(tx, question.value);
      const what = question.value.rollback ? "rollback" : "update";
      return {
        title: `${what} of service ${nameOf(service)}`,
        picture,
        suppositions: [{ kind: "service", service }],
      };
    }
    case "removeService": {
      const service = findObject(tx, "service", question.value);
      const suppositions = [{ kind: "serviceRemoved", serviceId: service.id } as const];
      return { title: `removal of service ${nameOf(service)}`, picture, suppositions };
    }
    case "scale":
      return { picture, ...posedScale(tx, question.value.replicas) };
    case "drainNode": {
      const { id } = node(question.value);
      const title = `drain of node ${hostOf(tx.get("node", id), id)}`;
      return { title, picture, suppositions: [{ kind: "nodeDrained", nodeId: id }] };
    }
    case "loseNode":
      return lossOf(picture, node(question.value));
  }
}

function posedScale(tx: ReadTx, replicas: Readonly<Record<string, number>>): Omit<Case, "picture"> {
  const wanted = Object.entries(replicas);
  if (wanted.length === 0 || wanted.length > SCALED_SERVICES_MAX) {
    throw new InvalidArgumentError(
      `a scale names 1 to ${SCALED_SERVICES_MAX} services, got ${wanted.length}`,
    );
  }
  const scaled = wanted.map(([reference, count]) => {
    const service = findObject(tx, "service", reference);
    const mode = service.spec?.mode?.$case;
    if (mode !== "replicated" && mode !== "replicatedJob") {
      throw new InvalidArgumentError("scale can only be used with replicated or replicated-job mode");
    }
    return { service, count };
  });
  return {
    title: `scale of ${scaled.map(({ service, count }) => `service ${nameOf(service)} to ${count}`).join(", ")}`,
    suppositions: scaled.map(({ service, count }) => ({
      kind: "scale",
      serviceId: service.id,
      replicas: count,
    })),
  };
}

function lossOf(picture: ClusterPicture, node: Node): Case {
  const title = `loss of node ${hostOf(node, node.id)}`;
  return { title, picture, suppositions: [{ kind: "nodeLost", nodeId: node.id }] };
}

/** Each node that is up is lost in turn, alone. */
async function worstLoss(components: PlanComponents): Promise<PlanReply> {
  const picture = components.store.view(pictureOf);
  const tasksOn = new Map<string, number>();
  for (const task of picture.tasks) {
    if (task.nodeId !== "" && isWanted(task) && !isTerminal(task))
      tasksOn.set(task.nodeId, (tasksOn.get(task.nodeId) ?? 0) + 1);
  }
  const load = ({ id }: Node): number => tasksOn.get(id) ?? 0;
  const up = picture.nodes
    .filter(({ status }) => status?.state !== NodeState.DOWN)
    .sort((a, b) => load(b) - load(a));
  if (up.length === 0) throw new NotFoundError("no node is up");
  const losses: NodeLoss[] = [];
  let worst: { readonly loss: NodeLoss; readonly answer: WhatIfAnswer; readonly posed: Case } | undefined;
  const untilMs = components.clock.nowMs() + LOSSES_TRIED_FOR_MS;
  for (const node of up.slice(0, LOST_NODES_MAX)) {
    if (components.clock.nowMs() > untilMs) break;
    const posed = lossOf(picture, node);
    const answer = await ask(components, posed);
    const loss = { ...lossIn(answer), nodeId: node.id, nodeName: hostOf(node, node.id), tasks: load(node) };
    losses.push(loss);
    if (worst === undefined || byHarm(loss, worst.loss) < 0) worst = { loss, answer, posed };
  }
  return {
    plan: worst && planFor(worst.posed, worst.answer),
    losses: losses.sort(byHarm),
    nodesLeftOut: up.length - losses.length,
  };
}

/** The worse one first. */
function byHarm(a: NodeLoss, b: NodeLoss): number {
  return b.unplaced - a.unplaced || b.tasks - a.tasks || (a.nodeName < b.nodeName ? -1 : 1);
}

function lossIn({ outcomes }: WhatIfAnswer): Pick<NodeLoss, "fits" | "unplaced" | "services"> {
  const unplaced = outcomes.filter((outcome) => isUnplaced(outcome) && outcome.kind !== "pending");
  const names = [...new Set(unplaced.map(({ service }) => nameOf(service)))].sort();
  return { fits: fits(outcomes), unplaced: unplaced.length, services: names.slice(0, LOSS_SERVICES_MAX) };
}
