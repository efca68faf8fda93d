/**
 * Tasks that wait are looked at when something happened that concerns them, and then only as much as it
 * takes.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Node, Task } from "../../proto/gen/skein/v1/objects.js";
import { NodeAvailability, NodeState, PublishMode, TaskState } from "../../proto/gen/skein/v1/types.js";
import { NodeSet } from "./node-set.js";
import { Placer } from "./placement.js";
import { type StuckNews, StuckTasks } from "./stuck-tasks.js";

const MIB = 2 ** 20;

function aNode(id: string, memoryBytes: number, labels: Record<string, string> = {}): Node {
  return Node.fromPartial({
    id,
    status: { state: NodeState.READY },
    spec: { annotations: { labels } },
    description: { hostname: id, resources: { memoryBytes } },
  });
}

interface Shape {
  readonly memoryBytes?: number;
  readonly constraint?: string;
  readonly port?: number;
  readonly nodeId?: string;
  readonly state?: TaskState;
  readonly desired?: TaskState;
  readonly replaces?: string;
}

function aTask(id: string, shape: Shape = {}): Task {
  const { memoryBytes = 0, constraint, port, nodeId = "", replaces = "" } = shape;
  const ports = port === undefined ? [] : [{ publishMode: PublishMode.HOST, publishedPort: port }];
  return Task.fromPartial({
    id,
    serviceId: "web",
    allocated: true,
    nodeId,
    replacesTaskId: replaces,
    desiredState: shape.desired ?? TaskState.RUNNING,
    status: { state: shape.state ?? TaskState.PENDING },
    endpoint: { spec: { ports } },
    spec: {
      resources: { reservations: { memoryBytes } },
      placement: { constraints: constraint === undefined ? [] : [constraint] },
    },
  });
}

class Lab {
  readonly set: NodeSet;
  readonly placer: Placer;
  readonly stuck: StuckTasks;

  constructor(nodes: readonly Node[], tasks: readonly Task[] = []) {
    this.set = NodeSet.from(nodes, tasks);
    this.placer = new Placer(this.set);
    this.stuck = new StuckTasks(this.set);
  }

  /** Tries the task, which finds no node. */
  wait(task: Task): void {
    const result = this.placer.place(task);
    assert.ok(result.kind === "unplaced", `${task.id} found a node`);
    this.stuck.add(result);
  }

  /** @returns what came of it, and how many times filters were asked. */
  after(change: () => void): { readonly news: string; readonly asked: number } {
    const before = this.stuck.evaluations;
    change();
    return { news: told(this.stuck.read()), asked: this.stuck.evaluations - before };
  }
}

function told({ open, told: words }: StuckNews): string {
  return [
    ...open.map((ids) => `open ${ids.join()}`),
    ...words.map(({ taskIds, refusal }) => `${taskIds.join()}: ${refusal.reason}`),
  ].join("; ");
}

const NOTHING = { news: "", asked: 0 };

test("a status of an unrelated task makes nobody look; what it held, once per kind of waiting task", () => {
  const big = { memoryBytes: 900 * MIB, nodeId: "n1", state: TaskState.RUNNING };
  const lab = new Lab([aNode("n1", 1024 * MIB), aNode("n2", 100 * MIB)], [aTask("big", big)]);
  lab.stuck.read();
  for (let i = 0; i < 50; i++) lab.wait(aTask(`w${String(i).padStart(2, "0")}`, { memoryBytes: 500 * MIB }));
  const small = { nodeId: "n1", memoryBytes: 0 };
  assert.deepEqual(
    lab.after(() => lab.set.syncTask("other", aTask("other", { ...small, state: TaskState.STARTING }))),
    NOTHING,
    "it only took something",
  );
  assert.deepEqual(
    lab.after(() => lab.set.syncTask("other", aTask("other", { ...small, state: TaskState.RUNNING }))),
    NOTHING,
  );
  assert.deepEqual(
    lab.after(() => lab.set.syncTask("other", aTask("other", { ...small, state: TaskState.FAILED }))),
    NOTHING,
    "it held no memory",
  );
  const freed = lab.after(() => lab.set.syncTask("big", undefined));
  assert.equal(freed.asked, 1, "fifty tasks of one kind and one node: one look");
  assert.ok(freed.news.startsWith("open w00,w01,"), freed.news);
});

test("each filter hears of its own kind of change only", () => {
  const nodes = [aNode("n1", 100 * MIB), aNode("n2", 100 * MIB)];
  const holder = { port: 80, nodeId: "n1", state: TaskState.RUNNING };
  const lab = new Lab(nodes, [aTask("p1", holder), aTask("p2", { ...holder, nodeId: "n2" })]);
  lab.wait(aTask("memory", { memoryBytes: 500 * MIB }));
  lab.wait(aTask("label", { constraint: "node.labels.disk == ssd" }));
  lab.wait(aTask("port", { port: 80 }));
  lab.stuck.read();
  assert.deepEqual(
    lab.after(() => lab.set.syncTask("p1", undefined)),
    { news: "open port", asked: 1 },
  );
  lab.stuck.remove("port");
  assert.deepEqual(
    lab.after(() => lab.set.syncNode("n1", aNode("n1", 100 * MIB, { disk: "ssd" }))),
    { news: "open label", asked: 1 },
  );
  lab.stuck.remove("label");
  const larger = lab.after(() => lab.set.syncNode("n2", aNode("n2", 600 * MIB)));
  assert.match(larger.news, /open memory/);
  assert.deepEqual(
    lab.after(() => lab.set.syncNode("n2", aNode("n2", 600 * MIB))),
    NOTHING,
    "nothing is new about it",
  );
});

