/**
 * When a task is of an older specification.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Node, Service, Task } from "../../proto/gen/skein/v1/objects.js";
import {
  BalancePolicy,
  PlacementStrategy,
  PublishMode,
  TaskSpec,
  TaskState,
} from "../../proto/gen/skein/v1/types.js";
import { deepEqual, isDirty } from "./spec-equality.js";

test("plain data is compared by content; an absent field equals an undefined one", () => {
  const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);
  for (const [a, b, equal] of [
    [{ a: 1, b: [1, { c: "x" }] }, { b: [1, { c: "x" }], a: 1 }, true],
    [{ a: 1, b: undefined }, { a: 1 }, true],
    [{ a: 1 }, { a: 1, b: 0 }, false],
    [{ a: undefined }, { b: 0 }, false],
    [[1, 2], [2, 1], false],
    [[1], [1, undefined], false],
    [[], {}, false],
    [bytes(1, 2), bytes(1, 2), true],
    [bytes(1, 2), bytes(1, 3), false],
    [Number.NaN, Number.NaN, true],
    [{ a: -0 }, { a: 0 }, true], // a decoder knows one of them only
    [undefined, {}, false],
  ] as const) {
    assert.equal(deepEqual(a, b), equal);
    assert.equal(deepEqual(b, a), equal);
  }
});

const spec = TaskSpec.fromPartial({ container: { image: "app", env: ["A=1"] } });
const node = Node.fromPartial({ id: "n1", spec: { annotations: { labels: { zone: "east" } } } });

function dirty(changed: TaskSpec, state: TaskState = TaskState.RUNNING): boolean {
  const task = Task.fromPartial({ spec, status: { state } });
  return isDirty(task, Service.fromPartial({ spec: { task: changed } }), node);
}

test("a task is dirty when what it is made from differs", () => {
  assert.ok(!dirty(TaskSpec.fromPartial(spec)));
  assert.ok(dirty(TaskSpec.fromPartial({ ...spec, container: { image: "app:2", env: ["A=1"] } })));
  assert.ok(dirty(TaskSpec.fromPartial({ ...spec, forceUpdate: 1 })));
});

test("another strategy leaves a task where it is, also with new constraints that its node meets", () => {
  const placed = (constraints: string[]): TaskSpec =>
    TaskSpec.fromPartial({ ...spec, placement: { strategy: PlacementStrategy.BIN_PACK, constraints } });
  assert.ok(!dirty(placed([])));
  assert.ok(!dirty(placed(["node.labels.zone == east"])));
  assert.ok(dirty(placed(["node.labels.zone == west"])));
  assert.ok(dirty({ ...placed([]), forceUpdate: 1 }));
});

test("another version of a secret or a config replaces a task; none given is the first", () => {
  const of = (version: number, configVersion: number): TaskSpec =>
    TaskSpec.fromPartial({
      container: {
        image: "app",
        secrets: [{ secretId: "s", version }],
        configs: [{ configId: "c", version: configVersion }],
      },
    });
  const isOther = (before: TaskSpec, after: TaskSpec): boolean =>
    isDirty(Task.fromPartial({ spec: before }), Service.fromPartial({ spec: { task: after } }), node);
  assert.ok(!isOther(of(0, 0), of(1, 1)));
  assert.ok(isOther(of(1, 1), of(2, 1)));
  assert.ok(isOther(of(1, 1), of(1, 2)));
});

test("admission to a mesh port is no task's business; to a host port it is, but not its lists' order", () => {
  const portOf = (publishMode: PublishMode, allowedSources: readonly string[]): object => ({
    ports: [{ targetPort: 80, publishedPort: 80, publishMode, allowedSources }],
  });
  const isReplaced = (publishMode: PublishMode, before: string[], after: string[]): boolean =>
    isDirty(
      Task.fromPartial({ spec, endpoint: { spec: portOf(publishMode, before) } }),
      Service.fromPartial({ spec: { task: spec, endpoint: portOf(publishMode, after) } }),
      node,
    );
  const [ten, home] = ["10.0.0.0/8", "192.168.0.0/16"];
  assert.ok(!isReplaced(PublishMode.INGRESS, [ten], [home]));
  assert.ok(isReplaced(PublishMode.HOST, [ten], [home]));
  assert.ok(!isReplaced(PublishMode.HOST, [ten, home], [home, ten]));
});

test("how connections are balanced and when idle ones end is no task's business", () => {
  const task = Task.fromPartial({ spec, endpoint: { spec: { ports: [{ targetPort: 80 }] } } });
  const endpoint = {
    balance: BalancePolicy.LOCAL_FIRST,
    idleTimeoutMs: 90_000,
    ports: [{ targetPort: 80 }],
  };
  assert.ok(!isDirty(task, Service.fromPartial({ spec: { task: spec, endpoint } }), node));
});

test("new pull credentials alone leave a task alone that has its image", () => {
  const changed = TaskSpec.fromPartial({ container: { image: "app", env: ["A=1"], pullAuth: "secret" } });
  assert.ok(!dirty(changed));
  assert.ok(dirty(changed, TaskState.PREPARING));
});

test("new constraints alone leave a task alone whose node meets them", () => {
  const constrained = (text: string): TaskSpec =>
    TaskSpec.fromPartial({ ...spec, placement: { constraints: [text] } });
  assert.ok(!dirty(constrained("node.labels.zone == east")));
  assert.ok(dirty(constrained("node.labels.zone == west")));
});
