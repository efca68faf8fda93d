/**
 * Ownership: what is opened in a scope is closed with it, children first and in reverse order.
 * Pure. Invariant: each resource is closed at most once, and every error is reported.
 */

export interface Closeable {
  close(): Promise<void> | void;
}

export class Scope implements AsyncDisposable {
  #closers: (() => Promise<void> | void)[] = [];
  #closing: Promise<void> | undefined;

  get closed(): boolean {
    return this.#closing !== undefined;
  }

  /** Takes over a resource and returns it. */
  own<T extends Closeable>(resource: T): T {
    this.#closers.push(() => resource.close());
    return resource;
  }

  /** Runs when the scope closes. */
  defer(close: () => Promise<void> | void): void {
    this.#closers.push(close);
  }

  /** Closes everything, newest first. Calling again returns the first call's promise. */
  close(): Promise<void> {
    this.#closing ??= this.#closeAll();
    return this.#closing;
  }

  async #closeAll(): Promise<void> {
    const errors: unknown[] = [];
    for (let closer = this.#closers.pop(); closer !== undefined; closer = this.#closers.pop()) {
      try {
        await closer();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length === 1) throw errors[0];
    if (errors.length > 1) throw new AggregateError(errors, `${errors.length} resources failed to close`);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
