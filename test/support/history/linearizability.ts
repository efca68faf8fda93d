/**
 * Is there one order of a history's operations, true to real time, that a single copy would have answered
 * alike? Pure. Invariant: `ok` is said only with such an order found for every partition; "undecided" is
 * never `ok`. Source: Herlihy and Wing 1990; search: Wing and Gong 1993, Lowe 2017; a history is linearizable
 * when its part of each object is (Herlihy and Wing's locality; Horn and Kroening, "Faster linearizability
 * checking via P-compositionality", 2015), so keys are searched apart; memo as in Porcupine
 * (github.com/anishathalye/porcupine).
 */
import { LinearizationSearch } from "./linearization-search.js";
import type { Model, Operation } from "./operation.js";

export type { Model, Operation } from "./operation.js";

export interface LinearizabilityFailure<I, O> {
  readonly ok: false;
  /** Undecided: a bound was reached first; the history may be right or wrong. */
  readonly reason: "violation" | "undecided";
  readonly partition: string;
  /**
   * The most definite operations that could be placed, in an order that fits, with unknown ones in between.
   */
  readonly longestPrefix: readonly Operation<I, O>[];
  /** The model's key of the state after the prefix. */
  readonly stateAfterPrefix: string;
  /** The first operation that cannot be placed: it returned, so it or one beside it had to fit by then. */
  readonly stuckAt: Operation<I, O> | undefined;
  /** All that could have come next as far as time goes; the model allows none of them. */
  readonly candidates: readonly Operation<I, O>[];
  readonly operations: number;
  readonly steps: number;
}

export type LinearizabilityResult<I, O> =
  | { readonly ok: true; readonly partitions: number; readonly steps: number }
  | LinearizabilityFailure<I, O>;

export interface LinearizabilityBounds {
  /** Tried placements per partition. Memory grows with it: about 100 bytes each. @default 2_000_000 */
  readonly stepsMax?: number;
  /** Asked now and then; true ends the search undecided. A clock stays with the caller. */
  readonly expired?: () => boolean;
}

/** @throws {RangeError} when an operation returns before its call, or an unknown one returns at all. */
export function checkLinearizable<S, I, O>(
  model: Model<S, I, O>,
  operations: readonly Operation<I, O>[],
  bounds: LinearizabilityBounds = {},
): LinearizabilityResult<I, O> {
  const { stepsMax = 2_000_000, expired } = bounds;
  const search = { stepsMax, ...(expired === undefined ? {} : { expired }) };
  const partitions = partitionsOf(model, operations);
  let steps = 0;
  let undecided: LinearizabilityFailure<I, O> | undefined;
  for (const [partition, part] of partitions) {
    const first = new LinearizationSearch(model, part, search);
    const end = first.run();
    steps += first.steps;
    if (end === "linearizable") continue;
    const failure = explain(model, partition, part, end, first.deepest, first.steps);
    if (end === "violation") return failure;
    undecided ??= failure; // another partition may still prove a violation
  }
  return undecided ?? { ok: true, partitions: partitions.size, steps };
}

function partitionsOf<S, I, O>(
  model: Model<S, I, O>,
  operations: readonly Operation<I, O>[],
): Map<string, Operation<I, O>[]> {
  const partitions = new Map<string, Operation<I, O>[]>();
  for (const operation of operations) {
    const { callAt, returnAt, output } = operation;
    if (!(callAt <= returnAt) || (output === undefined) !== (returnAt === Number.POSITIVE_INFINITY)) {
      const found = `called at ${callAt}, returned at ${returnAt}, output ${JSON.stringify(output)}`;
      throw new RangeError(`an operation returns after its call, or never with no output; found: ${found}`);
    }
    const key = model.partition?.(operation.input) ?? "";
    const part = partitions.get(key);
    if (part === undefined) partitions.set(key, [operation]);
    else part.push(operation);
  }
  return partitions;
}

/** Runs the same search again to the deepest point: keeping every prefix on the way would cost more. */
function explain<S, I, O>(
  model: Model<S, I, O>,
  partition: string,
  part: readonly Operation<I, O>[],
  end: "violation" | "undecided",
  deepest: number,
  steps: number,
): LinearizabilityFailure<I, O> {
  const again = new LinearizationSearch(model, part, { stepsMax: steps + 1 });
  again.run(deepest);
  return {
    ok: false,
    reason: end,
    partition,
    longestPrefix: again.placed(),
    stateAfterPrefix: model.keyOf(again.state),
    stuckAt: again.mustReturn(),
    candidates: again.candidates(),
    operations: part.length,
    steps,
  };
}

/** The failure in words, for a person: the end of the prefix, the state it leads to, what cannot follow. */
export function describeFailure<I, O>(failure: LinearizabilityFailure<I, O>, prefixLines = 12): string {
  const { reason, partition, longestPrefix, stuckAt, candidates, operations, steps } = failure;
  const head =
    reason === "violation"
      ? `not linearizable: partition ${JSON.stringify(partition)}`
      : `undecided after ${steps} steps: partition ${JSON.stringify(partition)}`;
  const shown = longestPrefix.slice(-prefixLines);
  const hidden = longestPrefix.length - shown.length;
  return [
    `${head}, ${operations} operations; the longest order that fits has ${longestPrefix.length}:`,
    ...(hidden > 0 ? [`  … ${hidden} before`] : []),
    ...shown.map((operation) => `  ${describeOperation(operation)}`),
    `state then: ${failure.stateAfterPrefix}`,
    ...(stuckAt === undefined ? [] : [`cannot be placed: ${describeOperation(stuckAt)}`]),
    "could have come next, by time alone:",
    ...candidates.map((operation) => `  ${describeOperation(operation)}`),
  ].join("\n");
}

export function describeOperation<I, O>(operation: Operation<I, O>): string {
  const { client, input, output, callAt, returnAt } = operation;
  const answer = output === undefined ? "?" : JSON.stringify(output);
  return `[${callAt} – ${returnAt}] client ${client}: ${JSON.stringify(input)} = ${answer}`;
}
