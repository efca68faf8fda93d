/**
 * Linearizable read points: those asked in one turn share one question to the leader.
 * Pure. Invariant: a barrier resolves at an index that the leader named after the barrier was asked,
 * once that index is applied here. A question that gets lost is asked again; contexts start at a random
 * number, so that an answer to an earlier life of this member means nothing to this one.
 */
import {
  CancelledError,
  codeOf,
  ResourceExhaustedError,
  UnavailableError,
} from "../../base/errors/errors.js";
import type { Random } from "../../base/random/random.js";
import type { ReadState } from "../core/types.js";

/** Barriers waiting at a time; more are refused. */
const WAITING_MAX = 65_536;
/** Ticks without an answer until the question is asked again. */
const REPEAT_TICKS = 3;
/** Ticks after which a barrier fails: without a quorum nothing can be read. */
const TIMEOUT_TICKS = 100;
const CONTEXT_START_MAX = 2 ** 31;
const CONTEXT_STEP = 2 ** 20;

interface Waiter {
  readonly resolve: (index: number) => void;
  readonly reject: (error: unknown) => void;
}

interface Question {
  readonly context: number;
  readonly waiters: Set<Waiter>;
  ticks: number;
  /** Known once the leader answered. */
  index: number | undefined;
}

export interface ReadBarriersOptions {
  readonly random: Random;
  /** Asks the core; throws what RaftCoreApi.readIndex throws. */
  readonly readIndex: (context: number) => void;
  readonly appliedIndex: () => number;
}

export class ReadBarriers {
  readonly #options: ReadBarriersOptions;
  readonly #questions = new Map<number, Question>();
  #gathering: Question | undefined;
  #lastContext: number;
  #waiting = 0;

  constructor(options: ReadBarriersOptions) {
    this.#options = options;
    this.#lastContext = options.random.int(1, CONTEXT_START_MAX) * CONTEXT_STEP;
  }

  get waiting(): number {
    return this.#waiting;
  }

  ask(signal?: AbortSignal): Promise<number> {
    if (signal?.aborted) return Promise.reject(new CancelledError("read barrier: cancelled"));
    if (this.#waiting >= WAITING_MAX) {
      return Promise.reject(new ResourceExhaustedError(`read barrier: ${WAITING_MAX} already wait`));
    }
    return new Promise((resolve, reject) => {
      const question = this.#gather();
      const onAbort = (): void => {
        question.waiters.delete(waiter);
        waiter.reject(new CancelledError("read barrier: cancelled"));
      };
      const done = (): void => {
        this.#waiting -= 1;
        signal?.removeEventListener("abort", onAbort);
      };
      const waiter: Waiter = {
        resolve: (index) => {
          done();
          resolve(index);
        },
        reject: (error) => {
          done();
          reject(error);
        },
      };
      this.#waiting += 1;
      signal?.addEventListener("abort", onAbort, { once: true });
      question.waiters.add(waiter);
    });
  }

  answered(states: readonly ReadState[]): void {
    for (const { context, index } of states) {
      const question = this.#questions.get(context);
      if (question !== undefined && question.index === undefined) question.index = index;
    }
    this.applied();
  }

  /** The applied index moved. */
  applied(): void {
    const appliedIndex = this.#options.appliedIndex();
    for (const question of this.#questions.values()) {
      if (question.index === undefined || question.index > appliedIndex) continue;
      this.#questions.delete(question.context);
      for (const waiter of question.waiters) waiter.resolve(appliedIndex);
    }
  }

  /** Another leader: what the last one was asked is lost. */
  leaderChanged(): void {
    for (const question of this.#questions.values()) this.#put(question);
  }

  tick(): void {
    for (const question of this.#questions.values()) {
      question.ticks += 1;
      if (question.ticks >= TIMEOUT_TICKS) {
        this.#end(question, new UnavailableError("read barrier: no leader with a quorum answers"));
      } else if (question.ticks % REPEAT_TICKS === 0) {
        this.#put(question);
      }
    }
  }

  rejectAll(error: Error): void {
    for (const question of this.#questions.values()) this.#end(question, error);
  }

  #gather(): Question {
    if (this.#gathering !== undefined) return this.#gathering;
    this.#lastContext += 1;
    const question: Question = { context: this.#lastContext, waiters: new Set(), ticks: 0, index: undefined };
    this.#gathering = question;
    this.#questions.set(question.context, question);
    queueMicrotask(() => {
      this.#gathering = undefined;
      if (this.#questions.has(question.context)) this.#put(question);
    });
    return question;
  }

  #put(question: Question): void {
    if (question.index !== undefined || question === this.#gathering) return;
    try {
      this.#options.readIndex(question.context);
    } catch (error) {
      // Without a leader the question waits for one; `leaderChanged` or a tick asks it again.
      if (codeOf(error) !== "unavailable") this.#end(question, error);
    }
  }

  #end(question: Question, error: unknown): void {
    this.#questions.delete(question.context);
    for (const waiter of question.waiters) waiter.reject(error);
  }
}
