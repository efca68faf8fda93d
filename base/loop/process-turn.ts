/**
 * Letting the event loop serve others between two slices of work. Edge: to Node's event loop.
 */

/** Resolves after the input and output that is due now was served. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
