/**
 * A store of its own for a test: local proposer, manual clock, seeded randomness.
 * Pure.
 */
import { ManualClock } from "../../base/clock/manual-clock.js";
import { MemoryLogger } from "../../base/log/logger.js";
import { SeededRandom } from "../../base/random/seeded-random.js";
import { createMemoryStore, type MemoryStore } from "../../manager/store/memory-store.js";
import { createLocalProposer, type LocalProposer } from "./local-proposer.js";

export interface TestStore {
  readonly store: MemoryStore;
  readonly proposer: LocalProposer;
  readonly clock: ManualClock;
  readonly random: SeededRandom;
  readonly log: MemoryLogger;
}

/**
 * @example const { store } = createTestStore(); await store.update((tx) => tx.create("node",
 * Node.fromPartial({ id: "n1" })));
 */
export function createTestStore(options: { seed?: string; delay?: () => Promise<void> } = {}): TestStore {
  const proposer = createLocalProposer(options.delay === undefined ? {} : { delay: options.delay });
  const clock = new ManualClock();
  const random = new SeededRandom(options.seed ?? "test-store");
  const log = new MemoryLogger();
  const store = createMemoryStore({ proposer, clock, random, log });
  proposer.attach(store);
  return { store, proposer, clock, random, log };
}
