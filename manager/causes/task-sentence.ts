/**
 * A task's state and cause in one sentence: what it waits for, what it does, or why it ended.
 * Pure. Invariant: every task has one, and a task that does not run says why.
 */
import type { Task } from "../../proto/gen/skein/v1/objects.js";
import { isTerminal, isWanted } from "../orchestrator/task-state.js";
import type { CauseView, Sentence } from "./cause-view.js";
import { ended, stopping } from "./ending-words.js";
import { waiting } from "./waiting-words.js";

export function taskSentence(task: Task, view: CauseView): Sentence {
  if (isTerminal(task)) return ended(task, view);
  if (isWanted(task)) return waiting(task, view);
  return stopping(task, view);
}
