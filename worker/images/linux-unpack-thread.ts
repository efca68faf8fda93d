/**
 * The parent's side of the unpacking thread: started at the first layer, ended when idle, so that it costs
 * memory only while it works.
 * Edge: worker thread. Invariant: one layer at a time, first come first served; a cancelled one ends its
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
import type { FromWorker, KernelCall, ToWorker } from "./linux-unpack-worker.js";

/** Long enough to bridge the layers of one pull, short against the life of a node. */
const IDLE_MS = 10_000;
/** Old generation of the thread; chunks are bounded, so more would be a leak. */
const HEAP_MAX_MB = 128;

export interface UnpackThreadComponents {
  readonly linux: Pick<Linux, "makeNode" | "setXattr">;
  readonly clock: Clock;
}

interface Conversation {
  readonly resolve: (result: UnpackResult) => void;
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
  unpack(request: UnpackRequest, options: { signal?: AbortSignal | undefined } = {}): Promise<UnpackResult> {
    return this.#turns.run("", () => this.#run(request, options.signal), options);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#endWorker();
    this.#settle(new UnavailableError("the image store was closed while a layer was unpacked"));
    await this.#turns.run("", async () => undefined); // whoever waited has been refused by now
    this.#idleTimer?.cancel();
  }

  async #run(request: UnpackRequest, signal: AbortSignal | undefined): Promise<UnpackResult> {
    if (this.#closed)
      throw new UnavailableError(`layer ${request.layer} is not unpacked: the image store is closed`);
    const cancelled = (): CancelledError =>
      new CancelledError(`unpacking of layer ${request.layer} was cancelled`);
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
      return await new Promise<UnpackResult>((resolve, reject) => {
        this.#current = { resolve, reject };
        worker.postMessage({ kind: "unpack", request } satisfies ToWorker);
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
