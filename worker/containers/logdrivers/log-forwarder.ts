/**
 * Sends one container's lines on, from its log file. Edge: to the log files and a sink.
 * The file is the buffer: a receiver that is away or slow never holds the container up, and what it missed is
 * sent when it is back, also after a restart of the daemon, which goes on at the noted place.
 * Invariant: a line is sent at least once; it is sent again only when it was on its way at a failure or at
 * the daemon's end. Lines that the log's rotation has dropped meanwhile are lost.
 * Bounds: one block of the file and one batch in memory; pauses between tries of 0.1 to 10 s.
 */
import { readFile, rename, writeFile } from "node:fs/promises";
import type { Clock } from "../../../base/clock/clock.js";
import { messageOf } from "../../../base/errors/errors.js";
import type { Logger } from "../../../base/log/logger.js";
import { isErrno } from "../../runtime/linux-process.js";
import type { LogRecord } from "../container-manager.js";
import { LineJoiner, linesOf, parseCriLine } from "../cri-log.js";
import { LogCursor, type LogPosition } from "../fs-log-cursor.js";
import { followLog, type LogSource } from "../fs-log-follow.js";
import type { LogEncoder } from "./log-message.js";
import type { LogSink } from "./net-log-sink.js";

const PAUSE_MIN_MS = 100;
const PAUSE_MAX_MS = 10_000;
/** As Docker cuts lines. */
const MESSAGE_BYTES_MAX = 16 * 1024;
const NOTE_EVERY_MS = 1_000;
/** A removed container's last lines are tried to be sent for this long. */
const LAST_TRIES_MS = 30_000;

export interface LogForwarderInit {
  readonly source: LogSource;
  /** File of the noted place. */
  readonly positionPath: string;
  readonly encode: LogEncoder;
  readonly sink: LogSink;
  readonly clock: Clock;
  readonly log: Logger;
}

export class LogForwarder {
  readonly #init: LogForwarderInit;
  readonly #abort = new AbortController();
  readonly #cursor: LogCursor;
  readonly #joiner = new LineJoiner();
  #notedMs = 0;

  constructor(init: LogForwarderInit) {
    this.#init = init;
    this.#cursor = new LogCursor(init.source.path);
  }

  /** To be awaited before the container may end: an open file can be read after its removal. */
  async open(): Promise<void> {
    await this.#cursor.openAt(await this.#loadPosition());
  }

  /** Resolves when the container has ended and all was sent, or after `close`. */
  async run(): Promise<void> {
    const { source, sink } = this.#init;
    const { signal } = this.#abort;
    try {
      for await (const block of followLog(source, this.#cursor, { follow: true, signal })) {
        const messages: Uint8Array[] = [];
        for (const line of linesOf(block)) {
          const piece = parseCriLine(line);
          const record = piece === undefined ? undefined : this.#joiner.push(piece);
          if (record !== undefined) messages.push(...this.#encoded(record));
        }
        if (!(await this.#send(messages))) return;
        await this.#note(false);
      }
      if (signal.aborted) return;
      await this.#send(this.#joiner.flush().flatMap((record) => this.#encoded(record)));
      await this.#note(true);
    } finally {
      sink.close();
      await this.#cursor.close();
    }
  }

  /** Also ends what a receiver that does not read holds up. */
  close(): void {
    this.#abort.abort();
    this.#init.sink.cut?.();
  }

  #encoded(record: LogRecord): Uint8Array[] {
    const data = Buffer.from(record.data.buffer, record.data.byteOffset, record.data.byteLength);
    const text = data.at(-1) === 0x0a ? data.subarray(0, -1) : data;
    const messages: Uint8Array[] = [];
    let at = 0;
    do {
      const part = text.subarray(at, at + MESSAGE_BYTES_MAX);
      messages.push(...this.#init.encode({ stream: record.stream, timestamp: record.timestamp, text: part }));
      at += MESSAGE_BYTES_MAX;
    } while (at < text.length);
    return messages;
  }

  /** @returns false when it was given up: the daemon ends, or the container is gone and nobody answers. */
  async #send(messages: readonly Uint8Array[]): Promise<boolean> {
    const { sink, clock, log, source } = this.#init;
    const { signal } = this.#abort;
    if (messages.length === 0) return true;
    let pauseMs = PAUSE_MIN_MS;
    let endedForMs = 0;
    for (;;) {
      if (signal.aborted) return false;
      try {
        await sink.send(messages);
        return true;
      } catch (error) {
        if (pauseMs === PAUSE_MIN_MS)
          log.warn("logs cannot be sent, trying again", { error: messageOf(error) });
      }
      if (source.ended()) endedForMs += pauseMs;
      if (endedForMs > LAST_TRIES_MS) return false;
      try {
        await clock.sleep(pauseMs, { signal });
      } catch (error) {
        if (!signal.aborted) throw error;
      }
      pauseMs = Math.min(PAUSE_MAX_MS, 2 * pauseMs);
    }
  }

  async #loadPosition(): Promise<LogPosition | undefined> {
    try {
      const noted: unknown = JSON.parse(await readFile(this.#init.positionPath, "utf8"));
      if (typeof noted !== "object" || noted === null || !("inode" in noted) || !("offset" in noted))
        return undefined;
      return { inode: Number(noted.inode), offset: Number(noted.offset) };
    } catch (error) {
      if (isErrno(error, "ENOENT") || error instanceof SyntaxError) return undefined;
      throw error;
    }
  }

  /** Not in the middle of a line: its first half would be missing. */
  async #note(now: boolean): Promise<void> {
    const { clock, positionPath } = this.#init;
    const position = this.#cursor.position();
    if (position === undefined || this.#joiner.holding) return;
    if (!now && clock.monotonicMs() - this.#notedMs < NOTE_EVERY_MS) return;
    this.#notedMs = clock.monotonicMs();
    try {
      await writeFile(`${positionPath}.new`, JSON.stringify(position));
      await rename(`${positionPath}.new`, positionPath);
    } catch (error) {
      if (isErrno(error, "ENOENT")) return; // the container was removed, and its folder with it
      this.#init.log.warn("place in a log could not be noted", { error: messageOf(error) }); // a full disk
    }
  }
}
