/**
 * DER, the few types that certificates and requests are made of: writing, and a strict reader.
 * Pure. Invariant: the reader never leaves its buffer and refuses indefinite or non-minimal lengths.
 * Source: ITU-T X.690.
 */
import { InvalidArgumentError } from "../errors/errors.js";

export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  utf8String: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

/** One value: tag, length, content. */
export function tlv(tag: number, ...content: readonly Uint8Array[]): Uint8Array {
  const body = concat(...content);
  const length: number[] = [];
  if (body.length < 0x80) {
    length.push(body.length);
  } else {
    for (let rest = body.length; rest > 0; rest = Math.floor(rest / 256)) length.unshift(rest % 256);
    length.unshift(0x80 | length.length);
  }
  return concat(Uint8Array.of(tag, ...length), body);
}

export function sequence(...content: readonly Uint8Array[]): Uint8Array {
  return tlv(TAG.sequence, ...content);
}

/** Explicit context tag, constructed: `[number]`. */
export function explicit(number: number, ...content: readonly Uint8Array[]): Uint8Array {
  return tlv(0xa0 | number, ...content);
}

/** A non-negative integer from its big-endian bytes. */
export function integer(bytes: Uint8Array): Uint8Array {
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start += 1;
  const minimal = bytes.subarray(start);
  const negative = ((minimal[0] ?? 0) & 0x80) !== 0;
  return tlv(
    TAG.integer,
    negative ? Uint8Array.of(0) : new Uint8Array(),
    minimal.length === 0 ? Uint8Array.of(0) : minimal,
  );
}

export function bool(value: boolean): Uint8Array {
  return tlv(TAG.boolean, Uint8Array.of(value ? 0xff : 0));
}

export function utf8(text: string): Uint8Array {
  return tlv(TAG.utf8String, new TextEncoder().encode(text));
}

export function octets(bytes: Uint8Array): Uint8Array {
  return tlv(TAG.octetString, bytes);
}

/** @param unusedBits how many low bits of the last byte do not count, 0 to 7. */
export function bits(bytes: Uint8Array, unusedBits = 0): Uint8Array {
  return tlv(TAG.bitString, Uint8Array.of(unusedBits), bytes);
}

/** @param dotted e.g. "2.5.4.3". */
export function oid(dotted: string): Uint8Array {
  const [first = 0, second = 0, ...rest] = dotted.split(".").map(Number);
  const out = [first * 40 + second];
  for (const arc of rest) {
    const groups = [arc & 0x7f];
    for (let left = arc >>> 7; left > 0; left >>>= 7) groups.unshift((left & 0x7f) | 0x80);
    out.push(...groups);
  }
  return tlv(TAG.oid, Uint8Array.from(out));
}

/** UTCTime until 2049, GeneralizedTime after (RFC 5280 4.1.2.5); whole seconds. */
export function time(instantMs: number): Uint8Array {
  const digits = new Date(instantMs)
    .toISOString()
    .replace(/\.\d+Z$/, "Z")
    .replace(/[-:T]/g, "");
  const late = Number(digits.slice(0, 4)) >= 2050;
  return tlv(
    late ? TAG.generalizedTime : TAG.utcTime,
    new TextEncoder().encode(late ? digits : digits.slice(2)),
  );
}

/** One value that was read. */
export interface DerValue {
  readonly tag: number;
  readonly content: Uint8Array;
  /** Tag, length and content as they stood: what signatures cover. */
  readonly whole: Uint8Array;
}

/** Reads one value after the other. @throws {InvalidArgumentError} on malformed bytes. */
export class DerReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get done(): boolean {
    return this.#at >= this.#bytes.length;
  }

  /** The tag that comes next; undefined at the end. */
  peek(): number | undefined {
    return this.#bytes[this.#at];
  }

  /** @param tag what must come next. */
  next(tag: number): DerValue {
    const start = this.#at;
    const found = this.#byte();
    if (found !== tag)
      throw new InvalidArgumentError(`malformed DER: expected tag ${tag} at ${start}, found ${found}`);
    const length = this.#length();
    const contentStart = this.#at;
    if (contentStart + length > this.#bytes.length)
      throw new InvalidArgumentError("malformed DER: a value is cut off");
    this.#at = contentStart + length;
    return {
      tag,
      content: this.#bytes.subarray(contentStart, this.#at),
      whole: this.#bytes.subarray(start, this.#at),
    };
  }

  #byte(): number {
    const byte = this.#bytes[this.#at];
    if (byte === undefined) throw new InvalidArgumentError("malformed DER: the data ends too early");
    this.#at += 1;
    return byte;
  }

  #length(): number {
    const first = this.#byte();
    if (first < 0x80) return first;
    const count = first & 0x7f;
    if (count === 0 || count > 3) throw new InvalidArgumentError("malformed DER: unsupported form of length");
    let length = 0;
    for (let i = 0; i < count; i++) length = length * 256 + this.#byte();
    if (length < 0x80 || length < 256 ** (count - 1))
      throw new InvalidArgumentError("malformed DER: length is not minimal");
    return length;
  }
}
