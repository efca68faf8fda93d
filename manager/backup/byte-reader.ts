/**
 * Reads a stream of pieces in the sizes one wants. Pure.
 * Bound: holds what was asked for and one piece more.
 */
export class ByteReader {
  readonly #pieces: AsyncIterator<Uint8Array>;
  #held: Uint8Array[] = [];
  #heldBytes = 0;
  #ended = false;

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#pieces = source[Symbol.asyncIterator]();
  }

  /** The next `count` bytes, fewer only at the end. */
  async read(count: number): Promise<Buffer> {
    await this.#fill(count);
    const taken: Uint8Array[] = [];
    let missing = Math.min(count, this.#heldBytes);
    this.#heldBytes -= missing;
    while (missing > 0) {
      const first = this.#held[0] ?? new Uint8Array(0);
      taken.push(first.subarray(0, missing));
      if (first.length <= missing) this.#held.shift();
      else this.#held[0] = first.subarray(missing);
      missing -= Math.min(missing, first.length);
    }
    return Buffer.concat(taken);
  }

  async atEnd(): Promise<boolean> {
    await this.#fill(1);
    return this.#heldBytes === 0;
  }

  /** Lets the source go: nothing more is wanted. */
  async close(): Promise<void> {
    this.#ended = true;
    await this.#pieces.return?.();
  }

  async #fill(count: number): Promise<void> {
    while (this.#heldBytes < count && !this.#ended) {
      const next = await this.#pieces.next();
      if (next.done === true) this.#ended = true;
      else if (next.value.length > 0) {
        this.#held.push(next.value);
        this.#heldBytes += next.value.length;
      }
    }
  }
}
