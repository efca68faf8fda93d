import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../../base/clock/manual-clock.js";
import { FailedPreconditionError, NotFoundError } from "../../base/errors/errors.js";
import { silentLogger } from "../../base/log/logger.js";
import type {
  AttachedStream,
  ExecRecord,
  ExecSpecification,
  StreamChunk,
} from "../../proto/engine/streams.js";
import type { LifecycleHook } from "../../proto/gen/skein/v1/host_options.js";
import { TaskFailureError } from "./failure-cause.js";
import { type HookComponents, OUTPUT_BYTES_MAX, TaskHooks } from "./task-hooks.js";

const OF = { taskId: "t1", containerId: "c1" };

function hook(...command: string[]): LifecycleHook {
  return { command, user: "", privileged: false, workingDir: "", env: [] };
}

interface MemoryExec {
  record: ExecRecord;
  end: (exitCode: number) => void;
}

/** Commands: "ok", "fail", "loud", "hang" (until it is killed), "absent" (is no program). */
class MemoryExecs {
  readonly asked: ExecSpecification[] = [];
  readonly killed: number[] = [];
  readonly #execs: MemoryExec[] = [];

  components(clock: ManualClock): HookComponents {
    return {
      clock,
      killProcess: (pid) => {
        this.killed.push(pid);
        this.#execs[pid - 1]?.end(137);
      },
      streams: {
        createExec: (containerId, specification) => {
          this.asked.push(specification);
          const pid = this.#execs.length + 1;
          const record = {
            id: `e${pid}`,
            containerId,
            specification,
            running: false,
            exitCode: undefined,
            pid,
          };
          this.#execs.push({ record, end: () => undefined });
          return Promise.resolve(record);
        },
        startExec: (id) => this.#start(id),
        getExec: (id) => this.#find(id).record,
      },
    };
  }

  #find(id: string): MemoryExec {
    const found = this.#execs.find(({ record }) => record.id === id);
    if (found === undefined) throw new Error(`no exec ${id}`);
    return found;
  }

  #start(id: string): Promise<AttachedStream> {
    const exec = this.#find(id);
    const [word] = exec.record.specification.args;
    if (word === "absent") return Promise.reject(new FailedPreconditionError("exec: absent: not found"));
    exec.record = { ...exec.record, running: true };
    let close = (): void => undefined;
    const ended = new Promise<void>((resolve) => {
      close = resolve;
      exec.end = (exitCode) => {
        exec.record = { ...exec.record, running: false, exitCode };
        resolve();
      };
    });
    if (word !== "hang") exec.end(word === "fail" ? 7 : 0);
    async function* output(): AsyncIterable<StreamChunk> {
      if (word === "fail") yield { stream: 2, data: Buffer.from("no \n luck") };
      if (word === "loud") for (let i = 0; i < 3; i++) yield { stream: 1, data: Buffer.alloc(3_000, "x") };
      await ended;
    }
    return Promise.resolve({
      output: output(),
      write: () => Promise.resolve(false),
      endInput: () => undefined,
      close: () => close(),
    });
  }
}

test("hooks of the start run in order, with what they ask for; the first that fails fails the task", async () => {
  const execs = new MemoryExecs();
  const hooks = new TaskHooks(execs.components(new ManualClock()), silentLogger);
  const { signal } = new AbortController();
  await hooks.postStart(
    OF,
    [
      { command: ["ok", "now"], user: "web", privileged: true, workingDir: "/srv", env: ["A=1"] },
      hook("loud"),
    ],
    signal,
  );
  const [first] = execs.asked;
  assert.deepEqual(
    [first?.args, first?.user, first?.privileged, first?.workingDir, first?.env],
    [["ok", "now"], "web", true, "/srv", ["A=1"]],
  );
  const failing = hooks.postStart(OF, [hook("ok"), hook("fail"), hook("ok")], signal);
  await assert.rejects(
    failing,
    (error) =>
      error instanceof TaskFailureError &&
      error.failureCause === "hook-failed" &&
      error.message === "post_start hook 2 (fail) exited with 7: no luck",
  );
  assert.equal(execs.asked.length, 4);
  await assert.rejects(
    hooks.postStart(OF, [hook("absent")], signal),
    /post_start hook 1 \(absent\) could not be run: exec: absent: not found/,
  );
});

test("a hook of the start is killed with the start", async () => {
  const execs = new MemoryExecs();
  const hooks = new TaskHooks(execs.components(new ManualClock()), silentLogger);
  const abort = new AbortController();
  const running = hooks.postStart(OF, [hook("hang")], abort.signal);
  await Promise.resolve();
  abort.abort();
  await assert.rejects(running, (error) => !(error instanceof TaskFailureError));
  assert.deepEqual(execs.killed, [1]);
});

test("a hook that is not known any more when it is given up harms nobody", async () => {
  const execs = new MemoryExecs();
  const components = execs.components(new ManualClock());
  const gone = (): never => {
    throw new NotFoundError("no such exec");
  };
  const streams = { ...components.streams, getExec: gone };
  const hooks = new TaskHooks({ ...components, streams }, silentLogger);
  const abort = new AbortController();
  const running = hooks.postStart(OF, [hook("hang")], abort.signal);
  while (execs.asked.length < 1) await Promise.resolve();
  abort.abort();
  await assert.rejects(running, { name: "AbortError" });
});

test("hooks of the stop never fail it, and what they use up is taken from the grace period", async () => {
  const execs = new MemoryExecs();
  const clock = new ManualClock();
  const hooks = new TaskHooks(execs.components(clock), silentLogger);
  assert.equal(await hooks.preStop(OF, [hook("fail"), hook("ok")], 10_000), 10_000);
  assert.equal(await hooks.preStop(OF, [hook("absent"), hook("ok")], 10_000), 10_000);
  assert.equal(execs.asked.length, 4, "what comes after one that is absent is run");
  const hanging = hooks.preStop(OF, [hook("hang"), hook("ok")], 10_000);
  while (execs.asked.length < 5) await Promise.resolve();
  clock.advance(10_000);
  assert.equal(await hanging, 0);
  assert.equal(execs.killed.length, 1);
  assert.equal(execs.asked.length, 5);
});

test("of what a hook writes a bounded part is told", async () => {
  const told: unknown[] = [];
  const log = { ...silentLogger, info: (_: string, facts?: object) => void told.push(facts) };
  const hooks = new TaskHooks(new MemoryExecs().components(new ManualClock()), log);
  await hooks.preStop(OF, [hook("loud")], 10_000);
  const [facts] = told as { readonly output: string; readonly exitCode: number }[];
  assert.deepEqual([facts?.output.length, facts?.exitCode], [OUTPUT_BYTES_MAX, 0]);
});
