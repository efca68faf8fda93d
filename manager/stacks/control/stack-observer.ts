/**
 * The observer of the leader: when others have changed a stack's objects one by one, and have paused, what
 * came of it becomes a revision.
 * Pure (store, clock and randomness are handed in). Invariants: what a deployment of ours changes is not
 * observed; a stack that is left alone costs nothing.
 * Bounds: a pause is waited for `LONG_ENOUGH_MS` at most; the names that wait are of the store's stacks.
 */
import { nextTurn } from "../../../base/loop/process-turn.js";
import { newId } from "../../../base/random/ids.js";
import type { Stack } from "../../../proto/gen/skein/v1/objects.js";
import { StackPhase } from "../../../proto/gen/skein/v1/stack_types.js";
import { StoreLoop } from "../../orchestrator/store-loop.js";
import type { ReadTx, StoreChange } from "../../store/types.js";
import type { StackLoopComponents } from "../deployment/stack-loop.js";
import { isUnderWay, stackName } from "../deployment/stack-phase.js";
import { stackOf } from "./definition-form.js";
import { lookAhead } from "./look-ahead.js";
import { type Observed, observeStack, sightOf } from "./observe-stack.js";

/** Without another change for so long, who changes a stack object by object has done. */
const PAUSE_MS = 2_000;
/** Who changes it all the time is observed now and then. */
const LONG_ENOUGH_MS = 60_000;
/** Stacks are looked at for so long until others are served. */
const SLICE_MS = 8;

interface Waiting {
  readonly sinceMs: number;
  readonly dueMs: number;
}

export function createStackObserver(components: StackLoopComponents): StoreLoop {
  const { store, clock, random, log } = components;
  const ids = random.child("observed-stacks");
  const waiting = new Map<string, Waiting>();
  const touch = (name: string, nowMs: number): void => {
    if (name === "") return;
    const sinceMs = waiting.get(name)?.sinceMs ?? nowMs;
    waiting.set(name, { sinceMs, dueMs: Math.min(nowMs + PAUSE_MS, sinceMs + LONG_ENOUGH_MS) });
  };
  const observe = async (
    what: Parameters<typeof observeStack>[2],
    signal: AbortSignal,
  ): Promise<Observed> => {
    const ahead = await lookAhead({ store, clock }, (tx) => sightOf(tx, what.name));
    try {
      return await store.update((tx) => observeStack(tx, ahead.at(tx), what), { signal });
    } finally {
      ahead.close();
    }
  };
  const note = (change: StoreChange, nowMs: number): void => {
    if (change.table === "stack") {
      const { before, after } = change;
      if (after === undefined || isUnderWay(after) || !isUnderWay(before)) return;
      // what it changed last is its own doing, also where it got stuck
      waiting.delete(stackName(after));
      if (after.deployment?.phase === StackPhase.REACHED) touch(stackName(after), nowMs);
      return;
    }
    for (const name of stacksOf(change)) touch(name, nowMs);
  };
  return new StoreLoop({
    ...{ name: "stack-observer", store, clock, random, log },
    tables: ["stack", "service", "network", "secret", "config"],
    pass: async ({ changes, reset }, signal) => {
      const nowMs = clock.nowMs();
      if (reset) for (const name of store.view(allStacks)) touch(name, nowMs);
      else for (const change of changes) note(change, nowMs);
      let sliceEndMs = clock.monotonicMs() + SLICE_MS;
      for (const [name, { dueMs }] of waiting) {
        if (dueMs > nowMs) continue;
        if (clock.monotonicMs() >= sliceEndMs) {
          await nextTurn(); // a new leader looks at all stacks
          sliceEndMs = clock.monotonicMs() + SLICE_MS;
        }
        waiting.delete(name);
        const { number, refusal } = await observe({ name, nowMs, newId: () => newId(ids) }, signal);
        if (number !== undefined)
          log.info("a stack was changed by others", { stack: name, revision: number });
        else if (refusal !== "") log.warn("a stack's change is not kept", { stack: name, reason: refusal });
      }
      const next = Math.min(...[...waiting.values()].map(({ dueMs }) => dueMs));
      return Number.isFinite(next) ? next : undefined;
    },
  });
}

/** Of the objects that carry a label, and of those deployed whole that ended well. */
function allStacks(tx: ReadTx): ReadonlySet<string> {
  const stuck = new Set<string>();
  const isLeft = ({ deployment }: Stack): boolean =>
    deployment?.phase === StackPhase.STUCK || deployment?.phase === StackPhase.WENT_BACK;
  for (const stack of tx.list("stack")) if (isLeft(stack)) stuck.add(stackName(stack));
  const names = new Set(tx.list("service").map(({ spec }) => stackOf(spec?.annotations)));
  return new Set([...names].filter((name) => name !== "" && !stuck.has(name)));
}

/** @returns names of stacks that the change is about; what the control loops write is about none. */
function stacksOf(change: StoreChange): ReadonlySet<string> {
  const names = new Set<string>();
  switch (change.table) {
    case "service":
    case "network":
      if (change.before?.spec === change.after?.spec) break;
      for (const object of [change.before, change.after]) names.add(stackOf(object?.spec?.annotations));
      break;
    case "secret":
    case "config":
      for (const object of [change.before, change.after]) names.add(stackOf(object?.annotations));
      break;
  }
  return names;
}
