/**
 * What waits for one reader of a container's output. Pure.
 * Bound: `QUEUE_BYTES_MAX`; who pushes more is told to stop, and told again when half of it has been read.
 * Invariant: what was pushed before `end` is read before the end.
 */
import type { StreamChunk } from "../../../proto/engine/streams.js";

export const QUEUE_BYTES_MAX = 1024 * 1024;
/** Chunks of one stream that wait together leave together, up to this size. */
const JOINED_BYTES_MAX = 64 * 1024;

export class ChunkQueue implements AsyncIterable<StreamChunk> {
  #chunks: StreamChunk[] = [];
  #bytes = 0;
  #ended = false;
  #waiting: (() => void) | undefined;
  readonly #onRoom: () => void;

  /** @param onRoom called when a queue that was full has room again, or needs none any more. */
  constructor(onRoom: () => void = () => undefined) {
    this.#onRoom = onRoom;
  }

  get full(): boolean {
    return this.#bytes >= QUEUE_BYTES_MAX;
  }

  get ended(): boolean {
    return this.#ended;
  }

  push(chunk: StreamChunk): void {
    if (this.#ended || chunk.data.length === 0) return;
    this.#chunks.push(chunk);
    this.#bytes += chunk.data.length;
    this.#wake();
  }

  /** No more will come. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#wake();
    this.#onRoom();
  }

  /** The reader has gone: what waits is dropped. */
  drop(): void {
    this.#chunks = [];
    this.#bytes = 0;
    this.end();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<StreamChunk> {
    try {
      for (;;) {
        const chunk = this.#take();
        if (chunk !== undefined) {
          yield chunk;
          continue;
        }
        if (this.#ended) return;
        await new Promise<void>((resolve) => {
          this.#waiting = resolve;
        });
      }
    } finally {
      this.drop();
    }
  }

  #take(): StreamChunk | undefined {
    const first = this.#chunks[0];
    if (first === undefined) return undefined;
    let count = 1;
    let bytes = first.data.length;
    for (; count < this.#chunks.length; count++) {
      const next = this.#chunks[count];
      if (next?.stream !== first.stream || bytes + next.data.length > JOINED_BYTES_MAX) break;
      bytes += next.data.length;
    }
    const taken = this.#chunks.splice(0, count);
    const before = this.#bytes;
    this.#bytes -= bytes;
    const half = QUEUE_BYTES_MAX / 2;
    if (before > half && this.#bytes <= half) this.#onRoom();
    return count === 1 ? first : { stream: first.stream, data: Buffer.concat(taken.map(({ data }) => data)) };
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.();
  }
}
