/**
 * How far the lines of each task were taken, so that a node that is asked again leaves out what came before.
 * Pure. A monitor stamps all lines of one write alike, so the lines of the newest stamp are counted.
 * Bounded: by the tasks of one subscription, and by a number; past that the one heard of longest ago is
 * forgotten.
 */
import type { LogMessage, LogPosition } from "../../proto/gen/skein/v1/logs.js";

export const TASKS_TAKEN_MAX = 10_000;

export class TakenLines {
  readonly #positions = new Map<string, LogPosition>();

  note(messages: readonly LogMessage[]): void {
    for (const { taskId, timestamp } of messages) {
      const before = this.#positions.get(taskId);
      const lines = before?.timestamp === timestamp ? before.lines + 1 : 1;
      this.#positions.delete(taskId);
      this.#positions.set(taskId, { timestamp, lines });
    }
    while (this.#positions.size > TASKS_TAKEN_MAX) {
      const [oldest] = this.#positions.keys();
      if (oldest === undefined) return;
      this.#positions.delete(oldest);
    }
  }

  of(taskIds: readonly string[]): Record<string, LogPosition> {
    const taken: Record<string, LogPosition> = {};
    for (const id of taskIds) {
      const position = this.#positions.get(id);
      if (position !== undefined) taken[id] = position;
    }
    return taken;
  }
}
