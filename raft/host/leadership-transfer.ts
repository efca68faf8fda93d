/**
 * Hands leadership over to a voter that can take it. Pure over its parts; the core does the rest.
 * Invariants: while the core transfers, nothing is proposed, so it is asked only for a voter that is close
 * behind, or has had two seconds to come close; every step is bounded, so that a member that closes does.
 * Source: thesis 3.10.
 */
import { DeadlineExceededError, FailedPreconditionError } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import type { CoreStatus, ProgressView, RaftId } from "../core/types.js";
import type { TickWaits } from "./tick-waits.js";

/** The core gives a transfer one election timeout (10 ticks); after it the old leader goes on. */
const TRANSFER_TICKS = 15;
/** A transfer takes two round trips and two syncs: who has not taken over by then may not be able to. */
const FIRST_TRANSFER_TICKS = 5;
/** A successor this close to the end of the log gets the rest within a round trip or two. */
const TRANSFER_LAG_ENTRIES = 256;
/** How long a successor that lags further is waited for while writes go on. */
const TRANSFER_CATCH_UP_TICKS = 20;
/** A peer that has not answered for longer may be dead, although its connection is up. */
const SUCCESSOR_SILENT_TICKS = 2;

export interface LeadershipTransferParts {
  readonly raftId: RaftId;
  readonly status: () => CoreStatus;
  /** Tells the core and lets it work. @throws what the core throws. */
  readonly transfer: (to: RaftId) => void;
  /** As the host has told it last; undefined: nobody, or unknown. */
  readonly leader: () => RaftId | undefined;
  readonly isReachable: (peer: RaftId) => boolean;
  readonly waits: TickWaits;
  readonly log: Logger;
}

export class LeadershipTransfer {
  readonly #parts: LeadershipTransferParts;

  constructor(parts: LeadershipTransferParts) {
    this.#parts = parts;
  }

  /** Somebody could take over. */
  get hasSuccessor(): boolean {
    return this.#successor(this.#parts.raftId) !== undefined;
  }

  /**
   * On the leader. Resolves when the member leads, or, with none named, when another one does.
   * @throws {FailedPreconditionError} no voter can be reached; {DeadlineExceededError} nobody took over; what
   * the core throws when leadership was lost meanwhile, and the node's error when it stops.
   */
  async run(named: RaftId | undefined): Promise<void> {
    if (named !== undefined) return this.#transferTo(named, { ticks: TRANSFER_TICKS, isNamed: true });
    const to = this.#successor(this.#parts.raftId);
    if (to === undefined)
      throw new FailedPreconditionError("transfer leadership: no other voter can be reached");
    const second = this.#successor(to);
    if (second === undefined) return this.#transferTo(to, { ticks: TRANSFER_TICKS, isNamed: false });
    try {
      await this.#transferTo(to, { ticks: FIRST_TRANSFER_TICKS, isNamed: false });
    } catch (error) {
      if (!(error instanceof DeadlineExceededError)) throw error;
      this.#parts.log.warn("leadership was not taken over; another is asked", { to, second });
      await this.#transferTo(second, { ticks: TRANSFER_TICKS, isNamed: false });
    }
  }

  /** @param how isNamed: nobody else will do. */
  async #transferTo(to: RaftId, how: { ticks: number; isNamed: boolean }): Promise<void> {
    const { raftId, transfer, waits } = this.#parts;
    await this.#untilClose(to);
    transfer(to);
    const hasMoved = (): boolean => {
      const leader = this.#parts.leader();
      return leader === to || (!how.isNamed && leader !== undefined && leader !== raftId);
    };
    await waits.until(hasMoved, {
      ticks: how.ticks,
      timeout: () => new DeadlineExceededError(`transfer leadership: member ${to} did not take over`),
    });
  }

  /** Nothing is accepted while a transfer runs, so a successor that lags is brought up to date before. */
  async #untilClose(to: RaftId): Promise<void> {
    const isClose = (): boolean => {
      const { progress, lastIndex } = this.#parts.status();
      const peer = progress.find(({ raftId }) => raftId === to);
      return peer === undefined || peer.match + TRANSFER_LAG_ENTRIES >= lastIndex;
    };
    // The core tries all the same, for as long as it has.
    await this.#parts.waits.until(isClose, { ticks: TRANSFER_CATCH_UP_TICKS, timeout: () => undefined });
  }

  /** The reachable voter, other than `except`, with most of the log, rather one that has just answered. */
  #successor(except: RaftId): RaftId | undefined {
    const { raftId: self, status, isReachable } = this.#parts;
    const isSilent = (peer: ProgressView): number => Number(peer.silentTicks > SUCCESSOR_SILENT_TICKS);
    return status()
      .progress.filter(
        ({ learner, raftId }) => !learner && raftId !== self && raftId !== except && isReachable(raftId),
      )
      .sort((a, b) => isSilent(a) - isSilent(b) || b.match - a.match || a.raftId - b.raftId)[0]?.raftId;
  }
}
