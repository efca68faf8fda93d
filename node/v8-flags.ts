/**
 * How Node is started for skeind and its manager. Pure.
 *
 * Both idle most of the time with a few MiB of live data:
 * a small young generation and no spare threads for garbage collection keep
 * 15 to 20 MB per process from being resident for nothing (`npm run bench -- memory`).
 * The old generation grows as it must.
 */
export const V8_FLAGS: readonly string[] = [
  "--max-semi-space-size=1",
  "--optimize-for-size",
  "--single-threaded-gc",
  "--v8-pool-size=1",
  // Optimised code is made only for what is really hot (150 times the usual budget): the compiler alone
  // costs 9 MB once it has run.
  "--interrupt-budget=10000000",
];

/**
 * The manager's own: idle, it needs no more memory than with the flags above; busy, half the CPU time of
 * a write. The young generation grows under load only, and code is optimised from the first busy seconds
 * on (process-optimizer.ts). Marking runs beside the program: on one thread it held a manager with 500 MB of
 * state for more than 20 ms.
 */
export const MANAGER_V8_FLAGS: readonly string[] = [
  "--max-semi-space-size=8",
  "--v8-pool-size=1",
  "--no-opt",
];
