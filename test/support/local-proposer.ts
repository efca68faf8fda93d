/**
 * Consensus of one: every proposal is committed at the next index and applied to the attached state machine.
 * Pure. Invariant: entries are applied in the order in which they were proposed, whatever the delay.
 */
import { invariant } from "../../base/errors/invariant.js";
import type { MemoryStore, StateChange } from "../../manager/store/memory-store.js";
import type { Proposer } from "../../manager/store/types.js";

export interface LocalProposer extends Proposer {
  isLeader: boolean;
  readonly index: number;
  /** What a disk would hold: every key of the materialised state with its encoded value. */
  readonly state: ReadonlyMap<string, Uint8Array>;
  /** Every entry so far, to replay on a second store. */
  readonly entries: readonly { readonly index: number; readonly term: number; readonly data: Uint8Array }[];
  /** The state machine to drive; give it before the first proposal. */
  attach(store: Pick<MemoryStore, "apply">): void;
}

/**
 * @param options.delay awaited before each entry is applied, to have several in flight.
 * @default applies at once
 */
export function createLocalProposer(options: { delay?: () => Promise<void> } = {}): LocalProposer {
  const state = new Map<string, Uint8Array>();
  const entries: { index: number; term: number; data: Uint8Array }[] = [];
  let machine: Pick<MemoryStore, "apply"> | undefined;
  let index = 0;
  let before: Promise<unknown> = Promise.resolve();

  function keep(change: StateChange): void {
    if (change.value === undefined) state.delete(change.key);
    else state.set(change.key, change.value);
  }

  function commit(data: Uint8Array): { index: number } {
    invariant(machine !== undefined, "a proposer needs its state machine first");
    index += 1;
    const entry = { index, term: 1, data };
    entries.push(entry);
    for (const change of machine.apply(entry)) keep(change);
    return { index: entry.index };
  }

  return {
    isLeader: true,
    get index() {
      return index;
    },
    state,
    entries,
    attach: (store) => {
      machine = store;
    },
    propose: async (data) => {
      const { delay } = options;
      if (delay === undefined) return commit(data);
      const own = before.then(delay).then(() => commit(data));
      before = own;
      return own;
    },
  };
}
