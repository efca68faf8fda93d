/**
 * The newest events of the cluster, numbered, and whoever follows them from a number on.
 * Pure over the store's watch. An event's number is the store index of its transaction and its place among
 * the events of that transaction, so every manager gives it the same one. Bounded: 8192 events and those of
 * one trim more; what is older is a gap for whoever asks for it. Invariant: a follower gets what follows its
 * number without a gap and without repetition, or is told of the gap.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import { ComponentLoop } from "../../base/loop/component-loop.js";
import type { ClusterEvent } from "../../proto/gen/skein/v1/control.js";
import type { ReadStore, StoreWatch } from "../store/types.js";
import { EVENT_TABLES, eventOf } from "./cluster-events.js";

export const EVENTS_KEPT_MAX = 8_192;
/** Dropped together, so that dropping costs little. */
const TRIM_COUNT = 256;

/** Between events: all up to it are behind. */
export interface EventNumber {
  readonly index: number;
  readonly ordinal: number;
}

/** @throws {InvalidArgumentError} neither "1234" nor "1234.2". */
export function parseEventNumber(text: string): EventNumber {
  const match = /^(\d{1,15})(?:\.(\d{1,9}))?$/.exec(text);
  if (match === null)
    throw new InvalidArgumentError(
      `invalid event number ${JSON.stringify(text)}: it is like 1234.2, or 1234`,
    );
  const ordinal = match[2] === undefined ? Number.POSITIVE_INFINITY : Number(match[2]);
  return { index: Number(match[1]), ordinal };
}

export function eventNumber({ index, ordinal }: EventNumber): string {
  return Number.isFinite(ordinal) ? `${index}.${ordinal}` : String(index);
}

export const isAfter = (a: EventNumber, b: EventNumber): boolean =>
  a.index > b.index || (a.index === b.index && a.ordinal > b.ordinal);

export interface EventHistoryParts {
  readonly store: ReadStore;
  readonly nowMs: () => number;
  readonly log: Logger;
}

export class EventHistory {
  readonly #parts: EventHistoryParts;
  readonly #watch: StoreWatch;
  readonly #loop: ComponentLoop;
  readonly #listeners = new Set<() => void>();
  #events: ClusterEvent[] = [];
  /** Events dropped since the start: the place of the first one kept. */
  #dropped = 0;
  /** All that follows it is kept. */
  #floor: EventNumber;

  constructor(parts: EventHistoryParts) {
    this.#parts = parts;
    const { store, log } = parts;
    this.#loop = new ComponentLoop({ name: "event history", log, pass: () => this.#pass() });
    this.#watch = store.watch({ tables: EVENT_TABLES, wake: () => this.#loop.wake() });
    this.#floor = { index: store.index, ordinal: Number.POSITIVE_INFINITY };
  }

  /** What follows this number is kept. */
  get floor(): EventNumber {
    return this.#floor;
  }

  /** The number before whatever is told next. */
  now(): string {
    this.#pass();
    return String(this.#parts.store.index);
  }

  /** @returns the place behind the newest event. */
  end(): number {
    this.#pass();
    return this.#dropped + this.#events.length;
  }

  /** @returns the place of the first event behind the number; undefined: some of them are not kept. */
  placeAfter(number: EventNumber): number | undefined {
    this.#pass();
    if (isAfter(this.#floor, number)) return undefined;
    let at = this.#events.length;
    for (let event = this.#events[at - 1]; event !== undefined && isAfter(event, number); ) {
      at -= 1;
      event = this.#events[at - 1];
    }
    return this.#dropped + at;
  }

  /** @returns the place of the first event kept that is not older. */
  placeSince(timeMs: number): number {
    this.#pass();
    const at = this.#events.findIndex((event) => event.timeMs >= timeMs);
    return this.#dropped + (at < 0 ? this.#events.length : at);
  }

  /** @returns undefined when nothing is there yet; "gap" when it is not kept any more. */
  at(place: number): ClusterEvent | "gap" | undefined {
    return place < this.#dropped ? "gap" : this.#events[place - this.#dropped];
  }

  /** Something that is not in the store: it has no number. */
  add(event: Omit<ClusterEvent, "index" | "ordinal" | "timeMs">): void {
    this.#pass();
    this.#append({ ...event, index: this.#parts.store.index, ordinal: 0, timeMs: this.#parts.nowMs() });
    this.#tell();
  }

  /** Calls back when there is more. @returns the way to stop that. */
  onMore(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  async close(): Promise<void> {
    this.#watch.close();
    await this.#loop.close();
    this.#listeners.clear();
  }

  #pass(): void {
    const batches = this.#watch.take();
    if (batches.length === 0) return;
    for (const { index, changes, reset } of batches) {
      if (reset) this.#reset(index);
      let ordinal = 0;
      for (const change of changes) {
        const timeMs = change.after?.meta?.updatedAtMs ?? this.#parts.nowMs();
        const event = eventOf(change, { index, ordinal: ordinal + 1, timeMs });
        if (event === undefined) continue;
        ordinal += 1;
        this.#append(event);
      }
    }
    this.#tell();
  }

  #append(event: ClusterEvent): void {
    this.#events.push(event);
    if (this.#events.length < EVENTS_KEPT_MAX + TRIM_COUNT) return;
    const dropped = this.#events.splice(0, TRIM_COUNT);
    this.#dropped += dropped.length;
    this.#floor = dropped.findLast(({ ordinal }) => ordinal > 0) ?? this.#floor;
  }

  /** A snapshot came: what happened on the way to it was not seen. */
  #reset(index: number): void {
    // One place more, so that whoever had read all is told, too.
    this.#dropped += this.#events.length + 1;
    this.#events = [];
    this.#floor = { index, ordinal: Number.POSITIVE_INFINITY };
  }

  #tell(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}
