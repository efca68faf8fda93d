/**
 * A simulated cluster from one seed: members, network, clients,
 * and the answer whether it came back to health.
 * Pure. Invariant: a seed and its options decide everything that happens.
 */
import type { Random } from "../../base/random/random.js";
import { SeededRandom } from "../../base/random/seeded-random.js";
import { ConfChangeKind } from "../../proto/gen/skein/v1/raft.js";
import type { ConfChange, RaftId, RaftMember } from "../../raft/core/types.js";
import { encodeConfChange } from "../../raft/log/conf-change-codec.js";
import { EntryKind, makeEntry } from "../../raft/log/make-entry.js";
import { MemoryLog } from "../../raft/storage/memory-log.js";
import { EventQueue } from "./event-queue.js";
import { encodeOperation, type LeaderPeek, SimChecker } from "./sim-checker.js";
import type { PlantedBug } from "./sim-core.js";
import { SimDisk } from "./sim-disk.js";
import { SimNetwork } from "./sim-network.js";
import { type NodeTuning, type NodeWorld, SimNode } from "./sim-node.js";
import { SimTrace } from "./sim-trace.js";

/**
 * `mixed`: everything that can go wrong, drawn by the seed. `leader-hunt`:
 * five members on a slow network, one entry per message, and every leader struck down soon, which makes the
 * logs of Raft paper figure 8. `restart-storm`: members with slow disks restart again and again, so that
 * crashes meet unsynced votes and entries.
 */
export const SIM_PROFILES = ["mixed", "leader-hunt", "restart-storm"] as const;

export type SimProfile = (typeof SIM_PROFILES)[number];

export interface WorldOptions {
  readonly seed: number;
  readonly bug?: PlantedBug | undefined;
  readonly profile?: SimProfile | undefined;
  readonly print?: ((line: string) => void) | undefined;
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

export class SimWorld implements NodeWorld {
  readonly queue = new EventQueue();
  readonly trace: SimTrace;
  readonly network: SimNetwork;
  readonly checker = new SimChecker();
  readonly nodes = new Map<RaftId, SimNode>();
  readonly tuning: NodeTuning;
  readonly bug: PlantedBug | undefined;
  readonly random: Random;
  readonly #retired = new Set<RaftId>();
  #nextId = 1;
  #nextOperation = 1;
  #nextRead = 1;
  #clientsRun = true;

  constructor(options: WorldOptions) {
    this.random = new SeededRandom(`raft-sim-${options.seed}`);
    this.bug = options.bug;
    this.trace = new SimTrace(this.queue, options.print);
    const network = this.random.child("network");
    this.network = new SimNetwork({ queue: this.queue, random: network, trace: this.trace });
    this.tuning = tuningOf(options.profile, this.random.child("tuning"));
    this.#found(options.profile === "leader-hunt" ? 5 : pick(this.random, [1, 3, 3, 3, 5, 5]));
    this.#clientLoop(this.random.child("clients"));
    this.#hostLoop();
  }

  /** Runs for a span of simulated time, or until `done`. @returns whether `done` came true. */
  run(spanMs: number, done: () => boolean = () => false): boolean {
    const endMs = this.queue.now + spanMs;
    while (!done()) if (!this.queue.runNext(endMs)) return false;
    return true;
  }

  leaders(): readonly LeaderPeek[] {
    const peeks: LeaderPeek[] = [];
    for (const node of this.nodes.values()) {
      const status = node.core?.status();
      if (node.core !== undefined && status?.role === "leader") {
        peeks.push({ id: node.id, term: status.term, log: node.core.peek });
      }
    }
    return peeks;
  }

