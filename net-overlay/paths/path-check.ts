/**
 * One look at the path to another node: does anything come back, and up to which size.
 * Pure. Sizes are of the inner IP packet. It begins with one packet of full size; where nothing comes back
 * smaller ones follow, and where only those do, the largest that passes is searched, eight sizes at a time.
 * Invariants: a size counts as lost only when it was sent three times and a smaller one passed in the same
 * second; `knownBytes` is given up only so, so that loss alone makes no small MTU; it ends in bounded time
 * and packets (`PACKETS_MAX`).
 * Source: RFC 8899 (packetization layer path MTU discovery for datagram transports), section 5.
 */

/** When a size that was not answered is sent again, and when the round is over; since its begin. */
const SEND_AT_MS = [0, 300, 600] as const;
export const ROUND_MS = 1_000;
const SIZES_PER_ROUND = 8;
/** A search that contradicts itself is begun anew so often. */
const SEARCHES_MAX = 3;
/** Of one look; two in the good case. */
export const PACKETS_MAX = 200;
/** What must pass for a path to be one; IPv4 itself promises it. */
export const SMALL_BYTES = 128;

export type PathOutcome =
  /** Nothing came back. */
  | { readonly kind: "silent" }
  /** The largest size that passed. */
  | { readonly kind: "reached"; readonly mtuBytes: number };

type Stage = "look" | "confirm" | "search" | "verify";

export class PathCheck {
  readonly #fullBytes: number;
  readonly #knownBytes: number;
  #stage: Stage = "look";
  #sizes: number[];
  #passed = new Set<number>();
  #begunAtMs: number;
  #sendings = 0;
  #searches = 0;
  /** Passes, and is believed not to. */
  #low = 0;
  #high = 0;
  #outcome: PathOutcome | undefined;

  /** @param options knownBytes: what passed the last time; 0: nothing is known. */
  constructor(options: { fullBytes: number; knownBytes: number; nowMs: number }) {
    this.#fullBytes = options.fullBytes;
    this.#knownBytes = Math.min(options.knownBytes, options.fullBytes);
    this.#sizes = [...new Set([this.#fullBytes, this.#knownBytes])].filter((size) => size > 0);
    this.#begunAtMs = options.nowMs;
  }

  /** undefined: it goes on. */
  get outcome(): PathOutcome | undefined {
    return this.#outcome;
  }

  /** When `due` is to be called next. */
  get nextAtMs(): number {
    return this.#begunAtMs + (SEND_AT_MS[this.#sendings] ?? ROUND_MS);
  }

  /** @returns the sizes to be sent now. */
  due(nowMs: number): readonly number[] {
    if (this.#outcome !== undefined || nowMs < this.nextAtMs) return [];
    if (this.#sendings >= SEND_AT_MS.length) this.#endRound(nowMs);
    if (this.#outcome !== undefined) return [];
    this.#sendings += 1;
    if (this.#stage === "look" && this.#sendings > 1) this.#add(SMALL_BYTES);
    return this.#sizes.filter((size) => !this.#passed.has(size));
  }

  answered(bytes: number, nowMs: number): void {
    if (this.#outcome !== undefined) return;
    if (bytes >= this.#fullBytes) {
      this.#outcome = { kind: "reached", mtuBytes: this.#fullBytes };
      return;
    }
    this.#passed.add(bytes);
    if (this.#stage !== "search") return;
    if (this.#sizes.every((size) => this.#passed.has(size))) this.#endRound(nowMs);
  }

  #endRound(nowMs: number): void {
    const passed = Math.max(0, ...this.#passed);
    if (passed === 0) {
      this.#outcome = { kind: "silent" };
      return;
    }
    switch (this.#stage) {
      case "look":
        // Lost, or too large? What was known to pass decides, else a second look.
        if (passed === this.#knownBytes) this.#outcome = { kind: "reached", mtuBytes: passed };
        else this.#begin("confirm", [this.#fullBytes, this.#knownBytes, SMALL_BYTES], nowMs);
        return;
      case "confirm":
        this.#search(passed, passed < this.#knownBytes ? this.#knownBytes : this.#fullBytes, nowMs);
        return;
      case "search":
        this.#narrow(passed, nowMs);
        return;
      case "verify":
        if (passed <= this.#low) this.#outcome = { kind: "reached", mtuBytes: this.#low };
        else if (this.#searches >= SEARCHES_MAX) this.#outcome = { kind: "reached", mtuBytes: passed };
        else this.#search(passed, this.#fullBytes, nowMs);
    }
  }

  #search(low: number, high: number, nowMs: number): void {
    this.#searches += 1;
    this.#low = low;
    this.#high = high;
    this.#narrow(low, nowMs);
  }

  #narrow(passed: number, nowMs: number): void {
    const between = this.#sizes.filter((size) => size > passed && size < this.#high);
    if (this.#stage === "search") {
      this.#low = Math.max(this.#low, passed);
      this.#high = Math.min(this.#high, ...between.filter((size) => size > this.#low));
    }
    const gap = this.#high - this.#low;
    if (gap <= 1) {
      this.#begin("verify", [this.#low, this.#low + 1, this.#fullBytes], nowMs);
      return;
    }
    const step = Math.max(1, gap / (SIZES_PER_ROUND + 1));
    const sizes: number[] = [];
    for (let size = this.#low + step; size < this.#high && sizes.length < SIZES_PER_ROUND; size += step)
      sizes.push(Math.round(size));
    this.#begin("search", [...sizes, SMALL_BYTES], nowMs);
  }

  #begin(stage: Stage, sizes: readonly number[], nowMs: number): void {
    this.#stage = stage;
    this.#sizes = [...new Set(sizes)].filter((size) => size > 0);
    this.#passed = new Set();
    this.#begunAtMs = nowMs;
    this.#sendings = 0;
  }

  #add(size: number): void {
    if (!this.#sizes.includes(size)) this.#sizes.push(size);
  }
}
