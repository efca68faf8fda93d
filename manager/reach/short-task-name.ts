/**
 * What people call a task: "web.2", and by its node for a global service. Pure.
 */
import type { Task } from "../../proto/gen/skein/v1/objects.js";

export function shortTaskName(task: Task): string {
  return `${task.serviceAnnotations?.name ?? "task"}.${task.slot > 0 ? task.slot : task.nodeId}`;
}
