/**
 * What the scheduler would do: the same placement on a copy of the state, written nowhere.
 * Pure. Answers "deploy this", "drain that node", "lose that node".
 */
import type { Node, Task } from "../../proto/gen/skein/v1/objects.js";
import { TaskState } from "../../proto/gen/skein/v1/types.js";
import { isTerminal, isWanted } from "../orchestrator/task-state.js";
import { NodeSet } from "./node-set.js";
import { placeTasks } from "./placement.js";

export interface WhatIf {
  readonly nodes: readonly Node[];
  /** Tasks there are. */
  readonly tasks: readonly Task[];
  /** Tasks that do not exist yet and want a node. */
  readonly added?: readonly Task[];
  /** Nodes that would take no more tasks and lose those they have: a drain, or a loss. */
  readonly withoutNodes?: readonly string[];
  /** Tasks of these services end with their node. */
  readonly globalServices?: ReadonlySet<string>;
}

export interface WhatIfAnswer {
  /** Task id to node id, for added tasks and for those that would have to move. */
  readonly placements: ReadonlyMap<string, string>;
  /** Task id to the reason in words. */
  readonly refusals: ReadonlyMap<string, string>;
}

export function whatIf(question: WhatIf): WhatIfAnswer {
  const without = new Set(question.withoutNodes ?? []);
  const global = (task: Task): boolean => question.globalServices?.has(task.serviceId) ?? false;
  const moving = question.tasks.filter(
    (task) => without.has(task.nodeId) && isWanted(task) && !isTerminal(task),
  );
  const staying = question.tasks.filter((task) => !without.has(task.nodeId));
  const set = NodeSet.from(
    question.nodes.filter((node) => !without.has(node.id)),
    staying,
  );
  const homeless = moving.filter((task) => !global(task)).map(withoutNode);
  const { placed, unplaced } = placeTasks(set, [...homeless, ...(question.added ?? [])]);
  return {
    placements: new Map(placed.map(({ task, nodeId }) => [task.id, nodeId])),
    refusals: new Map(unplaced.map(({ task, reason }) => [task.id, reason])),
  };
}

function withoutNode(task: Task): Task {
  return {
    ...task,
    nodeId: "",
    replacesTaskId: "",
    assignedGenericResources: [],
    status: task.status && { ...task.status, state: TaskState.PENDING },
  };
}
