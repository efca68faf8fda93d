/**
 * A command in a running container, run by the runtime itself with pipes of ours. Edge: to child processes.
 * Some 6 ms, where a monitor of its own would cost 30; in return the command's input and output end with this
 * process. The command itself goes on: it lives in the container.
 * Invariants: the pipes are pipes and no sockets, so that /dev/stdout can be opened inside; all that was
 * written before the end is read before the end is told, unless a child of the command keeps a pipe open for
 * longer than `LINGER_MS`; the runtime's own words never reach the client's standard error.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync } from "node:fs";
import { Socket } from "node:net";
import type { Clock } from "../../base/clock/clock.js";
import type { Linux } from "../../base/linux/linux-ports.js";
import { HELPER_ENV } from "./process-run.js";

/** How long output is awaited that a child of the ended command may still write. */
const LINGER_MS = 2_000;
const WORDS_BYTES_MAX = 4096;

export interface DirectExecOptions {
  readonly runtime: string;
  readonly args: readonly string[];
  /**
   * Which streams are wanted. The others are pipes as well, ended or read away: the runtime gives them to the
   * container's user, who must not get the machine's /dev/null.
   */
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly linux: Pick<Linux, "pipe" | "keepDescriptors">;
  readonly clock: Clock;
  /** Called for each piece; `resume` must be called when more may come, if it returns false. */
  readonly onOutput: (stream: 1 | 2, data: Buffer) => boolean;
  readonly onStarted: (pid: number) => void;
  /** Once, at the end; `failure` holds the runtime's words when the command was not run. */
  readonly onEnd: (end: { exitCode: number; failure: string | undefined }) => void;
}

export interface DirectExec {
  readonly input: Socket | undefined;
  pause(): void;
  resume(): void;
}

/** Where the runtime writes the pid once the command can be run: a pipe, so that we hear of it at once. */
export const PID_FILE = "/proc/self/fd/3";

export function startDirectExec(options: DirectExecOptions): DirectExec {
  const { linux, clock } = options;
  const theirs: number[] = [];
  const readEnd = (): Socket => {
    const { readFd, writeFd } = linux.pipe("read");
    theirs.push(writeFd);
    return new Socket({ fd: readFd, readable: true, writable: false });
  };
  const stdio: (number | "ignore")[] = ["ignore", "ignore", "ignore"];
  let input: Socket | undefined;
  if (options.stdin) {
    const { readFd, writeFd } = linux.pipe("write");
    theirs.push(readFd);
    stdio[0] = readFd;
    input = new Socket({ fd: writeFd, readable: false, writable: true });
    input.on("error", () => undefined); // the command reads no more: writes say so themselves
  } else {
    const { readFd, writeFd } = linux.pipe("write");
    theirs.push(readFd, writeFd); // both closed here: what the command reads has ended
    stdio[0] = readFd;
  }
  const stdout = readEnd();
  stdio[1] = theirs.at(-1) ?? "ignore";
  const stderr = readEnd(); // the runtime's words, if nothing else
  const stderrFd = theirs.at(-1) ?? "ignore";
  const started = readEnd();
  stdio.push(theirs.at(-1) ?? "ignore");
  stdio[2] = stderrFd;
  linux.keepDescriptors();
  const child = spawned(options, stdio, theirs);

  let pid = 0;
  let held: Buffer[] = []; // what came on stderr before the pid: the runtime's words, if there is no pid
  started.on("data", (data: Buffer) => {
    if (pid > 0) return;
    pid = Number.parseInt(data.toString("latin1"), 10);
    options.onStarted(pid);
    for (const piece of held) if (options.stderr) options.onOutput(2, piece);
    held = [];
  });
  stdout.on("data", (data: Buffer) => {
    if (options.stdout && !options.onOutput(1, data)) pause();
  });
  stderr.on("data", (data: Buffer) => {
    if (pid === 0) held.push(data);
    else if (options.stderr && !options.onOutput(2, data)) pause();
  });
  const outputs = [stderr, stdout];
  function pause(): void {
    for (const stream of outputs) stream.pause();
  }
  const closed = [...outputs, started].map(
    (stream) =>
      new Promise<void>((resolve) => {
        stream.on("error", () => undefined); // "close" follows
        stream.once("close", resolve);
      }),
  );
  const exited = new Promise<{ code: number; words: string }>((resolve) => {
    child.once("error", (error) => resolve({ code: -1, words: error.message }));
    child.once("exit", (code) => resolve({ code: code ?? -1, words: "" }));
  });
  void exited.then(async ({ code, words }) => {
    const cut = (): void => {
      // A client that does not read is waited for: only silence ends here.
      if (outputs.some((stream) => stream.isPaused())) timer = clock.setTimer(LINGER_MS, cut);
      else for (const stream of outputs) stream.destroy();
    };
    let timer = clock.setTimer(LINGER_MS, cut);
    await Promise.all(closed);
    timer.cancel();
    input?.destroy();
    const said = Buffer.concat(held).toString("utf8", 0, WORDS_BYTES_MAX).trim() || words;
    options.onEnd({ exitCode: code, failure: pid === 0 ? said : undefined });
  });
  return {
    input,
    pause,
    resume: () => {
      for (const stream of outputs) if (!stream.destroyed) stream.resume();
    },
  };
}

function spawned(
  options: DirectExecOptions,
  stdio: (number | "ignore")[],
  theirs: readonly number[],
): ChildProcess {
  try {
    return spawn(options.runtime, [...options.args], { stdio, env: HELPER_ENV, detached: true });
  } finally {
    for (const fd of theirs) closeSync(fd);
  }
}
