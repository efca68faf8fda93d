/**
 * Whether a cluster without faults is as its user wants it: promise 2 and promise 5 of the design. Pure.
 */
import { isTerminal, isUnassigned, isWanted, stateRank } from "../../../manager/orchestrator/task-state.js";
import type { Node, Service, Task } from "../../../proto/gen/skein/v1/objects.js";
import { NodeAvailability, NodeState, TaskState, UpdateState } from "../../../proto/gen/skein/v1/types.js";
import { stackDisagreements } from "./cluster-stacks.js";
import type { ClusterWorld } from "./cluster-world.js";

/** @returns what is not as it should be, in words; empty: all is. */
export function disagreements(world: ClusterWorld): readonly string[] {
  const found: string[] = [];
  const { store } = world.checks;
  for (const { slot, manager, isManager } of world.machines) {
    if (isManager && manager?.store.index !== store.index)
      found.push(`manager ${slot} is at ${manager?.store.index}, the truth at ${store.index}`);
  }
  if (world.leader() === undefined) found.push("nobody leads");
  const nodes = store.view((tx) => tx.list("node"));
  for (const node of nodes)
    if (node.status?.state !== NodeState.READY) found.push(`${node.id} is ${node.status?.state}`);
  const tasks = store.view((tx) => tx.list("task"));
  for (const task of tasks) found.push(...taskTroubles(task));
  for (const service of store.view((tx) => tx.list("service"))) {
    const own = tasks.filter((task) => task.serviceId === service.id);
    found.push(...serviceTroubles(service, own, nodes));
  }
  found.push(...containerTroubles(world, tasks), ...store.view(stackDisagreements));
  return found;
}

export function imageKind(service: Service): string {
  return (service.spec?.task?.container?.image ?? "").replace(/:.*/, "");
}

function describe(task: Task): string {
  const state = `${task.status?.state}/${task.desiredState}`.replaceAll("TASK_STATE_", "");
  const image = task.spec?.container?.image;
  return `task ${task.id} (slot ${task.slot}, ${task.nodeId || "no node"}, ${state}, ${image})`;
}

function taskTroubles(task: Task): string[] {
  const { status } = task;
  const isSaid =
    status !== undefined && (status.message !== "" || status.err !== "" || task.waits.length > 0);
  const isRunning = status?.state === TaskState.RUNNING;
  if (isWanted(task) && !isRunning && !isSaid) return [`${describe(task)} waits without a cause`];
  if (!isWanted(task) && !isTerminal(task)) return [`${describe(task)} should have stopped`];
  const failed = status?.state === TaskState.FAILED || status?.state === TaskState.REJECTED;
  if (failed && status.err === "" && status.cause === "") return [`${describe(task)} failed without a cause`];
  return [];
}

const UNDER_WAY: ReadonlySet<UpdateState> = new Set([UpdateState.UPDATING, UpdateState.ROLLBACK_STARTED]);
const PAUSED: ReadonlySet<UpdateState> = new Set([UpdateState.PAUSED, UpdateState.ROLLBACK_PAUSED]);

function serviceTroubles(service: Service, tasks: readonly Task[], nodes: readonly Node[]): string[] {
  const name = service.spec?.annotations?.name ?? service.id;
  const found: string[] = [];
  const wanted = tasks.filter(isWanted);
  const running = wanted.filter((task) => task.status?.state === TaskState.RUNNING);
  const bySlot = new Map<string, Task[]>();
  // A successor that was made when its node was about to be paused waits beside what serves there.
  const paused = new Set(
    nodes.filter(({ spec }) => spec?.availability === NodeAvailability.PAUSE).map(({ id }) => id),
  );
  for (const task of wanted) {
    if (isTerminal(task) || (paused.has(task.nodeId) && isUnassigned(task))) continue;
    const key = task.slot === 0 ? task.nodeId : String(task.slot);
    bySlot.set(key, [...(bySlot.get(key) ?? []), task]);
  }
  const kind = imageKind(service);
  const state = service.updateStatus?.state ?? UpdateState.NONE;
  // What cannot run is tried again and again, and an update to it ends as its failure action says.
  if (kind === "bad" || kind === "crash" || PAUSED.has(state)) return found;
  if (UNDER_WAY.has(state))
    found.push(`${name} is ${state}: ${service.updateStatus?.message}: ${tasks.map(describe).join("; ")}`);
  const mode = service.spec?.mode;
  if (mode?.$case !== "replicatedJob") {
    for (const [slot, list] of bySlot)
      if (list.length > 1) found.push(`slot ${slot} of ${name} has ${list.map(describe).join(", ")}`);
  }
  switch (mode?.$case) {
    case "replicated":
      if (running.length !== mode.value.replicas)
        found.push(
          `${name} runs ${running.length} of ${mode.value.replicas}: ${wanted.map(describe).join("; ")}`,
        );
      break;
    case "global": {
      const runningOn = new Set(running.map((task) => task.nodeId));
      for (const node of nodes) {
        const availability = node.spec?.availability ?? NodeAvailability.ACTIVE;
        const isThere = runningOn.has(node.id);
        if (availability === NodeAvailability.ACTIVE && !isThere)
          found.push(`${name} does not run on ${node.id}`);
        if (availability === NodeAvailability.DRAIN && isThere)
          found.push(`${name} runs on drained ${node.id}`);
      }
      break;
    }
    case "replicatedJob": {
      const iteration = service.jobStatus?.iteration ?? 0;
      const complete = tasks.filter(
        (task) => task.jobIteration === iteration && task.status?.state === TaskState.COMPLETE,
      );
      if (complete.length < mode.value.totalCompletions)
        found.push(`${name} has ${complete.length} of ${mode.value.totalCompletions} completions`);
    }
  }
  for (const task of running) {
    if (nodes.find(({ id }) => id === task.nodeId)?.spec?.availability === NodeAvailability.DRAIN)
      found.push(`${describe(task)} runs on a drained node`);
  }
  return found;
}

/** Containers and tasks say the same. */
function containerTroubles(world: ClusterWorld, tasks: readonly Task[]): string[] {
  const found: string[] = [];
  const byId = new Map(tasks.map((task) => [task.id, task]));
  const runs = new Set<string>();
  for (const { slot, container } of world.runningEverywhere()) {
    runs.add(container.taskId);
    const task = byId.get(container.taskId);
    if (task === undefined)
      found.push(`a container of task ${container.taskId} runs on ${slot}, the task is gone`);
    else if (world.slotOf(task.nodeId) !== slot) found.push(`${describe(task)} runs on ${slot}`);
    else if (stateRank(task.status?.state ?? TaskState.NEW) > stateRank(TaskState.RUNNING))
      found.push(`${describe(task)} has a container that runs`);
  }
  for (const task of tasks) {
    const image = task.spec?.container?.image ?? "";
    const ends = image.startsWith("crash:") || image.startsWith("job:"); // its end may be on its way
    if (task.status?.state === TaskState.RUNNING && !runs.has(task.id) && !ends)
      found.push(`${describe(task)} has no container that runs`);
  }
  return found;
}
