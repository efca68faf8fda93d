/**
 * Adding, promoting and removing members: one change at a time, each waited for until it is applied here.
 * Pure over its components. Invariant: a removal that would leave no working quorum is refused unless forced.
 * Source: thesis 4.1-4.3.
 */
import {
  codeOf,
  FailedPreconditionError,
  InvalidArgumentError,
  NotFoundError,
  type NotLeaderError,
  ResourceExhaustedError,
  UnavailableError,
} from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import type { Random } from "../../base/random/random.js";
import { ConfChangeKind } from "../../proto/gen/skein/v1/raft.js";
import type { CoreStatus, Membership, RaftId, RaftMember } from "../core/types.js";
import { quorumSize } from "../quorum/majority.js";
import { newRaftId } from "./member-identity.js";
import type { RaftNode } from "./raft-node.js";

/** Ticks to wait for somebody else's change, or for the new leader's first commit, before giving up. */
const RETRY_TICKS_MAX = 50;
/** A learner that has not answered for longer is not made a voter: the others would have to wait for it. */
const LEARNER_SILENT_TICKS = 3;
/**
 * Learners at a time. Each costs the leader a copy of the log or a snapshot, and every one that never comes
 * up stays in the membership; three let a cluster grow from one manager to four at once, and from three to
 * six.
 */
const LEARNERS_MAX = 3;
/** After which a learner of an average cluster has caught up. */
const JOIN_RETRY_MS = 2_000;

export interface MembershipChangesComponents {
  readonly status: () => CoreStatus;
  /** Cheaper than `status`: asked at every Ready. */
  readonly isLeader: () => boolean;
  readonly membership: () => Membership;
  /**
   * Proposes and waits for the apply.
   * @throws what the core throws; {NotLeaderError} when leadership is lost.
   */
  readonly change: (kind: ConfChangeKind, member: RaftMember) => Promise<void>;
  readonly isReachable: (peer: RaftId) => boolean;
  readonly transferAway: () => Promise<void>;
  readonly notLeader: () => NotLeaderError;
  /** Resolves at the next tick. @throws when the node stops. */
  readonly nextTick: () => Promise<void>;
  readonly random: Random;
  readonly log: Logger;
}

export class MembershipChanges {
  readonly #components: MembershipChangesComponents;
  /** The end of the line: changes run one after the other. */
  #last: Promise<unknown> = Promise.resolve();
  #promoting = false;
  #correcting = false;
  /** Where members say that they are reached. Bounded by the members that ever spoke to this process. */
  readonly #addresses = new Map<RaftId, string>();

  constructor(components: MembershipChangesComponents) {
    this.#components = components;
  }

  add(member: { nodeId: string; address: string }): ReturnType<RaftNode["addMember"]> {
    if (member.nodeId === "" || member.address === "") {
      return Promise.reject(new InvalidArgumentError("add member: node id and address must not be empty"));
    }
    return this.#inLine(() => this.#add(member));
  }

  remove(raftId: RaftId, options: { force?: boolean }): Promise<void> {
    return this.#inLine(() => this.#remove(raftId, options.force ?? false));
  }

  /** Leader: makes a voter of a learner that has caught up. Cheap when there is none. */
  promoteCaughtUp(): void {
    if (this.#promoting || !this.#components.isLeader()) return;
    if (!this.#components.membership().members.some((member) => member.learner)) return;
    const status = this.#components.status();
    const caughtUp = status.progress.find(
      (peer) => peer.caughtUp && peer.match > 0 && peer.silentTicks <= LEARNER_SILENT_TICKS,
    );
    const member = status.membership.members.find((each) => each.raftId === caughtUp?.raftId);
    if (member === undefined) return;
    this.#promoting = true;
    const { raftId } = member;
    const unsuccessful = "promotion of a learner did not succeed yet";
    void this.#attempt(() => this.#promote(raftId), { raftId, unsuccessful }).finally(() => {
      this.#promoting = false;
    });
  }

  /** Where a member, or this one, says that it is reached. */
  noteAddress(raftId: RaftId, address: string): void {
    if (address !== "") this.#addresses.set(raftId, address);
  }

