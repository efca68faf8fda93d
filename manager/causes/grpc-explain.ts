/**
 * The Explain service: finds what is meant and composes its account in slices.
 * Edge: to @grpc/grpc-js. The gate in front of it asks the leader, behind a read barrier.
 */
import type { Clock } from "../../base/clock/clock.js";
import { NotFoundError } from "../../base/errors/errors.js";
import { nextTurn } from "../../base/loop/process-turn.js";
import type { ExplainServer, ServiceExplanation, TaskExplanation } from "../../proto/gen/skein/v1/explain.js";
import type { Node, Service, Task } from "../../proto/gen/skein/v1/objects.js";
import { findObject } from "../control/find-object.js";
import { unary } from "../control/grpc-unary.js";
import { newestFirst } from "../orchestrator/task-state.js";
import type { ReadStore, ReadTx } from "../store/types.js";
import { hostOf, isGlobal } from "./cause-view.js";
import { explainService } from "./explain-service.js";
import { explainTask } from "./explain-task.js";

export interface ExplainComponents {
  readonly store: Pick<ReadStore, "view">;
  readonly clock: Pick<Clock, "nowMs">;
}

/** Characters of an id's beginning that may mean a task. */
const PREFIX_CHARACTERS_MIN = 4;

export function createExplainHandlers({ store, clock }: ExplainComponents): ExplainServer {
  return {
    getServiceExplanation: unary(({ id }) => ofService(store, id, clock.nowMs())),
    getTaskExplanation: unary(({ id }) => store.view((tx) => ofTask(tx, id, clock.nowMs()))),
  };
}

async function ofService(
  store: ExplainComponents["store"],
  id: string,
  nowMs: number,
): Promise<ServiceExplanation> {
  const seen = store.view((tx) => {
    const service = findService(tx, id);
    const tasks = tx.list("task", { by: "serviceId", serviceId: service.id });
    return { service, tasks, nodes: tx.list("node") };
  });
  const byId = new Map(seen.nodes.map((node) => [node.id, node]));
  const explaining = explainService({ ...seen, node: (nodeId) => byId.get(nodeId), nowMs });
  for (let step = explaining.next(); ; step = explaining.next()) {
    if (step.done === true) return step.value;
    await nextTurn();
  }
}

/** One that was removed is found by id or name while its tasks stop. */
function findService(tx: ReadTx, reference: string): Service {
  try {
    return findObject(tx, "service", reference);
  } catch (error) {
    if (!(error instanceof NotFoundError)) throw error;
    const leaving = tx.get("service", reference) ?? tx.list("service", { by: "name", name: reference })[0];
    if (leaving === undefined) throw error;
    return leaving;
  }
}

function ofTask(tx: ReadTx, id: string, nowMs: number): TaskExplanation {
  const task = findTask(tx, id);
  const service = tx.get("service", task.serviceId);
  const place = (other: Task): number | string => (isGlobal(service, other) ? other.nodeId : other.slot);
  const kept = tx.list("task", { by: "serviceId", serviceId: task.serviceId });
  const slotTasks = newestFirst(kept.filter((other) => place(other) === place(task)));
  return explainTask(task, { service, slotTasks, nodes: tx.list("node"), node: nodeIn(tx), nowMs });
}

function nodeIn(tx: ReadTx): (id: string) => Node | undefined {
  return (id) => (id === "" ? undefined : tx.get("node", id));
}

/** @throws {NotFoundError} nothing fits; {InvalidArgumentError} several do. */
function findTask(tx: ReadTx, reference: string): Task {
  const [name = "", place, taskId] = reference.split(".");
  if (place === undefined) {
    if (reference.length < PREFIX_CHARACTERS_MIN) throw new NotFoundError(`no such task: ${reference}`);
    return findObject(tx, "task", reference);
  }
  const [service] = tx.list("service", { by: "name", name });
  const tasks = service === undefined ? [] : tx.list("task", { by: "serviceId", serviceId: service.id });
  const rest = reference.slice(name.length + 1); // hostnames may hold dots
  const isThere = (task: Task): boolean =>
    isGlobal(service, task)
      ? task.nodeId === place || hostOf(nodeIn(tx)(task.nodeId), task.nodeId) === rest
      : String(task.slot) === place;
  const found = newestFirst(tasks.filter((task) => (taskId ? task.id === taskId : isThere(task))))[0];
  if (found === undefined) throw new NotFoundError(`no such task: ${reference}`);
  return found;
}
