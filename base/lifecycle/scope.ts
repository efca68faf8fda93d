/**
 * Ownership: what is opened in a scope is closed with it, children first and in reverse order.
 * Pure. Invariants: each resource is closed at most once, and every error is reported; nothing outlives a
 * closed scope: what comes too late is closed at once.
 */

export interface Closeable {
  close(): Promise<void> | void;
}

export class Scope implements AsyncDisposable {
  #closers: (() => Promise<void> | void)[] = [];
  #closing: Promise<void> | undefined;
  /** Whether a pass over the closers is under way, which takes what is added meanwhile, too. */
  #running = false;

  get closed(): boolean {
    return this.#closing !== undefined;
  }

  /** Takes over a resource and returns it; after `close` it is closed already, or about to be. */
  own<T extends Closeable>(resource: T): T {
    this.defer(() => resource.close());
    return resource;
  }

  /** Runs when the scope closes; at once when that has happened. */
  defer(close: () => Promise<void> | void): void {
    this.#closers.push(close);
    if (this.closed && !this.#running) this.#closing = this.#closeAll();
  }

  /** Closes everything, newest first, and only once however often it is called. */
  close(): Promise<void> {
    this.#closing ??= this.#closeAll();
    return this.#closing;
  }

  async #closeAll(): Promise<void> {
    const errors: unknown[] = [];
    this.#running = true;
    for (let closer = this.#closers.pop(); closer !== undefined; closer = this.#closers.pop()) {
      try {
        await closer();
      } catch (error) {
        errors.push(error);
      }
    }
    this.#running = false;
    if (errors.length === 1) throw errors[0];
    if (errors.length > 1) throw new AggregateError(errors, `${errors.length} resources failed to close`);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