test("other words are told when the counts are others, and only then", () => {
  const nodes = [aNode("n1", 1), aNode("n2", 1), aNode("n3", 1)];
  const lab = new Lab(nodes);
  lab.wait(aTask("w", { memoryBytes: 2 }));
  const drained = Node.fromPartial({
    ...aNode("n1", 1),
    spec: { availability: NodeAvailability.DRAIN },
  });
  assert.equal(
    lab.after(() => lab.set.syncNode("n1", drained)).news,
    "w: no suitable node (1 node not available for new tasks, 2 nodes lack 2 B of memory)",
  );
  assert.equal(lab.after(() => lab.set.syncNode("n1", { ...drained, number: 7 })).news, "");
  assert.equal(
    lab.after(() => lab.set.syncNode("n3", undefined)).news,
    "w: no suitable node (1 node not available for new tasks, 1 node lacks 2 B of memory)",
  );
  assert.equal(lab.after(() => lab.set.syncNode("n4", aNode("n4", 2))).news, "open w");
});

test("a task that names its node waits for that one alone, also when it is not there yet", () => {
  const lab = new Lab([aNode("n1", 1), aNode("n2", 1)]);
  lab.wait(aTask("g1", { memoryBytes: 2, nodeId: "n1" }));
  lab.wait(aTask("g9", { nodeId: "n9" }));
  assert.deepEqual(
    lab.after(() => lab.set.syncNode("n2", aNode("n2", 5))),
    NOTHING,
  );
  assert.equal(lab.after(() => lab.set.syncNode("n1", aNode("n1", 5))).news, "open g1");
  assert.equal(lab.after(() => lab.set.syncNode("n9", aNode("n9", 5))).news, "open g9");
});

test("a successor may go where its predecessor ends, and nobody else yet", () => {
  const old: Shape = { memoryBytes: 10, nodeId: "n1", state: TaskState.RUNNING };
  const lab = new Lab([aNode("n1", 10)], [aTask("old", old)]);
  lab.wait(aTask("next", { memoryBytes: 10, replaces: "old" }));
  lab.wait(aTask("stranger", { memoryBytes: 10 }));
  lab.stuck.read();
  const ending = lab.after(() =>
    lab.set.syncTask("old", aTask("old", { ...old, desired: TaskState.SHUTDOWN })),
  );
  assert.equal(ending.news, "open next");
  const next = lab.placer.place(aTask("next", { memoryBytes: 10, replaces: "old" }));
  assert.equal(next.kind, "placed");
  lab.stuck.remove("next");
  assert.equal(lab.after(() => lab.set.syncTask("old", undefined)).news, "", "the successor has it");
});

test("room that was given, taken and given back between two looks opens again", () => {
  const held = { memoryBytes: 10, nodeId: "n1", state: TaskState.RUNNING };
  const lab = new Lab([aNode("n1", 10)], [aTask("old", held)]);
  for (const id of ["a", "b"]) lab.wait(aTask(id, { memoryBytes: 10 }));
  lab.stuck.read();
  assert.equal(lab.after(() => lab.set.syncTask("old", undefined)).news, "open a,b");
  assert.equal(lab.placer.place(aTask("a", { memoryBytes: 10 })).kind, "placed");
  lab.stuck.remove("a");
  lab.wait(aTask("b", { memoryBytes: 10 }));
  assert.equal(lab.after(() => lab.set.syncTask("a", undefined)).news, "open b");
});

test("a node that left and came back under the same number is looked at by who names it", () => {
  const lab = new Lab([aNode("n1", 1)]);
  lab.wait(aTask("g1", { memoryBytes: 2, nodeId: "n1" }));
  assert.equal(lab.after(() => lab.set.syncNode("n1", undefined)).news, "");
  assert.equal(lab.after(() => lab.set.syncNode("n1", aNode("n1", 5))).news, "open g1");
});

test("many kinds of waiting tasks are shown many changes in portions", () => {
  const nodes = Array.from({ length: 512 }, (_, at) => aNode(`n${at}`, 1));
  const lab = new Lab(nodes);
  for (let kind = 2; kind < 66; kind++) lab.wait(aTask(`t${kind}`, { memoryBytes: kind }));
  lab.stuck.read();
  for (const { id } of nodes) lab.set.syncNode(id, aNode(id, 1, { zone: "west" }));
  let portions = 0;
  for (const _ of lab.stuck.readInPortions()) portions += 1;
  assert.ok(portions >= (512 * 64) / 1_024, `${portions} portions`);
});
