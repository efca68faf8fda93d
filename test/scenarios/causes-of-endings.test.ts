/**
 * What people and programs are told about tasks that ended on their node, or that only a race can bring
 * about: one table of situations with the exact words. The nodes' words are made by the node's own code.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  FailedPreconditionError,
  InternalError,
  InvalidArgumentError,
  NotFoundError,
  UnauthenticatedError,
  UnavailableError,
} from "../../base/errors/errors.js";
import { endCause } from "../../manager/causes/ending-words.js";
import { withShownStatus } from "../../manager/causes/shown-status.js";
import { taskSentence } from "../../manager/causes/task-sentence.js";
import type { ContainerRecord } from "../../proto/engine/containers.js";
import { Node, Task } from "../../proto/gen/skein/v1/objects.js";
import { NodeState, RestartCondition, TaskPhase, TaskState } from "../../proto/gen/skein/v1/types.js";
import type { TaskFailure } from "../../worker/exec/controller.js";
import {
  exitFailure,
  failureOf,
  pullFailure,
  sandboxFailure,
  TaskFailureError,
  unhealthyWords,
} from "../../worker/exec/failure-cause.js";
import type { Told } from "./cause-telling.js";
import { readTold, toldText } from "./fs-told-table.js";

type TaskPartial = NonNullable<Parameters<typeof Task.fromPartial>[0]>;
const { FAILED, REJECTED, COMPLETE, SHUTDOWN, RUNNING } = TaskState;
const HOST = Node.fromPartial({
  id: "n1",
  description: { hostname: "host1" },
  status: { state: NodeState.READY },
});
const BEGIN_MS = Date.UTC(2026, 0, 1);

/** A task on host1 that ran for 90 s. */
function task(change: TaskPartial): Task {
  const base: TaskPartial = {
    id: "t1",
    slot: 1,
    nodeId: "n1",
    serviceAnnotations: { name: "web" },
    desiredState: RUNNING,
    spec: { container: { image: "shop/web:2" } },
  };
  return Task.fromPartial({ ...base, ...change, spec: { ...base.spec, ...change.spec } });
}

const RAN = [
  { phase: TaskPhase.STARTED, atMs: BEGIN_MS },
  { phase: TaskPhase.ENDED, atMs: BEGIN_MS + 90_000 },
];

function failed(failure: TaskFailure | undefined, more: TaskPartial = {}, exitCode?: number): Task {
  const container = exitCode === undefined ? undefined : { exitCode };
  const { cause = "", message = "" } = failure ?? {};
  const status = { state: FAILED, message: "failed", err: message, cause, container, phases: RAN };
  return task({ status, ...more });
}

const rejected = (error: unknown): Task => {
  const { cause, message } = failureOf(error);
  return task({ status: { state: REJECTED, message: "prepare failed", err: message, cause } });
};

/** The exit as the node's own code tells it. */
function exited(exitCode: number, more: Partial<ContainerRecord> = {}, spec: TaskPartial = {}): Task {
  const record = { exitCode, oomKilled: false, error: "", ...more };
  return failed(exitFailure(record as ContainerRecord), spec, exitCode); // it reads these three alone
}

const probe = (exitCode: number, output: string): TaskFailure => {
  const message = unhealthyWords({ startMs: 0, endMs: 0, exitCode, output });
  return { cause: "unhealthy", message };
};

