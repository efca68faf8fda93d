/**
 * Restoring as skeind sees it: a process of the manager's user that gets the file and answers with who the
 * restored manager is. Edge: to node:child_process. Plain text never enters this process.
 * Invariant: settles after the process has ended, so that its folder is nobody's any more.
 */
import { type ChildProcess, fork } from "node:child_process";
import { pipeline } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import { type ErrorCode, InternalError, messageOf, type SkeinError } from "../base/errors/errors.js";
import { errorFromCode, STATUS } from "../base/errors/status.js";
import type { FromRestore, RestoreConfig, ToRestore } from "./restore-messages.js";
import type { RestoreOutcome, RestoreProgress } from "./restore-state.js";
import { V8_FLAGS } from "./v8-flags.js";

export interface RestoreProcessOptions {
  readonly config: RestoreConfig;
  readonly file: AsyncIterable<Uint8Array>;
  readonly onProgress: (progress: RestoreProgress) => void;
  /** Ends the process. */
  readonly signal: AbortSignal;
  /** The program that is run. @default restore-main */
  readonly main?: URL;
}

/** @throws what the process refused, or why the file could not be read to its end. */
export async function restoreInProcess(options: RestoreProcessOptions): Promise<RestoreOutcome> {
  const main = options.main ?? new URL("./restore-main.js", import.meta.url);
  const child = fork(fileURLToPath(main), [], {
    execArgv: [...V8_FLAGS],
    stdio: ["pipe", "inherit", "inherit", "ipc"],
  });
  const answer = answerOf(child, options.onProgress);
  const stop = (): void => void child.kill("SIGKILL");
  if (options.signal.aborted) stop();
  options.signal.addEventListener("abort", stop);
  if (child.connected) child.send({ kind: "start", config: options.config } satisfies ToRestore);
  const source = new Source(options.file);
  void send(child, source);
  const ended = await answer;
  options.signal.removeEventListener("abort", stop);
  if (ended.kind === "restored") return ended.outcome;
  throw source.broken ?? ended.failure;
}

type Ending =
  | { readonly kind: "restored"; readonly outcome: RestoreOutcome }
  | { readonly kind: "failed"; readonly failure: SkeinError };

function answerOf(child: ChildProcess, onProgress: (progress: RestoreProgress) => void): Promise<Ending> {
  return new Promise((resolve) => {
    let ending: Ending | undefined;
    child.on("message", (message: FromRestore) => {
      switch (message.kind) {
        case "progress":
          onProgress(message.progress);
          break;
        case "restored":
          ending = message;
          break;
        case "failed":
          ending = { kind: "failed", failure: rebuild(message.code, message.message) };
          break;
      }
    });
    const failed = (how: string): void => {
      const failure = new InternalError(`the restoring process ended with ${how} before it was done`);
      resolve(ending ?? { kind: "failed", failure });
    };
    child.on("error", (error) => {
      if (child.pid === undefined) failed(`an error: ${error.message}`); // it never ran: no exit follows
    });
    child.once("exit", (code, signal) => failed(signal ?? `code ${code}`));
  });
}

/** The file, and whether it broke off: that is then the cause of whatever the process says. */
class Source {
  readonly #file: AsyncIterable<Uint8Array>;
  broken: SkeinError | undefined;

  constructor(file: AsyncIterable<Uint8Array>) {
    this.#file = file;
  }

  async *pieces(): AsyncGenerator<Uint8Array> {
    try {
      yield* this.#file;
    } catch (error) {
      this.broken = errorFromCode("cancelled", `the backup did not arrive whole: ${messageOf(error)}`, error);
      throw error;
    }
  }
}

async function send(child: ChildProcess, source: Source): Promise<void> {
  try {
    if (child.stdin !== null) await pipeline(source.pieces(), child.stdin);
  } catch {
    // The process has ended and said why, or the source broke off and has noted it.
  }
}

function rebuild(code: string, message: string): SkeinError {
  return errorFromCode(code in STATUS ? (code as ErrorCode) : "internal", message); // `in` proved it
}
