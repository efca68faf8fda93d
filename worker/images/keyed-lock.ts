/**
 * Turns: one task at a time per key, so that two pulls of one layer do its work once; or so many tasks at a
 * time.
 * Pure. Invariants: tasks run in the order they came; keys do not wait for each other; a cancelled task that
 * has not begun never begins, and its caller hears at once; one that has begun is heard of only when it has
 * ended.
 */
import { CancelledError } from "../../base/errors/errors.js";

export interface TurnOptions {
  readonly signal?: AbortSignal | undefined;
}

/** Those who wait are bounded by the work their callers have under way. */
export class KeyedLock {
  readonly #tails = new Map<string, Promise<unknown>>();

  /** @throws what the task throws; {CancelledError} when the signal fires before its turn. */
  async run<T>(key: string, task: () => Promise<T>, options: TurnOptions = {}): Promise<T> {
    const before = this.#tails.get(key) ?? Promise.resolve();
    const waiting = new Waiting(options.signal);
    const turn = before.then(() => waiting.begin(task));
    const tail = settled(turn);
    this.#tails.set(key, tail);
    void tail.then(() => {
      if (this.#tails.get(key) === tail) this.#tails.delete(key);
    });
    return await waiting.outcome(turn);
  }
}

/** At most `countMax` tasks at once; the others wait in order. */
export class Gate {
  #countMax: number;
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(countMax: number) {
    this.#countMax = countMax;
  }

  /** Whether the next task has to wait. */
  get isFull(): boolean {
    return this.#running >= this.#countMax;
  }

  /** What runs beyond a smaller bound goes on to its end. */
  resize(countMax: number): void {
    this.#countMax = countMax;
    this.#admit();
  }

  /** @throws what the task throws; {CancelledError} when the signal fires before its turn. */
  async run<T>(task: () => Promise<T>, options: TurnOptions = {}): Promise<T> {
    const waiting = new Waiting(options.signal);
    return await waiting.outcome(
      this.#take()
        .then(() => waiting.begin(task))
        .finally(() => this.#give()),
    );
  }

  async #take(): Promise<void> {
    if (!this.isFull) this.#running += 1;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  #give(): void {
    this.#running -= 1;
    this.#admit();
  }

  #admit(): void {
    while (!this.isFull) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#running += 1;
      next();
    }
  }
}

/** The time between asking for a turn and having it, which a signal may end. */
class Waiting {
  readonly #signal: AbortSignal | undefined;
  #begun = false;

  constructor(signal: AbortSignal | undefined) {
    this.#signal = signal;
  }

  begin<T>(task: () => Promise<T>): Promise<T> {
    if (this.#signal?.aborted === true) throw new CancelledError("cancelled before its turn");
    this.#begun = true;
    return task();
  }

  outcome<T>(turn: Promise<T>): Promise<T> {
    const signal = this.#signal;
    if (signal === undefined) return turn;
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        if (!this.#begun) reject(new CancelledError("cancelled before its turn"));
      };
      if (signal.aborted) onAbort();
      signal.addEventListener("abort", onAbort, { once: true });
      void settled(turn.then(resolve, reject)).then(() => signal.removeEventListener("abort", onAbort));
    });
  }
}

/** For a task whose error somebody else has. */
function settled(task: Promise<unknown>): Promise<unknown> {
  return task.then(
    () => undefined,
    () => undefined,
  );
}
