/**
 * A container's log as its clients read it: blocks of CRI lines in, bytes to be sent out. Pure.
 * Made for tens of megabytes a second: one pass, no object per line; lines of one write share their time.
 * Invariant: every byte a container wrote appears once and in order; what stands before a line (time,
 * details) stands only where a line begins.
 * Source: CRI logging; Docker Engine API, "Stream format".
 */
import { parseCriLine } from "../cri-log.js";
import { nanosecondsOf, utcText } from "./log-time.js";

export interface LogTextStyle {
  /** Each piece behind a header of 8 bytes. */
  readonly framed: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly timestamps: boolean;
  /** undefined: none. "" still puts a space before each line, as Docker does. */
  readonly details: string | undefined;
  /** 0n: no bound. */
  readonly sinceNs: bigint;
  readonly untilNs: bigint;
}

const NEWLINE = 0x0a;
const SPACE = 0x20;
const HEADER_BYTES = 8;
/** `2026-11-20T22:00:59.066641879+00:00 stdout F `: what the monitor writes when the zone has two digits. */
const TIME_BYTES = 35;
const STREAM_AT = TIME_BYTES + 1;
const TAG_AT = STREAM_AT + 7;
const TEXT_AT = TAG_AT + 2;
/** "stdout" and "stderr" differ in their fourth letter. */
const LETTER_O = 0x6f;
const FULL = 0x46;
const JOINED_BYTES_MAX = 32 * 1024;
const SHORT_COPY_BYTES = 24;

export class LogText {
  readonly #style: LogTextStyle;
  readonly #timed: boolean;
  readonly #bounded: boolean;
  #out: Buffer = Buffer.alloc(0);
  #length = 0;
  /** By stream: 1 stdout, 2 stderr. */
  readonly #midLine = [false, false, false];
  #lastTime: Buffer = Buffer.alloc(0);
  #prefix: Buffer = Buffer.alloc(0);
  #inTime = true;
  #joined = false;
  /** The open frame: its stream, 0 for none, and where its header is. */
  #frameStream: 0 | 1 | 2 = 0;
  #frameAt = 0;
  /** A line younger than `untilNs` was seen: no more is wanted. */
  finished = false;

  constructor(style: LogTextStyle) {
    this.#style = style;
    this.#bounded = style.sinceNs > 0n || style.untilNs > 0n;
    this.#timed = style.timestamps || this.#bounded;
    this.#prefix = this.#prefixOf("");
  }

  /**
   * @param block whole lines.
   * @param options joined: lines of one stream share a header, up to `JOINED_BYTES_MAX`: clients write out
   * each frame by itself, and are slow where frames are many.
   * @returns what is to be sent; its memory is the caller's.
   */
  render(block: Buffer, options: { readonly joined?: boolean } = {}): Buffer {
    this.#joined = options.joined === true;
    this.#frameStream = 0;
    this.#out = Buffer.allocUnsafe(block.length + HEADER_BYTES);
    this.#length = 0;
    let start = 0;
    for (let end = block.indexOf(NEWLINE); end >= 0; end = block.indexOf(NEWLINE, start)) {
      this.#line(block, start, end);
      if (this.finished) break;
      start = end + 1;
    }
    return this.#out.subarray(0, this.#length);
  }

  #line(block: Buffer, start: number, end: number): void {
    let stream: 1 | 2;
    let whole: boolean;
    let timeEnd = start + TIME_BYTES;
    let text = start + TEXT_AT;
    if (
      text <= end &&
      block[timeEnd] === SPACE &&
      block[start + TAG_AT - 1] === SPACE &&
      block[text - 1] === SPACE
    ) {
      stream = block[start + STREAM_AT + 3] === LETTER_O ? 1 : 2;
      whole = block[start + TAG_AT] === FULL;
    } else {
      const piece = parseCriLine(block.subarray(start, end)); // another zone's form, or no record at all
      if (piece === undefined) return;
      stream = piece.stream === "stdout" ? 1 : 2;
      whole = piece.whole;
      text = end - piece.text.length;
      timeEnd = block.indexOf(SPACE, start);
    }
    const { stdout, stderr } = this.#style;
    if (stream === 1 ? !stdout : !stderr) return;
    if (this.#timed) this.#at(block, start, timeEnd);
    if (this.#bounded && !this.#inTime) return;
    this.#put(stream, block, { text, end, whole });
  }

  #put(stream: 1 | 2, block: Buffer, line: { text: number; end: number; whole: boolean }): void {
    const { text, end, whole } = line;
    const prefix = this.#midLine[stream] === true ? 0 : this.#prefix.length;
    this.#midLine[stream] = !whole;
    const length = prefix + (end - text) + (whole ? 1 : 0);
    this.#makeRoom(HEADER_BYTES + length);
    const out = this.#out;
    let at = this.#length;
    if (this.#style.framed) at = this.#frame(stream, length);
    if (prefix > 0) {
      this.#prefix.copy(out, at);
      at += prefix;
    }
    if (end - text < SHORT_COPY_BYTES) {
      for (let from = text; from < end; from++) out[at++] = block[from] ?? 0;
    } else {
      block.copy(out, at, text, end);
      at += end - text;
    }
    if (whole) out[at++] = NEWLINE;
    this.#length = at;
  }

  /** Opens a frame, or makes the last one longer. @returns where its next bytes go. */
  #frame(stream: 1 | 2, length: number): number {
    const out = this.#out;
    const at = this.#length;
    const begun = this.#joined && this.#frameStream === stream ? at - this.#frameAt - HEADER_BYTES : 0;
    if (begun > 0 && begun + length <= JOINED_BYTES_MAX) {
      out.writeUInt32BE(begun + length, this.#frameAt + 4);
      return at;
    }
    this.#frameStream = stream;
    this.#frameAt = at;
    out[at] = stream;
    out[at + 1] = 0;
    out[at + 2] = 0;
    out[at + 3] = 0;
    out[at + 4] = length >>> 24;
    out[at + 5] = (length >>> 16) & 255;
    out[at + 6] = (length >>> 8) & 255;
    out[at + 7] = length & 255;
    return at + HEADER_BYTES;
  }

  #makeRoom(bytes: number): void {
    if (this.#length + bytes <= this.#out.length) return;
    const larger = Buffer.allocUnsafe(2 * (this.#length + bytes));
    this.#out.copy(larger, 0, 0, this.#length);
    this.#out = larger;
  }

  #at(block: Buffer, start: number, end: number): void {
    const last = this.#lastTime;
    if (last.length === end - start && block.compare(last, 0, last.length, start, end) === 0) return;
    this.#lastTime = Buffer.from(block.subarray(start, end));
    const text = this.#lastTime.toString("latin1");
    const { sinceNs, untilNs } = this.#style;
    if (this.#bounded) {
      const ns = nanosecondsOf(text) ?? 0n;
      this.#inTime = ns >= sinceNs && (untilNs === 0n || ns <= untilNs);
      this.finished = untilNs > 0n && ns > untilNs;
    }
    this.#prefix = this.#prefixOf(text);
  }

  #prefixOf(time: string): Buffer {
    const { timestamps, details } = this.#style;
    return Buffer.from(
      `${timestamps ? `${utcText(time)} ` : ""}${details === undefined ? "" : `${details} `}`,
    );
  }
}
