/**
 * The newest bytes of a stream, to look again at a pax header: tar-stream decodes its values as UTF-8, which
 * damages binary ones such as file capabilities.
 * Pure. Invariant: keeps at least the last `keepBytes` bytes fed, in the chunks they came in (no copies).
 */
export class RecentBytes {
  readonly #keepBytes: number;
  #chunks: Uint8Array[] = [];
  #heldBytes = 0;
  #endOffset = 0;

  constructor(options: { keepBytes: number }) {
    this.#keepBytes = options.keepBytes;
  }

  feed(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    this.#heldBytes += chunk.byteLength;
    this.#endOffset += chunk.byteLength;
    let oldest = this.#chunks[0];
    while (oldest !== undefined && this.#heldBytes - oldest.byteLength >= this.#keepBytes) {
      this.#chunks.shift();
      this.#heldBytes -= oldest.byteLength;
      oldest = this.#chunks[0];
    }
  }

  /**
   * The raw value of a pax record (`<length> <key>=<value>\n`) nearest before `offset`.
   * @returns undefined when it is no longer held.
   */
  paxValueBefore(offset: number, key: string): Uint8Array | undefined {
    const held = Buffer.concat(this.#chunks);
    const start = this.#endOffset - this.#heldBytes;
    const window = held.subarray(0, Math.max(0, offset - start));
    const at = window.lastIndexOf(` ${key}=`);
    if (at < 0) return undefined;
    let lengthAt = at;
    while (lengthAt > 0 && isDigit(window[lengthAt - 1])) lengthAt -= 1;
    const length = Number(window.toString("latin1", lengthAt, at));
    // The record's length counts itself and the final newline.
    const valueEnd = lengthAt + length - 1;
    if (!Number.isSafeInteger(length) || length <= 0 || valueEnd > window.length) return undefined;
    return new Uint8Array(window.subarray(at + key.length + 2, valueEnd));
  }
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39;
}
