/**
 * Whole segments and their checksums on paths that let datagrams through: one path at a time, seldom.
 * Pure (the world comes as ports). What fails with the work left to the network card and passes without it is
 * the card's fault, or its driver's: then, and only then, it is taken from it; that costs more than half of
 * the throughput. Invariants: a fault counts only when it was found twice while datagrams without a checksum
 * passed, and is the card's only when it goes and comes with the card's part: a node that restarts meanwhile
 * looks like a fault, and like its cure.
 * Source: docs/design/network-paths.md, "Checksums".
 */
import type { Clock, Timer } from "../../base/clock/clock.js";
import { messageOf } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import type { Random } from "../../base/random/random.js";
import { SMALL_BYTES } from "./path-check.js";
import type { PathPeer } from "./path-peers.js";
import type { ProbeTunnel } from "./probe-tunnel.js";

/** Between two looks at one path; cards and drivers seldom change. */
export const SEGMENT_PERIOD_MS = 600_000;
/** Between the looks at two paths. */
const PAUSE_MS = 100;
/** Of a path with a fault. */
const FAULT_PERIOD_MS = 60_000;
/** After a look that said nothing. */
const UNCLEAR_PERIOD_MS = 15_000;
const ATTEMPTS = 3;
const ANSWER_WAIT_MS = 400;

/** unclear: datagrams did not pass, either. */
type Finding = "well" | "unclear" | "checksums" | "segments";

const WORDS: Readonly<Record<Exclude<Finding, "well" | "unclear">, string>> = {
  checksums: "packets with a checksum vanish on the way",
  segments: "TCP stalls, or is damaged, on the way",
};
const TURNED_OFF = "checksums of the network card are wrong, and are computed here instead, on the way";

export interface SegmentWatchParts {
  readonly tunnel: ProbeTunnel;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Faults have changed. */
  readonly onChange: () => void;
  /** Tunnels are to leave checksums to the card, or not. */
  readonly onTxChecksum: (isOn: boolean) => void;
}

export class SegmentWatch {
  readonly #parts: SegmentWatchParts;
  /** By node number: when its path is to be looked at. */
  readonly #dueAtMs = new Map<number, number>();
  readonly #faults = new Map<number, string>();
  readonly #answers = new Map<bigint, () => void>();
  #peers: readonly PathPeer[] = [];
  #nonce: bigint;
  #timer: Timer | undefined;
  #isLooking = false;
  /** What tunnels were told in this life. */
  #isOn = false;
  #isOff = false;
  #life = 0;

