/**
 * Steps of a long test that build on each other: the first that fails ends it, and each tells its time.
 * Edge: to the test runner.
 */
import type { TestContext } from "node:test";

export type Step = (what: string, work: () => Promise<void>) => Promise<void>;

/** @returns runs one step. @throws {Error} that names the step and has what it threw as its cause. */
export function stepsOf(t: TestContext): Step {
  return async (what, work) => {
    const begunMs = performance.now();
    try {
      await work();
    } catch (error) {
      throw new Error(`${what}: ${String(error)}`, { cause: error });
    }
    t.diagnostic(`${what}: ${((performance.now() - begunMs) / 1000).toFixed(1)} s`);
  };
}
