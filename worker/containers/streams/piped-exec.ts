/**
 * One client's hold on a command that runs on pipes. Pure.
 * Bound: one queue of output; when it is full the pipes are read no further, and the command waits. When the
 * client has gone, output is read on and dropped, so that the command is not held up.
 */
import type { AttachedStream, StreamChunk } from "../../../proto/engine/streams.js";
import type { DirectExec } from "../../runtime/process-direct-exec.js";
import { ChunkQueue } from "./chunk-queue.js";

export class PipedExec implements AttachedStream {
  readonly #queue: ChunkQueue;
  #process: DirectExec | undefined;
  #closed = false;

  constructor() {
    this.#queue = new ChunkQueue(() => this.#process?.resume());
  }

  bind(process: DirectExec): void {
    this.#process = process;
  }

  get output(): AsyncIterable<StreamChunk> {
    return this.#queue;
  }

  /** @returns false when the queue is full now. */
  receive(stream: 1 | 2, data: Uint8Array): boolean {
    this.#queue.push({ stream, data });
    return !this.#queue.full;
  }

  end(): void {
    this.#queue.end();
  }

  write(data: Uint8Array): Promise<boolean> {
    const input = this.#process?.input;
    if (input === undefined || input.destroyed || this.#closed) return Promise.resolve(false);
    return new Promise((resolve) => {
      const gone = (): void => resolve(false);
      input.once("close", gone);
      input.write(data, (error) => {
        input.off("close", gone);
        resolve(error === undefined || error === null);
      });
    });
  }

  endInput(): void {
    this.#process?.input?.end();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.endInput();
    this.#queue.drop();
  }
}
