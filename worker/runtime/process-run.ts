/**
 * Running a short command to its end with its words kept. Edge: to child processes.
 * Invariant: at most 64 KiB of output are held, or what the caller bounds it to; a command that outstays its
 * time is killed.
 */
import { type ChildProcess, type ChildProcessByStdio, type SpawnOptions, spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import type { Clock } from "../../base/clock/clock.js";
import { ResourceExhaustedError } from "../../base/errors/errors.js";

const OUTPUT_BYTES_MAX = 64 * 1024;
const SEARCH_PATH = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/** All that runtime helpers see of the environment: nothing of the daemon's own leaks into them. */
export const HELPER_ENV: Readonly<Record<string, string>> = { PATH: SEARCH_PATH.join(":") };

export interface RunResult {
  /** Exit code; 128 + n after signal n is not told apart: -1. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly clock: Clock;
  readonly timeoutMs: number;
  /** Called with the command's number when time is up, before it is killed. */
  readonly onTimeout?: (pid: number) => void;
  /** Output with the blanks around it. @default false */
  readonly verbatim?: boolean;
  /** Its input is a pipe of its own that has ended, instead of the machine's /dev/null. @default false */
  readonly emptyInput?: boolean;
  /** Of stdout; what is more is dropped. @default 64 KiB */
  readonly outputBytesMax?: number;
}

export async function runCommand(
  command: string,
  args: readonly string[],
  options: RunOptions,
): Promise<RunResult> {
  const child = spawnPiped(command, args, {
    stdio: [options.emptyInput === true ? "pipe" : "ignore", "pipe", "pipe"],
    env: HELPER_ENV,
    detached: true,
  }) as ChildProcessByStdio<Writable | null, Readable, Readable>; // as asked for
  child.stdin?.on("error", () => undefined); // it has ended already: nothing to be told
  child.stdin?.end();
  const { verbatim = false, outputBytesMax = OUTPUT_BYTES_MAX } = options;
  const stdout = collect(child.stdout, { verbatim, bytesMax: outputBytesMax });
  const stderr = collect(child.stderr, { verbatim });
  const timer = options.clock.setTimer(options.timeoutMs, () => {
    if (child.pid !== undefined && child.exitCode === null) options.onTimeout?.(child.pid);
    child.kill("SIGKILL");
    // What the command left running may hold its output open for ever: nobody waits for that.
    child.stdout.destroy();
    child.stderr.destroy();
  });
  try {
    const code = await new Promise<number>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (exitCode) => resolve(exitCode ?? -1));
    });
    return { code, stdout: stdout(), stderr: stderr() };
  } finally {
    timer.cancel();
  }
}

/**
 * A child that could not even be given its pipes (no descriptors left) is an error here; from `spawn` it
 * would be an object without streams, and an event that nobody hears yet and that would end the daemon.
 */
export function spawnPiped(command: string, args: readonly string[], options: SpawnOptions): ChildProcess {
  const child = spawn(command, args, options);
  if ((child.stdio as ChildProcess["stdio"] | undefined) !== undefined) return child;
  child.on("error", () => undefined); // said below
  throw new ResourceExhaustedError(`${command} could not be started: no file descriptors are left`);
}

/** Keeps the first bytes of a stream and reads the rest away, so that the writer never blocks. */
export function collect(
  stream: NodeJS.ReadableStream,
  options: { readonly verbatim?: boolean; readonly bytesMax?: number } = {},
): () => string {
  const { bytesMax = OUTPUT_BYTES_MAX } = options;
  const chunks: Buffer[] = [];
  let size = 0;
  stream.on("data", (chunk: Buffer) => {
    if (size >= bytesMax) return;
    chunks.push(chunk.subarray(0, bytesMax - size));
    size += chunk.length;
  });
  return () => {
    const text = Buffer.concat(chunks).toString("utf8");
    return options.verbatim === true ? text : text.trim();
  };
}

/** @returns the absolute path of an installed program, or undefined. */
export function findProgram(name: string, folders: readonly string[] = SEARCH_PATH): string | undefined {
  for (const folder of folders) {
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch (error) {
      if (!(error instanceof Error)) throw error; // not here: look in the next folder
    }
  }
  return undefined;
}
