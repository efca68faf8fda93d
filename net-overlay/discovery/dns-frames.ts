/**
 * Questions out of a TCP connection, each behind its length.
 * Pure. Invariant: what is held back is less than one question of FRAME_MAX_BYTES, however it comes.
 * Source: RFC 1035 section 4.2.2, RFC 7766 section 8 (they may come in any pieces).
 */

export const FRAME_MAX_BYTES = 4_096;
const LENGTH_BYTES = 2;

export class DnsFrames {
  #held: Buffer = Buffer.alloc(0);

  /** @returns the questions that are whole now; undefined: one is longer than any we answer. */
  take(chunk: Buffer): readonly Buffer[] | undefined {
    let rest = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    const whole: Buffer[] = [];
    while (rest.length >= LENGTH_BYTES) {
      const length = rest.readUInt16BE(0);
      if (length > FRAME_MAX_BYTES) return undefined;
      if (rest.length < length + LENGTH_BYTES) break;
      whole.push(rest.subarray(LENGTH_BYTES, length + LENGTH_BYTES));
      rest = rest.subarray(length + LENGTH_BYTES);
    }
    this.#held = rest.length === 0 ? Buffer.alloc(0) : Buffer.from(rest);
    return whole;
  }
}

/** @param message at most 65535 bytes. */
export function framed(message: Buffer): Buffer {
  const frame = Buffer.allocUnsafe(message.length + LENGTH_BYTES);
  frame.writeUInt16BE(message.length, 0);
  message.copy(frame, LENGTH_BYTES);
  return frame;
}
