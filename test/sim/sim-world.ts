/**
 * A simulated cluster from one seed: members, network, checkers, and the answer whether it came back to
 * health. Pure. Invariant: a seed, its options and its schedule decide everything that happens.
 */
import type { Random } from "../../base/random/random.js";
import { SeededRandom } from "../../base/random/seeded-random.js";
import type { RaftId } from "../../raft/core/types.js";
import { EventQueue } from "./event-queue.js";
import type { PlantedBug } from "./sim-bugs.js";
import { type LeaderPeek, SimChecker } from "./sim-checker.js";
import type { MemberWorld, Newcomer, SimMember } from "./sim-member.js";
import { SimNetwork } from "./sim-network.js";
import { type MemberTuning, pick, type SimProfile } from "./sim-profiles.js";
import { encodeCommand } from "./sim-registers.js";
import { SimTrace } from "./sim-trace.js";

/** How members are made: of the core alone, or of the whole host. */
export interface Foundry {
  /** Members of a cluster that begins. */
  found(world: SimWorld, count: number): readonly SimMember[];
  join(world: SimWorld, newcomer: Newcomer): SimMember;
  /** Whether links keep the order of messages: the contract of the real transport. */
  readonly isStreaming: boolean;
  /** Lets everything run that needs no time to pass; absent: nothing ever waits for a turn. */
  readonly turn?: () => Promise<void>;
}

export interface WorldOptions {
  readonly seed: number;
  readonly profile: SimProfile;
  readonly foundry: Foundry;
  readonly bug: PlantedBug | undefined;
  readonly print: ((line: string) => void) | undefined;
}

/** The healed cluster did not come to agree in time. */
export class LivenessViolation extends Error {
  constructor(facts: string) {
    super(`liveness: ${facts}`);
    this.name = "LivenessViolation";
  }
}

/** A removed member lingers that long, to see whether it disturbs the others. */
const LINGER_MAX_MS = 3_000;
const TEND_MS = 500;
const JOIN_AGAIN_MS = 700;
const MEMBERS_MAX = 7;

export class SimWorld implements MemberWorld {
  readonly queue = new EventQueue();
  readonly trace: SimTrace;
  readonly network: SimNetwork;
  readonly checker = new SimChecker();
  readonly members: SimMember[] = [];
  readonly tuning: MemberTuning;
  readonly profile: SimProfile;
  readonly bug: PlantedBug | undefined;
  readonly random: Random;
  readonly #foundry: Foundry;
  readonly #restarts: Random;
  readonly #retired = new Set<SimMember>();
  #failure: { readonly error: unknown } | undefined;
  #nextSlot = 1;
  #nextOperation = 1;
  /** Faults may still come. */
  isStormy = true;

  constructor({ seed, profile, foundry, bug, print }: WorldOptions) {
    this.random = new SeededRandom(`raft-sim-${seed}`);
    this.bug = bug;
    this.profile = profile;
    this.trace = new SimTrace(this.queue, print);
    const network = this.random.child("network");
    this.network = new SimNetwork({ queue: this.queue, random: network, trace: this.trace });
    this.network.isStreaming = foundry.isStreaming;
    this.network.quality = pick(this.random, profile.qualities);
    this.tuning = profile.tuning(this.random.child("tuning"));
    this.#restarts = this.random.child("restarts");
    this.#foundry = foundry;
    const count = pick(this.random, profile.sizes);
    this.#nextSlot = count + 1;
    this.members.push(...foundry.found(this, count));
    for (const member of this.members) member.start();
    this.#tend();
  }

