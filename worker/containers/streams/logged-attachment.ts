/**
 * A client that wants what was written before, too. Edge: to the log files.
 * Invariant: no gap and no repetition. While a container runs, all output comes from its log, from the first
 * kept line on and as it grows: there is no seam that could tear. Of one that does not run the log is read to
 * its end, and then the next run is waited for.
 */
import type { AttachedStream, StreamChunk } from "../../../proto/engine/streams.js";
import { linesOf, parseCriLine } from "../cri-log.js";
import { LogCursor } from "../fs-log-cursor.js";
import { followLog, type LogSource } from "../fs-log-follow.js";

export interface LoggedAttachmentOptions {
  readonly source: LogSource;
  readonly stdout: boolean;
  readonly stderr: boolean;
  /** Goes on with what is written from now on. */
  readonly stream: boolean;
  /** undefined: neither input nor live output. When the container runs it gives no output. */
  readonly live: AttachedStream | undefined;
  /** Input closes with its client, which stays for the output. */
  readonly staysAfterInput: boolean;
}

export class LoggedAttachment implements AttachedStream {
  readonly #options: LoggedAttachmentOptions;
  readonly #abort = new AbortController();

  constructor(options: LoggedAttachmentOptions) {
    this.#options = options;
  }

  get output(): AsyncIterable<StreamChunk> {
    return this.#output();
  }

  async *#output(): AsyncGenerator<StreamChunk> {
    const { source, stream, live } = this.#options;
    const { signal } = this.#abort;
    const running = !source.ended();
    const cursor = new LogCursor(source.path);
    try {
      await cursor.open(-1, () => true);
      for await (const block of followLog(source, cursor, { follow: stream && running, signal }))
        yield* this.#chunks(block);
    } finally {
      await cursor.close();
    }
    if (stream && !running && live !== undefined && !signal.aborted) yield* live.output;
  }

  *#chunks(block: Buffer): Generator<StreamChunk> {
    let stream: StreamChunk["stream"] = 1;
    let parts: Uint8Array[] = [];
    for (const line of linesOf(block)) {
      const piece = parseCriLine(line);
      if (piece === undefined) continue;
      const of = piece.stream === "stdout" ? 1 : 2;
      if (of === 1 ? !this.#options.stdout : !this.#options.stderr) continue;
      if (of !== stream && parts.length > 0) {
        yield { stream, data: Buffer.concat(parts) };
        parts = [];
      }
      stream = of;
      parts.push(piece.text);
      if (piece.whole) parts.push(Buffer.of(0x0a));
    }
    if (parts.length > 0) yield { stream, data: Buffer.concat(parts) };
  }

  write(data: Uint8Array): Promise<boolean> {
    return this.#options.live?.write(data) ?? Promise.resolve(false);
  }

  endInput(): void {
    this.#options.live?.endInput();
    if (this.#options.live !== undefined && !this.#options.staysAfterInput) this.close();
  }

  close(): void {
    this.#abort.abort();
    this.#options.live?.close();
  }
}