const SITUATIONS: Readonly<Record<string, Task>> = {
  "image not found": rejected(
    pullFailure(new NotFoundError("manifest for shop/web:2 not found: manifest unknown")),
  ),
  "registry asks for a login": rejected(
    pullFailure(
      new UnauthenticatedError(
        "pull access denied for shop/web, repository does not exist or may require 'docker login'",
      ),
    ),
  ),
  "registry cannot be reached": rejected(
    pullFailure(new UnavailableError("Get https://registry.shop:5000/v2/: dial tcp: connection refused")),
  ),
  "registry sends something else": rejected(
    new TaskFailureError("image-damaged", "layer sha256:12 does not match its digest"),
  ),
  "disk full while the image is fetched": rejected(
    pullFailure(new InternalError("write /var/lib/skein/blobs/12: no space left on device")),
  ),
  "disk full while the container is made": rejected(new InternalError("mkdir: No space left on device")),
  "host port taken on the node": rejected(
    sandboxFailure(new FailedPreconditionError("port 80/tcp is already in use")),
  ),
  "network not on the node": rejected(
    new TaskFailureError("network-missing", "network backend is not known on this node"),
  ),
  "bind mount's source missing": rejected(
    new TaskFailureError(
      "mount-missing",
      'invalid mount config for type "bind": bind source path does not exist: /srv/data',
    ),
  ),
  "secret missing": rejected(
    new TaskFailureError("secret-missing", "secret db_password is not available on this node"),
  ),
  "config missing": rejected(
    new TaskFailureError("config-missing", "config nginx.conf is not available on this node"),
  ),
  "invalid specification": rejected(new InvalidArgumentError('user "nobody2" is not in /etc/passwd')),
  "command not there": failed(failureOf(new InternalError('exec "/nope": no such file or directory'))),
  "start timeout": failed({ cause: "start-timeout", message: "the container did not start within 60 s" }),
  "exit code": exited(3),
  "exit by signal": exited(139),
  "exit by SIGKILL from outside": exited(137),
  "exit code with the runtime's words": exited(127, { error: "sh: not found" }),
  "exit that nobody saw": exited(-1),
  "out of memory with a limit": exited(
    137,
    { oomKilled: true },
    { spec: { resources: { limits: { memoryBytes: 64 * 2 ** 20 } } } },
  ),
  "out of memory without a limit": exited(137, { oomKilled: true }),
  "unhealthy, with what the probe said": failed(
    probe(1, "curl: (7) Failed to connect\nto localhost port 8080\n"),
  ),
  "unhealthy, and the probe hung": failed(probe(-1, "")),
  "container removed by hand": failed({
    cause: "container-removed",
    message: "the task's container was removed",
  }),
  finished: task({
    status: { state: COMPLETE, message: "finished", phases: RAN, container: { exitCode: 0 } },
  }),
  "one restart used up": exited(
    3,
    {},
    {
      desiredState: SHUTDOWN,
      createdBecause: "restart: exit code 3",
      spec: { restart: { condition: RestartCondition.ANY, maxAttempts: 1 } },
    },
  ),
  "scaled down": task({
    status: { state: SHUTDOWN },
    desiredState: SHUTDOWN,
    stoppedBecause: "scale: 3 to 2 replicas",
  }),
  "service removed": task({
    status: { state: SHUTDOWN },
    desiredState: SHUTDOWN,
    stoppedBecause: "removed: the service was removed",
  }),
  "one too many in its slot": task({
    status: { state: SHUTDOWN },
    desiredState: SHUTDOWN,
    stoppedBecause: "repair: its slot has another task",
  }),
  "another iteration of the job": task({
    status: { state: SHUTDOWN },
    desiredState: SHUTDOWN,
    stoppedBecause: "job: iteration 2 begins",
  }),
  "told to stop, and its node was removed": task({
    nodeId: "n9",
    status: { state: RUNNING },
    desiredState: SHUTDOWN,
    stoppedBecause: "node: n9 was removed",
  }),
  "a network of the service is gone": task({
    nodeId: "",
    status: { state: TaskState.NEW, err: "network backend not found", cause: "network-not-found" },
  }),
  "no published port is left": task({
    nodeId: "",
    status: { state: TaskState.NEW, err: "no free port in 30000-32767 (2768 in use)", cause: "no-port" },
  }),
  "the scheduler has not looked": task({ nodeId: "", status: { state: TaskState.PENDING } }),
  "prepared, and about to start": task({ status: { state: TaskState.READY } }),
  "a cause that this version does not know": failed({ cause: "gremlins", message: "the moon was full" }),
};

function told(of: Task): Told {
  const node = (id: string): Node | undefined => (id === "n1" ? HOST : undefined);
  const view = { service: undefined, nodes: [HOST], node, slotTasks: [of], nowMs: BEGIN_MS + 120_000 };
  const { cause, text, advice } = taskSentence(of, view);
  const ps = withShownStatus(of, node).status?.err ?? "";
  const isOver = [FAILED, REJECTED, COMPLETE].some((state) => state === of.status?.state);
  return {
    cause: isOver ? endCause(of, view, cause) : cause,
    why: text,
    ...(ps === "" ? {} : { ps }),
    ...(advice === "" ? {} : { advice }),
  };
}

const TOLD = readTold("told-of-endings.txt");

for (const [name, of] of Object.entries(SITUATIONS)) {
  test(`told: ${name}`, () => {
    assert.equal(toldText(told(of)), TOLD.get(name));
  });
}

test("the table of what is told names these situations and no others", () => {
  assert.deepEqual([...TOLD.keys()], Object.keys(SITUATIONS));
});
