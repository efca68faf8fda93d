/**
 * Containers by crun (else runc), each under a conmon of its own. Edge: to child processes, exit files and /proc.
 * Invariants: a container that was created or adopted is reported by `onExit` exactly once; nothing here is the container's parent, so
 * the end of this process touches none. Sources: conmon(8), crun(1); exit and oom files as conmon 2.1 writes them.
 *
 *   create: spawn conmon -> (own cgroup) -> start byte -> {"data": pid} on the sync pipe      start: spawn `crun start`
 *   exit:   conmon writes <exitDir>/<id> -> fs.watch -> onExit;  a slow poll finds what the watch missed or a killed conmon left
 */
import { spawn } from "node:child_process";
import { existsSync, type FSWatcher, readdirSync, readFileSync, statSync, unlinkSync, watch } from "node:fs";
import { constants, mkdir, open, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import type { Clock, Timer } from "../../base/clock/clock.js";
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
  moveToGroup,
  oomKillCount,
  removeCgroup,
  systemdTrees,
} from "./linux-cgroup.js";
import { isAlive, isErrno, processOf, signalProcess } from "./linux-process.js";
import type {
  ExecResult,
  OciRuntime,
  ProcessIdentity,
  RuntimeCreateOptions,
  RuntimeExit,
} from "./oci-runtime.js";
import type { OciProcess, OciSpec } from "./oci-types.js";
import { collect, findProgram, HELPER_ENV, runCommand } from "./process-run.js";
import { type RuntimeLayout, runtimeLayout } from "./runtime-layout.js";

const COMMAND_TIMEOUT_MS = 60_000;
const SAFETY_POLL_MS = 5_000;
const EXEC_OUTPUT_BYTES_MAX = 4_096;

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
  const conmon = findProgram("conmon");
  const order = init.prefer === "runc" ? (["runc", "crun"] as const) : (["crun", "runc"] as const);
  const name = order.find((candidate) => findProgram(candidate) !== undefined);
  const runtime = name === undefined ? undefined : findProgram(name);
  if (conmon === undefined)
    throw new FailedPreconditionError("conmon is not installed: containers need it as their parent");
  if (name === undefined || runtime === undefined)
    throw new FailedPreconditionError("neither crun nor runc is installed");
  const mode = detectCgroupMode();
  const layout = runtimeLayout(init.runDir);
  await Promise.all(
    [layout.stateDir, layout.exitDir, join(init.runDir, "c")].map((path) =>
      mkdir(path, { recursive: true, mode: 0o700 }),
    ),
  );
  const trees = systemdTrees(mode);
  const monitorGroup = `${init.cgroupParent}/conmon`;
  await makeGroup(trees, monitorGroup);
  const hideUnified = name === "crun" && mode === "hybrid" && hybridHasControllers();
  init.log.info("container runtime found", { runtime, conmon, cgroups: mode, hideUnified });
  return new ConmonRuntime({
    ...init,
    name,
    runtime,
    conmon,
    mode,
    layout,
    trees,
    monitorGroup,
    hideUnified,
  });
}

interface Settings extends ConmonRuntimeInit {
  readonly name: "crun" | "runc";
  readonly runtime: string;
  readonly conmon: string;
  readonly mode: CgroupMode;
  readonly layout: RuntimeLayout;
  /** Trees in which monitors are moved out of the daemon's own group, so that systemd spares them when it ends the daemon. */
  readonly trees: readonly string[];
  readonly monitorGroup: string;
  /** crun refuses hybrid hosts with v2 controllers; it looks no further when that tree is not mounted in its namespace. */
  readonly hideUnified: boolean;
}

/** `exec` keeps the process number, so the shell's pid becomes conmon's. Slave: later unmounts on the host reach this namespace too. */
const HIDE_UNIFIED = [
  "unshare",
  "--mount",
  "--propagation",
  "slave",
  "sh",
  "-c",
  'umount /sys/fs/cgroup/unified; exec "$@"',
  "conmon",
];

