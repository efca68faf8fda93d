/**
 * A byte stream over a gRPC call of frames, with its own flow control. Edge: to node:stream.
 * Bytes go both ways, each direction ends by itself, and no more than the window is on its way: what the
 * reader has taken is allowed anew. Behind a relay the windows of HTTP/2 add up; this one does not.
 * Invariants: a stream that was not ended in both directions ends the call with an error at the other side;
 * an end without `fin` is a broken stream, never a short one.
 */
import { Duplex } from "node:stream";
import { UnavailableError } from "../errors/errors.js";

/** Bytes that each side may send before the other has taken any. */
export const WINDOW_BYTES = 256 * 1024;
/** What the reader has taken is told in portions. */
const CREDIT_STEP_BYTES = WINDOW_BYTES / 4;
/** Of data in one frame. */
export const FRAME_BYTES_MAX = 16 * 1024;

export interface ByteFrame {
  readonly data: Uint8Array;
  readonly fin: boolean;
  readonly creditBytes: number;
}

/** The client's side of a call that carries frames both ways. */
export interface FrameCall<Frame> {
  write(frame: Frame, written: (error?: Error | null) => void): unknown;
  end(): unknown;
  cancel(): void;
  resume(): unknown;
  on(event: "data", listener: (frame: Frame) => void): unknown;
  on(event: "error", listener: (error: Error) => void): unknown;
  on(event: "end", listener: () => void): unknown;
}

export interface FrameStreamOptions<Frame extends ByteFrame> {
  readonly call: FrameCall<Frame>;
  readonly frame: (part: ByteFrame) => Frame;
  /** What the call ended with, in our own words. */
  readonly explain: (error: Error) => Error;
}

const EMPTY = new Uint8Array();
const nothing = (): void => undefined;

export class FrameStream<Frame extends ByteFrame> extends Duplex {
  readonly #options: FrameStreamOptions<Frame>;
  #creditBytes = WINDOW_BYTES;
  #untoldBytes = 0;
  #waiting: (() => void) | undefined;
  #finSeen = false;
  #finSent = false;

  constructor(options: FrameStreamOptions<Frame>) {
    super({ allowHalfOpen: true });
    this.#options = options;
    const { call, explain } = options;
    call.on("data", (frame) => this.#receive(frame));
    call.on("error", (error) => {
      if (!this.#isOver()) this.destroy(explain(error));
    });
    call.on("end", () => {
      if (!this.#isOver()) this.destroy(new UnavailableError("the other end of the stream is gone"));
    });
    call.resume();
  }

  /** What is taken is told below: nothing is asked for, frames come as they are allowed. */
  override _read(): void {
    this.#tell();
  }

  // typed as Readable's own
  override read(bytes?: number): unknown {
    const chunk: unknown = super.read(bytes);
    this.#tell();
    return chunk;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    const bytes = Math.min(chunk.length, this.#creditBytes, FRAME_BYTES_MAX);
    if (bytes === 0 && chunk.length > 0) {
      this.#waiting = () => this._write(chunk, _encoding, done);
      return;
    }
    this.#creditBytes -= bytes;
    this.#send({ data: chunk.subarray(0, bytes), fin: false, creditBytes: 0 }, (error) => {
      if (error || bytes === chunk.length) done(error);
      else this._write(chunk.subarray(bytes), _encoding, done);
    });
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#send({ data: EMPTY, fin: true, creditBytes: 0 }, (error) => {
      this.#finSent = true;
      done(error);
    });
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#waiting = undefined;
    if (this.#finSeen && this.#finSent) this.#options.call.end();
    else this.#options.call.cancel();
    done(error);
  }

  #receive({ data, fin, creditBytes }: Frame): void {
    if (this.destroyed || this.#finSeen) {
      this.#allow(creditBytes);
      return;
    }
    this.#allow(creditBytes);
    if (data.length > 0) {
      this.#untoldBytes += data.length;
      if (this.#untoldBytes > 2 * WINDOW_BYTES) {
        this.destroy(new UnavailableError("the other end of the stream sends more than it may"));
        return;
      }
      this.push(data);
      this.#tell();
    }
    if (!fin) return;
    this.#finSeen = true;
    this.push(null);
  }

  /** Allows the other side as much as was taken here since. */
  #tell(): void {
    const takenBytes = this.#untoldBytes - this.readableLength;
    if (takenBytes < CREDIT_STEP_BYTES || this.#finSeen || this.destroyed) return;
    this.#untoldBytes -= takenBytes;
    this.#send({ data: EMPTY, fin: false, creditBytes: takenBytes }, nothing);
  }

  #allow(creditBytes: number): void {
    this.#creditBytes += creditBytes;
    const waiting = this.#waiting;
    if (creditBytes === 0 || waiting === undefined) return;
    this.#waiting = undefined;
    waiting();
  }

  #send(part: ByteFrame, done: (error?: Error | null) => void): void {
    this.#options.call.write(this.#options.frame(part), done);
  }

  /** Whatever the call says now was to be expected. */
  #isOver(): boolean {
    return this.destroyed || (this.#finSeen && this.#finSent);
  }
}
