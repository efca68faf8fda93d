/**
 * Starts the conmon of one container and waits until the runtime under it has created the container.
 * Edge: to child processes. The spawned process ends at once: conmon forks itself away from us, which is why
 * containers outlive this process.
 * Source: conmon(8); sync and start pipes as conmon 2.1 uses them.
 */
import type { Readable, Writable } from "node:stream";
import type { Clock } from "../../base/clock/clock.js";
import { InternalError, InvalidArgumentError, messageOf } from "../../base/errors/errors.js";
import type { Linux } from "../../base/linux/linux-ports.js";
import type { Logger } from "../../base/log/logger.js";
import { moveToGroup } from "./linux-cgroup.js";
import { collect, findProgram, HELPER_ENV, spawnPiped } from "./process-run.js";

export interface MonitorSettings {
  readonly conmon: string;
  /** Absolute path of crun or runc. */
  readonly runtime: string;
  readonly stateDir: string;
  readonly exitDir: string;
  /**
   * Trees in which monitors are moved out of the daemon's own group,
   * so that systemd spares them when it ends the daemon.
   */
  readonly trees: readonly string[];
  readonly monitorGroup: string;
  /**
   * crun refuses hybrid hosts with v2 controllers;
   * it looks no further when that tree is not mounted in its namespace.
   */
  readonly hideUnified: boolean;
  readonly linux: Pick<Linux, "keepDescriptors">;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface MonitorOptions {
  readonly id: string;
  readonly name: string;
  readonly bundle: string;
  /** undefined: output is not kept. */
  readonly logPath: string | undefined;
  readonly tty: boolean;
  readonly openStdin: boolean;
  /** Input ends when a connection to the monitor ends. */
  readonly stdinOnce?: boolean;
}

/**
 * `exec` keeps the process number, so the shell's becomes conmon's.
 * Slave: later unmounts on the host reach this namespace too.
 */
function hidingUnified(): readonly string[] {
  // busybox unmounts by itself: a process less for each start
  const busybox = findProgram("busybox");
  const shell = busybox === undefined ? ["sh"] : [busybox, "sh"];
  const script = 'umount /sys/fs/cgroup/unified; exec "$@"';
  return ["unshare", "--mount", "--propagation", "slave", ...shell, "-c", script, "conmon"];
}
const CREATE_TIMEOUT_MS = 120_000;

/**
 * @returns the pid of the container's process.
 * @throws {InvalidArgumentError} with the runtime's words; {InternalError}.
 */
export async function spawnMonitor(settings: MonitorSettings, options: MonitorOptions): Promise<number> {
  const command = [settings.conmon, ...monitorArguments(settings, options)];
  const [program = "", ...args] = settings.hideUnified ? [...hidingUnified(), ...command] : command;
  // the monitor lives long: a database file it inherited could never be freed
  settings.linux.keepDescriptors();
  const child = spawnPiped(program, args, {
    stdio: ["ignore", "ignore", "pipe", "pipe", "pipe"],
    env: { ...HELPER_ENV, _OCI_SYNCPIPE: "3", _OCI_STARTPIPE: "4" },
    cwd: options.bundle, // conmon drops its `oom` mark where it stands
    detached: true,
  });
  const stderrPipe = child.stdio[2] as Readable; // asked for as pipes above, as are the next two
  const syncPipe = child.stdio[3] as Readable;
  const startPipe = child.stdio[4] as Writable;
  const stderr = collect(stderrPipe);
  let failure = "";
  const giveUp = (words: string): void => {
    failure = words;
    syncPipe.destroy();
  };
  child.once("error", (error) => giveUp(messageOf(error)));
  startPipe.on("error", (error) =>
    settings.log.debug("start pipe closed early", { error: messageOf(error) }),
  );
  const timer = settings.clock.setTimer(CREATE_TIMEOUT_MS, () =>
    giveUp(`no answer in ${CREATE_TIMEOUT_MS} ms`),
  );
  try {
    const answer = firstLine(syncPipe);
    try {
      if (child.pid !== undefined) await moveToGroup(settings.trees, settings.monitorGroup, child.pid);
    } catch (error) {
      // The end of the start pipe would let it go on, and make a container that nobody awaits.
      child.kill("SIGKILL");
      throw error;
    }
    startPipe.end("1"); // until this byte conmon waits, so that its children are born in the right group
    return parseAnswer(await answer, failure || stderr());
  } finally {
    timer.cancel();
    for (const pipe of [syncPipe, startPipe, stderrPipe]) pipe.destroy();
  }
}

function monitorArguments(settings: MonitorSettings, options: MonitorOptions): readonly string[] {
  const { id, name, bundle, logPath } = options;
  const log = logPath === undefined ? "off" : `k8s-file:${logPath}`;
  return [
    ...["--api-version", "1", "-c", id, "-u", id, "-n", name],
    ...["-r", settings.runtime, "--runtime-arg", `--root=${settings.stateDir}`],
    ...["-b", bundle, "-p", `${bundle}/pid`, "-P", `${bundle}/conmon.pid`],
    ...["--exit-dir", settings.exitDir, "--persist-dir", bundle, "--full-attach"],
    ...["-l", log, "--log-level", "error", "--no-new-keyring"],
    ...(options.openStdin ? ["-i"] : []),
    ...(options.openStdin && options.stdinOnce !== true ? ["--leave-stdin-open"] : []),
    ...(options.tty ? ["-t"] : []),
  ];
}

/** @returns "" when the stream ends without a line. */
function firstLine(stream: Readable): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    stream.on("data", (chunk: Buffer) => {
      text += chunk.toString("utf8");
      if (text.includes("\n")) resolve(text.slice(0, text.indexOf("\n")));
    });
    stream.on("error", () => resolve("")); // "close" follows; the caller gives the reason
    stream.once("close", () => resolve(text));
  });
}

function parseAnswer(line: string, words: string): number {
  if (line === "") throw new InternalError(`the container monitor gave no answer: ${words || "no words"}`);
  const answer: unknown = JSON.parse(line);
  const fields = typeof answer === "object" && answer !== null ? answer : {};
  const pid = "data" in fields ? Number(fields.data) : -1;
  if (pid > 0) return pid;
  throw new InvalidArgumentError(runtimeWords("message" in fields ? String(fields.message) : words));
}

/** The first line of what the runtime said, without its time stamp. */
export function runtimeWords(text: string): string {
  const first = text.split("\n").find((line) => line.trim() !== "") ?? "the runtime gave no reason";
  return first.replace(/^\d{4}-\d\d-\d\dT\S+:? /, "").trim();
}
