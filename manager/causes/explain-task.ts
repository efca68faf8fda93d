/**
 * One task's chain: what made it, what it waited for, how long each phase took, why it ended, and what
 * replaced it.
 * Pure.
 */
import type { TaskExplanation } from "../../proto/gen/skein/v1/explain.js";
import type { Task } from "../../proto/gen/skein/v1/objects.js";
import { TaskPhase } from "../../proto/gen/skein/v1/types.js";
import { phaseAtMs } from "../orchestrator/task-account.js";
import { createdAtMs, isTerminal, observedState } from "../orchestrator/task-state.js";
import { type CauseView, hostOf, slotNameOf } from "./cause-view.js";
import { endCause } from "./ending-words.js";
import { phaseSpans } from "./phase-spans.js";
import { taskSentence } from "./task-sentence.js";

export function explainTask(task: Task, view: CauseView): TaskExplanation {
  const { status } = task;
  const { cause, text, advice } = taskSentence(task, view);
  const node = view.node(task.nodeId);
  const successor = view.slotTasks.findLast(({ replacesTaskId }) => replacesTaskId === task.id);
  const endedAtMs = phaseAtMs(task, TaskPhase.ENDED) ?? status?.timestampMs ?? 0;
  return {
    taskId: task.id,
    name: slotNameOf(task, view),
    nodeId: task.nodeId,
    nodeName: task.nodeId === "" ? "" : hostOf(node, task.nodeId),
    image: task.spec?.container?.image ?? "",
    state: observedState(task),
    desiredState: task.desiredState,
    cause: isTerminal(task) ? endCause(task, view, cause) : cause,
    sentence: text,
    advice,
    createdBecause: task.createdBecause,
    stoppedBecause: task.stoppedBecause,
    replacesTaskId: task.replacesTaskId,
    replacedByTaskId: successor?.id ?? "",
    createdAtMs: createdAtMs(task),
    endedAtMs: isTerminal(task) ? endedAtMs : 0,
    phases: [...phaseSpans(task, view.nowMs)],
    waits: [...task.waits],
    detail: status?.err && !text.includes(status.err) ? status.err : "",
  };
}
