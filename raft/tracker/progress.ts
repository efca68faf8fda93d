/**
 * What the leader knows about one peer's log, and whether it may send to it now.
 * Pure. Invariant: 0 <= match < next. Source: Raft paper 5.3 (nextIndex, matchIndex);
 * thesis 10.2.1 (pipelining).
 *
 *              acknowledgement                     rejection, unreachable
 *     probe ───────────────────▶ replicate      replicate ───────────────▶ probe
 *     probe, replicate ──(the entries it needs are compacted)──▶ snapshot
 *     snapshot ──(reported done or failed, or acknowledged past the log's start)──▶ probe
 *
 * probe: one message per round trip, because the follower's log end is a guess.
 * replicate: `next` runs ahead optimistically, bounded by the in-flight window.
 * snapshot: nothing is sent until the content has arrived by its own stream.
 */
import type { ProgressView, RaftId } from "../core/types.js";
import { CatchUp } from "./catch-up.js";
import { InflightWindow } from "./inflight-window.js";

export type ProgressState = "probe" | "replicate" | "snapshot";

export interface ProgressLimits {
  readonly inflightMessagesMax: number;
  readonly inflightBytesMax: number;
  readonly electionTicks: number;
}

export class Progress {
  readonly raftId: RaftId;
  readonly inflight: InflightWindow;
  readonly #catchUp: CatchUp;
  readonly #electionTicks: number;
  learner: boolean;
  state: ProgressState = "probe";
  match = 0;
  next: number;
  /** Index of the snapshot under way, 0 outside that state. */
  pendingSnapshot = 0;
  /** In probe: a message is out, wait for its answer or for a heartbeat's. */
  probeSent = false;
  /** Heard from since the last check-quorum round. */
  recentlyActive = false;
  /** Ticks since the last answer; Infinity before the first. */
  silentTicks = Number.POSITIVE_INFINITY;
  /**
   * An append is owed even without entries: it carries the commit index, or asks where the follower stands.
   */
  appendOwed = false;

  constructor(raftId: RaftId, next: number, learner: boolean, limits: ProgressLimits) {
    this.raftId = raftId;
    this.next = next;
    this.learner = learner;
    this.#catchUp = new CatchUp(next - 1);
    this.#electionTicks = limits.electionTicks;
    this.inflight = new InflightWindow({
      countMax: limits.inflightMessagesMax,
      bytesMax: limits.inflightBytesMax,
    });
  }

  becomeProbe(): void {
    // After a snapshot that was delivered, its index is a better guess than the old match.
    this.next = Math.max(this.match, this.pendingSnapshot) + 1;
    this.#enter("probe");
  }

  becomeReplicate(): void {
    this.next = this.match + 1;
    this.#enter("replicate");
  }

  becomeSnapshot(index: number): void {
    this.#enter("snapshot");
    this.pendingSnapshot = index;
  }

  /** The snapshot stream ended. Either way, the next message waits for a sign of life. */
  snapshotEnded(delivered: boolean): void {
    if (!delivered) this.pendingSnapshot = 0;
    this.becomeProbe();
    this.probeSent = true;
  }

  /** Any answer of the peer shows that it lives. */
  heard(): void {
    this.recentlyActive = true;
    this.silentTicks = 0;
  }

  /** A tick of the leader. @param lastIndex of its log. */
  tick(lastIndex: number): void {
    this.silentTicks += 1;
    if (this.learner) this.#catchUp.tick(lastIndex);
  }

  /** After an acknowledgement: how far a learner has come. @param lastIndex of the leader's log. */
  noteCatchUp(lastIndex: number): void {
    if (this.learner) this.#catchUp.acknowledged(this.match, lastIndex);
  }

  isPaused(): boolean {
    switch (this.state) {
      case "probe":
        return this.probeSent;
      case "replicate":
        return this.inflight.isFull();
      case "snapshot":
        return true;
    }
  }

  /** Notes that a message with `count` entries up to `lastIndex` leaves now. */
  sent(count: number, lastIndex: number, bytes: number): void {
    if (this.state === "probe") {
      this.probeSent = true;
    } else if (count > 0) {
      this.next = lastIndex + 1;
      this.inflight.add(lastIndex, bytes);
    }
  }

  /** An acknowledgement up to `index`. @returns whether it says something new. */
  acknowledge(index: number): boolean {
    const isNews = index > this.match;
    if (isNews) {
      this.match = index;
      this.probeSent = false;
    }
    this.next = Math.max(this.next, index + 1);
    return isNews;
  }

  /**
   * A refusal of the message whose preceding index was `rejected`.
   * @param hint highest index at which the logs may still agree.
   * @returns false when it is stale: about a message that something newer has overtaken.
   */
  refuse(rejected: number, hint: number): boolean {
    if (this.state === "replicate") {
      if (rejected <= this.match) return false;
      this.becomeProbe();
      return true;
    }
    if (this.next - 1 !== rejected) return false;
    this.next = Math.max(Math.min(rejected, hint + 1), this.match + 1);
    this.probeSent = false;
    return true;
  }

  view(): ProgressView {
    return {
      raftId: this.raftId,
      match: this.match,
      next: this.next,
      state: this.state,
      learner: this.learner,
      recentlyActive: this.recentlyActive,
      silentTicks: this.silentTicks,
      caughtUp: this.learner && this.state === "replicate" && this.#catchUp.isCaughtUp(this.#electionTicks),
    };
  }

  #enter(state: ProgressState): void {
    this.state = state;
    this.pendingSnapshot = 0;
    this.probeSent = false;
    this.inflight.clear();
  }
}
