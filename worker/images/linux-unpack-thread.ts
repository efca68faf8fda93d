/**
 * The parent's side of the layers' thread: started at the first layer, ended when idle, so that it costs
 * memory only while it works.
 * Edge: worker thread. Invariant: one job at a time, first come first served; a cancelled one ends its
 * thread, and the next starts a new one. Waiting callers are bounded by the layers of the pulls and loads
 * under way.
 */
import { Worker } from "node:worker_threads";
import type { Clock, Timer } from "../../base/clock/clock.js";
import { CancelledError, InternalError, messageOf, UnavailableError } from "../../base/errors/errors.js";
import { errorFromCode } from "../../base/errors/status.js";
import type { Linux } from "../../base/linux/linux-ports.js";
import { KeyedLock } from "./keyed-lock.js";
import type { UnpackRequest, UnpackResult } from "./linux-layer-unpack.js";
import type {
  FromWorker,
  KernelCall,
  LayerJob,
  LayerJobKind,
  LayerJobs,
  ToWorker,
} from "./linux-unpack-worker.js";

/** Long enough to bridge the layers of one pull, short against the life of a node. */
const IDLE_MS = 10_000;
/** Old generation of the thread; chunks are bounded, so more would be a leak. */
const HEAP_MAX_MB = 128;

export interface UnpackThreadComponents {
  readonly linux: Pick<Linux, "makeNode" | "setXattr">;
  readonly clock: Clock;
}

export interface JobOptions {
  readonly signal?: AbortSignal | undefined;
  /** Bytes of a layer's file read so far, now and then. */
  readonly onBytes?: (readBytes: number) => void;
}

interface Conversation {
  readonly onBytes: ((readBytes: number) => void) | undefined;
  readonly resolve: (result: LayerJobs[LayerJobKind]["result"]) => void;
  readonly reject: (error: unknown) => void;
}

export class UnpackThread {
  readonly #linux: Pick<Linux, "makeNode" | "setXattr">;
  readonly #clock: Clock;
  readonly #turns = new KeyedLock();
  #worker: Worker | undefined;
  #idleTimer: Timer | undefined;
  #current: Conversation | undefined;
  #closed = false;

  constructor(components: UnpackThreadComponents) {
    this.#linux = components.linux;
    this.#clock = components.clock;
  }

  /** Whether a thread exists now. */
  get started(): boolean {
    return this.#worker !== undefined;
  }

  /** @throws what unpackLayer throws; {CancelledError} when the signal fires. */
  unpack(request: UnpackRequest, options: JobOptions = {}): Promise<UnpackResult> {
    return this.#do("unpack", { kind: "unpack", request }, request.layer, options);
  }

  /** Copies a writable layer. @throws what snapshotLayer throws; {CancelledError}. */
  snapshot(
    request: LayerJobs["snapshot"]["request"],
    options: JobOptions = {},
  ): Promise<LayerJobs["snapshot"]["result"]> {
    return this.#do("snapshot", { kind: "snapshot", request }, request.source, options);
  }

  sum(root: string, options: JobOptions = {}): Promise<LayerJobs["sum"]["result"]> {
    return this.#do("sum", { kind: "sum", request: { root } }, root, options);
  }

  compress(
    request: LayerJobs["compress"]["request"],
    options: JobOptions = {},
  ): Promise<LayerJobs["compress"]["result"]> {
    return this.#do("compress", { kind: "compress", request }, request.source, options);
  }

  pack(
    request: LayerJobs["pack"]["request"],
    options: JobOptions = {},
  ): Promise<LayerJobs["pack"]["result"]> {
    return this.#do("pack", { kind: "pack", request }, request.root, options);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#endWorker();
    this.#settle(new UnavailableError("the image store was closed while a layer was unpacked"));
    await this.#turns.run("", async () => undefined); // whoever waited has been refused by now
    this.#idleTimer?.cancel();
  }

