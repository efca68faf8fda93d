/**
 * Answers from outside that are told again while they live, apart for every sandbox: what one container
 * makes its resolvers say reaches no other.
 * Pure over a clock handed in. Invariants: per node ANSWER_BYTES_MAX, per sandbox SANDBOX_BYTES_MAX; at the
 * bound of a sandbox its answer that was used longest ago goes, at the node's that of the sandbox that has
 * most, so that a greedy one takes from itself.
 * Source: RFC 2308, docs/design/network-discovery.md ("Outside").
 */
import type { Clock } from "../../base/clock/clock.js";
import type { KeptAnswer } from "./answer-life.js";
import { readLife, retold } from "./answer-life.js";
import type { DnsQuestion } from "./dns-question.js";

export const ANSWER_BYTES_MAX = 2 * 1024 * 1024;
export const SANDBOX_BYTES_MAX = 128 * 1024;
/** What an answer costs beside its bytes: objects, keys. */
const ENTRY_OVERHEAD_BYTES = 300;

interface Held {
  readonly answer: KeptAnswer;
  readonly bytes: number;
  readonly atMs: number;
}

interface Share {
  /** In the order of use. */
  readonly held: Map<string, Held>;
  bytes: number;
}

export class AnswerCache {
  readonly #clock: Clock;
  readonly #shares = new Map<string, Share>();
  #bytes = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** @returns the answer to this very question, aged. */
  find(sandboxId: string, key: string, question: DnsQuestion): Buffer | undefined {
    const share = this.#shares.get(sandboxId);
    const held = share?.held.get(key);
    if (share === undefined || held === undefined) return undefined;
    const ageSeconds = Math.floor((this.#clock.monotonicMs() - held.atMs) / 1_000);
    this.#drop(share, key, held);
    if (ageSeconds >= held.answer.lifeSeconds) return undefined;
    this.#put(share, key, held);
    return retold(held.answer, question, ageSeconds);
  }

  /** Keeps what may be kept. */
  keep(sandboxId: string, key: string, answer: Buffer, questionEnd: number): void {
    const life = readLife(answer, questionEnd);
    if (life === undefined) return;
    const share = this.#shares.get(sandboxId) ?? { held: new Map<string, Held>(), bytes: 0 };
    this.#shares.set(sandboxId, share);
    const before = share.held.get(key);
    if (before !== undefined) this.#drop(share, key, before);
    const bytes = answer.length + key.length + ENTRY_OVERHEAD_BYTES;
    this.#put(share, key, { answer: life, bytes, atMs: this.#clock.monotonicMs() });
    while (share.bytes > SANDBOX_BYTES_MAX) this.#dropOldest(share);
    while (this.#bytes > ANSWER_BYTES_MAX) this.#dropOldest(this.#largest() ?? share);
  }

  forget(sandboxId: string): void {
    const share = this.#shares.get(sandboxId);
    if (share === undefined) return;
    this.#bytes -= share.bytes;
    this.#shares.delete(sandboxId);
  }

  #put(share: Share, key: string, held: Held): void {
    share.held.set(key, held);
    share.bytes += held.bytes;
    this.#bytes += held.bytes;
  }

  #drop(share: Share, key: string, held: Held): void {
    share.held.delete(key);
    share.bytes -= held.bytes;
    this.#bytes -= held.bytes;
  }

  #dropOldest(share: Share): void {
    for (const [key, held] of share.held) {
      this.#drop(share, key, held);
      return;
    }
  }

  /** Looked for at the node's bound only; there are some hundred at most. */
  #largest(): Share | undefined {
    let largest: Share | undefined;
    for (const share of this.#shares.values()) if (share.bytes > (largest?.bytes ?? 0)) largest = share;
    return largest;
  }
}
