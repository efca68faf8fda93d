/**
 * One order in which the operations of one partition may have taken effect, or the proof that there is none.
 * Pure. Invariant: an operation is placed only when every operation that returned before its call is placed.
 *
 * Wing and Gong's search ("Testing and verifying concurrent objects", 1993): among the operations called
 * before the first return that is still outstanding, place one that the model allows, take its events off the
 * list, go on; go back when none fits. Lowe's improvement ("Testing for linearizability", 2017), memoised as
 * in Porcupine: a pair of (set of placed operations, state) is explored once. Operations of unknown outcome
 * have no return: they are tried last, only when they change the state, and none of them has to be placed.
 *
 * The memo's key of the set is short: definite operations are numbered by their call, so all below the first
 * unplaced one are placed, and only those that ran beside it are spelled out. Cost: one step per tried
 * placement; in the worst case exponential in the operations that run at once.
 */
import type { Model, Operation } from "./operation.js";

export type SearchEnd = "linearizable" | "violation" | "undecided";

interface Frame<S> {
  readonly isUnknown: boolean;
  /** Number of the placed operation among the definite or the unknown ones. */
  readonly number: number;
  /** The state before it, the states it may lead to, and which of them was taken. */
  readonly before: S;
  readonly states: readonly S[];
  alternative: number;
  /** `#first` and `#highest` before it. */
  readonly first: number;
  readonly highest: number;
}

export interface SearchBounds {
  readonly stepsMax: number;
  /** Asked every 1024 steps; true ends the search undecided. */
  readonly expired?: () => boolean;
}

const BITS_PER_CHARACTER = 15;
const EXPIRY_STEPS = 1024;

export class LinearizationSearch<S, I, O> {
  readonly #model: Model<S, I, O>;
  readonly #bounds: SearchBounds;
  /** By call. */
  readonly #definite: readonly Operation<I, O>[];
  readonly #unknown: readonly Operation<I, O>[];
  /**
   * The outstanding events in order of time: call of i is event i, its return is event n + i; 2n heads the
   * list.
   */
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  readonly #isPlaced: Uint8Array;
  readonly #isUnknownPlaced: Uint8Array;
  readonly #frames: Frame<S>[] = [];
  readonly #seen = new Set<string>();
  #state: S;
  /** The lowest unplaced definite operation, and the highest placed one (-1: none). */
  #first = 0;
  #highest = -1;
  #placed = 0;
  #unknownPlaced = 0;
  steps = 0;
  /** Most definite operations that were placed at once. */
  deepest = 0;

  constructor(model: Model<S, I, O>, operations: readonly Operation<I, O>[], bounds: SearchBounds) {
    this.#model = model;
    this.#bounds = bounds;
    this.#state = model.initial;
    const byCall = [...operations].sort((a, b) => a.callAt - b.callAt);
    this.#definite = byCall.filter((operation) => operation.output !== undefined);
    this.#unknown = byCall.filter((operation) => operation.output === undefined);
    const count = this.#definite.length;
    this.#isPlaced = new Uint8Array(count);
    this.#isUnknownPlaced = new Uint8Array(this.#unknown.length);
    this.#next = new Int32Array(2 * count + 1).fill(-1);
    this.#previous = new Int32Array(2 * count + 1).fill(-1);
    this.#link();
  }

  get state(): S {
    return this.#state;
  }

  /** The operations placed now, in their order. */
  placed(): Operation<I, O>[] {
    return this.#frames.map((frame) => at(frame.isUnknown ? this.#unknown : this.#definite, frame.number));
  }

  /** The operation whose return comes first among the unplaced: one must be placed before it. */
  mustReturn(): Operation<I, O> | undefined {
    const number = this.#firstReturn();
    return number === undefined ? undefined : this.#definite[number];
  }