  /** Leader: writes into the membership where members are reached now. Cheap when all is right. */
  correctAddresses(): void {
    if (this.#correcting || this.#addresses.size === 0) return;
    if (!this.#components.isLeader()) return;
    const moved = this.#components.membership().members.find(({ raftId, address }) => {
      const told = this.#addresses.get(raftId);
      return told !== undefined && told !== address;
    });
    if (moved === undefined) return;
    this.#correcting = true;
    const { raftId } = moved;
    const unsuccessful = "the new address of a manager is not agreed on yet";
    void this.#attempt(() => this.#correct(raftId), { raftId, unsuccessful }).finally(() => {
      this.#correcting = false;
    });
  }

  /** A change that nobody asked for. When it fails it is over at the next tick: each Ready would begin anew. */
  async #attempt(
    change: () => Promise<void>,
    { raftId, unsuccessful }: { raftId: RaftId; unsuccessful: string },
  ): Promise<void> {
    const { log, nextTick } = this.#components;
    try {
      await this.#inLine(change);
    } catch (error) {
      log.info(unsuccessful, { raftId, code: codeOf(error) });
      await nextTick().then(undefined, () => undefined); // the member stops: it has nothing to begin any more
    }
  }

  async #correct(raftId: RaftId): Promise<void> {
    const member = this.#member(raftId);
    const address = this.#addresses.get(raftId);
    if (member === undefined || address === undefined || member.address === address) return;
    await this.#components.change(ConfChangeKind.UPDATE_ADDRESS, { ...member, address });
    this.#components.log.info("a manager has another address", { nodeId: member.nodeId, raftId, address });
  }

  async #promote(raftId: RaftId): Promise<void> {
    const member = this.#member(raftId);
    if (member?.learner !== true) return;
    await this.#components.change(ConfChangeKind.PROMOTE, member);
    this.#components.log.info("learner caught up and became a voter", { raftId, nodeId: member.nodeId });
  }

  async #add(wanted: { nodeId: string; address: string }): ReturnType<RaftNode["addMember"]> {
    await this.#untilSettled();
    const held = this.#components.status().membership.members.find((each) => each.nodeId === wanted.nodeId);
    // Who asks to join begins with an empty log. A member that has acknowledged entries must not come back
    // without them under its old id: the majority that holds a committed entry would lose one of its own
    // (thesis 4.2, and 3.8 on stable storage).
    const isForgetful = held !== undefined && this.#hasAcknowledged(held);
    if (isForgetful) await this.#remove(held.raftId, false);
    const present = isForgetful ? undefined : held;
    const raftId = present?.raftId ?? newRaftId(this.#components.random);
    if (present === undefined) {
      this.#assertRoomForLearner(wanted.nodeId);
      await this.#changeWhenPossible(ConfChangeKind.ADD_LEARNER, { ...wanted, raftId, learner: true });
    } else if (present.address !== wanted.address) {
      this.noteAddress(raftId, wanted.address);
      await this.#changeWhenPossible(ConfChangeKind.UPDATE_ADDRESS, { ...present, address: wanted.address });
    }
    const { members, removed } = this.#components.status().membership;
    return { raftId, members, removed };
  }

  async #remove(raftId: RaftId, force: boolean): Promise<void> {
    this.#assertLeader();
    const { id, membership } = this.#components.status();
    if (membership.removed.includes(raftId)) return;
    const member = this.#member(raftId);
    if (member === undefined) throw new NotFoundError(`remove member: there is no member ${raftId}`);
    const rest = membership.members.filter((each) => !each.learner && each.raftId !== raftId);
    if (rest.length === 0) throw new FailedPreconditionError(`remove member: ${raftId} is the last voter`);
    const reachable = rest.filter(
      (each) => each.raftId === id || this.#components.isReachable(each.raftId),
    ).length;
    const quorum = quorumSize(rest.length);
    if (!member.learner && !force && reachable < quorum) {
      throw new FailedPreconditionError(
        `remove member ${raftId}: of the ${rest.length} voters that remain ${reachable} can be reached, ` +
          `${quorum} are needed`,
      );
    }
    if (raftId === id) {
      // A leader that removes itself leaves its cluster waiting for an election: the next leader does it.
      await this.#components.transferAway();
      throw this.#components.notLeader();
    }
    await this.#changeWhenPossible(ConfChangeKind.REMOVE, member);
  }

  /**
   * A new leader may not know yet that its predecessor promoted a learner or removed a member: who asks to
   * join is judged by the membership in force, which it knows when an entry of its own term is applied.
   */
  async #untilSettled(): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      this.#assertLeader();
      if (this.#components.status().isSettled) return;
      if (attempt >= RETRY_TICKS_MAX) {
        throw new UnavailableError("add member: the new leader has committed nothing yet");
      }
      await this.#components.nextTick();
    }
  }

  /** @throws {ResourceExhaustedError} naming those that are not ready. */
  #assertRoomForLearner(nodeId: string): void {
    const { membership, progress, lastIndex } = this.#components.status();
    const learners = membership.members.filter(({ learner }) => learner);
    if (learners.length < LEARNERS_MAX) return;
    const named = learners.map((learner) => {
      const match = progress.find(({ raftId }) => raftId === learner.raftId)?.match ?? 0;
      return `${learner.nodeId} at ${learner.address} (has ${match} of ${lastIndex} entries)`;
    });
    throw new ResourceExhaustedError(
      `add member ${nodeId}: ${learners.length} managers have joined and not caught up yet, ` +
        `and at most ${LEARNERS_MAX} may: ${named.join("; ")}. ` +
        "Wait until they have, or demote or remove the ones that never will",
      { retryAfterMs: JOIN_RETRY_MS },
    );
  }

  /** Waits out what only time cures: a change under way, or a leader that has committed nothing yet. */
  async #changeWhenPossible(kind: ConfChangeKind, member: RaftMember): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      try {
        await this.#components.change(kind, member);
        return;
      } catch (error) {
        if (!(error instanceof FailedPreconditionError) || attempt >= RETRY_TICKS_MAX) throw error;
      }
      await this.#components.nextTick();
    }
  }

  /**
   * A voter has: it became one by holding the log.
   * A learner this leader has not heard of yet is sent everything from the start.
   */
  #hasAcknowledged({ raftId, learner }: RaftMember): boolean {
    const progress = this.#components.status().progress.find((peer) => peer.raftId === raftId);
    return !learner || (progress?.match ?? 0) > 0;
  }

  #member(raftId: RaftId): RaftMember | undefined {
    return this.#components.status().membership.members.find((each) => each.raftId === raftId);
  }

  #assertLeader(): void {
    if (this.#components.status().role !== "leader") throw this.#components.notLeader();
  }

  #inLine<T>(work: () => Promise<T>): Promise<T> {
    const run = this.#last.then(work);
    this.#last = run.then(
      () => undefined,
      () => undefined, // its caller hears of it; the next in line does not care
    );
    return run;
  }
}