  removedSelf(id: RaftId): void {
    if (this.#retired.has(id)) return;
    this.#retired.add(id);
    this.queue.after(this.random.float() * LINGER_MAX_MS, () => this.nodes.get(id)?.crash());
  }

  isRetired(id: RaftId): boolean {
    return this.#retired.has(id);
  }

  /** The leader of the highest term that runs. */
  leader(): SimNode | undefined {
    const best = this.leaders().reduce<LeaderPeek | undefined>(
      (high, peek) => (high === undefined || peek.term > high.term ? peek : high),
      undefined,
    );
    return best === undefined ? undefined : this.nodes.get(best.id);
  }

  upNodes(): SimNode[] {
    return [...this.nodes.values()].filter((node) => node.isUp);
  }

  /** Adds a blank learner. The host promotes it when it has caught up. */
  addLearner(): void {
    const leader = this.leader();
    if (leader === undefined) return;
    const id = this.#nextId;
    if (leader.proposeConfChange(changeOf(ConfChangeKind.ADD_LEARNER, memberOf(id)))) {
      this.#nextId += 1;
      this.#startNode(id, new SimDisk());
    }
  }

  /** Removes a member, be it the leader itself; down to a single voter. */
  removeMember(): void {
    const leader = this.leader();
    const members = leader?.core?.status().membership.members ?? [];
    const voters = members.filter((member) => !member.learner);
    const victims = members.filter((member) => member.learner || voters.length > 1);
    if (leader === undefined || victims.length === 0) return;
    leader.proposeConfChange(changeOf(ConfChangeKind.REMOVE, pick(this.random, victims)));
  }

  updateAddress(): void {
    const leader = this.leader();
    const members = leader?.core?.status().membership.members ?? [];
    if (leader === undefined || members.length === 0) return;
    const member = { ...pick(this.random, members), address: `10.1.0.${this.random.int(1, 255)}:4242` };
    leader.proposeConfChange(changeOf(ConfChangeKind.UPDATE_ADDRESS, member));
  }

  /** A connection broke: whoever still lives may hear of it, a little later. */
  hintConnectionLost(lost: RaftId): void {
    for (const node of this.upNodes()) {
      if (node.id === lost || this.random.float() < 0.2) continue;
      this.queue.after(this.random.float() * 20, () => node.connectionLost(lost));
    }
  }

  /**
   * Ends all faults and waits until every member holds the same history.
   * @throws {LivenessViolation} when that takes longer than `boundMs`.
   */
  healAndAgree(boundMs: number): number {
    const healedMs = this.queue.now;
    this.#clientsRun = false;
    for (const node of this.nodes.values()) {
      node.resume();
      if (!node.isUp && !this.isRetired(node.id)) node.start();
    }
    this.trace.note([9], () => "heals");
    if (!this.run(boundMs, () => this.#agrees())) throw new LivenessViolation(this.#describe(boundMs));
    this.checker.finish(this.leader()?.applied ?? 0);
    return this.queue.now - healedMs;
  }

  /** A write of after the healing is applied by every member of the leader's own membership. */
  #agrees(): boolean {
    const leader = this.leader();
    const status = leader?.core?.status();
    if (leader === undefined || status === undefined) return false;
    if (leader.applied !== status.lastIndex || !this.#finalWrite(leader)) return false;
    return status.membership.members.every(({ raftId }) => {
      const node = this.nodes.get(raftId);
      return node?.isUp && node.applied === leader.applied && node.digest === leader.digest;
    });
  }

  #finalOperation: number | undefined;

  #finalWrite(leader: SimNode): boolean {
    const operation = this.#finalOperation;
    if (operation !== undefined && this.checker.acknowledged.at(-1)?.operation === operation) return true;
    const next = this.#nextOperation;
    if (leader.propose(next, encodeOperation(next, 0))) {
      this.#nextOperation += 1;
      this.#finalOperation = next;
    }
    return false;
  }

  #describe(boundMs: number): string {
    const lines = [...this.nodes.values()].map((node) => {
      const status = node.core?.status();
      if (status === undefined) return `${node.id} is down`;
      const { role, term, leader, commitIndex, appliedIndex, lastIndex } = status;
      return (
        `${node.id} ${role} term=${term} leader=${leader} commit=${commitIndex} ` +
        `applied=${appliedIndex} last=${lastIndex}`
      );
    });
    return `no agreement ${boundMs} ms after healing: ${lines.join("; ")}`;
  }

  /**
   * The founders' logs begin with the entries that make them members, as at the founding of a real cluster.
   */
  #found(count: number): void {
    const entries = [];
    for (let id = 1; id <= count; id++) {
      const change = changeOf(ConfChangeKind.ADD_VOTER, memberOf(id));
      entries.push(makeEntry({ term: 1, index: id }, encodeConfChange(change), EntryKind.CONF_CHANGE));
    }
    for (let id = 1; id <= count; id++) {
      const log = new MemoryLog();
      log.append(entries);
      log.setHardState({ term: 1, vote: 0, commit: count });
      this.#startNode(id, new SimDisk(log));
    }
    this.#nextId = count + 1;
  }

