/**
 * The real store over a consensus of one that commits at once, and fillings for it.
 * Edge: to the system's clock.
 */
import { systemClock } from "../base/clock/system-clock.js";
import { silentLogger } from "../base/log/logger.js";
import { SeededRandom } from "../base/random/seeded-random.js";
import { createMemoryStore, type MemoryStore } from "../manager/store/memory-store.js";
import type { Proposer, StoreBatch, TableName } from "../manager/store/types.js";

export const components = { clock: systemClock, random: new SeededRandom(1), log: silentLogger };

/** A store whose proposals are committed and applied within the call; what would go to disk is thrown away. */
export interface StoreLab {
  readonly store: MemoryStore;
  /** Commits an entry, as if another member had proposed it. */
  readonly commit: (data: Uint8Array) => void;
}

export function openStoreLab(): StoreLab {
  let index = 0;
  const commit = (data: Uint8Array): void => {
    index += 1;
    store.apply({ index, term: 1, data });
  };
  const proposer: Proposer = {
    isLeader: true,
    propose: (data) => {
      commit(data);
      return Promise.resolve({ index });
    },
  };
  const store: MemoryStore = createMemoryStore({ ...components, proposer });
  return { store, commit };
}

/** Calls `seen` with every batch of a table, a microtask after the commit; ends when `seen` returns true. */
export function watchUntil(
  store: MemoryStore,
  table: TableName,
  seen: (batch: StoreBatch) => boolean,
): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => {
      for (const batch of watch.take()) {
        if (!seen(batch)) continue;
        watch.close();
        resolve();
        return;
      }
    };
    const watch = store.watch({ tables: [table], wake: () => queueMicrotask(look) });
  });
}

/** The number after an option, or the default. */
export function option(name: string, otherwise: number): number {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? otherwise : Number(process.argv[at + 1]);
}

/** What `--only` asks for: names that contain it. */
export function isAsked(name: string): boolean {
  const at = process.argv.indexOf("--only");
  return at < 0 || name.includes(process.argv[at + 1] ?? "");
}