  constructor(parts: SegmentWatchParts) {
    this.#parts = parts;
    this.#nonce = BigInt(parts.random.uint32()) << 32n;
    parts.tunnel.onAnswer(({ nonce }) => this.#answers.get(nonce)?.());
  }

  /** What is wrong on the path to the node; "": nothing. */
  faultOf(number: number): string {
    return this.#faults.get(number) ?? "";
  }

  /** The paths that let datagrams of full size through now. New ones are looked at soon. */
  watch(peers: readonly PathPeer[]): void {
    this.#peers = peers;
    const present = new Set(peers.map(({ number }) => number));
    for (const number of [...this.#dueAtMs.keys()]) {
      if (present.has(number)) continue;
      this.#dueAtMs.delete(number);
      this.#faults.delete(number);
    }
    const nowMs = this.#parts.clock.monotonicMs();
    for (const number of present) if (!this.#dueAtMs.has(number)) this.#dueAtMs.set(number, nowMs);
    this.#schedule();
  }

  close(): void {
    this.#life += 1;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#peers = [];
    this.#dueAtMs.clear();
    this.#faults.clear();
  }

  #schedule(): void {
    if (this.#isLooking) return;
    this.#timer?.cancel();
    this.#timer = undefined;
    const dueAtMs = Math.min(...this.#dueAtMs.values());
    if (dueAtMs === Number.POSITIVE_INFINITY) return;
    const { clock, log } = this.#parts;
    this.#timer = clock.setTimer(Math.max(PAUSE_MS, dueAtMs - clock.monotonicMs()), () => {
      this.#timer = undefined;
      this.#isLooking = true;
      this.#lookAtNext()
        .catch((error: unknown) => log.debug("a path was not looked at", { error: messageOf(error) }))
        .finally(() => {
          this.#isLooking = false;
          this.#schedule();
        });
    });
  }

  async #lookAtNext(): Promise<void> {
    const { clock, random, onChange } = this.#parts;
    const nowMs = clock.monotonicMs();
    const due = [...this.#dueAtMs].sort(([, a], [, b]) => a - b)[0];
    const peer = this.#peers.find(({ number }) => number === due?.[0]);
    if (due === undefined || peer === undefined || due[1] > nowMs) return;
    this.#dueAtMs.set(peer.number, nowMs + SEGMENT_PERIOD_MS * (0.8 + 0.4 * random.float()));
    const life = this.#life;
    const fault = await this.#faultOn(peer);
    if (life !== this.#life || !this.#dueAtMs.has(peer.number)) return;
    if (fault === undefined) {
      this.#dueAtMs.set(peer.number, clock.monotonicMs() + UNCLEAR_PERIOD_MS);
      return;
    }
    if (fault !== "") this.#dueAtMs.set(peer.number, clock.monotonicMs() + FAULT_PERIOD_MS);
    if (fault === this.faultOf(peer.number)) return;
    if (fault === "") this.#faults.delete(peer.number);
    else this.#faults.set(peer.number, fault);
    onChange();
  }

  /** @returns undefined: it is unclear. */
  async #faultOn(peer: PathPeer): Promise<string | undefined> {
    const { tunnel, onTxChecksum } = this.#parts;
    const first = await this.#find(peer);
    if (first === "well") {
      if (this.#isOff) return this.faultOf(peer.number);
      if (!this.#isOn) onTxChecksum(true); // a life before this one may have turned it off
      this.#isOn = true;
      return "";
    }
    const found = first === "unclear" ? first : await this.#find(peer);
    if (found === "unclear") return undefined;
    if (found === "well") return "";
    if (this.#isOff) return WORDS[found];
    const without = await this.#findWithoutCard(peer);
    if (without === "unclear") return undefined;
    if (without !== "well") return WORDS[found];
    const again = await this.#find(peer);
    if (again === "unclear") return undefined;
    if (again === "well") return "";
    tunnel.setTxChecksum(false);
    this.#isOff = true;
    onTxChecksum(false);
    return TURNED_OFF;
  }

  /** With checksums computed here. The card has its part again, whatever happens meanwhile. */
  async #findWithoutCard(peer: PathPeer): Promise<Finding> {
    const { tunnel } = this.#parts;
    tunnel.setTxChecksum(false);
    try {
      return await this.#find(peer);
    } finally {
      tunnel.setTxChecksum(true);
    }
  }

  async #find(peer: PathPeer): Promise<Finding> {
    if (await this.#isAnswered(peer, { isChecked: true })) {
      if (await this.#parts.tunnel.transfer(peer)) return "well";
      return (await this.#isAnswered(peer, { isChecked: true })) ? "segments" : "unclear";
    }
    return (await this.#isAnswered(peer, { isChecked: false })) ? "checksums" : "unclear";
  }

  async #isAnswered(peer: PathPeer, { isChecked }: { isChecked: boolean }): Promise<boolean> {
    const { tunnel, clock } = this.#parts;
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      this.#nonce += 1n;
      const nonce = this.#nonce;
      const answered = new Promise<boolean>((resolve) => {
        const timer = clock.setTimer(ANSWER_WAIT_MS, () => resolve(false));
        this.#answers.set(nonce, () => {
          timer.cancel();
          resolve(true);
        });
      });
      try {
        tunnel.ask({ ...peer, nonce, packetBytes: SMALL_BYTES, isChecked });
        if (await answered) return true;
      } finally {
        this.#answers.delete(nonce);
      }
    }
    return false;
  }
}
