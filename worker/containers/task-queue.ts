/**
 * Runs pieces of work one after the other. Pure.
 * Invariant: a piece begins only when the one before has settled; a failure goes to its own caller alone.
 */
export class TaskQueue {
  #last: Promise<unknown> = Promise.resolve();

  run<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work, work);
    this.#last = result.then(
      () => undefined,
      () => undefined, // told to the caller of `run`
    );
    return result;
  }

  /** Resolves when what is queued now has settled. */
  async idle(): Promise<void> {
    await this.#last;
  }
}
