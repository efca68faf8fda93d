/**
 * Whatever state a task is in: it has a sentence and a known cause, and the shown error keeps its rules.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Node, Task } from "../../proto/gen/skein/v1/objects.js";
import { NodeAvailability, NodeState, TaskState } from "../../proto/gen/skein/v1/types.js";
import { isTerminal, isWanted } from "../orchestrator/task-state.js";
import { CAUSE_MEANINGS } from "./cause-words.js";
import { explainTask } from "./explain-task.js";
import { withShownStatus } from "./shown-status.js";

const words = Object.keys(CAUSE_MEANINGS);
const states = Object.values(TaskState).filter((state) => state !== TaskState.UNRECOGNIZED);
const wait = fc.record({
  cause: fc.constantFrom(...words),
  message: fc.string({ minLength: 1 }),
  sinceMs: fc.nat(100),
  untilMs: fc.constantFrom(0, 50),
  refusals: fc.constant([]),
});
const tasks = fc
  .record({
    state: fc.constantFrom(...states),
    desiredState: fc.constantFrom(...states),
    cause: fc.constantFrom("", "gremlins", ...words),
    err: fc.string(),
    exitCode: fc.option(fc.integer({ min: -1, max: 255 }), { nil: undefined }),
    nodeId: fc.constantFrom("", "n1", "gone"),
    waits: fc.array(wait, { maxLength: 4 }),
    stoppedBecause: fc.constantFrom("", "node: n1 is drained", "update", "rollback: x", "gremlins: y"),
    startNotBeforeMs: fc.constantFrom(0, 500),
    quickFailures: fc.nat(5),
  })
  .map(({ state, cause, err, exitCode, ...rest }) =>
    Task.fromPartial({
      id: "t",
      slot: 1,
      serviceAnnotations: { name: "web" },
      status: { state, cause, err, container: exitCode === undefined ? undefined : { exitCode } },
      ...rest,
    }),
  );
const nodes = fc.record({
  state: fc.constantFrom(NodeState.READY, NodeState.DOWN, NodeState.DISCONNECTED, NodeState.UNKNOWN),
  availability: fc.constantFrom(NodeAvailability.ACTIVE, NodeAvailability.DRAIN),
});

test("every task has a sentence, a cause of the list, and an error only where there is one to tell", () => {
  fc.assert(
    fc.property(tasks, nodes, (task, { state, availability }) => {
      const node = Node.fromPartial({ id: "n1", status: { state }, spec: { availability } });
      const find = (id: string): Node | undefined => (id === "n1" ? node : undefined);
      const view = { service: undefined, nodes: [node], node: find, slotTasks: [task], nowMs: 100 };
      const why = explainTask(task, view);
      assert.ok(Object.hasOwn(CAUSE_MEANINGS, why.cause), why.cause);
      assert.ok(why.sentence.trim().length > 3, why.sentence);
      const err = task.status?.err ?? "";
      const shown = withShownStatus(task, find).status?.err ?? "";
      assert.ok(shown.startsWith(err), "words that are there stay");
      const held = task.waits.some(({ cause, untilMs }) => cause === "restart-delay" && untilMs === 0);
      const isServed = isWanted(task) && !isTerminal(task) && !held && state !== NodeState.DOWN;
      if (isServed) assert.equal(shown, err, "a task on a good node has no error of ours");
    }),
    { numRuns: 2_000 },
  );
});
