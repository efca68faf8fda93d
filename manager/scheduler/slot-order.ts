/**
 * Tasks of one service in order of slot. Numbers are sorted, not tasks: a hundred thousand tasks, compared
 * one by one, would hold the event loop for too long.
 * Pure. Bounds: the first TASKS_MAX tasks are sorted; slots from SLOT_MAX on count as equal.
 */
import type { Task } from "../../proto/gen/skein/v1/objects.js";

const TASKS_MAX = 2 ** 21;
const SLOT_MAX = 2 ** 31;

export class SlotOrder {
  readonly #tasks: Task[];
  /** Slot and position in `#tasks`. */
  readonly #keys: number[];

  constructor(first: Task) {
    this.#tasks = [first];
    this.#keys = [keyOf(first, 0)];
  }

  add(task: Task): void {
    const at = this.#tasks.push(task) - 1;
    if (at < TASKS_MAX) this.#keys.push(keyOf(task, at));
  }

  *inOrder(): IterableIterator<Task> {
    const keys = this.#keys.length === 1 ? this.#keys : Float64Array.from(this.#keys).sort();
    for (const key of keys) {
      const task = this.#tasks[key % TASKS_MAX];
      if (task !== undefined) yield task;
    }
    yield* this.#tasks.slice(TASKS_MAX);
  }
}

function keyOf({ slot }: Task, at: number): number {
  return Math.min(slot, SLOT_MAX) * TASKS_MAX + at;
}
