/**
 * Whose lines a subscription may mean on this node: tasks that are here, and those whose logs are still kept.
 * Pure. Invariant: a task is one origin, never two.
 */
import type { LogPosition, LogSelector } from "../../proto/gen/skein/v1/logs.js";
import { TaskState } from "../../proto/gen/skein/v1/types.js";
import type { LogReadOptions, LogRecord } from "../containers/container-manager.js";
import { taskLogAttributes } from "../exec/task-log-attributes.js";
import { taskName } from "../exec/task-names.js";
import type { RemovedLogs } from "../reach/fs-removed-logs.js";
import type { TaskManager } from "./task-manager.js";

export interface LogOrigin {
  readonly taskId: string;
  readonly serviceId: string;
  /** service.slot.id */
  readonly name: string;
  /** What its log options name; nothing is kept of a task that is gone. */
  attributes(): Readonly<Record<string, string>>;
  /** Resolves when there may be something to read. */
  ready(signal: AbortSignal): Promise<void>;
  read(options: LogReadOptions): AsyncIterable<LogRecord>;
}

export function ofManager(manager: TaskManager): LogOrigin {
  const { task } = manager;
  return {
    taskId: task.id,
    serviceId: task.serviceId,
    name: taskName(task),
    attributes: () => taskLogAttributes(task),
    ready: (signal) => manager.reached(TaskState.RUNNING, signal),
    read: (options) => manager.controller.logs(options),
  };
}

export function ofRemoved(logs: Pick<RemovedLogs, "list" | "read">): readonly LogOrigin[] {
  return logs.list().map(({ id, serviceId, name }) => ({
    taskId: id,
    serviceId,
    name,
    attributes: () => ({}),
    ready: () => Promise.resolve(),
    read: (options) => logs.read(id, options),
  }));
}

export function isMeant({ taskId, serviceId }: LogOrigin, selector: LogSelector | undefined): boolean {
  return (
    selector !== undefined && (selector.taskIds.includes(taskId) || selector.serviceIds.includes(serviceId))
  );
}

/** The lines behind a position, when there is one. Lines of one stamp are counted, as they were taken. */
export async function* behind(
  records: AsyncIterable<LogRecord>,
  position: LogPosition | undefined,
): AsyncIterable<LogRecord> {
  if (position === undefined) {
    yield* records;
    return;
  }
  const atMs = Date.parse(position.timestamp);
  let same = 0;
  let isBehind = false; // from then on all is: a clock that was set back does not matter
  for await (const record of records) {
    if (!isBehind && record.timestamp === position.timestamp) {
      same += 1;
      isBehind = same > position.lines;
    } else {
      isBehind ||= same > 0 || !isBefore(record.timestamp, position.timestamp, atMs);
    }
    if (isBehind) yield record;
  }
}

/** Milliseconds first, because the offset of the zone may have changed; then the digits behind them. */
function isBefore(timestamp: string, position: string, atMs: number): boolean {
  const ms = Date.parse(timestamp);
  return ms < atMs || (ms === atMs && timestamp < position);
}
