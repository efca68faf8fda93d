/**
 * Reads by lease: a leader to whom a majority has promised not to vote for anybody else for a while answers
 * reads without asking again. Pure: what time it is, is handed in. Off unless CoreOptions.leaseReads is set.
 *
 *   leader:    HEARTBEAT carries the leader's own time (`lease`) ──▶ follower: until E ticks after it has
 *   the lease lasts 3/4 E from that time, once a ◀── the time, echoed ──  handled it, it neither votes nor
 *   majority of the voters has echoed it             is the promise       campaigns, whatever else it hears
 *
 * Invariant: while the lease lasts nobody can win an election without the leader's own order (a transfer):
 * a candidate needs a vote from the majority that promised. Neighbouring configurations share a voter in each
 * two majorities, so a change of membership that is under way does not break this.
 * Source: thesis 6.4.1 (leases), 4.2.3 (votes withheld); what follows is our own reasoning, see ADR 0012.
 *
 * - The promise belongs to the member, not to a term or a leader that it knows: a message of a higher term
 *   that makes it forget its leader does not free its vote, and neither does a broken connection
 *   (election-hint.ts).
 * - A restarted member has forgotten its promises: it holds its vote for E ticks from the start.
 * - Both sides measure by clocks that go on while a process stands still, never by counting ticks: the leader
 *   that was stopped finds its lease over, and an event loop that was busy gives no short promise.
 * - 3/4 lets the clocks differ in rate by a third, e.g. each by 14 % in opposite directions.
 * - Once a transfer begins there is no lease for the rest of the term: TIMEOUT_NOW may be late, but never
 *   lost for sure, and the votes that follow it are given in spite of promises (thesis 3.10, 6.4.1).
 */
import { voteResult } from "../quorum/majority.js";
import type { CoreState } from "./core-state.js";
import type { LeaseReads, RaftId } from "./types.js";

/** Part of an election timeout that a lease lasts. */
export const LEASE_SHARE = 0.75;
/** The leader's time travels in thousandths of a tick, plus one, because 0 means "no lease". */
const PER_TICK = 1_000;

export interface LeaseState {
  readonly options: LeaseReads;
  /** By `elapsedTicks`: no vote before. */
  holdUntil: number;
  /** Leader: by `elapsedTicksMax`, until when it may count on each of those who promised. */
  readonly promisedUntil: Map<RaftId, number>;
  /** Leader: somebody was, or will be, told to campaign in this term. */
  forfeited: boolean;
}

export function createLease(options: LeaseReads | undefined, electionTicks: number): LeaseState | undefined {
  if (options === undefined) return undefined;
  const holdUntil = options.elapsedTicks() + electionTicks;
  return { options, holdUntil, promisedUntil: new Map(), forfeited: false };
}

/** A new office: nobody has promised this leader anything. */
export function beginLease({ lease }: CoreState): void {
  if (lease === undefined) return;
  lease.promisedUntil.clear();
  lease.forfeited = lease.options.retiring === true;
}

/** What a heartbeat carries. */
export function leaseStamp(state: CoreState): number {
  const { lease } = state;
  return lease === undefined || lease.forfeited ? 0 : Math.floor(leaderTime(lease) * PER_TICK) + 1;
}

/** A heartbeat of our leader. @returns what the answer carries: the promise, or 0. */
export function promiseTo(state: CoreState, stamp: number): number {
  const { lease } = state;
  if (lease === undefined || stamp === 0 || lease.options.retiring === true) return 0;
  lease.holdUntil = Math.max(lease.holdUntil, lease.options.elapsedTicks() + state.limits.electionTicks);
  return stamp;
}

/** A follower's answer. Old ones and doubles only repeat what is known. */
export function notePromise(state: CoreState, from: RaftId, stamp: number): void {
  const { lease } = state;
  if (lease === undefined || stamp === 0) return;
  const sentAt = (stamp - 1) / PER_TICK;
  if (sentAt > leaderTime(lease)) return; // we never sent that
  const until = sentAt + state.limits.electionTicks * LEASE_SHARE;
  lease.promisedUntil.set(from, Math.max(until, lease.promisedUntil.get(from) ?? 0));
}

/** Has promised its vote to nobody, until a time that has not come. */
export function holdsVote({ lease }: CoreState): boolean {
  return lease !== undefined && lease.options.elapsedTicks() < lease.holdUntil;
}

/** The leader may answer reads by itself now. */
export function hasLease(state: CoreState): boolean {
  const { lease } = state;
  if (lease === undefined || lease.forfeited || state.activity !== "leader") return false;
  const now = leaderTime(lease);
  const counts = (voter: RaftId): boolean =>
    voter === state.id || (lease.promisedUntil.get(voter) ?? 0) > now;
  return voteResult(state.voters, (voter) => counts(voter) || undefined) === "won";
}

/** For the rest of the term. */
export function forfeitLease({ lease }: CoreState): void {
  if (lease !== undefined) lease.forfeited = true;
}

function leaderTime({ options }: LeaseState): number {
  return (options.elapsedTicksMax ?? options.elapsedTicks)();
}