  async #do<K extends LayerJobKind>(
    _kind: K,
    job: LayerJob & { kind: K },
    what: string,
    options: JobOptions,
  ): Promise<LayerJobs[K]["result"]> {
    const { signal } = options;
    const result = await this.#turns.run("", () => this.#run(job, what, options), { signal });
    return result as LayerJobs[K]["result"]; // the thread answers a job with its own kind of result
  }

  async #run(
    job: LayerJob,
    what: string,
    { signal, onBytes }: JobOptions,
  ): Promise<LayerJobs[LayerJobKind]["result"]> {
    if (this.#closed) throw new UnavailableError(`layer ${what} is left: the image store is closed`);
    const cancelled = (): CancelledError => new CancelledError(`work on layer ${what} was cancelled`);
    if (signal?.aborted === true) throw cancelled();
    this.#idleTimer?.cancel();
    this.#worker ??= this.#startWorker();
    const worker = this.#worker;
    // The thread must have ended before the caller hears of it: it may be writing to the caller's folder.
    const onAbort = (): void =>
      void this.#endWorker().then(
        () => this.#settle(cancelled()),
        (error: unknown) => this.#settle(error),
      );
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      return await new Promise((resolve, reject) => {
        this.#current = { resolve, reject, onBytes };
        worker.postMessage(job satisfies ToWorker);
      });
    } finally {
      signal?.removeEventListener("abort", onAbort);
      this.#idleTimer = this.#clock.setTimer(IDLE_MS, () => void this.#endWorker());
    }
  }

  /** Ends the conversation under way, if there is one. */
  #settle(error: unknown): void {
    const current = this.#current;
    this.#current = undefined;
    current?.reject(error);
  }

  #startWorker(): Worker {
    const worker = newWorker();
    const lost = (error: Error): void => {
      if (this.#worker !== worker) return; // ended by us
      this.#worker = undefined;
      this.#settle(error);
    };
    worker.on("error", (error) =>
      lost(new InternalError(`the unpacking thread failed: ${messageOf(error)}`, { cause: error })),
    );
    worker.on("exit", (code) => lost(new InternalError(`the unpacking thread ended with ${code}`)));
    worker.on("message", (message: FromWorker) => {
      // ended by us meanwhile: who waited is told so, and the next has a thread of its own
      if (this.#worker !== worker) return;
      if (message.kind === "kernel") {
        worker.postMessage({ kind: "kernel-done", error: this.#callKernel(message.call) } satisfies ToWorker);
      } else if (message.kind === "bytes") {
        this.#current?.onBytes?.(message.readBytes);
      } else if (message.kind === "failed") {
        this.#settle(errorFromCode(message.code, message.message));
      } else {
        const current = this.#current;
        this.#current = undefined;
        current?.resolve(message.result);
      }
    });
    return worker;
  }

  #callKernel(call: KernelCall): string | undefined {
    try {
      if (call.name === "makeNode") this.#linux.makeNode(call.options);
      else this.#linux.setXattr(call.path, call.attribute, call.value);
      return undefined;
    } catch (error) {
      return messageOf(error);
    }
  }

  async #endWorker(): Promise<void> {
    this.#idleTimer?.cancel();
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.terminate();
  }
}

function newWorker(): Worker {
  const limits = { resourceLimits: { maxOldGenerationSizeMb: HEAP_MAX_MB } };
  if (!import.meta.url.endsWith(".ts")) {
    return new Worker(new URL("./linux-unpack-worker.js", import.meta.url), { ...limits, execArgv: [] });
  }
  // Tests run the sources themselves: the thread has to register the loader of TypeScript before it can read
  // its file.
  const [loader, file] = [
    import.meta.resolve("tsx/esm/api"),
    import.meta.resolve("./linux-unpack-worker.ts"),
  ];
  const load = `register(); return import(${JSON.stringify(file)});`;
  const start = `import(${JSON.stringify(loader)}).then(({ register }) => { ${load} })`;
  return new Worker(start, { ...limits, eval: true, execArgv: [] });
}
