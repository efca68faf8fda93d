/**
 * Leases on integers of one range, each held by a named owner: VNIs, node numbers, published ports,
 * host parts.
 * Pure. Invariants: an integer has at most one owner; `usedCount` is the number of leased integers.
 */
import { invariant } from "../../base/errors/invariant.js";

export class IntegerPool {
  readonly min: number;
  readonly max: number;
  readonly #rotating: boolean;
  readonly #owners = new Map<number, string>();
  /** Where the next search starts: never above a free integer when not rotating. */
  #cursor: number;

  /**
   * @param range.min lowest integer leased. @param range.max highest integer leased.
   * @param range.rotating hand out what was freed longest ago instead of the lowest: an address that has just
   * been freed may still be in somebody's caches. @default false
   */
  constructor(range: { min: number; max: number; rotating?: boolean }) {
    this.min = range.min;
    this.max = range.max;
    this.#rotating = range.rotating ?? false;
    this.#cursor = range.min;
  }

  /** How many integers the pool spans. */
  get capacity(): number {
    return Math.max(0, this.max - this.min + 1);
  }

  get usedCount(): number {
    return this.#owners.size;
  }

  ownerOf(value: number): string | undefined {
    return this.#owners.get(value);
  }

  has(value: number): boolean {
    return value >= this.min && value <= this.max;
  }

  /** @returns a free integer, now leased to the owner; undefined when all are in use. */
  take(owner: string): number | undefined {
    if (this.#owners.size >= this.capacity) return undefined;
    let value = this.#cursor;
    while (this.#owners.has(value)) value = value >= this.max ? this.min : value + 1;
    this.#owners.set(value, owner);
    this.#cursor = value >= this.max ? this.min : value + 1;
    return value;
  }

  /** The next search begins behind this integer of the range. Of rotating pools only. */
  searchAfter(value: number): void {
    invariant(this.#rotating && this.has(value), "a search begins inside the range of a rotating pool");
    this.#cursor = value >= this.max ? this.min : value + 1;
  }

  /** @returns false when the integer is out of range or another owner has it. */
  reserve(value: number, owner: string): boolean {
    if (!this.has(value)) return false;
    const holder = this.#owners.get(value);
    if (holder !== undefined) return holder === owner;
    this.#owners.set(value, owner);
    return true;
  }

  /** Frees the integer when this owner has it; otherwise does nothing. */
  release(value: number, owner: string): void {
    if (this.#owners.get(value) !== owner) return;
    this.#owners.delete(value);
    if (!this.#rotating && value < this.#cursor) this.#cursor = value;
    invariant(this.#owners.size <= this.capacity, "more leases than integers");
  }
}
