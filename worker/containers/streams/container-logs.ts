/**
 * Logs of containers for their clients. Edge: to the log files.
 * Memory: one block read and one to be sent per reader; a reader that does not take it waits, and loses
 * nothing unless the log is rotated away under it.
 */
import type { ContainerManager, ContainerRecord } from "../../../proto/engine/containers.js";
import { logDetailsText } from "../../../proto/engine/log-details.js";
import type { LogTextOptions } from "../../../proto/engine/streams.js";
import { LogCursor } from "../fs-log-cursor.js";
import { followLog, type LogSource } from "../fs-log-follow.js";
import { logAttributes } from "../logdrivers/log-attributes.js";
import { LogText } from "./log-text.js";

/** A block as large as this was not written while its reader looked on. */
const BEHIND_BYTES = 64 * 1024;

export interface ContainerLogsInit {
  readonly containers: Pick<ContainerManager, "get"> & { logSource(id: string): LogSource };
}

/** @throws {NotImplementedError} the container keeps no log. */
export function containerLogs(
  init: ContainerLogsInit,
  containerId: string,
  options: LogTextOptions,
): AsyncIterable<Uint8Array> {
  const record = init.containers.get(containerId);
  return text(init.containers.logSource(record.id), record, options);
}

async function* text(
  source: LogSource,
  record: ContainerRecord,
  options: LogTextOptions,
): AsyncGenerator<Uint8Array> {
  const cursor = new LogCursor(source.path);
  const style = new LogText({
    framed: !record.specification.tty,
    ...options,
    details: options.details ? logDetailsText(logAttributes(record.specification)) : undefined,
  });
  try {
    await cursor.open(options.tail, () => true); // lines of both streams count, as in Docker
    for await (const block of followLog(source, cursor, options)) {
      // A follower that is behind gets lines together; else each is a frame, as clients like to read them.
      const bytes = style.render(block, { joined: options.follow && block.length >= BEHIND_BYTES });
      if (bytes.length > 0) yield bytes;
      if (style.finished) return;
    }
  } finally {
    await cursor.close();
  }
}
