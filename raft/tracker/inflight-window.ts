/**
 * The MSG_APPENDs sent to one follower and not yet acknowledged: a ring bounded in count and in bytes.
 * Pure. Invariant: 0 <= count <= countMax, and last indexes grow from the oldest to the newest.
 * Source: thesis 10.2.1 (pipelining).
 */
import { invariant } from "../../base/errors/invariant.js";

interface Sent {
  readonly lastIndex: number;
  readonly bytes: number;
}

export class InflightWindow {
  readonly #countMax: number;
  readonly #bytesMax: number;
  // A ring that grows by doubling, because most followers never have more than a few messages in flight.
  #ring: (Sent | undefined)[] = new Array<Sent | undefined>(4);
  #start = 0;
  #count = 0;
  #bytes = 0;

  /** @param limits both > 0; one message may exceed `bytesMax` when nothing else is in flight. */
  constructor(limits: { countMax: number; bytesMax: number }) {
    this.#countMax = limits.countMax;
    this.#bytesMax = limits.bytesMax;
  }

  get count(): number {
    return this.#count;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Full: the sender waits for an acknowledgement. */
  isFull(): boolean {
    return this.#count >= this.#countMax || this.#bytes >= this.#bytesMax;
  }

  /** @throws {InvariantError} when full: ask `isFull` first. */
  add(lastIndex: number, bytes: number): void {
    invariant(!this.isFull(), "a message was added to a full in-flight window");
    if (this.#count === this.#ring.length) this.#grow();
    this.#ring[(this.#start + this.#count) % this.#ring.length] = { lastIndex, bytes };
    this.#count += 1;
    this.#bytes += bytes;
  }

  /** Forgets every message whose entries end at or before `index`. */
  freeTo(index: number): void {
    while (this.#count > 0) {
      const oldest = this.#ring[this.#start];
      if (oldest === undefined || oldest.lastIndex > index) return;
      this.#dropOldest(oldest);
    }
  }

  /**
   * Makes room for one message when a heartbeat answer shows that the follower lives but its acknowledgements
   * were lost.
   */
  freeOldest(): void {
    const oldest = this.#ring[this.#start];
    if (this.#count > 0 && oldest !== undefined) this.#dropOldest(oldest);
  }

  clear(): void {
    this.#ring = new Array<Sent | undefined>(4);
    this.#start = 0;
    this.#count = 0;
    this.#bytes = 0;
  }

  #dropOldest(oldest: Sent): void {
    this.#ring[this.#start] = undefined;
    this.#start = (this.#start + 1) % this.#ring.length;
    this.#count -= 1;
    this.#bytes -= oldest.bytes;
  }

  #grow(): void {
    const larger = new Array<Sent | undefined>(this.#ring.length * 2);
    for (let i = 0; i < this.#count; i++) larger[i] = this.#ring[(this.#start + i) % this.#ring.length];
    this.#ring = larger;
    this.#start = 0;
  }
}
