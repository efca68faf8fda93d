/**
 * Restoring as skeind sees it: a process of the manager's user that gets the file and answers with who the
 * restored manager is. Edge: to node:child_process. Plain text never enters this process.
 * Invariant: settles after the process has ended, so that its folder is nobody's any more.
 */
import { type ChildProcess, fork } from "node:child_process";
import { pipeline } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import type { Clock } from "../base/clock/clock.js";
import { DeadlineExceededError, InternalError, messageOf, type SkeinError } from "../base/errors/errors.js";
import { errorFromCode, errorFromText } from "../base/errors/status.js";
import type { FromRestore, RestoreConfig, ToRestore } from "./restore-messages.js";
import type { RestoreOutcome, RestoreProgress } from "./restore-state.js";
import { V8_FLAGS } from "./v8-flags.js";

/** Whoever sends no byte for so long holds back everything else that this node could do about swarms. */
const SILENCE_MS_MAX = 60_000;

export interface RestoreProcessOptions {
  readonly config: RestoreConfig;
  readonly file: AsyncIterable<Uint8Array>;
  readonly onProgress: (progress: RestoreProgress) => void;
  /** Ends the process. */
  readonly signal: AbortSignal;
  readonly clock: Clock;
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
  const source = new Source(options.file, options.clock);
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
          ending = { kind: "failed", failure: errorFromText(message.code, message.message) };
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
  readonly #file: AsyncIterator<Uint8Array>;
  readonly #clock: Clock;
  broken: SkeinError | undefined;

  constructor(file: AsyncIterable<Uint8Array>, clock: Clock) {
    this.#file = file[Symbol.asyncIterator]();
    this.#clock = clock;
  }

  async *pieces(): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        const piece = await this.#next();
        if (piece.done === true) return;
        yield piece.value;
      }
    } catch (error) {
      this.broken = errorFromCode("cancelled", `the backup did not arrive whole: ${messageOf(error)}`, error);
      throw error;
    } finally {
      void this.#letGo();
    }
  }

  /** Not waited for: a source that is silent does not end its reading either. */
  async #letGo(): Promise<void> {
    try {
      await this.#file.return?.();
    } catch {
      // It has failed before, which was told.
    }
  }

  #next(): Promise<IteratorResult<Uint8Array>> {
    return new Promise((resolve, reject) => {
      const timer = this.#clock.setTimer(SILENCE_MS_MAX, () =>
        reject(new DeadlineExceededError(`nothing of it came for ${SILENCE_MS_MAX / 1000} s`)),
      );
      this.#file
        .next()
        .then(resolve, reject)
        .finally(() => timer.cancel());
    });
  }
}

async function send(child: ChildProcess, source: Source): Promise<void> {
  try {
    if (child.stdin !== null) await pipeline(source.pieces(), child.stdin);
  } catch {
    // The process has ended and said why, or the source broke off and has noted it.
  }
}
