/**
 * Commands that a task has run in its container: after its start, and before it is told to stop.
 * Pure: the engine's exec, time and the end of a process are handed in.
 * Invariants: one after the other, in their order; a hook of the start that fails fails the task, one of the
 * stop is told of in the log and holds nothing up; a hook that is given up is killed. A daemon that is
 * started again in the middle of a start runs its hooks anew: at least once.
 * Bound: `OUTPUT_BYTES_MAX` of what a hook writes is told; the rest is read and dropped.
 * Source: Compose Specification, post_start and pre_stop.
 */
import type { Clock } from "../../base/clock/clock.js";
import { messageOf } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import type { AttachedStream, ContainerStreams } from "../../proto/engine/streams.js";
import type { LifecycleHook } from "../../proto/gen/skein/v1/host_options.js";
import { TaskFailureError } from "./failure-cause.js";

/** Of one hook, both streams together. */
export const OUTPUT_BYTES_MAX = 4_096;
/** Characters of it that the task's own words repeat. */
const WORDS_MAX = 200;

export interface HookComponents {
  readonly streams: Pick<ContainerStreams, "createExec" | "startExec" | "getExec">;
  /** Ends the process of an exec at once; gone already is fine. */
  readonly killProcess: (pid: number) => void;
  readonly clock: Clock;
}

interface HookEnd {
  readonly exitCode: number;
  readonly output: string;
}

export interface HookedTask {
  readonly taskId: string;
  readonly containerId: string;
}

export class TaskHooks {
  readonly #components: HookComponents;
  readonly #log: Logger;

  constructor(components: HookComponents, log: Logger) {
    this.#components = components;
    this.#log = log;
  }

  /** @throws {TaskFailureError} hook-failed: the first that ended badly, or not within the task's life. */
  async postStart(of: HookedTask, hooks: readonly LifecycleHook[], signal: AbortSignal): Promise<void> {
    for (const [at, hook] of hooks.entries()) {
      const words = `post_start hook ${at + 1} (${hook.command[0]})`;
      let end: HookEnd;
      try {
        end = await this.#run(of.containerId, hook, signal);
      } catch (error) {
        if (signal.aborted) throw error;
        throw new TaskFailureError("hook-failed", `${words} could not be run: ${messageOf(error)}`, {
          cause: error,
        });
      }
      this.#tell("post_start", of, at, end);
      if (end.exitCode === 0) continue;
      const said = end.output.trim().replaceAll(/\s+/g, " ").slice(0, WORDS_MAX);
      throw new TaskFailureError(
        "hook-failed",
        `${words} exited with ${end.exitCode}${said === "" ? "" : `: ${said}`}`,
      );
    }
  }

  /**
   * What does not end within the grace period is killed, and what comes after it is left out. One that fails
   * or cannot be run keeps none of the others back.
   * @returns what is left of the grace period, in milliseconds.
   */
  async preStop(of: HookedTask, hooks: readonly LifecycleHook[], gracePeriodMs: number): Promise<number> {
    const { clock } = this.#components;
    const sinceMs = clock.monotonicMs();
    const over = new AbortController();
    const timer = clock.setTimer(gracePeriodMs, () => over.abort());
    try {
      for (const [at, hook] of hooks.entries()) {
        try {
          this.#tell("pre_stop", of, at, await this.#run(of.containerId, hook, over.signal));
        } catch (error) {
          const why = over.signal.aborted ? "the grace period is over" : messageOf(error);
          this.#log.warn("a hook before a task's stop was given up", {
            task: of.taskId,
            number: at + 1,
            why,
          });
        }
        if (over.signal.aborted) break;
      }
    } finally {
      timer.cancel();
    }
    return Math.max(0, gracePeriodMs - (clock.monotonicMs() - sinceMs));
  }

  /** @throws the signal's reason when it fires first; what the engine says when it cannot be run. */
  async #run(containerId: string, hook: LifecycleHook, signal: AbortSignal): Promise<HookEnd> {
    const { streams, killProcess } = this.#components;
    signal.throwIfAborted();
    const { id } = await streams.createExec(containerId, {
      args: hook.command,
      env: hook.env,
      workingDir: hook.workingDir,
      user: hook.user,
      tty: false,
      privileged: hook.privileged,
      attachStdin: false,
      attachStdout: true,
      attachStderr: true,
      detachKeys: "",
    });
    const attached = await streams.startExec(id, { detach: false, tty: false });
    const kill = (): void => {
      try {
        const { running, pid } = streams.getExec(id);
        if (running && pid > 0) killProcess(pid);
      } catch (error) {
        // nobody catches what a listener of a signal throws; where it is unknown, so is what to kill
        this.#log.debug("a hook could not be killed", { exec: id, error: messageOf(error) });
      }
      attached?.close();
    };
    signal.addEventListener("abort", kill, { once: true });
    if (signal.aborted) kill();
    try {
      const output = attached === undefined ? "" : await readBounded(attached);
      signal.throwIfAborted();
      return { exitCode: streams.getExec(id).exitCode ?? -1, output };
    } finally {
      signal.removeEventListener("abort", kill);
    }
  }

  #tell(kind: "post_start" | "pre_stop", of: HookedTask, at: number, { exitCode, output }: HookEnd): void {
    const facts = { task: of.taskId, hook: kind, number: at + 1, exitCode, output };
    if (exitCode === 0) this.#log.info("a task's hook has ended", facts);
    else this.#log.warn("a task's hook has failed", facts);
  }
}

async function readBounded(stream: AttachedStream): Promise<string> {
  const pieces: Uint8Array[] = [];
  let left = OUTPUT_BYTES_MAX;
  for await (const { data } of stream.output) {
    if (left > 0) pieces.push(data.subarray(0, left));
    left -= data.length;
  }
  return Buffer.concat(pieces).toString("utf8");
}
