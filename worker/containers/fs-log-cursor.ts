/**
 * A place in the chain of a container's log files, moving on as they grow and are rotated. Edge: to the file
 * system.
 * Invariants: bytes come in the order they were written, in blocks of whole lines; a cursor loses nothing
 * by a rotation unless it is slower than all kept files together. Memory: one block and one unfinished
 * line.
 */
import { LINE_BYTES_MAX } from "./cri-log.js";
import { type OpenLog, openLog, openLogs, tailOffset } from "./fs-log-files.js";

/** Large enough that a fast writer's lines are read in few calls, small enough for many followers. */
const BLOCK_BYTES = 256 * 1024;
const NEWLINE = 0x0a;

/** Survives the daemon: where a reader goes on. */
export interface LogPosition {
  readonly inode: number;
  readonly offset: number;
}

export class LogCursor {
  readonly #path: string;
  #logs: OpenLog[] = [];
  /** Where the next read begins: the unfinished line before it is held. */
  #offset = 0;
  /** The unfinished line stands at its beginning. */
  #block = Buffer.alloc(0);
  #held = 0;

  constructor(path: string) {
    this.#path = path;
  }

  /** @param tail lines from the end; -1: all. */
  async open(tail: number, wanted: (stream: "stdout" | "stderr") => boolean): Promise<void> {
    const logs = await openLogs(this.#path);
    this.#logs = logs;
    if (tail < 0) return;
    let missing = tail;
    for (let index = logs.length - 1; index >= 0; index--) {
      const log = logs[index];
      if (log === undefined) break;
      const { offset, found } = await tailOffset(log.file, missing, wanted);
      missing -= found;
      this.#offset = offset;
      if (missing > 0 && index > 0) continue;
      for (const skipped of logs.splice(0, index)) await skipped.file.close();
      break;
    }
  }

  /** Goes on where another cursor was; at the oldest kept line when that file has gone. */
  async openAt(position: LogPosition | undefined): Promise<void> {
    const logs = await openLogs(this.#path);
    const at = logs.findIndex((log) => log.inode === position?.inode);
    for (const passed of logs.splice(0, Math.max(0, at))) await passed.file.close();
    this.#logs = logs;
    this.#offset = at >= 0 ? (position?.offset ?? 0) : 0;
  }

  /** Behind the last whole line that was given out; undefined while there is no file. */
  position(): LogPosition | undefined {
    const log = this.#logs[0];
    return log === undefined ? undefined : { inode: log.inode, offset: this.#offset - this.#held };
  }

  /**
   * Everything written so far from the place on, in blocks that end with a newline. A block's memory is used
   * again for the next one.
   */
  async *blocks(): AsyncGenerator<Buffer> {
    for (;;) {
      if (this.#logs.length === 0 && !(await this.#next(undefined))) return;
      const current = this.#logs[0];
      if (current === undefined) return;
      const hasNext = this.#logs.length > 1 || (await this.#rotated(current));
      // after looking for a newer file: the older one is whole by then
      yield* this.#readToEnd(current);
      if (!hasNext || !(await this.#next(current))) return;
    }
  }

  async *#readToEnd(current: OpenLog): AsyncGenerator<Buffer> {
    for (;;) {
      if (this.#block.length === 0) this.#block = Buffer.allocUnsafeSlow(BLOCK_BYTES);
      const block = this.#block;
      const { bytesRead } = await current.file.read(
        block,
        this.#held,
        block.length - this.#held,
        this.#offset,
      );
      if (bytesRead === 0) {
        // Waiting followers are many and their blocks are large: an idle one holds its unfinished line alone.
        if (this.#held === 0) this.#block = Buffer.alloc(0);
        return;
      }
      this.#offset += bytesRead;
      const filled = this.#held + bytesRead;
      const end = block.lastIndexOf(NEWLINE, filled - 1) + 1;
      this.#held = filled - end; // before the block is given out: its reader may ask for the position
      if (end > 0) yield block.subarray(0, end);
      block.copyWithin(0, end, filled);
      if (this.#held === block.length) this.#makeRoom();
    }
  }

  /** A line longer than the block: it gets a larger one, up to a bound; beyond, it is no record. */
  #makeRoom(): void {
    if (this.#held >= LINE_BYTES_MAX) {
      this.#held = 0;
      return;
    }
    const larger = Buffer.allocUnsafeSlow(Math.min(2 * this.#block.length, LINE_BYTES_MAX + BLOCK_BYTES));
    this.#block.copy(larger, 0, 0, this.#held);
    this.#block = larger;
  }

  async #rotated(current: OpenLog): Promise<boolean> {
    const live = await openLog(this.#path);
    if (live === undefined) return false; // renamed, not yet reopened: the old one is still written to
    await live.file.close();
    return live.inode !== current.inode;
  }

  /** Goes to the file after the given one. @returns false when there is none. */
  async #next(current: OpenLog | undefined): Promise<boolean> {
    if (current !== undefined && this.#logs.length > 1) {
      this.#logs.shift();
    } else {
      const logs = await openLogs(this.#path);
      // not found: rotated away, go on with the oldest kept
      const at = logs.findIndex((log) => log.inode === current?.inode);
      for (const passed of logs.splice(0, at + 1)) await passed.file.close();
      if (logs.length === 0) return false;
      this.#logs = logs;
    }
    await current?.file.close();
    this.#offset = 0;
    this.#held = 0; // a last line without its end is no record
    return true;
  }

  async close(): Promise<void> {
    for (const log of this.#logs) await log.file.close();
    this.#logs = [];
  }
}
