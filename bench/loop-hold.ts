/**
 * For how long the event loop was held: the most CPU time its thread used between two looks that are a
 * millisecond apart, and the most wall time. On a machine that others use, too, the wall time is theirs as
 * well. Edge: to /proc (schedstat of the main thread: nanoseconds on a CPU first) and to the timers of Node.
 */
import { openSync, readSync } from "node:fs";
import { performance } from "node:perf_hooks";

const LOOK_MS = 1;

export interface Hold {
  readonly cpuMs: number;
  readonly wallMs: number;
}

export class LoopHold {
  readonly #file = openSync(`/proc/self/task/${process.pid}/schedstat`, "r");
  readonly #bytes = Buffer.alloc(64);
  #cpuMs = 0;
  #wallMs = 0;
  #longest: Hold = { cpuMs: 0, wallMs: 0 };

  constructor() {
    [this.#cpuMs, this.#wallMs] = [this.#readCpuMs(), performance.now()];
    this.#look();
  }

  /** CPU time of the thread so far. */
  get threadCpuMs(): number {
    return this.#readCpuMs();
  }

  /** Since the last question. */
  take(): Hold {
    const longest = this.#longest;
    this.#longest = { cpuMs: 0, wallMs: 0 };
    return longest;
  }

  #look(): void {
    const [cpuMs, wallMs] = [this.#readCpuMs(), performance.now()];
    this.#longest = {
      cpuMs: Math.max(this.#longest.cpuMs, cpuMs - this.#cpuMs),
      wallMs: Math.max(this.#longest.wallMs, wallMs - this.#wallMs),
    };
    [this.#cpuMs, this.#wallMs] = [cpuMs, wallMs];
    setTimeout(() => this.#look(), LOOK_MS);
  }

  #readCpuMs(): number {
    const length = readSync(this.#file, this.#bytes, 0, this.#bytes.length, 0);
    return Number.parseInt(this.#bytes.toString("latin1", 0, length), 10) / 1e6;
  }
}
