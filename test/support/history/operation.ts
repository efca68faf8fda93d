/**
 * What a client did and saw, and what a single copy of the object would have answered. Pure. Definite
 * failures (the operation surely had no effect) are not operations: leave them out of a history. Source:
 * Herlihy and Wing, "Linearizability: a correctness condition for concurrent objects", 1990, section 2.
 */
export interface Operation<I, O> {
  /** For reports only: the order of operations comes from the instants. */
  readonly client: number | string;
  readonly input: I;
  /** Undefined when the outcome is unknown: it may take effect at any time after the call, or never. */
  readonly output: O | undefined;
  /** Any unit, one clock for the whole history. */
  readonly callAt: number;
  /** At or after `callAt`; Infinity when the outcome is unknown. */
  readonly returnAt: number;
}

/** A sequential object. States are immutable; `step` never changes the one it is given. */
export interface Model<S, I, O> {
  readonly initial: S;
  /**
   * The states the object may be in after this operation gave this output (undefined: any output).
   * Empty: from this state it cannot have given it.
   */
  step(state: S, input: I, output: O | undefined): readonly S[];
  /** Equal for equal states, different for different ones. */
  keyOf(state: S): string;
  /** Operations of different partitions never affect each other. @default all in one */
  partition?(input: I): string;
}
