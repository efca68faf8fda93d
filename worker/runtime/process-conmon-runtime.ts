/**
 * Containers by crun (else runc), each under a conmon of its own. Edge: to child processes and run files.
 * Invariants: a container that was created or adopted is reported by `onExit` exactly once;
 * nothing here is the container's parent, so the end of this process touches none.
 * Sources: conmon(8), crun(1).
 *
 *   create: spawn conmon -> (own cgroup) -> start byte -> {"data": pid} on the sync pipe
 *   start:  the byte for which the container's process waits
 *   exit:   conmon writes <exitDir>/<id> -> fs.watch -> onExit      delete: group, state, run files go
 */
import { existsSync, readdirSync } from "node:fs";
import { constants, mkdir, open, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../../base/clock/clock.js";
import {
  FailedPreconditionError,
  InternalError,
  InvalidArgumentError,
  messageOf,
} from "../../base/errors/errors.js";
import type { Linux } from "../../base/linux/linux-ports.js";
import type { Logger } from "../../base/log/logger.js";
import {
  type CgroupMode,
  detectCgroupMode,
  hybridHasControllers,
  makeGroup,
  removeCgroup,
  systemdTrees,
} from "./linux-cgroup.js";
import { isFrozen, setFrozen, setLimits } from "./linux-cgroup-control.js";
import { CgroupWarmth } from "./linux-cgroup-warmth.js";
import { ConmonExits, exitFileNames, readNumber, staleExitFiles } from "./linux-conmon-exits.js";
import { removeEnded, startByFifo } from "./linux-crun-files.js";
import { keepNullDevice } from "./linux-null-device.js";
import { descendantsOf, isAlive, isInGroup, processOf, signalProcess } from "./linux-process.js";
import type {
  ExecResult,
  OciRuntime,
  ProcessIdentity,
  RuntimeCreateOptions,
  RuntimeExit,
} from "./oci-runtime.js";
import type { OciProcess, OciResources, OciSpec } from "./oci-types.js";
import { type MonitorSettings, runtimeWords, spawnMonitor } from "./process-conmon-monitor.js";
import { findProgram, type RunOptions, type RunResult, runCommand } from "./process-run.js";
import { RuntimeChoices } from "./process-runtime-choices.js";
import { type RuntimeLayout, runtimeLayout } from "./runtime-layout.js";

const COMMAND_TIMEOUT_MS = 60_000;
const SAFETY_POLL_MS = 5_000;
const EXEC_OUTPUT_LENGTH_MAX = 4_096;
const SIGKILL = 9;
const PROBE_FILE = /^exec-[0-9a-z]+\.(pid|json)$/;

export interface ConmonRuntimeInit {
  readonly runDir: string;
  /** Absolute path in the cgroup tree, e.g. /skein. */
  readonly cgroupParent: string;
  readonly linux: Pick<Linux, "keepDescriptors">;
  readonly clock: Clock;
  readonly log: Logger;
  /** Which runtime to take; crun when installed, else runc. */
  readonly prefer?: "crun" | "runc";
  /** Finds exits that the watch missed, and containers whose monitor was killed. @default 5_000 */
  readonly safetyPollMs?: number;
}

/** @throws {FailedPreconditionError} when conmon, or both crun and runc, are not installed. */
export async function openConmonRuntime(init: ConmonRuntimeInit): Promise<OciRuntime> {
  const { runDir, cgroupParent, linux, clock, log } = init;
  const conmon = findProgram("conmon");
  const order = init.prefer === "runc" ? (["runc", "crun"] as const) : (["crun", "runc"] as const);
  const name = order.find((candidate) => findProgram(candidate) !== undefined);
  const runtime = name === undefined ? undefined : findProgram(name);
  if (conmon === undefined) {
    throw new FailedPreconditionError("conmon is not installed: containers need it as their parent");
  }
  if (name === undefined || runtime === undefined) {
    throw new FailedPreconditionError("neither crun nor runc is installed");
  }
  const mode = detectCgroupMode();
  const layout = runtimeLayout(runDir);
  const { stateDir, exitDir } = layout;
  await Promise.all(
    [stateDir, exitDir, join(runDir, "c")].map((path) => mkdir(path, { recursive: true, mode: 0o700 })),
  );
  const trees = systemdTrees(mode);
  const monitorGroup = `${cgroupParent}/conmon`;
  await makeGroup(trees, monitorGroup);
  const hidden = mode === "hybrid" && hybridHasControllers();
  const hideUnified = name === "crun" && hidden;
  log.info("container runtime found", { runtime, conmon, cgroups: mode, hideUnified });
  const monitor = { conmon, runtime, stateDir, exitDir, trees, monitorGroup, hideUnified, linux, clock, log };
  const pollMs = init.safetyPollMs ?? SAFETY_POLL_MS;
  const exits = new ConmonExits({ layout, mode, cgroupParent, pollMs, clock, log });
  const choices = new RuntimeChoices({ name, stateDir, hidden });
  return new ConmonRuntime({ name, mode, choices, layout, cgroupParent, monitor, exits });
}

interface Parts {
  readonly name: "crun" | "runc";
  readonly mode: CgroupMode;
  readonly layout: RuntimeLayout;
  readonly cgroupParent: string;
  readonly monitor: MonitorSettings;
  readonly choices: RuntimeChoices;
  readonly exits: ConmonExits;
}

class ConmonRuntime implements OciRuntime {
  readonly name: "crun" | "runc";
  readonly #parts: Parts;
  readonly #layout: RuntimeLayout;
  readonly #exits: ConmonExits;
  readonly #log: Logger;
  readonly #warmth: CgroupWarmth;
  #execCount = 0;

  constructor(parts: Parts) {
    this.name = parts.name;
    this.#parts = parts;
    this.#layout = parts.layout;
    this.#exits = parts.exits;
    this.#log = parts.monitor.log;
    this.#warmth = new CgroupWarmth(this.#log);
  }

  onExit(listener: (exit: RuntimeExit) => void): void {
    this.#exits.listen(listener);
  }

  expectCreate(): void {
    this.#warmth.begin();
  }

  async create(options: RuntimeCreateOptions): Promise<ProcessIdentity> {
    const { id, spec, runtime, ...monitorOptions } = options;
    const settings = { ...this.#parts.monitor, ...this.#parts.choices.asked(runtime) };
    const bundle = this.#layout.bundleDir(id);
    await mkdir(bundle, { recursive: true, mode: 0o700 });
    for (const stale of staleExitFiles(this.#layout, id)) await rm(stale, { force: true });
    await writeFile(join(bundle, "config.json"), JSON.stringify(spec), { mode: 0o600 });
    const pid = await spawnMonitor(settings, { ...monitorOptions, id, bundle });
    await keepNullDevice();
    const identity = processOf(pid);
    if (identity === undefined) {
      throw new InternalError(`container ${id.slice(0, 12)}: its process ${pid} ended before it was started`);
    }
    this.#exits.watch(id, identity);
    return identity;
  }

  async start(id: string): Promise<void> {
    if (await startByFifo(join(this.#layout.stateDir, id))) return;
    const result = await this.#run(id, ["start", id]);
    if (result.code !== 0) throw new InvalidArgumentError(runtimeWords(result.stderr));
  }

  kill(target: ProcessIdentity, signal: number): void {
    signalProcess(target, signal);
  }

  async exec(id: string, args: readonly string[], options: { timeoutMs: number }): Promise<ExecResult> {
    const bundle = this.#layout.bundleDir(id);
    const stem = join(bundle, `exec-${(this.#execCount++).toString(36)}`);
    const pidFile = `${stem}.pid`;
    const specFile = `${stem}.json`;
    // written by `create`
    const config = JSON.parse(await readFile(join(bundle, "config.json"), "utf8")) as OciSpec;
    const inside: OciProcess = { ...config.process, args, terminal: false };
    await writeFile(specFile, JSON.stringify(inside), { mode: 0o600 });
    let late = false;
    const onTimeout = (command: number): void => {
      late = true;
      // Stopped, it starts nothing more; what it has begun is killed, told of in the pid file or not yet.
      process.kill(command, "SIGSTOP");
      for (const inner of [processOf(readNumber(pidFile)), ...descendantsOf(command)])
        if (inner !== undefined) signalProcess(inner, SIGKILL);
    };
    try {
      const { timeoutMs } = options;
      const result = await this.#run(id, ["exec", "--process", specFile, "--pid-file", pidFile, id], {
        timeoutMs,
        onTimeout,
        verbatim: true,
        emptyInput: true,
      });
      const output = `${result.stdout}${result.stderr}`;
      return { exitCode: late ? -1 : result.code, output: output.slice(0, EXEC_OUTPUT_LENGTH_MAX) };
    } finally {
      await Promise.all([rm(specFile, { force: true }), rm(pidFile, { force: true })]);
    }
  }

  setFrozen(path: string, frozen: boolean): Promise<void> {
    return setFrozen({ mode: this.#parts.mode, path }, frozen, this.#parts.monitor.clock);
  }

  isFrozen(path: string): Promise<boolean> {
    return isFrozen({ mode: this.#parts.mode, path });
  }

  setLimits(path: string, resources: OciResources): Promise<void> {
    return setLimits({ mode: this.#parts.mode, path }, resources);
  }

  async reopenLog(id: string): Promise<void> {
    // Non-blocking: a fifo that nobody reads (conmon was killed) refuses instead of hanging a pool thread.
    const fifo = await open(
      join(this.#layout.bundleDir(id), "ctl"),
      constants.O_WRONLY | constants.O_NONBLOCK,
    );
    try {
      await fifo.write("2 0 0\n");
    } finally {
      await fifo.close();
    }
  }

  async delete(id: string): Promise<void> {
    this.#exits.forget(id);
    const state = join(this.#layout.stateDir, id);
    if (existsSync(state) && !(await removeEnded(this.#parts.mode, state))) {
      const result = await this.#run(id, ["delete", "--force", id]);
      if (result.code !== 0 && existsSync(state)) {
        this.#log.warn("runtime could not delete a container", { container: id, error: result.stderr });
      }
    }
    await rm(join(this.#layout.exitDir, id), { force: true });
    await rm(this.#layout.bundleDir(id), { recursive: true, force: true });
  }

  async adopt(id: string, target: ProcessIdentity): Promise<void> {
    this.#exits.watch(id, target);
    await this.#endLeftProbes(id);
    // Both runtimes keep this fifo until the process has been started:
    // a start cut short is brought to its end.
    if (isAlive(target) && existsSync(join(this.#layout.stateDir, id, "exec.fifo"))) {
      try {
        await this.start(id);
      } catch (error) {
        this.#log.warn("interrupted start could not be finished", { container: id, error: messageOf(error) });
        this.kill(target, SIGKILL);
      }
    }
    this.#exits.check(id);
  }

  /** Commands that a daemon ran inside and did not live to see the end of: nobody awaits them any more. */
  async #endLeftProbes(id: string): Promise<void> {
    const bundle = this.#layout.bundleDir(id);
    if (!existsSync(bundle)) return;
    for (const name of readdirSync(bundle)) {
      if (!PROBE_FILE.test(name)) continue;
      const path = join(bundle, name);
      const left = name.endsWith(".pid") ? processOf(readNumber(path)) : undefined;
      // only one of this container's own group: numbers are used again
      if (left !== undefined && isInGroup(left.pid, id)) signalProcess(left, SIGKILL);
      await rm(path, { force: true });
    }
  }

  async findLeftover(id: string): Promise<ProcessIdentity | undefined> {
    if (!existsSync(join(this.#layout.stateDir, id))) return undefined;
    const result = await this.#run(id, ["state", id]);
    if (result.code !== 0) return undefined;
    const state: unknown = JSON.parse(result.stdout);
    if (typeof state !== "object" || state === null || !("pid" in state) || !("status" in state))
      return undefined;
    return state.status === "stopped" ? undefined : processOf(Number(state.pid));
  }

  async sweep(known: ReadonlySet<string>): Promise<void> {
    for (const id of readdirSync(this.#layout.stateDir)) if (!known.has(id)) await this.delete(id);
    for (const name of exitFileNames(this.#layout)) {
      // A monitor writes under a temporary name (<id>.xxxxxx) first: that one is not ours to touch.
      if (!name.includes(".") && !known.has(name))
        await rm(join(this.#layout.exitDir, name), { force: true });
    }
  }

  async close(): Promise<void> {
    this.#exits.close();
    if (this.#exits.watchedCount > 0) return;
    const { mode, cgroupParent, monitor } = this.#parts;
    await removeCgroup(mode, monitor.monitorGroup);
    await removeCgroup(mode, cgroupParent);
  }

  #run(
    id: string,
    args: readonly string[],
    options: Omit<RunOptions, "clock"> = { timeoutMs: COMMAND_TIMEOUT_MS },
  ): Promise<RunResult> {
    const { choices, monitor } = this.#parts;
    const { clock } = monitor;
    return runCommand(choices.programOf(id), [`--root=${this.#layout.stateDir}`, ...args], {
      clock,
      ...options,
    });
  }
}
