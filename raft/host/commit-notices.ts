/**
 * Holds back the messages that tell a follower no more than a new commit index: the next entries carry
 * it, too.
 * Pure over the transport and the clock.
 *
 * Without this every write of a lone client costs a second round of messages, and the leader makes them
 * before it answers. A follower learns of a commit a few milliseconds later only when no other write
 * follows.
 * Invariant: delays, replaces and drops nothing but empty appends, as a network may; at most one is held
 * per peer, and none longer than HOLD_MS.
 * Source: Raft paper 5.3 (the leader includes its commit index in later appends).
 */
import type { Clock, Timer } from "../../base/clock/clock.js";
import { MessageKind } from "../core/message.js";
import type { RaftId, RaftMessage } from "../core/types.js";
import type { RaftTransport } from "../transport/transport.js";

/**
 * Longer than a lone client takes from an answer to its next write; short for agents that wait for a
 * follower.
 */
const HOLD_MS = 2;

export class CommitNotices {
  readonly #transport: Pick<RaftTransport, "send">;
  readonly #clock: Clock;
  readonly #held = new Map<RaftId, RaftMessage>();
  #timer: Timer | undefined;
  #stopped = false;

  constructor(options: { transport: Pick<RaftTransport, "send">; clock: Clock }) {
    this.#transport = options.transport;
    this.#clock = options.clock;
  }

  /** Sends messages of a Ready, but for those that can wait. */
  send(messages: readonly RaftMessage[]): void {
    if (messages.length === 0) return;
    const now: RaftMessage[] = [];
    for (const message of messages) {
      if (message.kind !== MessageKind.APPEND) now.push(message);
      else if (message.entries.length === 0) this.#held.set(message.to, message);
      else {
        now.push(message);
        const held = this.#held.get(message.to);
        if (held !== undefined && message.commit >= held.commit) this.#held.delete(message.to);
      }
    }
    if (now.length > 0) this.#transport.send(now);
    if (this.#held.size > 0 && !this.#stopped)
      this.#timer ??= this.#clock.setTimer(HOLD_MS, () => this.#release());
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#held.clear();
  }

  #release(): void {
    this.#timer = undefined;
    if (this.#held.size === 0) return;
    const held = [...this.#held.values()];
    this.#held.clear();
    this.#transport.send(held);
  }
}
