/**
 * Scenarios of crash loops and of reasons: how long restarts wait, and what each task says of its end.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Task } from "../../proto/gen/skein/v1/objects.js";
import { NodeState, RestartCondition, TaskPhase, TaskState } from "../../proto/gen/skein/v1/types.js";
import { ControlLab } from "../../test/support/control-lab.js";
import { GROWN_DELAY_JITTER, restartOf } from "./restart-policy.js";
import { phaseAtMs } from "./task-account.js";

const replicas = (count: number) => ({ $case: "replicated", value: { replicas: count } }) as const;

interface Ended {
  readonly state: TaskState;
  readonly before?: number;
  readonly delayMs?: number;
  readonly ranMs?: number;
}

function restart({ state, before = 0, delayMs, ranMs }: Ended): { quickFailures: number; delayMs: number } {
  const old = Task.fromPartial({
    quickFailures: before,
    spec: { restart: delayMs === undefined ? {} : { delayMs } },
    status: {
      state,
      phases:
        ranMs === undefined
          ? []
          : [
              { phase: TaskPhase.STARTED, atMs: 1_000 },
              { phase: TaskPhase.ENDED, atMs: 1_000 + ranMs },
            ],
    },
  });
  return restartOf(old, { runningSinceMs: undefined, nowMs: 0, draw: () => 0.5 });
}

const { FAILED, REJECTED, COMPLETE } = TaskState;

test("the delay before a restart, by how the task ended and how often in a row", () => {
  for (const [ended, quickFailures, delayMs] of [
    [{ state: FAILED }, 1, 5_000],
    [{ state: FAILED, before: 2 }, 3, 5_000],
    [{ state: FAILED, before: 3 }, 4, 10_000],
    [{ state: FAILED, before: 4 }, 5, 20_000],
    [{ state: FAILED, before: 7 }, 8, 160_000],
    [{ state: FAILED, before: 8 }, 9, 300_000],
    [{ state: FAILED, before: 1_000 }, 1_001, 300_000],
    // a healthy run begins anew; one that is a little short does not
    [{ state: FAILED, before: 8, ranMs: 60_000 }, 0, 5_000],
    [{ state: FAILED, before: 8, ranMs: 59_999 }, 9, 300_000],
    // what completes does not fail, however often
    [{ state: COMPLETE, before: 8, ranMs: 10 }, 0, 5_000],
    // the user's delay stays as it is
    [{ state: FAILED, before: 8, delayMs: 0 }, 9, 0],
    [{ state: FAILED, before: 8, delayMs: 2_000 }, 9, 2_000],
    // but not for what its node rejects: that is no crash, and never ran
    [{ state: REJECTED, before: 0, delayMs: 0 }, 1, 0],
    [{ state: REJECTED, before: 3, delayMs: 0 }, 4, 2_000],
    [{ state: REJECTED, before: 4, delayMs: 30_000 }, 5, 120_000],
    [{ state: REJECTED, before: 9, delayMs: 600_000 }, 10, 600_000],
  ] as const) {
    assert.deepEqual(restart(ended), { quickFailures, delayMs }, JSON.stringify(ended));
  }
});

test("a grown delay has jitter to both sides, and is never below the plain one", () => {
  const old = Task.fromPartial({ quickFailures: 4, status: { state: FAILED } });
  const at = (draw: number): number =>
    restartOf(old, { runningSinceMs: undefined, nowMs: 0, draw: () => draw }).delayMs;
  assert.equal(at(0), 20_000 * (1 - GROWN_DELAY_JITTER));
  assert.equal(at(0.999_999_999), 20_000 * (1 + GROWN_DELAY_JITTER));
});

test("a crash loop slows down, says so, and starts over after a healthy run, whoever leads", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1");
  await lab.createService("web", { mode: replicas(1) });
  const crash = (): Promise<void> => lab.crash(lab.running("web")[0]?.id ?? "");
  for (let i = 0; i < 3; i++) {
    await crash();
    await lab.advance(5_000);
  }
  await crash();
  const [waiting] = lab.tasks("web");
  assert.equal(waiting?.quickFailures, 4);
  assert.equal(waiting?.createdBecause, "restart: exit code 1, after 4 failures in a row");
  assert.match(
    waiting?.waits[0]?.message ?? "",
    /^starts at \d\d:\d\d:\d\d UTC, [\d.]+ s after 4 failures in a row: exit code 1$/,
  );
  const delayMs = (waiting?.startNotBeforeMs ?? 0) - lab.test.clock.nowMs();
  assert.ok(delayMs >= 8_000 && delayMs <= 12_000, `${delayMs} ms`);
  await lab.changeLeader();
  await lab.advance(delayMs - 1);
  assert.equal(lab.running("web").length, 0);
  await lab.advance(1);
  assert.equal(lab.running("web").length, 1);
  assert.equal(lab.running("web")[0]?.waits[0]?.untilMs, lab.test.clock.nowMs());
  await lab.advance(60_000);
  await crash();
  assert.equal(lab.tasks("web")[0]?.quickFailures, 0);
  assert.equal(lab.tasks("web")[0]?.createdBecause, "restart: exit code 1");
  await lab.close();
});

test("a task that its node rejects is not tried again at full speed", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1");
  let tries = 0;
  lab.run = () => {
    tries += 1;
    return { state: TaskState.REJECTED, err: "No such image: app:1" };
  };
  const task = { restart: { condition: RestartCondition.ANY, delayMs: 0 } };
  await lab.createService("web", { mode: replicas(1), task });
  for (let second = 0; second < 60; second++) await lab.advance(1_000);
  assert.ok(tries <= 9, `${tries} tries in a minute`);
  assert.match(
    lab.waits("web").join(),
    /^1 n1 tries again at \d\d:\d\d:\d\d UTC, [\d.]+ s after \d failures in a row: No such image: app:1$/,
  );
  await lab.close();
});

test("a task that its node rejects while its delay runs has no successor before that is over", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1");
  const triesOf = new Map<string, number>();
  const reject = ({ serviceId }: Task) => {
    triesOf.set(serviceId, (triesOf.get(serviceId) ?? 0) + 1);
    return { state: TaskState.REJECTED, err: "No such image: app:1" };
  };
  lab.run = reject;
  lab.prepare = reject;
  for (const [name, mode] of [
    ["web", replicas(1)],
    ["job", { $case: "replicatedJob", value: { maxConcurrent: 1, totalCompletions: 1 } }],
  ] as const) {
    await lab.createService(name, { mode });
    for (let second = 0; second < 60; second++) await lab.advance(1_000);
    const tries = triesOf.get(name) ?? 0;
    assert.ok(tries >= 4 && tries <= 7, `${tries} tries of ${name} in a minute`);
  }
  const before = triesOf.get("web") ?? 0;
  await lab.setImage("web", "app:2");
  assert.ok((triesOf.get("web") ?? 0) > before, "a changed service is tried at once");
  await lab.close();
});

test("each task that was told to stop says why, and when", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1", "n2");
  await lab.createService("web", { mode: replicas(2) });
  await lab.setImage("web", "app:2");
  await lab.advance(20_000);
  assert.deepEqual(lab.stops("web"), ["1 update: image app:1 to app:2", "2 update: image app:1 to app:2"]);
  assert.ok(lab.tasks("web").some((task) => phaseAtMs(task, TaskPhase.STOPPING) !== undefined));
  await lab.crash(lab.running("web")[0]?.id ?? "");
  assert.ok(lab.stops("web").includes("1 restart: exit code 1"));
  await lab.advance(5_000);
  const home = lab.running("web")[1]?.nodeId ?? "";
  await lab.nodeDown(home);
  assert.ok(lab.stops("web").includes(`2 node: ${home} is down`), lab.stops("web").join("\n"));
  lab.silent.add("n1").add("n2");
  await lab.scale("web", 1);
  assert.ok(lab.stops("web").includes("2 scale: 2 to 1 replicas"), lab.stops("web").join("\n"));
  await lab.removeService("web");
  assert.ok(lab.stops("web").includes("1 removed: the service was removed"));
  await lab.close();
});

test("a node that returns before the successor started stops its own task first", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1");
  await lab.createService("web", { mode: replicas(1) });
  await lab.addNodes("n2");
  lab.silent.add("n2"); // the successor is not prepared yet
  await lab.nodeDown("n1");
  await lab.updateNode("n1", (node) => ({
    ...node,
    status: { message: "", address: "", state: NodeState.READY },
  }));
  lab.silent.delete("n2");
  await lab.settle();
  assert.deepEqual(lab.show("web"), [
    "1 n2 READY/READY app:1 node: n1 is down",
    "1 n1 RUNNING/SHUTDOWN app:1 create",
  ]);
  lab.silent.delete("n1");
  await lab.settle();
  assert.deepEqual(lab.show("web"), [
    "1 n2 RUNNING/RUNNING app:1 node: n1 is down",
    "1 n1 SHUTDOWN/SHUTDOWN app:1 create",
  ]);
  await lab.close();
});

test("a slot that is given up and wanted again waits for the end of what it had", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1", "n2");
  await lab.createService("web", { mode: replicas(1) });
  const home = lab.running("web")[0]?.nodeId ?? "";
  lab.silent.add(home);
  await lab.scale("web", 0);
  await lab.updateNode(home, (node) => ({
    ...node,
    spec: node.spec && { ...node.spec, availability: "NODE_AVAILABILITY_PAUSE" },
  }));
  await lab.scale("web", 1);
  const other = home === "n1" ? "n2" : "n1";
  assert.deepEqual(lab.show("web"), [
    `1 ${other} READY/READY app:1 scale: 0 to 1 replicas`,
    `1 ${home} RUNNING/REMOVE app:1 create`,
  ]);
  assert.deepEqual(lab.waits("web"), [`1 ${other} waits for the task before it on ${home}`]);
  lab.silent.delete(home);
  await lab.settle();
  assert.deepEqual(lab.show("web"), [`1 ${other} RUNNING/RUNNING app:1 scale: 0 to 1 replicas`]);
  await lab.close();
});
