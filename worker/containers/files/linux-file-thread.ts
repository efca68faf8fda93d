/**
 * The parent's side of the thread that touches containers' files: started at the first job, ended when idle.
 * Edge: worker thread. Invariants: of each job at most WINDOW chunks are under way in either direction; a job
 * whose caller went away is cancelled, and its handles are closed; when the thread is lost, so are its jobs,
 * and the next one starts a new thread.
 */
import { Worker } from "node:worker_threads";
import type { Clock, Timer } from "../../../base/clock/clock.js";
import {
  CancelledError,
  InternalError,
  messageOf,
  ResourceExhaustedError,
  UnavailableError,
} from "../../../base/errors/errors.js";
import { errorFromCode } from "../../../base/errors/status.js";
import type { PathStat } from "../../../proto/engine/files.js";
import {
  type FileJob,
  type FileResult,
  type FromFileThread,
  type ToFileThread,
  WINDOW,
} from "./file-jobs.js";

/** Between HEAD and GET of one copy, and the copies of one script. */
const IDLE_MS = 10_000;
/** Old generation of the thread. */
const HEAP_MAX_MB = 192;
/** Each holds a megabyte and some handles. */
const JOBS_MAX = 64;

export interface JobOptions {
  readonly signal?: AbortSignal | undefined;
  /** Bytes for the job, read at its pace. */
  readonly input?: AsyncIterable<Uint8Array>;
}

interface OpenJob {
  readonly chunks: Uint8Array[];
  /** Chunks the thread would take now. */
  credits: number;
  stat: PathStat | undefined;
  outcome: { readonly result: FileResult } | { readonly error: unknown } | undefined;
  /** Called at every word from the thread. */
  wake: (() => void) | undefined;
}

export class FileThread {
  readonly #clock: Clock;
  readonly #jobs = new Map<number, OpenJob>();
  #worker: Worker | undefined;
  #idleTimer: Timer | undefined;
  #nextId = 1;
  #closed = false;

  constructor(components: { readonly clock: Clock }) {
    this.#clock = components.clock;
  }

  /** Whether a thread exists now. */
  get started(): boolean {
    return this.#worker !== undefined;
  }

  /** @throws what the job throws; {ResourceExhaustedError} too many at a time. */
  async run(job: FileJob, options: JobOptions = {}): Promise<FileResult> {
    const { id, open } = this.#start(job);
    const feeding = options.input === undefined ? undefined : this.#feed(id, open, options.input);
    try {
      while (open.outcome === undefined) await this.#word(id, open, options.signal);
    } finally {
      this.#end(id, open);
    }
    // a refusal does not wait for a client that is slow to send more
    if ("error" in open.outcome) throw open.outcome.error;
    const feedError = await feeding;
    if (feedError !== undefined) throw feedError;
    return open.outcome.result;
  }

