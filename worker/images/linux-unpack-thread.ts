/**
 * The parent's side of the unpacking thread: started at the first layer, ended when idle, so that it costs memory only
 * while it works.
 * Edge: worker thread. Invariant: one layer at a time, first come first served; a cancelled one ends its thread, and the
 * next starts a new one. Waiting callers are bounded by the layers of the pulls and loads under way.
 */
import { Worker } from "node:worker_threads";
import type { Clock, Timer } from "../../base/clock/clock.js";
import { CancelledError, InternalError, messageOf, UnavailableError } from "../../base/errors/errors.js";
import { errorFromCode } from "../../base/errors/status.js";
import type { Linux } from "../../base/linux/linux-ports.js";
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

export class UnpackThread {
  readonly #linux: Pick<Linux, "makeNode" | "setXattr">;
  readonly #clock: Clock;
  #worker: Worker | undefined;
  #idleTimer: Timer | undefined;
  #tail: Promise<unknown> = Promise.resolve();
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
    const turn = this.#tail.then(() => this.#run(request, options.signal));
    this.#tail = turn.then(
      () => undefined,
      () => undefined, // the caller of that turn has the error
    );
    return turn;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#endWorker();
  }

  async #run(request: UnpackRequest, signal: AbortSignal | undefined): Promise<UnpackResult> {
    if (this.#closed) throw new UnavailableError(`layer ${request.layer} is not unpacked: the image store is closed`);
    if (signal?.aborted === true) throw new CancelledError(`unpacking of layer ${request.layer} was cancelled`);
    this.#idleTimer?.cancel();
    this.#worker ??= startWorker();
    const worker = this.#worker;
    try {
      return await this.#converse(worker, request, signal);
    } finally {
      this.#idleTimer = this.#clock.setTimer(IDLE_MS, () => void this.#endWorker());
    }
  }

  #converse(worker: Worker, request: UnpackRequest, signal: AbortSignal | undefined): Promise<UnpackResult> {
    return new Promise((resolve, reject) => {
      const send = (message: ToWorker): void => worker.postMessage(message);
      const settle = (act: () => void): void => {
        worker.removeAllListeners();
        signal?.removeEventListener("abort", onAbort);
        worker.unref();
        act();
      };
      const fail = (error: unknown): void =>
        settle(() => {
          this.#endWorker().then(() => reject(error), reject);
        });
      const onAbort = (): void => fail(new CancelledError(`unpacking of layer ${request.layer} was cancelled`));
      signal?.addEventListener("abort", onAbort, { once: true });
      worker.once("error", (error) => fail(new InternalError(`the unpacking thread failed: ${messageOf(error)}`, { cause: error })));
      worker.once("exit", () => fail(new UnavailableError(`unpacking of layer ${request.layer} ended with its thread`)));
      worker.on("message", (message: FromWorker) => {
        if (message.kind === "kernel") send({ kind: "kernel-done", error: this.#callKernel(message.call) });
        else if (message.kind === "done") settle(() => resolve(message.result));
        else settle(() => reject(errorFromCode(message.code, message.message)));
      });
      worker.ref();
      send({ kind: "unpack", request });
    });
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

function startWorker(): Worker {
  const limits = { resourceLimits: { maxOldGenerationSizeMb: HEAP_MAX_MB } };
  // Tests run the sources themselves, through a loader that the thread needs as well.
  if (import.meta.url.endsWith(".ts")) {
    const url = new URL("./linux-unpack-worker.ts", import.meta.url);
    return new Worker(url, { ...limits, execArgv: ["--import", import.meta.resolve("tsx")] });
  }
  return new Worker(new URL("./linux-unpack-worker.js", import.meta.url), { ...limits, execArgv: [] });
}
