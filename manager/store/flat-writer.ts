/**
 * Encodes protobuf messages straight into one buffer. The writer of protobufjs keeps an object per field
 * until it finishes, which for the small objects of the store is most of what encoding costs and leaves as
 * garbage.
 * Pure. Invariants: byte for byte what protobufjs writes of well-formed values, a test compares over all
 * tables; what no reader could decode is refused, and `isExact` tells whether decoding gives back what was
 * written: an object that is used beside its bytes must not differ from what others read of them.
 * It has the methods that generated code calls. One writer is used for one message at a time.
 */

import type _m0 from "protobufjs/minimal.js";
import { InvalidArgumentError } from "../../base/errors/errors.js";

const START_BYTES = 64 * 1024;
/** A scratch buffer larger than this is not kept. */
const KEPT_BYTES_MAX = 1024 * 1024;
/** Shorter strings are written here when they are ASCII: a call into Node costs more. */
const SHORT_STRING = 48;
const UINT32_MAX = 2 ** 32 - 1;
const INT32_MAX = 2 ** 31 - 1;
/** As the key of a map the reader loses it: setting it sets no property. */
const UNREADABLE_KEY = "__proto__";
/** Half of a character of two: UTF-8 has no bytes for it. */
const LONE_SURROGATE = /\p{Surrogate}/u;

export class FlatWriter {
  #buffer = Buffer.allocUnsafe(START_BYTES);
  #at = 0;
  /** Where the lengths of open messages stand. */
  readonly #forks: number[] = [];
  #isExact = true;

  /** True when decoding what was encoded last gives back the values that were written. */
  get isExact(): boolean {
    return this.#isExact;
  }

  /**
   * Encodes with `write` and returns a copy of the bytes.
   * @throws {InvalidArgumentError} when a number does not fit its field: its bytes could not be read back.
   */
  encode(write: (writer: _m0.Writer) => void): Uint8Array {
    this.#at = 0;
    this.#forks.length = 0;
    this.#isExact = true;
    write(this as unknown as _m0.Writer); // it has every method that generated code calls
    const bytes = Buffer.allocUnsafe(this.#at);
    this.#buffer.copy(bytes, 0, 0, this.#at);
    if (this.#buffer.length > KEPT_BYTES_MAX) this.#buffer = Buffer.allocUnsafe(START_BYTES);
    return bytes;
  }

  uint32(value: number): this {
    this.#reserve(5);
    this.#varint(value >>> 0 === value ? value : this.#whole(value, { min: 0, max: UINT32_MAX }));
    return this;
  }

  /** A negative one is written as 64 bits, as protobuf has it. */
  int32(value: number): this {
    return this.#signed(
      (value | 0) === value ? value : this.#whole(value, { min: -INT32_MAX - 1, max: INT32_MAX }),
    );
  }

  bool(value: boolean): this {
    this.#reserve(1);
    this.#buffer[this.#at++] = value ? 1 : 0;
    return this;
  }

  uint64(value: number): this {
    this.#reserve(10);
    this.#varint(value >>> 0 === value ? value : this.#whole(value, { min: 0 }));
    return this;
  }

  int64(value: number): this {
    return this.#signed(this.#whole(value, { min: Number.MIN_SAFE_INTEGER }));
  }

  double(value: number): this {
    this.#reserve(8);
    this.#buffer.writeDoubleLE(value, this.#at);
    this.#at += 8;
    return this;
  }

  string(value: string): this {
    const { length } = value;
    if (value === UNREADABLE_KEY) this.#isExact = false;
    this.#reserve(5 + length * 3);
    if (length <= SHORT_STRING && this.#ascii(value)) return this;
    const bytes = Buffer.byteLength(value);
    if (bytes !== length && LONE_SURROGATE.test(value)) this.#isExact = false;
    this.#varint(bytes);
    this.#buffer.write(value, this.#at, bytes, "utf8");
    this.#at += bytes;
    return this;
  }

  bytes(value: Uint8Array): this {
    this.#reserve(5 + value.length);
    this.#varint(value.length);
    this.#buffer.set(value, this.#at);
    this.#at += value.length;
    return this;
  }

  fork(): this {
    this.#reserve(1);
    this.#forks.push(this.#at);
    this.#at += 1; // most messages are short: one byte for the length
    return this;
  }

  ldelim(): this {
    const start = this.#forks.pop() ?? 0;
    const length = this.#at - start - 1;
    let more = 0;
    for (let rest = length; rest > 127; rest = Math.floor(rest / 128)) more += 1;
    if (more > 0) {
      this.#reserve(more);
      this.#buffer.copyWithin(start + 1 + more, start + 1, this.#at);
    }
    const end = this.#at + more;
    this.#at = start;
    this.#varint(length);
    this.#at = end;
    return this;
  }

  /** Fractions are cut off, as protobufjs does. */
  #whole(value: number, { min, max = Number.MAX_SAFE_INTEGER }: { min: number; max?: number }): number {
    const whole = Math.trunc(value);
    if (!(whole >= min && whole <= max)) {
      throw new InvalidArgumentError(`a number must be from ${min} to ${max}, got ${value}`);
    }
    if (whole !== value) this.#isExact = false;
    return whole;
  }

  #signed(value: number): this {
    this.#reserve(10);
    if (value < 0) this.#negative(value);
    else this.#varint(value);
    return this;
  }

  #varint(value: number): void {
    const buffer = this.#buffer;
    let rest = value;
    while (rest > 0x7fffffff) {
      buffer[this.#at++] = (rest % 128) | 128;
      rest = Math.floor(rest / 128);
    }
    while (rest > 127) {
      buffer[this.#at++] = (rest & 127) | 128;
      rest >>>= 7;
    }
    buffer[this.#at++] = rest;
  }

  #negative(value: number): void {
    let rest = BigInt.asUintN(64, BigInt(value));
    while (rest > 127n) {
      this.#buffer[this.#at++] = Number(rest & 127n) | 128;
      rest >>= 7n;
    }
    this.#buffer[this.#at++] = Number(rest);
  }

  /** @returns false, with nothing written, when a character is not ASCII. */
  #ascii(value: string): boolean {
    const buffer = this.#buffer;
    const start = this.#at + 1;
    for (let i = 0; i < value.length; i++) {
      const code = value.charCodeAt(i);
      if (code > 127) return false;
      buffer[start + i] = code;
    }
    buffer[this.#at] = value.length;
    this.#at = start + value.length;
    return true;
  }

  #reserve(bytes: number): void {
    const needed = this.#at + bytes;
    if (needed <= this.#buffer.length) return;
    const grown = Buffer.allocUnsafe(Math.max(needed, this.#buffer.length * 2));
    this.#buffer.copy(grown, 0, 0, this.#at);
    this.#buffer = grown;
  }
}