  #startNode(id: RaftId, disk: SimDisk): void {
    const node = new SimNode(id, disk, this, this.random.child(`node-${id}`));
    this.nodes.set(id, node);
    node.start();
  }

  /** Writes to whoever leads, or believes so, and reads from anybody. */
  #clientLoop(random: Random): void {
    this.queue.after(5 + random.float() * 50, () => {
      if (!this.#clientsRun) return;
      const believers = this.leaders();
      const target = believers.length > 0 ? this.nodes.get(pick(random, believers).id) : undefined;
      for (let left = random.int(1, 4); left > 0; left--) {
        const operation = this.#nextOperation++;
        target?.propose(operation, encodeOperation(operation, random.int(0, 100)));
      }
      const up = this.upNodes();
      if (up.length > 0) pick(random, up).read(this.#nextRead++);
      this.#clientLoop(random);
    });
  }

  /** The policy of the real host: a learner that has caught up becomes a voter. */
  #hostLoop(): void {
    this.queue.after(500, () => {
      const leader = this.leader();
      const status = leader?.core?.status();
      const ready = status?.progress.find((peer) => peer.learner && peer.match + 20 >= status.commitIndex);
      const member = status?.membership.members.find((other) => other.raftId === ready?.raftId);
      if (member !== undefined && ready?.recentlyActive) {
        leader?.proposeConfChange(changeOf(ConfChangeKind.PROMOTE, member));
      }
      this.#hostLoop();
    });
  }
}

export function pick<T>(random: Random, from: readonly T[]): T {
  const chosen = from[random.int(0, from.length)];
  if (chosen === undefined) throw new Error("nothing to pick from");
  return chosen;
}

function memberOf(id: RaftId): RaftMember {
  return { raftId: id, nodeId: `node-${id}`, address: `10.0.0.${id}:4242`, learner: false };
}

function changeOf(kind: ConfChange["kind"], member: RaftMember): ConfChange {
  return { kind, member, context: new Uint8Array(0) };
}

const HUNT_TUNING: NodeTuning = {
  bytesPerMessageMax: 1,
  inflightMessagesMax: 1,
  inflightBytesMax: 256,
  uncommittedBytesMax: 512,
  syncMaxMs: 5,
  compactAfter: 40,
};

function tuningOf(profile: SimProfile | undefined, random: Random): NodeTuning {
  if (profile === "leader-hunt") return HUNT_TUNING;
  const tuning = drawTuning(random);
  return profile === "restart-storm" ? { ...tuning, syncMaxMs: 100 } : tuning;
}

/** Small bounds in some runs, so that they are reached. */
function drawTuning(random: Random): NodeTuning {
  const bytesPerMessageMax = pick(random, [64, 512, 4096, 256 * 1024]);
  const inflightMessagesMax = pick(random, [1, 3, 16, 256]);
  const inflightBytesMax = pick(random, [256, 4096, 1024 * 1024]);
  const syncMaxMs = pick(random, [0.5, 5, 40, 150]);
  // A few entries per round trip: a longer backlog would only prove that the agreement bound is short.
  const windowBytes = Math.min(bytesPerMessageMax * inflightMessagesMax, inflightBytesMax);
  const isNarrow = windowBytes < Math.max(4096, 100 * syncMaxMs);
  return {
    bytesPerMessageMax,
    inflightMessagesMax,
    inflightBytesMax,
    uncommittedBytesMax: isNarrow ? 1024 : pick(random, [1024, 16 * 1024, 1024 * 1024]),
    syncMaxMs,
    compactAfter: isNarrow ? 40 : pick(random, [20, 100, 400]),
  };
}
