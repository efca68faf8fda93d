import assert from "node:assert/strict";
import { test } from "node:test";
import type { Row } from "../output/table.js";
import { type Convergence, convergenceOf } from "./convergence.js";
import { JsonProgress } from "./json-progress.js";
import { PlainProgress, TerminalProgress } from "./progress-view.js";

interface TaskSays {
  readonly slot?: number;
  readonly node?: string;
  readonly state?: string;
  readonly desired?: string;
  readonly err?: string;
  readonly at?: number;
}

const task = ({ slot, node = "n1", state = "running", desired = "running", err, at = 0 }: TaskSays): Row => ({
  ...(slot === undefined ? {} : { Slot: slot }),
  NodeID: node,
  DesiredState: desired,
  CreatedAt: new Date(at * 1000).toISOString(),
  Status: { State: state, ...(err === undefined ? {} : { Err: err }) },
});
const service = (mode: Row, more: Row = {}): Row => ({ Spec: { Mode: mode }, ...more });
const replicated = (count: number, more: Row = {}): Row => service({ Replicated: { Replicas: count } }, more);
const of = (object: Row, tasks: readonly Row[], rollback = false): Convergence =>
  convergenceOf(object, tasks, { rollback });

test("a replicated service has converged when as many run as should", () => {
  assert.equal(of(replicated(2), []).done, false);
  assert.equal(of(replicated(2), [task({ slot: 1 }), task({ slot: 2, state: "starting" })]).done, false);
  assert.equal(of(replicated(2), [task({ slot: 1 }), task({ slot: 2 })]).done, true);
  assert.equal(of(replicated(0), []).done, true);
});

test("scaling down waits until the others are told to stop", () => {
  const six = [1, 2, 3].map((slot) => task({ slot }));
  assert.equal(of(replicated(1), six).done, false);
  assert.equal(
    of(replicated(1), [
      task({ slot: 1 }),
      task({ slot: 2, desired: "remove" }),
      task({ slot: 3, desired: "remove" }),
    ]).done,
    true,
  );
});

test("an update that goes on is not done though enough tasks run", () => {
  const updating = { UpdateStatus: { State: "updating" } };
  assert.equal(of(replicated(1, updating), [task({ slot: 1 })]).done, false);
  assert.equal(of(replicated(1, { UpdateStatus: { State: "completed" } }), [task({ slot: 1 })]).done, true);
});

test("a paused or rolled back update is a failure with its message; a rollback asked for is not", () => {
  const paused = of(replicated(1, { UpdateStatus: { State: "paused", Message: "task x failed" } }), [
    task({ slot: 1 }),
  ]);
  assert.equal(paused.failure, "service update paused: task x failed");
  const rolledBack = replicated(1, { UpdateStatus: { State: "rollback_completed", Message: "back" } });
  assert.equal(of(rolledBack, [task({ slot: 1 })]).failure, "service rolled back: back");
  assert.equal(of(rolledBack, [task({ slot: 1 })], true).done, true);
});

test("a slot shows why its last try failed while the next one is on its way", () => {
  const tasks = [
    task({ slot: 1, state: "rejected", desired: "shutdown", err: "no such image", at: 1 }),
    task({ slot: 1, state: "preparing", at: 2 }),
  ];
  assert.deepEqual(of(replicated(1), tasks).slots, [
    { label: "1/1", state: "preparing", error: "no such image" },
  ]);
  assert.deepEqual(of(replicated(1), [...tasks, task({ slot: 1, at: 3 })]).slots, [
    { label: "1/1", state: "running", error: "" },
  ]);
});

test("a global service waits for its first tasks, then for all of them", () => {
  const global = (desired: number): Row =>
    service({ Global: {} }, { ServiceStatus: { DesiredTasks: desired } });
  assert.equal(of(global(0), []).done, false);
  assert.equal(of(global(2), [task({ node: "n1" }), task({ node: "n2", state: "assigned" })]).done, false);
  assert.equal(of(global(2), [task({ node: "n1" }), task({ node: "n2" })]).done, true);
});

test("a job has converged when enough of it completed", () => {
  const job = (completed: number): Row =>
    service(
      { ReplicatedJob: { TotalCompletions: 2, MaxConcurrent: 1 } },
      { ServiceStatus: { CompletedTasks: completed } },
    );
  assert.equal(of(job(1), [task({ slot: 1, state: "complete" })]).done, false);
  assert.equal(of(job(2), [task({ slot: 1, state: "complete" })]).done, true);
  const [first, second] = of(job(1), [task({ state: "complete" }), task({ slot: 1 })]).slots;
  assert.deepEqual([first?.label, second?.label], ["1/2", "2/2"], "slots from 0, the 0 left out by the API");
});

test("plain progress prints a line when something changed, and errors with their slot", () => {
  const lines: string[] = [];
  const view = new PlainProgress((text) => lines.push(text), { several: false });
  const running = of(replicated(2), [task({ slot: 1 })]);
  view.show("web", running);
  view.show("web", running);
  view.show("web", of(replicated(2), [task({ slot: 1 }), task({ slot: 2, state: "failed", err: "exit 1" })]));
  assert.deepEqual(lines, ["overall progress: 1 out of 2 tasks\n", "2/2: exit 1\n"]);
});

test("terminal progress paints over what it painted", () => {
  let out = "";
  const view = new TerminalProgress(
    (text) => {
      out += text;
    },
    { several: false, columns: () => 40 },
  );
  view.show("web", of(replicated(1), [task({ slot: 1, state: "starting" })]));
  view.show("web", of(replicated(1), [task({ slot: 1 })]));
  assert.equal(
    out,
    "\x1b[2Koverall progress: 0 out of 1 tasks\n\x1b[2K1/1: starting\n\x1b[0J" +
      "\x1b[2A\x1b[2Koverall progress: 1 out of 1 tasks\n\x1b[2K1/1: running\n\x1b[0J",
  );
});

test("a pull's progress prints each status once, and its error fails the command", () => {
  let out = "";
  const progress = new JsonProgress(
    (text) => {
      out += text;
    },
    { terminal: false, quiet: false },
  );
  progress.push(
    '{"status":"Downloading","id":"a","progressDetail":{"current":1,"total":9}}\r\n{"status":"Downl',
  );
  progress.push('oading","id":"a"}\r\n{"status":"Done","id":"a"}\n{"stream":"Loaded image: x\\n"}\n');
  assert.equal(out, "a: Downloading\na: Done\nLoaded image: x\n");
  assert.throws(() => progress.push('{"error":"manifest unknown"}\n'), /manifest unknown/);
});
