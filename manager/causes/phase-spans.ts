/**
 * How long each phase of a task took: from one station to the next that was reached, or until now.
 * Pure. Invariant: spans follow each other without gap or overlap; only the last one may be open.
 */
import type { PhaseSpan } from "../../proto/gen/skein/v1/explain.js";
import type { Task } from "../../proto/gen/skein/v1/objects.js";
import { type PhaseMark, TaskPhase } from "../../proto/gen/skein/v1/types.js";
import { createdAtMs } from "../orchestrator/task-state.js";

/** What a task does once it has reached a station. */
const AFTER: Readonly<Partial<Record<TaskPhase, string>>> = {
  [TaskPhase.CREATED]: "allocate",
  [TaskPhase.ALLOCATED]: "schedule",
  [TaskPhase.SCHEDULED]: "assign",
  [TaskPhase.ACCEPTED]: "pull",
  [TaskPhase.PULLED]: "prepare",
  [TaskPhase.PREPARED]: "start",
  [TaskPhase.STARTED]: "healthy",
  [TaskPhase.HEALTHY]: "run",
  [TaskPhase.STOPPING]: "stop",
};

export function phaseSpans(task: Task, nowMs: number): readonly PhaseSpan[] {
  const stored = task.status?.phases ?? [];
  const first = stored.find(({ phase }) => phase === TaskPhase.CREATED);
  const begin: readonly PhaseMark[] =
    first === undefined ? [{ phase: TaskPhase.CREATED, atMs: createdAtMs(task) }] : [];
  const marks = [...begin, ...stored];
  const spans: PhaseSpan[] = [];
  let fromMs = marks[0]?.atMs ?? nowMs;
  for (const [at, mark] of marks.entries()) {
    const phase = AFTER[mark.phase];
    if (phase === undefined) break;
    const next = marks[at + 1];
    fromMs = Math.max(fromMs, mark.atMs);
    const toMs = Math.max(fromMs, next?.atMs ?? nowMs);
    spans.push({ phase, fromMs, durationMs: toMs - fromMs, open: next === undefined });
    fromMs = toMs;
  }
  return spans;
}
