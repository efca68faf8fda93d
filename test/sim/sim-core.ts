/**
 * The core as the simulator runs it: the real one with a window into its log,
 * or one with a planted bug, which proves that the checkers would notice. Pure.
 */
import { RaftCore } from "../../raft/core/raft-core.js";
import type { CoreOptions, RaftMessage } from "../../raft/core/types.js";
import { committedIndex } from "../../raft/quorum/majority.js";
import type { LogPeek } from "./sim-checker.js";

/**
 * `ack-before-sync`: the host sends and advances before its disk has synced.
 * `forget-vote`: the vote is not written, so that a restarted member votes twice in a term.
 * `commit-old-term`: entries of earlier terms are committed by counting (Raft paper, figure 8).
 * `read-without-round`: the leader answers reads at once, without proving that it still leads.
 * `vote-for-anyone`: votes are granted to candidates whose log is behind.
 */
export const PLANTED_BUGS = [
  "ack-before-sync",
  "forget-vote",
  "commit-old-term",
  "read-without-round",
  "vote-for-anyone",
] as const;

export type PlantedBug = (typeof PLANTED_BUGS)[number];

export class SimCore extends RaftCore {
  readonly #bug: PlantedBug | undefined;

  constructor(options: CoreOptions, bug: PlantedBug | undefined) {
    super(options);
    this.#bug = bug;
  }

  get peek(): LogPeek {
    return this.state.log;
  }

  override step(message: RaftMessage): void {
    super.step(this.#bug === "vote-for-anyone" ? flatterCandidate(message) : message);
    if (this.#bug === "commit-old-term" && this.state.activity === "leader") {
      const { voters, progress, log } = this.state;
      log.commitTo(committedIndex(voters, (voter) => progress.get(voter)?.match ?? 0));
    }
  }

  override readIndex(context: number): void {
    if (this.#bug === "read-without-round" && this.state.activity === "leader") {
      this.state.readStates.push({ context, index: this.state.log.commitIndex });
    } else {
      super.readIndex(context);
    }
  }
}

function flatterCandidate(message: RaftMessage): RaftMessage {
  const isAsking = message.kind === "MESSAGE_KIND_VOTE" || message.kind === "MESSAGE_KIND_PRE_VOTE";
  return isAsking ? { ...message, logTerm: Number.MAX_SAFE_INTEGER } : message;
}