  /** Runs for a span of simulated time, or until `done`. @returns whether `done` came true. */
  async run(spanMs: number, done: () => boolean = () => false): Promise<boolean> {
    const endMs = this.queue.now + spanMs;
    const { turn } = this.#foundry;
    if (turn !== undefined) await turn();
    while (!done()) {
      const ran = this.queue.runNext(endMs);
      if (turn !== undefined) await turn();
      if (this.#failure !== undefined) throw this.#failure.error;
      if (!ran) return false;
    }
    return true;
  }

  fail(error: unknown): void {
    this.#failure ??= { error };
  }

  note(id: RaftId, text: string, ...facts: number[]): void {
    this.trace.note([id, ...facts], () => `member ${id} ${text}`);
  }

  leaders(): readonly LeaderPeek[] {
    const peeks: LeaderPeek[] = [];
    for (const { core } of this.members) {
      if (core?.isLeader !== true) continue;
      const { id, term, log } = core.inside;
      peeks.push({ id, term, log });
    }
    return peeks;
  }

  /** The leader of the highest term that runs. */
  leader(): SimMember | undefined {
    let best: SimMember | undefined;
    let bestTerm = 0;
    for (const member of this.members) {
      const { core } = member;
      if (core?.isLeader !== true || core.inside.term <= bestTerm) continue;
      best = member;
      bestTerm = core.inside.term;
    }
    return best;
  }

  upMembers(): SimMember[] {
    return this.members.filter((member) => member.isUp);
  }

  memberOf(id: RaftId): SimMember | undefined {
    return this.members.findLast((member) => member.id === id);
  }

  removedSelf(member: SimMember): void {
    if (this.#retired.has(member)) return;
    this.#retired.add(member);
    this.queue.after(this.random.float() * LINGER_MAX_MS, () => member.crash("process-death"));
  }

  isRetired(member: SimMember): boolean {
    return this.#retired.has(member);
  }

  crashed(member: SimMember): void {
    if (member.id !== 0) this.hintConnectionLost(member.id);
    this.restartLater(member, 50 + this.#restarts.float() * 2_000);
  }

  restartLater(member: SimMember, delayMs: number): void {
    this.queue.after(delayMs, () => {
      if (!member.isUp && !this.isRetired(member)) member.start();
    });
  }

  /** A blank machine for a member to be; undefined when the cluster is large enough. */
  nextSlot(): number | undefined {
    const size = this.leader()?.core?.inside.membership.members.length ?? 0;
    return size >= MEMBERS_MAX ? undefined : this.#nextSlot++;
  }

  begin(newcomer: Newcomer): void {
    if (this.memberOf(newcomer.id) !== undefined) return; // it asked twice, and was answered twice
    if (newcomer.told !== undefined) this.checker.toldNow(newcomer.id);
    const member = this.#foundry.join(this, newcomer);
    this.members.push(member);
    member.start();
  }

  joinFailed(slot: number): void {
    this.queue.after(JOIN_AGAIN_MS, () => {
      if (this.isStormy) this.leader()?.admit({ slot });
    });
  }

  nextOperation(): number {
    return this.#nextOperation++;
  }

  /** A connection broke: whoever still lives may hear of it, a little later. */
  hintConnectionLost(lost: RaftId): void {
    for (const member of this.upMembers()) {
      if (member.id === lost || this.#restarts.float() < 0.2) continue;
      this.queue.after(this.#restarts.float() * 20, () => member.connectionLost(lost));
    }
  }

  /**
   * Ends all faults and waits until every member holds the same history.
   * @throws {LivenessViolation} when that takes longer than `boundMs`.
   */
  async healAndAgree(boundMs: number): Promise<number> {
    const healedMs = this.queue.now;
    this.isStormy = false;
    for (const member of this.members) {
      member.fillDisk(false);
      member.slowDisk(1);
      member.resume();
      if (!member.isUp && !this.isRetired(member)) member.start();
    }
    this.trace.note([9], () => "heals");
    if (!(await this.run(boundMs, () => this.#agrees())))
      throw new LivenessViolation(this.#describe(boundMs));
    this.checker.finish(this.leader()?.applied ?? 0);
    return this.queue.now - healedMs;
  }

  /** A write of after the healing is applied by every member of the leader's own membership. */
  #agrees(): boolean {
    const leader = this.leader();
    const inside = leader?.core?.inside;
    if (leader === undefined || inside === undefined) return false;
    if (leader.applied !== inside.log.lastIndex || !this.#finalWrite(leader)) return false;
    return inside.membership.members.every(({ raftId, learner }) => {
      const member = this.memberOf(raftId);
      if (member === undefined && learner) return true; // it joined, but never heard of it
      const isEqual = member?.isUp && member.applied === leader.applied;
      return isEqual && member.state.digest === leader.state.digest;
    });
  }

  #finalOperation: number | undefined;
  #finalAskedMs = 0;

  #finalWrite(leader: SimMember): boolean {
    if (this.#finalOperation !== undefined && this.checker.lastAcknowledged === this.#finalOperation)
      return true;
    if (this.#finalOperation !== undefined && this.queue.now < this.#finalAskedMs + 200) return false;
    const operation = this.nextOperation();
    this.#finalOperation = operation;
    this.#finalAskedMs = this.queue.now;
    leader.propose(operation, encodeCommand({ operation, kind: "filler" }), (how) => {
      if (how.kind === "applied") this.checker.acknowledge(operation, how.index);
    });
    return false;
  }

  #describe(boundMs: number): string {
    const lines = this.members.map((member) => {
      if (member.core === undefined) return `${member.slot} is down`;
      const { role, term, leader, commitIndex, appliedIndex, lastIndex } = member.core.status();
      return (
        `${member.id} ${role} term=${term} leader=${leader} commit=${commitIndex} ` +
        `applied=${appliedIndex} last=${lastIndex}`
      );
    });
    return `no agreement ${boundMs} ms after healing: ${lines.join("; ")}`;
  }

  #tend(): void {
    this.queue.after(TEND_MS, () => {
      this.leader()?.tend();
      this.#tend();
    });
  }
}
