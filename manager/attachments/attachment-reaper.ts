/**
 * Attachments end with their node: who has left, or was removed, has no containers on our networks any more.
 * Pure (the store is handed in). Invariant: an attachment whose node is in the store is never touched; a
 * node that is only down comes back with its containers running, so their addresses stay theirs.
 */
import type { ControlLoopComponents } from "../orchestrator/orchestrator-loop.js";
import { type LoopInput, StoreLoop } from "../orchestrator/store-loop.js";
import type { ReadTx } from "../store/types.js";
import { isAttachment } from "./attachment-task.js";

export function createAttachmentReaper(components: ControlLoopComponents): StoreLoop {
  const { store } = components;
  return new StoreLoop({
    ...components,
    name: "attachment reaper",
    tables: ["node"],
    pass: async (input, signal) => {
      const taskIds = store.view((tx) => strays(tx, input));
      await store.batch(
        taskIds,
        (tx, id) => {
          const task = tx.get("task", id);
          if (task !== undefined && tx.get("node", task.nodeId) === undefined) tx.remove("task", id);
        },
        { signal },
      );
      return undefined;
    },
  });
}

/** By index when a node went; of all tasks only when a leader begins. */
function strays(tx: ReadTx, { changes, reset }: LoopInput): readonly string[] {
  const gone = changes.filter(({ kind }) => kind === "remove");
  const tasks = reset
    ? tx.list("task").filter(({ nodeId }) => tx.get("node", nodeId) === undefined)
    : gone.flatMap(({ id }) => tx.list("task", { by: "nodeId", nodeId: id }));
  return tasks.filter(isAttachment).map(({ id }) => id);
}
