/**
 * How a task's container is called and labelled,
 * so that it is found again after a restart and by Docker's tools.
 * Pure. Source: the names and labels Docker gives to the containers of swarm tasks.
 */
import type { Task } from "../../proto/gen/skein/v1/objects.js";

export const TASK_ID_LABEL = "com.docker.swarm.task.id";

/** `<service>.<slot>.<task id>`, with the node's id for the slot of a global task. */
export function taskName(task: Task): string {
  const place = task.slot > 0 ? String(task.slot) : task.nodeId;
  return `${task.serviceAnnotations?.name ?? ""}.${place}.${task.id}`;
}

export function taskLabels(task: Task): Readonly<Record<string, string>> {
  return {
    ...task.spec?.container?.labels,
    "com.docker.swarm.node.id": task.nodeId,
    "com.docker.swarm.service.id": task.serviceId,
    "com.docker.swarm.service.name": task.serviceAnnotations?.name ?? "",
    "com.docker.swarm.task": "",
    [TASK_ID_LABEL]: task.id,
    "com.docker.swarm.task.name": taskName(task),
  };
}
