/**
 * The simulated network: delay, loss, duplication, reordering, and links cut in one or both directions.
 * Pure. Invariant: what happens to a message depends on the seed and on the order of sends alone.
 */
import type { Random } from "../../base/random/random.js";
import type { RaftId, RaftMessage } from "../../raft/core/types.js";
import type { SimSnapshot } from "./core-disk.js";
import type { EventQueue } from "./event-queue.js";
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

/** Delays in milliseconds. */
function rough(
  delay: readonly [min: number, max: number],
  shares: { loss: number; duplication: number; stragglers: number },
  order: "ordered" | "unordered",
): NetworkQuality {
  return { delayMinMs: delay[0], delayMaxMs: delay[1], ...shares, isOrdered: order === "ordered" };
}

export const ROUGH: readonly NetworkQuality[] = [
  CALM,
  rough([0.2, 20], { loss: 0.02, duplication: 0.02, stragglers: 0.02 }, "unordered"),
  rough([1, 80], { loss: 0.1, duplication: 0.05, stragglers: 0.05 }, "unordered"),
  rough([1, 80], { loss: 0.02, duplication: 0.02, stragglers: 0.1 }, "ordered"),
  rough([5, 200], { loss: 0.25, duplication: 0.1, stragglers: 0.1 }, "unordered"),
];

export const SLOW = rough([5, 120], { loss: 0.05, duplication: 0, stragglers: 0.1 }, "unordered");

/** A message on its way; with a snapshot announcement travels the content. */
export interface Envelope {
  readonly message: RaftMessage;
  readonly snapshot?: SimSnapshot;
}

export interface Receiver {
  receive(envelope: Envelope): void;
}

export class SimNetwork {
  sent = 0;
  /** Links are streams: what arrives does so once and in the order of sending, whatever the quality says. */
  isStreaming = false;
  #quality: NetworkQuality = CALM;
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

  get quality(): NetworkQuality {
    return this.#quality;
  }

  set quality(quality: NetworkQuality) {
    this.#quality = this.isStreaming ? { ...quality, duplication: 0, isOrdered: true } : quality;
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

  isCut(from: RaftId, to: RaftId): boolean {
    return this.#cut.size > 0 && this.#cut.has(linkOf({ from, to }));
  }

  /** How long something takes that is no message: a portion of a snapshot, news of a broken connection. */
  drawDelayMs(): number {
    const { delayMinMs, delayMaxMs } = this.quality;
    return delayMinMs + this.#random.float() * (delayMaxMs - delayMinMs);
  }

  /** Whether a packet of a stream is lost, and so comes later. */
  drawLoss(): boolean {
    return this.#random.float() < this.quality.loss;
  }

  /** @param onFate learns whether the message arrived (once), when it did or would have. */
  send(envelope: Envelope, onFate: (delivered: boolean) => void): void {
    this.sent += 1;
    const delayMs = this.#delayMs(envelope);
    const isLost =
      this.#random.float() < this.quality.loss || this.isCut(envelope.message.from, envelope.message.to);
    this.#queue.after(delayMs, () => this.#arrive(envelope, isLost, onFate));
    if (!isLost && this.#random.float() < this.quality.duplication) {
      this.#queue.after(delayMs + this.#delayMs(envelope), () =>
        this.#arrive(envelope, false, () => undefined),
      );
    }
  }

  #arrive(envelope: Envelope, isLost: boolean, onFate: (delivered: boolean) => void): void {
    const { message } = envelope;
    const arrives = !isLost && !this.isCut(message.from, message.to);
    this.#trace.noteMessage(message, arrives);
    if (arrives) this.#receivers.get(message.to)?.receive(envelope);
    onFate(arrives);
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
