/**
 * The simulated network: delay, loss, duplication, reordering, and links cut in one or both directions.
 * Pure. Invariant: what happens to a message depends on the seed and on the order of sends alone.
 */
import type { Random } from "../../base/random/random.js";
import { describeMessage } from "../../raft/core/message.js";
import type { RaftId, RaftMessage } from "../../raft/core/types.js";
import type { EventQueue } from "./event-queue.js";
import type { SimSnapshot } from "./sim-disk.js";
import type { SimTrace } from "./sim-trace.js";

export interface NetworkQuality {
  readonly delayMinMs: number;
  readonly delayMaxMs: number;
  /** Probabilities from 0 to 1. */
  readonly loss: number;
  readonly duplication: number;
  /** Share of messages that take ten times as long. */
  readonly stragglers: number;
  /**
   * Messages of one link arrive in the order of sending, as on a stream. Loss,
   * duplicates and snapshots aside.
   */
  readonly isOrdered: boolean;
}

export const CALM: NetworkQuality = {
  delayMinMs: 0.2,
  delayMaxMs: 5,
  loss: 0,
  duplication: 0,
  stragglers: 0,
  isOrdered: true,
};

/** A message on its way; with a snapshot announcement travels the content. */
export interface Envelope {
  readonly message: RaftMessage;
  readonly snapshot?: SimSnapshot;
}

export interface Receiver {
  receive(envelope: Envelope): void;
}

export class SimNetwork {
  quality: NetworkQuality = CALM;
  sent = 0;
  readonly #queue: EventQueue;
  readonly #random: Random;
  readonly #trace: SimTrace;
  readonly #receivers = new Map<RaftId, Receiver>();
  readonly #cut = new Set<string>();
  /** When the latest message of a link arrives. */
  readonly #latest = new Map<string, number>();

  constructor(world: { queue: EventQueue; random: Random; trace: SimTrace }) {
    this.#queue = world.queue;
    this.#random = world.random;
    this.#trace = world.trace;
  }

  attach(id: RaftId, receiver: Receiver): void {
    this.#receivers.set(id, receiver);
  }

  cut(from: RaftId, to: RaftId): void {
    this.#cut.add(linkOf({ from, to }));
  }

  healAll(): void {
    this.#cut.clear();
  }

  /** @param onFate learns whether the message arrived (once), when it did or would have. */
  send(envelope: Envelope, onFate: (delivered: boolean) => void): void {
    this.sent += 1;
    const delayMs = this.#delayMs(envelope);
    const isLost = this.#random.float() < this.quality.loss || this.#isCut(envelope.message);
    this.#queue.after(delayMs, () => this.#arrive(envelope, isLost, onFate));
    if (!isLost && this.#random.float() < this.quality.duplication) {
      this.#queue.after(delayMs + this.#delayMs(envelope), () =>
        this.#arrive(envelope, false, () => undefined),
      );
    }
  }

  #arrive(envelope: Envelope, isLost: boolean, onFate: (delivered: boolean) => void): void {
    const { message } = envelope;
    const arrives = !isLost && !this.#isCut(message);
    this.#trace.note(
      [
        message.from,
        message.to,
        message.term,
        message.index,
        message.entries.length,
        message.commit,
        +arrives,
      ],
      () => `${arrives ? "recv" : "lost"} ${describeMessage(message)}`,
    );
    if (arrives) this.#receivers.get(message.to)?.receive(envelope);
    onFate(arrives);
  }

  #isCut(message: RaftMessage): boolean {
    return this.#cut.size > 0 && this.#cut.has(linkOf(message));
  }

  #delayMs(envelope: Envelope): number {
    const { delayMinMs, delayMaxMs, stragglers, isOrdered } = this.quality;
    const drawnMs = delayMinMs + this.#random.float() * (delayMaxMs - delayMinMs);
    const isSlow = envelope.snapshot !== undefined || this.#random.float() < stragglers;
    const delayMs = isSlow ? drawnMs * 10 : drawnMs;
    if (!isOrdered || envelope.snapshot !== undefined) return delayMs;
    const link = linkOf(envelope.message);
    const arrivesMs = Math.max(this.#queue.now + delayMs, this.#latest.get(link) ?? 0);
    this.#latest.set(link, arrivesMs);
    return arrivesMs - this.#queue.now;
  }
}

function linkOf({ from, to }: { readonly from: RaftId; readonly to: RaftId }): string {
  return `${from}>${to}`;
}
