/**
 * One stack under way, as the leader follows it: which verdicts on its services still hold, when to look
 * again.
 * Pure over the store. Invariant: a verdict holds until its service, one of its tasks or a node changes, or
 * its time is over; then that service alone is judged anew.
 */
import type { Clock } from "../../../base/clock/clock.js";
import type { Service, Task } from "../../../proto/gen/skein/v1/objects.js";
import { StackPhase } from "../../../proto/gen/skein/v1/stack_types.js";
import { ObservedTimes } from "../../orchestrator/observed-times.js";
import type { ReadTx, Store, WriteTx } from "../../store/types.js";
import { findStack } from "./begin.js";
import { carryOut, StackMemory } from "./carry-out.js";
import { judgeService, type Verdict } from "./judge-service.js";
import { isEmpty } from "./leftovers.js";
import { isUnderWay } from "./stack-phase.js";
import type { JudgeOptions } from "./stack-view.js";
import { executeStep } from "./steps.js";

interface CourseParts {
  readonly store: Store;
  readonly clock: Clock;
  readonly newId: () => string;
}

interface Held {
  readonly service: Service;
  readonly options: JudgeOptions;
  readonly verdict: Verdict;
}

export class StackCourse {
  readonly stackId: string;
  readonly name: string;
  /** ms since the epoch; undefined: when something changes. */
  dueAtMs: number | undefined;
  readonly #parts: CourseParts;
  readonly #memory = new StackMemory();
  readonly #times = new ObservedTimes();
  readonly #verdicts = new Map<string, Held>();
  #isChanged = true;

  constructor(parts: CourseParts, of: { readonly stackId: string; readonly name: string }) {
    this.#parts = parts;
    this.stackId = of.stackId;
    this.name = of.name;
  }

  wake(): void {
    this.#isChanged = true;
  }

  isDue(nowMs: number): boolean {
    return this.#isChanged || (this.dueAtMs !== undefined && this.dueAtMs <= nowMs);
  }

  noteTask(id: string, task: Task | undefined, serviceId: string): void {
    this.#times.noteTask(id, task, this.#parts.clock.nowMs());
    this.#verdicts.delete(serviceId);
    this.wake();
  }

  noteService(id: string): void {
    this.#verdicts.delete(id);
    this.wake();
  }

  noteNodes(): void {
    this.#verdicts.clear();
    this.wake();
  }

  async carryOut(signal: AbortSignal): Promise<void> {
    const { store, clock, newId } = this.#parts;
    this.#isChanged = false;
    const parts = {
      ...{ store, newId },
      nowMs: () => clock.nowMs(),
      judge: (tx: ReadTx, service: Service, options: JudgeOptions) => this.#judge(tx, service, options),
    };
    const { wakeAtMs } = await carryOut(parts, { stackId: this.stackId, memory: this.#memory, signal });
    this.dueAtMs = wakeAtMs;
  }

  #judge(tx: ReadTx, service: Service, options: JudgeOptions): Verdict {
    const nowMs = this.#parts.clock.nowMs();
    const held = this.#verdicts.get(service.id);
    const stillHolds =
      held !== undefined &&
      held.service === service &&
      held.options.sinceMs === options.sinceMs &&
      held.options.quietSinceMs === options.quietSinceMs &&
      held.options.goingBack === options.goingBack &&
      nowMs < (held.verdict.wakeAtMs ?? Number.POSITIVE_INFINITY);
    if (stillHolds) return held.verdict;
    const verdict = judgeService({
      ...{ service, nowMs, ...options },
      tasks: tx.list("task", { by: "serviceId", serviceId: service.id }),
      nodes: tx.list("node"),
      runningSinceMs: (taskId) => this.#times.runningSinceMs(taskId),
    });
    this.#verdicts.set(service.id, { service, options, verdict });
    return verdict;
  }
}

/**
 * Removes a stack of which nothing is left, unless that is what its deployment came to, or it is under way.
 */
export function letGo(tx: WriteTx, name: string): void {
  const stack = findStack(tx, name);
  if (stack === undefined || isUnderWay(stack) || !isEmpty(tx, name)) return;
  const wentToNothing =
    stack.deployment?.phase === StackPhase.WENT_BACK && stack.deployment.goingBackTo === 0;
  if (!wentToNothing) executeStep(tx, { kind: "removeStack", stackId: stack.id });
}
