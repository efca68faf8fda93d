/**
 * A service's account: what it wants, what is there, what is missing and why, and the chain of each slot.
 * Pure. Yields between portions, so that a service of many thousand tasks holds the event loop for a slice
 * only. Bounds: SLOTS_MAX slots, those in trouble first, and TASKS_PER_SLOT_MAX tasks of each.
 */

import type { ServiceCounts } from "../../proto/gen/skein/v1/control.js";
import type { ServiceExplanation, SlotExplanation } from "../../proto/gen/skein/v1/explain.js";
import type { Node, Service, Task } from "../../proto/gen/skein/v1/objects.js";
import { NodeState, TaskState, UpdateState } from "../../proto/gen/skein/v1/types.js";
import { countTasks } from "../control/service-counts.js";
import { isTerminal, isWanted, newestFirst, observedState } from "../orchestrator/task-state.js";
import { type CauseView, isGlobal, slotNameOf } from "./cause-view.js";
import { explainTask } from "./explain-task.js";
import { type Gap, Gaps, headlineOf } from "./headline.js";
import { taskSentence } from "./task-sentence.js";

export const SLOTS_MAX = 100;
export const TASKS_PER_SLOT_MAX = 10;
/** Tasks looked at between two chances to pause. */
const PORTION_TASKS = 500;
const COUNTED_TASKS = 4 * PORTION_TASKS;

export interface ServiceView {
  readonly service: Service;
  readonly tasks: readonly Task[];
  readonly nodes: readonly Node[];
  readonly node: (id: string) => Node | undefined;
  readonly nowMs: number;
}

interface SlotView {
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
  const { service, nowMs } = input;
  const counts = yield* counted(input);
  const groups = yield* grouped(input);
  const gaps = new Gaps();
  const troubled: SlotView[] = [];
  const others: SlotView[] = [];
  let looked = 0;
  for (const key of sortedKeys(groups)) {
    const slot = slotView(input, groups.get(key) ?? []);
    if (slot.gap !== undefined) gaps.add(slot.gap);
    const list = slot.gap === undefined ? others : troubled;
    if (list.length < SLOTS_MAX) list.push(slot);
    looked += slot.view.slotTasks.length;
    if (looked < PORTION_TASKS) continue;
    looked = 0;
    yield;
  }
  const { cause, text, advice } = headlineOf(input, counts, gaps);
  const shown = [...troubled, ...others].slice(0, SLOTS_MAX);
  const update = service.updateStatus;
  return {
    serviceId: service.id,
    name: service.spec?.annotations?.name || service.id,
    mode: MODE_WORDS[service.spec?.mode?.$case ?? ""] ?? "replicated",
    ...counts,
    missing: gaps.count,
    headline: text,
    cause,
    advice: [...advice],
    updateState: UPDATE_WORDS[update?.state ?? UpdateState.NONE] ?? "",
    updateMessage: update?.message ?? "",
    updateStartedAtMs: update?.startedAtMs ?? 0,
    updateCompletedAtMs: update?.completedAtMs ?? 0,
    lastChange: service.specChange,
    slots: shown.map(slotOut),
    slotsLeftOut: groups.size - shown.length,
    nowMs,
  };
}

/** As `countTasks` over all of them, a portion at a time. */
function* counted({ service, tasks, node }: ServiceView): Generator<void, ServiceCounts> {
  let [running, waiting, completed] = [0, 0, 0];
  for (let at = 0; at < tasks.length; at += COUNTED_TASKS) {
    const part = countTasks(service, { tasks: tasks.slice(at, at + COUNTED_TASKS), node });
    running += part.running;
    waiting += part.desired;
    completed += part.completed;
    yield;
  }
  const mode = service.spec?.mode;
  if (mode?.$case === "replicated") return { running, desired: mode.value.replicas, completed };
  if (mode?.$case !== "replicatedJob") return { running, desired: waiting, completed };
  const { maxConcurrent, totalCompletions } = mode.value;
  return { running, completed, desired: Math.min(maxConcurrent, totalCompletions - completed) };
}

/** Numbers by size, as numbers: an ordinary sort of a hundred thousand would hold the event loop. */
function sortedKeys(groups: ReadonlyMap<number | string, unknown>): Iterable<number | string> {
  const keys = [...groups.keys()];
  return typeof keys[0] === "number" ? Float64Array.from(keys, Number).sort() : keys.sort();
}

function* grouped({ service, tasks }: ServiceView): Generator<void, ReadonlyMap<number | string, Task[]>> {
  const groups = new Map<number | string, Task[]>();
  for (const [at, task] of tasks.entries()) {
    const key = isGlobal(service, task) ? task.nodeId : task.slot;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [task]);
    else group.push(task);
    if (at % COUNTED_TASKS === 0) yield;
  }
  return groups;
}

function slotView(input: ServiceView, tasks: readonly Task[]): SlotView {
  const { service, nodes, node, nowMs } = input;
  const view = { service, nodes, node, slotTasks: newestFirst(tasks), nowMs };
  return { view, gap: gapOf(input, view) };
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

function slotOut({ view, gap }: SlotView): SlotExplanation {
  const shown = view.slotTasks.slice(0, TASKS_PER_SLOT_MAX);
  const newest = shown[0];
  return {
    name: newest === undefined ? "" : slotNameOf(newest, view),
    missing: gap !== undefined,
    tasks: shown.map((task) => explainTask(task, view)),
  };
}
