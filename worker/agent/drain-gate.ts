/**
 * Tasks that are to stop, and go on until no node sends them new connections: or until the time is over.
 * Pure.
 * Invariant: a task is held by one assignment at most, the first that stops it, and never longer than that
 * assignment says.
 */
import type { Clock, Timer } from "../../base/clock/clock.js";
import { type AssignmentSet, EndpointState, type NodeResource } from "../../proto/gen/skein/v1/dispatcher.js";
import { TaskState } from "../../proto/gen/skein/v1/types.js";
import { rank } from "../exec/task-machine.js";

interface Hold {
  readonly revision: number;
  readonly taskIds: readonly string[];
  readonly timer: Timer;
}

export class DrainGate {
  readonly #clock: Clock;
  readonly #released: (taskId: string) => void;
  readonly #held = new Map<string, Hold>();
  /** Of the set that is coming in: tasks taken out of traffic. Endpoints come before tasks. */
  #drained = new Set<string>();
  /** Revisions that a manager waits for. */
  #awaited: { oldest: number; newest: number } | undefined;

  /** @param released may stop now. */
  constructor(clock: Clock, released: (taskId: string) => void) {
    this.#clock = clock;
    this.#released = released;
  }

  holds(taskId: string): boolean {
    return this.#held.has(taskId);
  }

  /** Before the set becomes visible. */
  accept({ drainWaitMs, revision, upserts, more }: AssignmentSet): void {
    if (drainWaitMs === undefined || drainWaitMs <= 0) return;
    this.#awaited = { oldest: Math.min(this.#awaited?.oldest ?? revision, revision), newest: revision };
    const taskIds = this.#toHold(upserts);
    if (!more) this.#drained = new Set();
    if (taskIds.length === 0) return;
    const timer = this.#clock.setTimer(drainWaitMs, () => this.#release(hold));
    const hold: Hold = { revision, taskIds, timer };
    for (const taskId of taskIds) this.#held.set(taskId, hold);
  }

  /** @returns whether a manager waits to hear that the network follows this revision. */
  confirms(revision: number): boolean {
    if (this.#awaited === undefined || this.#awaited.oldest > revision) return false;
    const { newest } = this.#awaited;
    this.#awaited = newest > revision ? { oldest: newest, newest } : undefined;
    return true;
  }

  /** No node sends connections to what sets up to this revision stop. */
  drained(revision: number): void {
    for (const hold of new Set(this.#held.values())) if (hold.revision <= revision) this.#release(hold);
  }

  close(): void {
    for (const { timer } of this.#held.values()) timer.cancel();
    this.#held.clear();
  }

  #toHold(upserts: readonly NodeResource[]): readonly string[] {
    const taskIds: string[] = [];
    for (const { resource } of upserts) {
      if (resource?.$case === "endpoint" && resource.value.state === EndpointState.DRAINING)
        this.#drained.add(resource.value.taskId);
      if (resource?.$case !== "task" || !mayHold(resource.value)) continue;
      const { id } = resource.value;
      if (this.#drained.has(id) && !this.#held.has(id)) taskIds.push(id);
    }
    return taskIds;
  }

  #release(hold: Hold): void {
    hold.timer.cancel();
    for (const taskId of hold.taskIds) this.#held.delete(taskId);
    for (const taskId of hold.taskIds) this.#released(taskId);
  }
}

/** Told to stop, and not known to have ended. */
function mayHold(task: {
  readonly desiredState: TaskState;
  readonly status?: { state: TaskState } | undefined;
}): boolean {
  const observed = rank(task.status?.state ?? TaskState.NEW);
  return rank(task.desiredState) >= rank(TaskState.SHUTDOWN) && observed <= rank(TaskState.RUNNING);
}
