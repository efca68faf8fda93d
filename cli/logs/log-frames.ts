/**
 * Docker's framing of log streams taken apart: 8 bytes of header (stream, three zeros, length), then the
 * data. Pure.
 * Frames may be cut anywhere between two chunks. Source: Docker Engine API, "Stream format" of POST
 * /containers/{id}/attach.
 */
import { DataLossError } from "../../base/errors/errors.js";

export interface LogFrame {
  readonly stream: "stdout" | "stderr";
  readonly data: Buffer;
}

const HEADER_BYTES = 8;
/** A longer frame is no log line but a stream that is out of step. */
const FRAME_BYTES_MAX = 16 * 1024 * 1024;
const STDERR = 2;

export class LogFrameReader {
  #rest = Buffer.alloc(0);

  /** Whole frames that `chunk` completes. @throws {DataLossError} when the stream is not framed. */
  push(chunk: Uint8Array): LogFrame[] {
    this.#rest = this.#rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([this.#rest, chunk]);
    const frames: LogFrame[] = [];
    for (;;) {
      if (this.#rest.length < HEADER_BYTES) return frames;
      const length = this.#rest.readUInt32BE(4);
      const stream = this.#rest[0] ?? 0;
      if (stream > STDERR + 1 || length > FRAME_BYTES_MAX) {
        throw new DataLossError(
          `the log stream is out of step: a frame of stream ${stream} with ${length} bytes`,
        );
      }
      if (this.#rest.length < HEADER_BYTES + length) return frames;
      frames.push({
        stream: stream === STDERR ? "stderr" : "stdout",
        data: this.#rest.subarray(HEADER_BYTES, HEADER_BYTES + length),
      });
      this.#rest = this.#rest.subarray(HEADER_BYTES + length);
    }
  }
}
