/**
 * Carries the plan of one stack out: plans inside the transaction that writes, so that nothing is done on
 * an older state than it was decided on.
 * Pure over the store. Invariants: what is written and what the stack says of it are one transaction; a
 * service that the store refuses fails alone, with the store's words.
 */
import { codeOf, type ErrorCode, messageOf } from "../../../base/errors/errors.js";
import type { Service, Stack } from "../../../proto/gen/skein/v1/objects.js";
import type { ReadTx, Store, WriteTx } from "../../store/types.js";
import type { Verdict } from "./judge-service.js";
import { planStack } from "./plan-stack.js";
import { isUnderWay } from "./stack-phase.js";
import type { JudgeOptions } from "./stack-view.js";
import { executeStep } from "./steps.js";

/** What the store answers to an object that contradicts others, or is too large. */
const REFUSALS: ReadonlySet<ErrorCode> = new Set([
  "failed-precondition",
  "invalid-argument",
  "already-exists",
  "not-found",
]);
/** Plans on the state that the one before made, within one transaction. */
const ROUNDS_MAX = 4;
/** Others write to services, too: their updates, their endpoints. */
const ATTEMPTS_MAX = 10;
/** Services written in one transaction, which may have 4 MiB. */
const WRITES_MAX = 24;

/** What the loop remembers of a stack under way, and a new leader finds out again. */
export class StackMemory {
  /** By name of the service, with the store's words. */
  readonly refused = new Map<string, string>();
  goneSinceMs: number | undefined;
  /** One at a time while it is to be found out which one the store refuses. */
  writesMax = WRITES_MAX;
  #deployment = "";

  /** Another deployment, or another phase of it, is judged afresh. */
  isAbout({ deployment }: Stack): void {
    const about = `${deployment?.revision} ${deployment?.phase}`;
    if (about === this.#deployment) return;
    this.#deployment = about;
    this.refused.clear();
    this.writesMax = WRITES_MAX;
  }
}

export interface CarryOutParts {
  readonly store: Store;
  readonly nowMs: () => number;
  readonly newId: () => string;
  readonly judge: (tx: ReadTx, service: Service, options: JudgeOptions) => Verdict;
}

export interface Outcome {
  /** Look again then, although nothing changes. */
  readonly wakeAtMs: number | undefined;
  readonly isUnderWay: boolean;
}

/** @throws what the store throws, but for what it says about single services. */
export async function carryOut(
  parts: CarryOutParts,
  at: { readonly stackId: string; readonly memory: StackMemory; readonly signal: AbortSignal },
): Promise<Outcome> {
  const { memory, stackId, signal } = at;
  const nowMs = parts.nowMs();
  let last: Planned = { wakeAtMs: undefined, isUnderWay: false, gone: false, writing: [] };
  try {
    await parts.store.update(
      (tx) => {
        last = planAndExecute(tx, parts, { stackId, memory, nowMs });
      },
      { signal, attemptsMax: ATTEMPTS_MAX },
    );
  } catch (error) {
    const { writing } = last;
    if (!REFUSALS.has(codeOf(error)) || writing.length === 0) throw error;
    const [name = ""] = writing;
    if (writing.length === 1) memory.refused.set(name, messageOf(error));
    memory.writesMax = writing.length === 1 ? WRITES_MAX : 1;
    return { wakeAtMs: nowMs, isUnderWay: true };
  }
  memory.goneSinceMs = last.gone ? (memory.goneSinceMs ?? nowMs) : undefined;
  return last;
}

interface Planned extends Outcome {
  readonly gone: boolean;
  /** Names of services that are made or changed. */
  readonly writing: readonly string[];
}

function planAndExecute(
  tx: WriteTx,
  parts: CarryOutParts,
  at: { readonly stackId: string; readonly memory: StackMemory; readonly nowMs: number },
): Planned {
  const { stackId, memory, nowMs } = at;
  const writing: string[] = [];
  let planned: Planned = { wakeAtMs: undefined, isUnderWay: false, gone: false, writing };
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const stack = tx.get("stack", stackId);
    if (stack === undefined || !isUnderWay(stack)) break;
    memory.isAbout(stack);
    const plan = planStack({
      ...{ tx, stack, nowMs, newId: parts.newId },
      judge: (service, options) => parts.judge(tx, service, options),
      refused: memory.refused,
      writesMax: memory.writesMax,
      goneSinceMs: memory.goneSinceMs,
    });
    for (const step of plan.steps) {
      if (step.kind === "createService" || step.kind === "updateService")
        writing.push(step.service.spec?.annotations?.name ?? "");
      executeStep(tx, step);
    }
    planned = { wakeAtMs: plan.wakeAtMs, isUnderWay: true, gone: plan.gone, writing };
    if (!plan.more) break;
  }
  return { ...planned, isUnderWay: isUnderWay(tx.get("stack", stackId)) };
}
