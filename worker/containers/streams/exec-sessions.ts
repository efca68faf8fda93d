/**
 * Commands run in containers: their records, and their running. Edge: to the runtime and to monitors.
 * Without a terminal the runtime runs the command on pipes of ours, which is fast; a terminal is held by a
 * monitor. Either way the command lives in the container, and the end of this process harms neither.
 * Invariant: a record is started once; its exit code is set before its output ends.
 * Bounds: `EXECS_PER_CONTAINER_MAX` that run or wait to be started: more are refused; of ended ones the
 * newest `ENDED_EXECS_MAX` are remembered.
 */
import { writeFileSync } from "node:fs";
import { mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../../../base/clock/clock.js";
import {
  FailedPreconditionError,
  InvalidArgumentError,
  messageOf,
  NotFoundError,
  ResourceExhaustedError,
} from "../../../base/errors/errors.js";
import { connectPacketStreams } from "../../../base/linux/linux-packet-stream.js";
import type { Linux } from "../../../base/linux/linux-ports.js";
import type { Logger } from "../../../base/log/logger.js";
import { newHexId } from "../../../base/random/ids.js";
import type { Random } from "../../../base/random/random.js";
import type { ContainerManager, ContainerRecord } from "../../../proto/engine/containers.js";
import type { AttachedStream, ExecRecord, ExecSpecification } from "../../../proto/engine/streams.js";
import { type ExecFailure, execFailure } from "../../runtime/exec-words.js";
import { CgroupWarmth } from "../../runtime/linux-cgroup-warmth.js";
import { readTextOfLiveRoot } from "../../runtime/linux-live-root.js";
import type { OciSpec } from "../../runtime/oci-types.js";
import { resolveUser } from "../../runtime/oci-user.js";
import { startConmonExec } from "../../runtime/process-conmon-exec.js";
import { runtimeWords } from "../../runtime/process-conmon-monitor.js";
import { PID_FILE, startDirectExec } from "../../runtime/process-direct-exec.js";
import type { RuntimeLayout } from "../../runtime/runtime-layout.js";
import { AttachHub } from "./attach-hub.js";
import { resizeTerminal } from "./attachments.js";
import { execProcess } from "./exec-process.js";
import { PipedExec } from "./piped-exec.js";

const EXECS_PER_CONTAINER_MAX = 1_000;
const ENDED_EXECS_MAX = 512;

export interface ExecSessionsInit {
  readonly containers: Pick<ContainerManager, "get" | "emit" | "onEvent">;
  readonly layout: RuntimeLayout;
  /** Absolute path of the runtime that made the container. */
  readonly runtimeOf: (containerId: string) => string;
  /** Absolute path. */
  readonly conmon: string;
  /** All that the daemon may hand on, for privileged commands. */
  readonly capabilities: readonly string[];
  readonly linux: Pick<Linux, "connectSeqPacket" | "duplicate" | "pipe" | "keepDescriptors" | "openInRoot">;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

interface Exec {
  record: ExecRecord;
  started: boolean;
  /** Of a terminal: where its fifos are. */
  folder: string | undefined;
}

export class ExecSessions {
  readonly #init: ExecSessionsInit;
  readonly #execs = new Map<string, Exec>();
  /** The container's own configuration, by container and run. */
  readonly #configs = new Map<string, { startedMs: number; spec: OciSpec }>();
  readonly #ended: string[] = [];
  readonly #stopListening: () => void;
  readonly #warmth: CgroupWarmth;

  constructor(init: ExecSessionsInit) {
    this.#init = init;
    this.#warmth = new CgroupWarmth(init.log);
    this.#stopListening = init.containers.onEvent(({ kind, container }) => {
      if (kind === "die" || kind === "destroy") this.#forgetWaiting(container.id);
    });
  }

  create(containerId: string, specification: ExecSpecification): ExecRecord {
    const container = this.#init.containers.get(containerId);
    refuseNotRunning(container, containerId);
    if (specification.args.length === 0) throw new InvalidArgumentError("No exec command specified");
    const living = [...this.#execs.values()].filter(
      ({ record }) => record.containerId === container.id && record.exitCode === undefined,
    );
    if (living.length >= EXECS_PER_CONTAINER_MAX) {
      throw new ResourceExhaustedError(
        `container ${container.id} has ${living.length} execs that run or wait to be started already`,
      );
    }
    const id = newHexId(this.#init.random);
    const record = {
      id,
      containerId: container.id,
      specification,
      running: false,
      exitCode: undefined,
      pid: 0,
    };
    this.#execs.set(id, { record, started: false, folder: undefined });
    this.#emit(record, "exec_create");
    this.#warmth.begin(); // its start comes next
    return record;
  }

  get(execId: string): ExecRecord {
    return this.#exec(execId).record;
  }

  of(containerId: string): readonly ExecRecord[] {
    return [...this.#execs.values()]
      .map(({ record }) => record)
      .filter((record) => record.containerId === containerId);
  }

  async start(
    execId: string,
    options: { detach: boolean; size?: { rows: number; columns: number } },
  ): Promise<AttachedStream | undefined> {
    const exec = this.#exec(execId);
    const container = this.#init.containers.get(exec.record.containerId);
    refuseNotRunning(container, container.id);
    if (exec.started) {
      const words = exec.record.running ? "is already running" : "has already run";
      throw new FailedPreconditionError(`Error: Exec command ${execId} ${words}`);
    }
    exec.started = true;
    try {
      const processFile = await this.#prepare(exec, container);
      exec.record = { ...exec.record, running: true };
      this.#emit(exec.record, "exec_start");
      const stream = exec.record.specification.tty
        ? await this.#startTerminal(exec, processFile, options)
        : await this.#startPiped(exec, processFile, options.detach);
      return options.detach ? undefined : stream;
    } catch (error) {
      if (exec.record.exitCode === undefined) this.#hasEnded(exec, 126);
      throw error;
    }
  }

  async resize(execId: string, size: { rows: number; columns: number }): Promise<void> {
    const { record, folder } = this.#exec(execId);
    if (!record.running) throw new NotFoundError("no such exec");
    if (folder !== undefined) await resizeTerminal(folder, size);
  }

  close(): void {
    this.#stopListening();
    this.#execs.clear();
  }

  /** Writes the process's description. @returns its path. */
  async #prepare(exec: Exec, container: ContainerRecord): Promise<string> {
    const { id, specification } = exec.record;
    if (specification.workingDir !== "" && !specification.workingDir.startsWith("/"))
      throw new InvalidArgumentError(
        "OCI runtime exec failed: exec failed: Cwd must be an absolute path: unknown",
      );
    const spec = await this.#configOf(container);
    const user = specification.user === "" ? undefined : userOf(this.#init.linux, spec, specification.user);
    const process = execProcess(spec.process, specification, {
      user,
      allCapabilities: this.#init.capabilities,
    });
    const bundle = this.#init.layout.bundleDir(container.id);
    const path = join(bundle, `x-${id.slice(0, 16)}.json`);
    writeFileSync(path, JSON.stringify(process), { mode: 0o600 }); // a few KB in memory: a thread costs more
    return path;
  }

  async #configOf(container: ContainerRecord): Promise<OciSpec> {
    const { id, startedMs } = container;
    const known = this.#configs.get(id);
    if (known?.startedMs === startedMs) return known.spec;
    const path = join(this.#init.layout.bundleDir(id), "config.json");
    const spec = JSON.parse(await readFile(path, "utf8")) as OciSpec; // written by us at its start
    // the filters and mounts of many containers would be much to keep: one suffices for a burst
    this.#configs.clear();
    this.#configs.set(id, { startedMs, spec });
    return spec;
  }

  #startPiped(exec: Exec, processFile: string, detach: boolean): Promise<AttachedStream> {
    const { id, containerId, specification } = exec.record;
    const { runtimeOf, layout, linux, clock } = this.#init;
    const session = new PipedExec();
    return new Promise((resolve, reject) => {
      const process = startDirectExec({
        runtime: runtimeOf(containerId),
        args: [
          `--root=${layout.stateDir}`,
          ...["exec", "--process", processFile, "--pid-file", PID_FILE, containerId],
        ],
        stdin: specification.attachStdin && !detach,
        stdout: specification.attachStdout && !detach,
        stderr: specification.attachStderr && !detach,
        linux,
        clock,
        onOutput: (stream, data) => session.receive(stream, data),
        onStarted: (pid) => {
          exec.record = { ...exec.record, pid };
          this.#dispose(processFile);
          resolve(session);
        },
        onEnd: ({ exitCode, failure }) => {
          if (failure === undefined) {
            this.#hasEnded(exec, exitCode);
            session.end();
            return;
          }
          this.#dispose(processFile);
          reject(this.#failed(exec, failure));
        },
      });
      session.bind(process);
      this.#init.log.debug("exec started", { exec: id, container: containerId });
    });
  }

  async #startTerminal(
    exec: Exec,
    processFile: string,
    options: { detach: boolean; size?: { rows: number; columns: number } },
  ): Promise<AttachedStream> {
    const { id, containerId, specification } = exec.record;
    const { runtimeOf, conmon, layout, linux } = this.#init;
    const runtime = runtimeOf(containerId);
    const folder = join(layout.bundleDir(containerId), id.slice(0, 8));
    await mkdir(folder, { mode: 0o700 });
    let exitKnown = (): void => undefined;
    const hub: AttachHub = new AttachHub({
      openStdin: specification.attachStdin,
      stdinOnce: true,
      tty: true,
      endAfter: new Promise<void>((resolve) => {
        exitKnown = resolve;
      }),
      onOver: () => undefined,
    });
    const client = hub.join({ stdin: true, stdout: true, stderr: true });
    if (options.detach) client.close();
    exec.folder = folder;
    return new Promise((resolve, reject) => {
      startConmonExec({
        ...{ conmon, runtime, linux, folder, processFile, containerId, execId: id },
        stateDir: layout.stateDir,
        stdin: specification.attachStdin && !options.detach,
        onSocket: () => {
          try {
            hub.connect(connectPacketStreams(linux, join(folder, "attach")));
          } catch (error) {
            this.#init.log.warn("exec could not be attached to", { exec: id, error: messageOf(error) });
          }
        },
        onStarted: (pid) => {
          exec.record = { ...exec.record, pid };
          const { size } = options;
          const sized = size === undefined ? Promise.resolve() : this.resize(id, size);
          sized.then(
            () => resolve(client),
            () => resolve(client), // it has ended: its output tells
          );
        },
        onEnd: ({ exitCode, failure }) => {
          exec.folder = undefined;
          this.#dispose(processFile, folder);
          if (failure === undefined) {
            this.#hasEnded(exec, exitCode);
            exitKnown();
            if (!hub.connected) hub.end();
            resolve(client);
            return;
          }
          hub.end();
          reject(this.#failed(exec, runtimeWords(failure)));
        },
      });
    });
  }

  #failed(exec: Exec, words: string): InvalidArgumentError {
    const failure: ExecFailure = execFailure(exec.record.specification.args[0] ?? "", words);
    this.#hasEnded(exec, failure.exitCode);
    return new InvalidArgumentError(failure.message);
  }

  #hasEnded(exec: Exec, exitCode: number): void {
    const wasRunning = exec.record.running;
    exec.record = { ...exec.record, running: false, exitCode };
    if (wasRunning) this.#emit(exec.record, "exec_die", { exitCode: String(exitCode) });
    this.#ended.push(exec.record.id);
    if (this.#ended.length > ENDED_EXECS_MAX) this.#execs.delete(this.#ended.shift() ?? "");
  }

  /** What was never started cannot be any more; what runs is ended by its own end. */
  #forgetWaiting(containerId: string): void {
    for (const [id, { record, started }] of this.#execs)
      if (record.containerId === containerId && !started) this.#execs.delete(id);
    this.#configs.delete(containerId);
  }

  #dispose(...paths: string[]): void {
    for (const path of paths) {
      rm(path, { recursive: true, force: true }).then(undefined, (error: unknown) =>
        this.#init.log.debug("files of an exec could not be removed", { path, error: messageOf(error) }),
      );
    }
  }

  #exec(execId: string): Exec {
    const exec = this.#execs.get(execId);
    if (exec === undefined) throw new NotFoundError(`No such exec instance: ${execId}`);
    return exec;
  }

  #emit(
    record: ExecRecord,
    kind: "exec_create" | "exec_start" | "exec_die",
    more: Readonly<Record<string, string>> = {},
  ): void {
    const command = record.specification.args.join(" ");
    const told = kind === "exec_die" ? {} : { command };
    this.#init.containers.emit(record.containerId, kind, { execID: record.id, ...told, ...more });
  }
}

/** @param asked the name in the request, which Docker gives back for paused ones. */
function refuseNotRunning(container: ContainerRecord, asked: string): void {
  const { id, state } = container;
  if (state === "paused")
    throw new FailedPreconditionError(`Container ${asked} is paused, unpause the container before exec`);
  if (state === "restarting")
    throw new FailedPreconditionError(`Container ${id} is restarting, wait until the container is running`);
  if (state !== "running") throw new FailedPreconditionError(`Container ${id} is not running`);
}

function userOf(
  linux: Pick<Linux, "openInRoot">,
  spec: OciSpec,
  user: string,
): ReturnType<typeof resolveUser> {
  const { path } = spec.root;
  const [passwd, group] = ["/etc/passwd", "/etc/group"].map((file) => readTextOfLiveRoot(linux, path, file));
  return resolveUser({ user, groups: [] }, { passwd: passwd ?? "", group: group ?? "" });
}
