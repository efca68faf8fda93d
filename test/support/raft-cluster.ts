/**
 * A few Raft cores wired together without time: messages wait in one list until the test delivers them.
 * Pure. For unit tests that follow the paper step by step; faults from a seed are test/sim's business.
 */
import { SeededRandom } from "../../base/random/seeded-random.js";
import { describeMessage } from "../../raft/core/message.js";
import { RaftCore } from "../../raft/core/raft-core.js";
import type {
  ConfChange,
  CoreOptions,
  Entry,
  Membership,
  RaftId,
  RaftMessage,
  ReadState,
} from "../../raft/core/types.js";
import { decodeConfChange } from "../../raft/log/conf-change-codec.js";
import { EntryKind } from "../../raft/log/make-entry.js";
import { MemoryLog } from "../../raft/storage/memory-log.js";

export type CoreTuning = Partial<Omit<CoreOptions, "id" | "storage" | "random" | "appliedIndex">>;

/** Voters with these ids, then learners. */
export function membershipOf(voters: readonly RaftId[], learners: readonly RaftId[] = []): Membership {
  const member = (raftId: RaftId, learner: boolean) => ({
    raftId,
    nodeId: `node-${raftId}`,
    address: `10.0.0.${raftId}:4242`,
    learner,
  });
  return {
    members: [...voters.map((id) => member(id, false)), ...learners.map((id) => member(id, true))],
    removed: [],
  };
}

export class TestMember {
  readonly core: RaftCore;
  readonly log: MemoryLog;
  readonly applied: Entry[] = [];
  readonly reads: ReadState[] = [];

  constructor(id: RaftId, log: MemoryLog, tuning: CoreTuning = {}) {
    this.log = log;
    this.core = new RaftCore({
      id,
      storage: log,
      random: new SeededRandom(`member-${id}`),
      appliedIndex: log.firstIndex() - 1,
      ...tuning,
    });
  }

  /** Carries out everything that is ready. @returns the messages in the order in which they left. */
  drain(): RaftMessage[] {
    const out: RaftMessage[] = [];
    while (this.core.hasReady()) {
      const ready = this.core.ready();
      out.push(...ready.messagesBeforeSync);
      this.log.append(ready.entries);
      if (ready.hardState !== undefined) this.log.setHardState(ready.hardState);
      if (ready.snapshot !== undefined) this.log.installSnapshot(ready.snapshot);
      out.push(...ready.messages);
      for (const entry of ready.committedEntries) this.#apply(entry);
      this.reads.push(...ready.readStates);
      this.core.advance();
    }
    return out;
  }

  #apply(entry: Entry): void {
    this.applied.push(entry);
    if (entry.kind === EntryKind.CONF_CHANGE) this.core.applyConfChange(decodeConfChange(entry.data));
  }

  /** What was applied, as text; no-ops are left out. */
  texts(): string[] {
    return this.applied
      .filter((entry) => entry.kind === EntryKind.NORMAL && entry.data.length > 0)
      .map((entry) => Buffer.from(entry.data).toString());
  }
}

export class TestCluster {
  readonly members = new Map<RaftId, TestMember>();
  /** Messages on their way. */
  wire: RaftMessage[] = [];
  /** Directed links that lose everything, as "from->to". */
  readonly cut = new Set<string>();
  readonly transcript: string[] = [];
  readonly #tuning: CoreTuning;

  constructor(
    voters: readonly RaftId[],
    options: { learners?: readonly RaftId[]; tuning?: CoreTuning } = {},
  ) {
    this.#tuning = options.tuning ?? {};
    const membership = membershipOf(voters, options.learners);
    for (const { raftId } of membership.members) this.start(raftId, new MemoryLog(membership));
  }

  /** Starts a member on a log, be it new, blank or what a stopped one left behind. */
  start(id: RaftId, log: MemoryLog, tuning: CoreTuning = this.#tuning): TestMember {
    const member = new TestMember(id, log, tuning);
    this.members.set(id, member);
    return member;
  }

  member(id: RaftId): TestMember {
    const member = this.members.get(id);
    if (member === undefined) throw new Error(`no member ${id}`);
    return member;
  }

  core(id: RaftId): RaftCore {
    return this.member(id).core;
  }

  /** Cuts a member off in both directions. */
  isolate(id: RaftId): void {
    for (const other of this.members.keys()) {
      this.cut.add(`${id}->${other}`);
      this.cut.add(`${other}->${id}`);
    }
  }

  heal(): void {
    this.cut.clear();
  }

  /** Moves what every member has ready onto the wire. */
  collect(): void {
    for (const member of this.members.values()) this.wire.push(...member.drain());
  }

  /** Delivers until nothing is left. */
  settle(): void {
    this.collect();
    for (let round = 0; this.wire.length > 0; round++) {
      if (round > 10_000) throw new Error("the cluster does not come to rest");
      const batch = this.wire;
      this.wire = [];
      for (const message of batch) this.deliver(message);
      this.collect();
    }
  }

  deliver(message: RaftMessage): void {
    const isCut = this.cut.has(`${message.from}->${message.to}`);
    this.transcript.push(isCut ? `${describeMessage(message)} LOST` : describeMessage(message));
    if (!isCut) this.members.get(message.to)?.core.step(message);
  }

  /** Ticks one member. */
  tick(id: RaftId, times = 1): void {
    for (let i = 0; i < times; i++) this.core(id).tick();
  }

  /** Ticks everybody and delivers, `times` over. */
  run(times: number): void {
    for (let i = 0; i < times; i++) {
      for (const member of this.members.values()) member.core.tick();
      this.settle();
    }
  }

  elect(id: RaftId): void {
    this.core(id).campaign();
    this.settle();
  }

  propose(id: RaftId, ...texts: string[]): void {
    this.core(id).propose(texts.map((text) => Buffer.from(text)));
    this.settle();
  }

  change(id: RaftId, kind: ConfChange["kind"], raftId: RaftId): void {
    this.core(id).proposeConfChange(makeChange(kind, raftId));
    this.settle();
  }

  leader(): RaftId | undefined {
    const leaders = [...this.members].filter(([, member]) => member.core.status().role === "leader");
    return leaders.sort(([, a], [, b]) => b.core.status().term - a.core.status().term)[0]?.[0];
  }
}

export function makeChange(kind: ConfChange["kind"], raftId: RaftId): ConfChange {
  return {
    kind,
    member: { raftId, nodeId: `node-${raftId}`, address: `10.0.0.${raftId}:4242`, learner: false },
    context: new Uint8Array(0),
  };
}