  /** What may be placed next as far as time goes: the definite ones, then those of unknown outcome. */
  candidates(): Operation<I, O>[] {
    const count = this.#definite.length;
    const found: Operation<I, O>[] = [];
    for (let event = this.#nextOf(2 * count); event !== -1 && event < count; event = this.#nextOf(event))
      found.push(at(this.#definite, event));
    const before = this.mustReturn()?.returnAt ?? Number.NEGATIVE_INFINITY;
    return [
      ...found,
      ...this.#unknown.filter((each, i) => each.callAt <= before && this.#isUnknownPlaced[i] === 0),
    ];
  }

  /**
   * @param stopAtDepth stops there as if undecided, to look at `placed` and `state`; used after a first run.
   */
  run(stopAtDepth = Number.POSITIVE_INFINITY): SearchEnd {
    const count = this.#definite.length;
    let [isUnknown, number] = [false, this.#nextOf(2 * count)];
    while (this.#placed < count) {
      if (this.#placed >= stopAtDepth) return "undecided";
      const placed = isUnknown ? this.#tryUnknownFrom(number) : this.#tryDefiniteFrom(number);
      if (placed) {
        [isUnknown, number] = [false, this.#nextOf(2 * count)];
      } else if (!isUnknown) {
        [isUnknown, number] = [true, 0];
      } else {
        const undone = this.#goBack();
        if (undone === undefined) return "violation";
        if (undone === "other state") [isUnknown, number] = [false, this.#nextOf(2 * count)];
        else if (undone.isUnknown) [isUnknown, number] = [true, undone.number + 1];
        else [isUnknown, number] = [false, this.#nextOf(undone.number)];
      }
      if (this.steps >= this.#bounds.stepsMax) return "undecided";
      if (this.steps % EXPIRY_STEPS === 0 && this.#bounds.expired?.() === true) return "undecided";
    }
    return "linearizable";
  }

  /** Of two events at the same instant calls come first: such operations ran at once. */
  #link(): void {
    const count = this.#definite.length;
    const events = Array.from({ length: 2 * count }, (_, event) => event);
    const timeOf = (event: number): number =>
      event < count ? at(this.#definite, event).callAt : at(this.#definite, event - count).returnAt;
    // events are numbered calls first, and the sort is stable
    events.sort((a, b) => timeOf(a) - timeOf(b));
    let last = 2 * count;
    for (const event of events) {
      this.#next[last] = event;
      this.#previous[event] = last;
      last = event;
    }
  }

  #nextOf(event: number): number {
    return this.#next[event] ?? -1;
  }

  #firstReturn(): number | undefined {
    const count = this.#definite.length;
    let event = this.#nextOf(2 * count);
    while (event !== -1 && event < count) event = this.#nextOf(event);
    return event === -1 ? undefined : event - count;
  }

  #tryDefiniteFrom(event: number): boolean {
    const count = this.#definite.length;
    for (; event !== -1 && event < count; event = this.#nextOf(event)) {
      const { input, output } = at(this.#definite, event);
      this.steps += 1;
      const states = this.#model.step(this.#state, input, output);
      if (this.#place(false, event, states, 0)) return true;
    }
    return false;
  }

  #tryUnknownFrom(number: number): boolean {
    const before = this.mustReturn()?.returnAt ?? Number.NEGATIVE_INFINITY;
    for (; number < this.#unknown.length; number++) {
      const { input, callAt } = at(this.#unknown, number);
      if (callAt > before) return false;
      if (this.#isUnknownPlaced[number] === 1) continue;
      this.steps += 1;
      const key = this.#model.keyOf(this.#state);
      const states = this.#model
        .step(this.#state, input, undefined)
        .filter((state) => this.#model.keyOf(state) !== key);
      if (this.#place(true, number, states, 0)) return true;
    }
    return false;
  }

  /**
   * Takes the first of these states, from `alternative` on, that was not seen with this set; false: there is
   * none.
   */
  #place(isUnknown: boolean, number: number, states: readonly S[], alternative: number): boolean {
    if (alternative >= states.length) return false;
    const [first, highest] = [this.#first, this.#highest];
    this.#lift(isUnknown, number);
    for (; alternative < states.length; alternative++) {
      const state = at(states, alternative);
      const key = this.#memoKey(state);
      if (this.#seen.has(key)) continue;
      this.#seen.add(key);
      this.#frames.push({ isUnknown, number, before: this.#state, states, alternative, first, highest });
      this.#state = state;
      if (this.#placed > this.deepest) this.deepest = this.#placed;
      return true;
    }
    this.#unlift(isUnknown, number, first, highest);
    return false;
  }

  #goBack(): { isUnknown: boolean; number: number } | "other state" | undefined {
    const frame = this.#frames.pop();
    if (frame === undefined) return undefined;
    const { isUnknown, number, states, alternative } = frame;
    this.#state = frame.before;
    this.#unlift(isUnknown, number, frame.first, frame.highest);
    return this.#place(isUnknown, number, states, alternative + 1) ? "other state" : frame;
  }

  #lift(isUnknown: boolean, number: number): void {
    if (isUnknown) {
      this.#isUnknownPlaced[number] = 1;
      this.#unknownPlaced += 1;
      return;
    }
    const count = this.#definite.length;
    for (const event of [number, number + count]) {
      const [next, previous] = [this.#next[event] ?? -1, this.#previous[event] ?? -1];
      this.#next[previous] = next;
      if (next !== -1) this.#previous[next] = previous;
    }
    this.#isPlaced[number] = 1;
    this.#placed += 1;
    if (number > this.#highest) this.#highest = number;
    while (this.#isPlaced[this.#first] === 1) this.#first += 1;
  }

  /** The last lifted one only, so that its neighbours are what they were. */
  #unlift(isUnknown: boolean, number: number, first: number, highest: number): void {
    if (isUnknown) {
      this.#isUnknownPlaced[number] = 0;
      this.#unknownPlaced -= 1;
      return;
    }
    const count = this.#definite.length;
    for (const event of [number + count, number]) {
      const [next, previous] = [this.#next[event] ?? -1, this.#previous[event] ?? -1];
      this.#next[previous] = event;
      if (next !== -1) this.#previous[next] = event;
    }
    this.#isPlaced[number] = 0;
    this.#placed -= 1;
    this.#first = first;
    this.#highest = highest;
  }

  #memoKey(state: S): string {
    const beside = bits(this.#isPlaced, this.#first + 1, this.#highest);
    const unknown = this.#unknownPlaced === 0 ? "" : bits(this.#isUnknownPlaced, 0, this.#unknown.length - 1);
    return `${this.#first}:${beside.length}:${beside}${unknown}:${this.#model.keyOf(state)}`;
  }
}

function bits(flags: Uint8Array, from: number, to: number): string {
  let text = "";
  for (let start = from; start <= to; start += BITS_PER_CHARACTER) {
    let code = 0;
    for (let i = 0; i < BITS_PER_CHARACTER && start + i <= to; i++) code |= (flags[start + i] ?? 0) << i;
    text += String.fromCharCode(code);
  }
  return text;
}

function at<T>(list: readonly T[], index: number): T {
  return list[index] as T; // callers stay inside the list
}