class ConmonRuntime implements OciRuntime {
  readonly name: "crun" | "runc";
  readonly #settings: Settings;
  readonly #layout: RuntimeLayout;
  readonly #watched = new Map<string, ProcessIdentity>();
  readonly #listeners: ((exit: RuntimeExit) => void)[] = [];
  readonly #watcher: FSWatcher;
  readonly #poll: Timer;
  #execCount = 0;

  constructor(settings: Settings) {
    this.name = settings.name;
    this.#settings = settings;
    this.#layout = settings.layout;
    this.#watcher = watch(settings.layout.exitDir, { persistent: false }, (_kind, file) => {
      if (file === null) this.#checkAll();
      else if (this.#watched.has(file)) this.#checkExitFile(file);
    });
    this.#watcher.on("error", (error) =>
      settings.log.error("exit watch failed, polling goes on", { error: messageOf(error) }),
    );
    this.#poll = settings.clock.setInterval(settings.safetyPollMs ?? SAFETY_POLL_MS, () => this.#checkAll());
  }

  onExit(listener: (exit: RuntimeExit) => void): void {
    this.#listeners.push(listener);
  }

  async create(options: RuntimeCreateOptions): Promise<ProcessIdentity> {
    const { id } = options;
    const bundle = this.#layout.bundleDir(id);
    await mkdir(bundle, { recursive: true, mode: 0o700 });
    for (const stale of [join(this.#layout.exitDir, id), join(bundle, "oom"), join(bundle, "exit")])
      removeFile(stale);
    await writeFile(join(bundle, "config.json"), JSON.stringify(options.spec), { mode: 0o600 });
    const pid = await this.#spawnMonitor(bundle, options);
    const identity = processOf(pid);
    if (identity === undefined)
      throw new InternalError(`container ${id.slice(0, 12)}: its process ${pid} ended before it was started`);
    this.#watched.set(id, identity);
    return identity;
  }

  async #spawnMonitor(bundle: string, options: RuntimeCreateOptions): Promise<number> {
    const { conmon, runtime, hideUnified, trees, monitorGroup } = this.#settings;
    const args = [
      "--api-version",
      "1",
      "-c",
      options.id,
      "-u",
      options.id,
      "-n",
      options.name,
      "-r",
      runtime,
      "-b",
      bundle,
      "-p",
      join(bundle, "pid"),
      "-P",
      join(bundle, "conmon.pid"),
      "--exit-dir",
      this.#layout.exitDir,
      "--persist-dir",
      bundle,
      "--full-attach",
      "-l",
      options.logPath === undefined ? "off" : `k8s-file:${options.logPath}`,
      "--log-level",
      "error",
      "--no-new-keyring",
      "--runtime-arg",
      `--root=${this.#layout.stateDir}`,
      ...(options.openStdin ? ["-i", "--leave-stdin-open"] : []),
      ...(options.tty ? ["-t"] : []),
    ];
    const line = hideUnified ? [...HIDE_UNIFIED, conmon, ...args] : [conmon, ...args];
    this.#settings.linux.keepDescriptors(); // the monitor lives long: a database file it inherited could never be freed
    const child = spawn(line[0] ?? conmon, line.slice(1), {
      stdio: ["ignore", "ignore", "pipe", "pipe", "pipe"],
      env: { ...HELPER_ENV, _OCI_SYNCPIPE: "3", _OCI_STARTPIPE: "4" },
      detached: true,
    });
    const spawnError = new Promise<never>((_resolve, reject) => child.once("error", reject));
    const stderrStream = child.stdio[2] as Readable; // asked for as pipes above, as are the next two
    const syncPipe = child.stdio[3] as Readable;
    const startPipe = child.stdio[4] as Writable;
    const stderr = collect(stderrStream);
    startPipe.on("error", (error) =>
      this.#settings.log.debug("start pipe closed early", { error: messageOf(error) }),
    );
    try {
      if (trees.length > 0 && child.pid !== undefined) await moveToGroup(trees, monitorGroup, child.pid);
      startPipe.end("1");
      const answer = await Promise.race([firstLine(syncPipe), spawnError]);
      return parseSync(answer, stderr());
    } finally {
      syncPipe.destroy();
      startPipe.destroy();
      stderrStream.destroy();
    }
  }

  async start(id: string): Promise<void> {
    const result = await this.#run(["start", id]);
    if (result.code !== 0) throw new InvalidArgumentError(runtimeWords(result.stderr));
  }

  kill(target: ProcessIdentity, signal: number): void {
    signalProcess(target, signal);
  }

  async exec(id: string, args: readonly string[], options: { timeoutMs: number }): Promise<ExecResult> {
    const stem = join(this.#layout.bundleDir(id), `exec-${(this.#execCount++).toString(36)}`);
    const pidFile = `${stem}.pid`;
    const specFile = `${stem}.json`;
    const config = JSON.parse(
      await readFile(join(this.#layout.bundleDir(id), "config.json"), "utf8"),
    ) as OciSpec; // written by `create`
    const process: OciProcess = { ...config.process, args, terminal: false };
    await writeFile(specFile, JSON.stringify(process), { mode: 0o600 });
    let late = false;
    try {
      const line = [
        `--root=${this.#layout.stateDir}`,
        "exec",
        "--process",
        specFile,
        "--pid-file",
        pidFile,
        id,
      ];
      const result = await runCommand(this.#settings.runtime, line, {
        clock: this.#settings.clock,
        timeoutMs: options.timeoutMs,
        onTimeout: () => {
          late = true;
          const inner = processOf(readNumber(pidFile));
          if (inner !== undefined) signalProcess(inner, 9); // its parent is the exec command, alive until the next line of the timer
        },
      });
      const output = `${result.stdout}${result.stdout !== "" && result.stderr !== "" ? "\n" : ""}${result.stderr}`;
      return { exitCode: late ? -1 : result.code, output: output.slice(0, EXEC_OUTPUT_BYTES_MAX) };
    } finally {
      removeFile(specFile);
      removeFile(pidFile);
    }
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
    this.#watched.delete(id);
    if (existsSync(join(this.#layout.stateDir, id))) {
      const result = await this.#run(["delete", "--force", id]);
      if (result.code !== 0 && existsSync(join(this.#layout.stateDir, id))) {
        this.#settings.log.warn("runtime could not delete a container", {
          container: id,
          error: result.stderr,
        });
      }
    }
    removeFile(join(this.#layout.exitDir, id));
    await rm(this.#layout.bundleDir(id), { recursive: true, force: true });
  }

  async adopt(id: string, target: ProcessIdentity): Promise<void> {
    this.#watched.set(id, target);
    // Both runtimes keep this fifo until the process has been started: a start cut short is brought to its end.
    if (isAlive(target) && existsSync(join(this.#layout.stateDir, id, "exec.fifo"))) {
      try {
        await this.start(id);
      } catch (error) {
        this.#settings.log.warn("interrupted start could not be finished", {
          container: id,
          error: messageOf(error),
        });
        this.kill(target, 9);
      }
    }
    this.#check(id, target);
  }

  async findLeftover(id: string): Promise<ProcessIdentity | undefined> {
    if (!existsSync(join(this.#layout.stateDir, id))) return undefined;
    const result = await this.#run(["state", id]);
    if (result.code !== 0) return undefined;
    const state: unknown = JSON.parse(result.stdout);
    const live =
      typeof state === "object" &&
      state !== null &&
      "pid" in state &&
      "status" in state &&
      state.status !== "stopped";
    return live ? processOf(Number(state.pid)) : undefined;
  }

  async close(): Promise<void> {
    this.#watcher.close();
    this.#poll.cancel();
    if (this.#watched.size > 0) return;
    await removeCgroup(this.#settings.mode, this.#settings.monitorGroup);
    await removeCgroup(this.#settings.mode, this.#settings.cgroupParent);
  }

  #run(args: readonly string[]): ReturnType<typeof runCommand> {
    return runCommand(this.#settings.runtime, [`--root=${this.#layout.stateDir}`, ...args], {
      clock: this.#settings.clock,
      timeoutMs: COMMAND_TIMEOUT_MS,
    });
  }

  #checkAll(): void {
    if (this.#watched.size === 0) return;
    const ended = new Set(readdirSync(this.#layout.exitDir));
    for (const [id, target] of [...this.#watched]) {
      if (ended.has(id)) this.#checkExitFile(id);
      else this.#check(id, target);
    }
  }

  /** With the process gone and no monitor left to tell, the code cannot be learned. */
  #check(id: string, target: ProcessIdentity): void {
    if (this.#checkExitFile(id) || isAlive(target)) return;
    const monitor = processOf(readNumber(join(this.#layout.bundleDir(id), "conmon.pid")));
    if (monitor !== undefined && isConmon(monitor.pid)) return; // about to write the file
    if (this.#checkExitFile(id)) return; // written between the two looks
    this.#report({ id, exitCode: -1, finishedMs: this.#settings.clock.nowMs(), oomKilled: false });
  }

  #checkExitFile(id: string): boolean {
    const path = join(this.#layout.exitDir, id);
    let exitCode: number;
    let finishedMs: number;
    try {
      const text = readFileSync(path, "latin1").trim();
      if (text === "") return false; // being written
      exitCode = Number(text);
      finishedMs = statSync(path).mtimeMs;
    } catch (error) {
      if (isErrno(error, "ENOENT")) return false;
      throw error;
    }
    const { mode, cgroupParent } = this.#settings;
    const oomKilled =
      existsSync(join(this.#layout.bundleDir(id), "oom")) || oomKillCount(mode, `${cgroupParent}/${id}`) > 0;
    this.#report({ id, exitCode, finishedMs, oomKilled });
    return true;
  }

  #report(exit: RuntimeExit): void {
    if (!this.#watched.delete(exit.id)) return; // told already
    for (const listener of this.#listeners) listener(exit);
  }
}

function firstLine(stream: Readable): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    stream.on("data", (chunk: Buffer) => {
      text += chunk.toString("utf8");
      if (text.includes("\n")) resolve(text.slice(0, text.indexOf("\n")));
    });
    stream.once("end", () => resolve(text));
    stream.once("error", reject);
  });
}

/** @throws {InvalidArgumentError} with the runtime's words; {InternalError} when the monitor itself failed. */
function parseSync(line: string, stderr: string): number {
  if (line === "")
    throw new InternalError(`the container monitor ended without an answer: ${stderr || "no words"}`);
  const answer: unknown = JSON.parse(line);
  const pid = typeof answer === "object" && answer !== null && "data" in answer ? Number(answer.data) : -1;
  if (pid > 0) return pid;
  const message =
    typeof answer === "object" && answer !== null && "message" in answer ? String(answer.message) : stderr;
  throw new InvalidArgumentError(runtimeWords(message));
}

/** The first line of what the runtime said, without its time stamps. */
function runtimeWords(text: string): string {
  const first = text.split("\n").find((line) => line.trim() !== "") ?? "the runtime gave no reason";
  return first.replace(/^\d{4}-\d\d-\d\dT\S+:? /, "").trim();
}

function isConmon(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/comm`, "latin1").trim() === "conmon";
  } catch (error) {
    if (isErrno(error, "ENOENT", "ESRCH")) return false;
    throw error;
  }
}

function readNumber(path: string): number {
  try {
    return Number(readFileSync(path, "latin1").trim());
  } catch (error) {
    if (isErrno(error, "ENOENT")) return 0;
    throw error;
  }
}

function removeFile(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (!isErrno(error, "ENOENT")) throw error;
  }
}
