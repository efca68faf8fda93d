/**
 * Long looks at the store in slices, before the transaction that goes by them: hundreds of services take
 * longer than anything may hold the event loop.
 * Pure (store and clock are handed in). Invariant: what is answered is true of the store as it is when it is
 * asked for; where others changed what was looked at, it is looked at anew, in the end in one turn.
 */
import type { Clock } from "../../../base/clock/clock.js";
import { nextTurn } from "../../../base/loop/process-turn.js";
import type { ReadStore, ReadTx, TableName } from "../../store/types.js";

/** Work that may be left alone where it yields. */
export type Sliced<T> = Generator<undefined, T>;

export interface LookedAhead<T> {
  /** @throws what the look throws. */
  at(tx: ReadTx): T;
  close(): void;
}

/** Well below the 20 ms that nothing may take: the last slice may be long. */
const SLICE_MS = 8;
/** In a store that others change all the time, the last look is one turn. */
const LOOKS_MAX = 3;
/** All that a definition is held against, tasks excepted. */
const TABLES = [
  "cluster",
  "node",
  "network",
  "service",
  "secret",
  "config",
  "stack",
  "stackRevision",
] as const satisfies readonly TableName[];

/** Nothing of what is looked at may be kept by the work beyond its result. @throws what the look throws. */
export async function lookAhead<T>(
  { store, clock }: { readonly store: ReadStore; readonly clock: Pick<Clock, "monotonicMs"> },
  look: (tx: ReadTx) => Sliced<T>,
): Promise<LookedAhead<T>> {
  const watch = store.watch({ tables: TABLES, wake: () => undefined });
  const isOutdated = (): boolean => watch.take().length > 0;
  let found: { readonly value: T } | undefined;
  try {
    for (let looks = 0; looks < LOOKS_MAX && found === undefined; looks++)
      found = await inSlices(
        store.view((tx) => look(tx)),
        { clock, isOutdated },
      );
  } catch (error) {
    watch.close();
    throw error;
  }
  return {
    at: (tx) => {
      if (found === undefined || isOutdated()) found = { value: atOnce(look(tx)) };
      return found.value;
    },
    close: () => watch.close(),
  };
}

/** @returns undefined when the store is another meanwhile. */
async function inSlices<T>(
  work: Sliced<T>,
  { clock, isOutdated }: { readonly clock: Pick<Clock, "monotonicMs">; readonly isOutdated: () => boolean },
): Promise<{ readonly value: T } | undefined> {
  let sliceEndMs = clock.monotonicMs() + SLICE_MS;
  for (;;) {
    const step = work.next();
    if (step.done === true) return { value: step.value };
    if (clock.monotonicMs() < sliceEndMs) continue;
    await nextTurn();
    if (isOutdated()) return undefined;
    sliceEndMs = clock.monotonicMs() + SLICE_MS;
  }
}

/** All of it in this turn. */
export function atOnce<T>(work: Sliced<T>): T {
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
  }
}
