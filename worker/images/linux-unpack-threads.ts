/**
 * A few layers' threads side by side: the next job goes to the one with the fewest before it.
 * Edge: worker threads. Invariant: no more threads than asked for; each keeps the promises of UnpackThread.
 */
import { type JobOptions, UnpackThread, type UnpackThreadComponents } from "./linux-unpack-thread.js";

/** Unpacking is half decompression and half file calls: a second thread fills the gaps of the first. */
export const THREADS_MAX = 2;

export class UnpackThreads {
  readonly #threads: readonly { readonly thread: UnpackThread; jobs: number }[];

  constructor(components: UnpackThreadComponents, count = THREADS_MAX) {
    this.#threads = Array.from({ length: count }, () => ({ thread: new UnpackThread(components), jobs: 0 }));
  }

  unpack(...job: Parameters<UnpackThread["unpack"]>): ReturnType<UnpackThread["unpack"]> {
    return this.#do((thread) => thread.unpack(...job));
  }

  snapshot(...job: Parameters<UnpackThread["snapshot"]>): ReturnType<UnpackThread["snapshot"]> {
    return this.#do((thread) => thread.snapshot(...job));
  }

  sum(root: string, options: JobOptions = {}): ReturnType<UnpackThread["sum"]> {
    return this.#do((thread) => thread.sum(root, options));
  }

  compress(...job: Parameters<UnpackThread["compress"]>): ReturnType<UnpackThread["compress"]> {
    return this.#do((thread) => thread.compress(...job));
  }

  pack(...job: Parameters<UnpackThread["pack"]>): ReturnType<UnpackThread["pack"]> {
    return this.#do((thread) => thread.pack(...job));
  }

  async close(): Promise<void> {
    await Promise.all(this.#threads.map(({ thread }) => thread.close()));
  }

  async #do<T>(ask: (thread: UnpackThread) => Promise<T>): Promise<T> {
    // Equal: the first, so that small work starts one thread only.
    const least = this.#threads.reduce((best, one) => (one.jobs < best.jobs ? one : best));
    least.jobs += 1;
    try {
      return await ask(least.thread);
    } finally {
      least.jobs -= 1;
    }
  }
}