  /** @returns the stat, once the job has told it, and the bytes of the tar as they are asked for. */
  async read(
    job: FileJob,
    options: Pick<JobOptions, "signal"> = {},
  ): Promise<{ readonly stat: PathStat | undefined; readonly tar: AsyncGenerator<Uint8Array> }> {
    const { id, open } = this.#start(job);
    try {
      while (open.stat === undefined && open.chunks.length === 0 && open.outcome === undefined)
        await this.#word(id, open, options.signal);
      if (open.outcome !== undefined && "error" in open.outcome) throw open.outcome.error;
    } catch (error) {
      this.#end(id, open);
      throw error;
    }
    // a generator that is never begun has no end of its own
    options.signal?.addEventListener("abort", () => this.#end(id, open), { once: true });
    return { stat: open.stat, tar: this.#chunks(id, open, options.signal) };
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#idleTimer?.cancel();
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.terminate();
    this.#lose(new UnavailableError("the daemon stops"));
  }

  async *#chunks(id: number, open: OpenJob, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        const chunk = open.chunks.shift();
        if (chunk !== undefined) {
          this.#post({ kind: "credit", id });
          yield chunk;
        } else if (open.outcome !== undefined) {
          if ("error" in open.outcome) throw open.outcome.error;
          return;
        } else {
          await this.#word(id, open, signal);
        }
      }
    } finally {
      this.#end(id, open);
    }
  }

  /** @returns the source's error as a value: the job hears that it is cancelled. */
  async #feed(id: number, open: OpenJob, input: AsyncIterable<Uint8Array>): Promise<unknown> {
    try {
      for await (const chunk of input) {
        while (open.credits === 0 && open.outcome === undefined)
          await new Promise<void>((resolve) => {
            const before = open.wake;
            open.wake = () => {
              before?.();
              resolve();
            };
          });
        if (open.outcome !== undefined) return undefined;
        open.credits -= 1;
        // a copy with memory of its own: cloning a view would clone all the memory it looks at
        const own = Buffer.allocUnsafeSlow(chunk.byteLength);
        own.set(chunk);
        this.#worker?.postMessage({ kind: "chunk", id, chunk: own } satisfies ToFileThread, [own.buffer]);
      }
      this.#post({ kind: "end", id });
      return undefined;
    } catch (error) {
      open.outcome ??= { error };
      this.#post({ kind: "cancel", id });
      open.wake?.();
      return error;
    }
  }

  #start(job: FileJob): { id: number; open: OpenJob } {
    if (this.#closed) throw new UnavailableError("the daemon stops");
    if (this.#jobs.size >= JOBS_MAX)
      throw new ResourceExhaustedError(`more than ${JOBS_MAX} copies are under way`);
    this.#idleTimer?.cancel();
    this.#worker ??= this.#startWorker();
    const id = this.#nextId++;
    const open: OpenJob = {
      chunks: [],
      credits: WINDOW,
      stat: undefined,
      outcome: undefined,
      wake: undefined,
    };
    this.#jobs.set(id, open);
    this.#post({ kind: "start", id, job });
    return { id, open };
  }

  #end(id: number, open: OpenJob): void {
    if (open.outcome === undefined) {
      open.outcome = { error: new CancelledError("the copy was cancelled") };
      this.#post({ kind: "cancel", id });
      open.wake?.();
    }
    if (!this.#jobs.delete(id) || this.#jobs.size > 0) return;
    this.#idleTimer?.cancel();
    this.#idleTimer = this.#clock.setTimer(IDLE_MS, () => {
      const worker = this.#worker;
      this.#worker = undefined;
      void worker?.terminate();
    });
  }

  /** Waits for the thread's next word. @throws {CancelledError} */
  async #word(id: number, open: OpenJob, signal: AbortSignal | undefined): Promise<void> {
    const cancelled = (): CancelledError => new CancelledError("the copy was cancelled");
    if (signal?.aborted === true) throw cancelled();
    let onAbort: (() => void) | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        const before = open.wake;
        open.wake = () => {
          before?.();
          resolve();
        };
        onAbort = () => reject(cancelled());
        signal?.addEventListener("abort", onAbort, { once: true });
      });
    } catch (error) {
      this.#post({ kind: "cancel", id });
      throw error;
    } finally {
      if (onAbort !== undefined) signal?.removeEventListener("abort", onAbort);
    }
  }

  #post(message: ToFileThread): void {
    this.#worker?.postMessage(message);
  }

  #startWorker(): Worker {
    const worker = newWorker();
    const lost = (error: Error): void => {
      if (this.#worker !== worker) return; // ended by us
      this.#worker = undefined;
      this.#lose(error);
    };
    worker.on("error", (error) =>
      lost(new InternalError(`the thread of copies failed: ${messageOf(error)}`, { cause: error })),
    );
    worker.on("exit", (code) => lost(new InternalError(`the thread of copies ended with ${code}`)));
    worker.on("message", (message: FromFileThread) => this.#hear(message));
    return worker;
  }

  #hear(message: FromFileThread): void {
    const open = this.#jobs.get(message.id);
    if (open === undefined) return; // cancelled meanwhile
    if (message.kind === "stat") open.stat = message.stat;
    else if (message.kind === "chunk") open.chunks.push(message.chunk);
    else if (message.kind === "credit") open.credits += 1;
    else if (message.kind === "done") open.outcome ??= { result: message.result };
    else open.outcome ??= { error: errorFromCode(message.code, message.message) };
    const wake = open.wake;
    open.wake = undefined;
    wake?.();
  }

  #lose(error: Error): void {
    for (const open of this.#jobs.values()) {
      open.outcome ??= { error };
      open.wake?.();
    }
  }
}

function newWorker(): Worker {
  const limits = { resourceLimits: { maxOldGenerationSizeMb: HEAP_MAX_MB } };
  if (!import.meta.url.endsWith(".ts")) {
    return new Worker(new URL("./linux-file-worker.js", import.meta.url), { ...limits, execArgv: [] });
  }
  // Tests run the sources themselves: the thread has to register the loader of TypeScript before it can read
  // its file.
  const [loader, file] = [import.meta.resolve("tsx/esm/api"), import.meta.resolve("./linux-file-worker.ts")];
  const load = `register(); return import(${JSON.stringify(file)});`;
  const start = `import(${JSON.stringify(loader)}).then(({ register }) => { ${load} })`;
  return new Worker(start, { ...limits, eval: true, execArgv: [] });
}
