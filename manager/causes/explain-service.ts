/**
 * A service's account: what it wants, what is there, what is missing and why, and the chain of each slot.
 * Pure. Yields between portions, so that a service of many thousand tasks holds the event loop for a slice
 * only. Bounds: SLOTS_MAX slots, those in trouble first, and TASKS_PER_SLOT_MAX tasks of each.
 */
import type { ServiceExplanation, SlotExplanation } from "../../proto/gen/skein/v1/explain.js";
import type { Node, Service, Task } from "../../proto/gen/skein/v1/objects.js";
import { NodeState, TaskState, UpdateState } from "../../proto/gen/skein/v1/types.js";
import { countTasks } from "../control/service-counts.js";
import { isTerminal, isWanted, newestFirst, observedState } from "../orchestrator/task-state.js";
import { type CauseView, isGlobal, slotNameOf } from "./cause-view.js";
import { explainTask } from "./explain-task.js";
import { type Gap, headlineOf } from "./headline.js";
import { taskSentence } from "./task-sentence.js";

export const SLOTS_MAX = 100;
export const TASKS_PER_SLOT_MAX = 10;
/** Tasks looked at between two chances to pause. */
const PORTION_TASKS = 500;

export interface ServiceView {
  readonly service: Service;
  readonly tasks: readonly Task[];
  readonly nodes: readonly Node[];
  readonly node: (id: string) => Node | undefined;
  readonly nowMs: number;
}

interface SlotView {
  readonly key: number | string;
  readonly view: CauseView;
  /** What keeps the slot from serving; undefined when it serves, or need not. */
  readonly gap: Gap | undefined;
}

const UPDATE_WORDS: Readonly<Partial<Record<UpdateState, string>>> = {
  [UpdateState.UPDATING]: "updating",
  [UpdateState.PAUSED]: "paused",
  [UpdateState.COMPLETED]: "completed",
  [UpdateState.ROLLBACK_STARTED]: "rollback_started",
  [UpdateState.ROLLBACK_PAUSED]: "rollback_paused",
  [UpdateState.ROLLBACK_COMPLETED]: "rollback_completed",
};
const MODE_WORDS: Readonly<Record<string, string>> = {
  replicated: "replicated",
  global: "global",
  replicatedJob: "replicated-job",
  globalJob: "global-job",
};

export function* explainService(input: ServiceView): Generator<void, ServiceExplanation> {
  const { service, tasks, node, nowMs } = input;
  const counts = countTasks(service, { tasks, node });
  yield;
  const slots: SlotView[] = [];
  let looked = 0;
  for (const [key, slotTasks] of yield* grouped(input)) {
    slots.push(slotView(input, key, slotTasks));
    looked += slotTasks.length;
    if (looked < PORTION_TASKS) continue;
    looked = 0;
    yield;
  }
  slots.sort(byKey);
  const gaps = slots.flatMap(({ gap }) => gap ?? []);
  const { cause, text, advice } = headlineOf(input, counts, gaps);
  const shown = [...slots]
    .sort((a, b) => Number(b.gap !== undefined) - Number(a.gap !== undefined))
    .slice(0, SLOTS_MAX);
  const update = service.updateStatus;
  return {
    serviceId: service.id,
    name: service.spec?.annotations?.name || service.id,
    mode: MODE_WORDS[service.spec?.mode?.$case ?? ""] ?? "replicated",
    ...counts,
    missing: gaps.length,
    headline: text,
    cause,
    advice: [...advice],
    updateState: UPDATE_WORDS[update?.state ?? UpdateState.NONE] ?? "",
    updateMessage: update?.message ?? "",
    updateStartedAtMs: update?.startedAtMs ?? 0,
    updateCompletedAtMs: update?.completedAtMs ?? 0,
    lastChange: service.specChange,
    slots: shown.map(slotOut),
    slotsLeftOut: slots.length - shown.length,
    nowMs,
  };
}

function* grouped({ service, tasks }: ServiceView): Generator<void, ReadonlyMap<number | string, Task[]>> {
  const groups = new Map<number | string, Task[]>();
  for (const [at, task] of tasks.entries()) {
    const key = isGlobal(service, task) ? task.nodeId : task.slot;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [task]);
    else group.push(task);
    if (at % (4 * PORTION_TASKS) === 0) yield;
  }
  return groups;
}

function slotView(input: ServiceView, key: number | string, tasks: readonly Task[]): SlotView {
  const { service, nodes, node, nowMs } = input;
  const view = { service, nodes, node, slotTasks: newestFirst(tasks), nowMs };
  return { key, view, gap: gapOf(input, view) };
}

function gapOf(input: ServiceView, view: CauseView): Gap | undefined {
  const { service, node } = input;
  const mode = service.spec?.mode?.$case;
  const isJob = mode === "replicatedJob" || mode === "globalJob";
  const iteration = service.jobStatus?.iteration ?? 0;
  const tasks = view.slotTasks.filter(
    (task) => task.desiredState !== TaskState.REMOVE && (!isJob || task.jobIteration === iteration),
  );
  const serves = (task: Task): boolean =>
    (isJob && observedState(task) === TaskState.COMPLETE) ||
    (isWanted(task) &&
      observedState(task) === TaskState.RUNNING &&
      node(task.nodeId)?.status?.state !== NodeState.DOWN);
  if (tasks.length === 0 || tasks.some(serves)) return undefined;
  const subject = tasks.find((task) => isWanted(task) && !isTerminal(task)) ?? tasks[0];
  if (subject === undefined || isDone(subject, mode)) return undefined;
  return { name: slotNameOf(subject, view), ...taskSentence(subject, view) };
}

/** A task that ended well and has no successor; a global service's that was stopped on a node it left. */
function isDone(task: Task, mode: string | undefined): boolean {
  if (isWanted(task)) return false;
  if (observedState(task) === TaskState.COMPLETE) return true;
  return mode === "global" && observedState(task) === TaskState.SHUTDOWN;
}

function byKey(a: SlotView, b: SlotView): number {
  if (typeof a.key === "number" && typeof b.key === "number") return a.key - b.key;
  return String(a.key) < String(b.key) ? -1 : 1;
}

function slotOut({ view, gap }: SlotView): SlotExplanation {
  const shown = view.slotTasks.slice(0, TASKS_PER_SLOT_MAX);
  const newest = shown[0];
  return {
    name: newest === undefined ? "" : slotNameOf(newest, view),
    missing: gap !== undefined,
    tasks: shown.map((task) => explainTask(task, view)),
  };
}
