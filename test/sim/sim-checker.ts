/**
 * What must hold at every moment, checked as members append, lead, commit, apply, change and answer. Pure.
 * It sees all members at once, which none of them can. Source: Raft paper figure 3 (the five properties);
 * thesis 4.1-4.3 for membership, 6.4 for reads.
 */
import type { Entry, Membership, RaftId } from "../../raft/core/types.js";
import { fingerprintOf, operationOf } from "./sim-registers.js";

export type Property =
  | "election safety"
  | "leader append-only"
  | "log matching"
  | "leader completeness"
  | "state machine safety"
  | "membership agreement"
  | "removed stay out"
  | "linearizable reads"
  | "linearizability"
  | "durability"
  | "bounded memory";

/** A promise of Raft was broken. */
export class SafetyViolation extends Error {
  readonly property: Property;

  constructor(property: Property, facts: string) {
    super(`${property}: ${facts}`);
    this.name = "SafetyViolation";
    this.property = property;
  }
}

/** How the checker looks into a member's log. */
export interface LogPeek {
  readonly firstIndex: number;
  /** undefined: compacted or beyond the end. */
  term(index: number): number | undefined;
}

export interface LeaderPeek {
  readonly id: RaftId;
  readonly term: number;
  readonly log: LogPeek;
}

interface Appended {
  readonly term: number;
  readonly previousTerm: number;
  readonly fingerprint: number;
}

interface Committed {
  readonly term: number;
  /** The term of the leader that committed it. */
  readonly byTerm: number;
}

interface Applied {
  readonly term: number;
  readonly digest: number;
  readonly operation: number;
}

export class SimChecker {
  acknowledged = 0;
  maxAcknowledged = 0;
  lastAcknowledged = 0;
  reads = 0;
  membershipChanges = 0;
  readonly #leaders = new Map<number, RaftId>();
  /** By index: the different entries that anybody ever had there. */
  readonly #appended: Appended[][] = [];
  readonly #committed: Committed[] = [];
  readonly #applied: Applied[] = [];
  /** Who joined later, and with which entry. */
  readonly #joined = new Map<RaftId, number>();
  readonly #memberships: { readonly index: number; readonly text: string }[] = [];
  readonly #acknowledged: { readonly operation: number; readonly index: number }[] = [];

  get leaderCount(): number {
    return this.#leaders.size;
  }

  /** Election Safety: one leader per term. Leader Completeness: it holds what earlier terms committed. */
  leaderSeen(id: RaftId, term: number, log: LogPeek): void {
    const other = this.#leaders.get(term);
    if (other !== undefined && other !== id) {
      throw new SafetyViolation("election safety", `members ${other} and ${id} both lead term ${term}`);
    }
    if (other === id) return;
    this.#leaders.set(term, id);
    for (let index = this.#committed.length - 1; index > 0; index--) {
      const entry = this.#committed[index];
      if (entry === undefined || entry.byTerm >= term) continue;
      mustHold({ id, term, log }, index, entry);
      return; // Log Matching carries the proof to all before it.
    }
  }

  /** Log Matching: the same index and term mean the same entry after the same predecessor. */
  appended(id: RaftId, entry: Entry, previousTerm: number): void {
    this.#appended[entry.index] ??= [];
    const here = this.#appended[entry.index] ?? [];
    const known = here.find((one) => one.term === entry.term);
    const fingerprint = fingerprintOf(entry);
    if (known === undefined) {
      here.push({ term: entry.term, previousTerm, fingerprint });
    } else if (known.previousTerm !== previousTerm || known.fingerprint !== fingerprint) {
      throw new SafetyViolation(
        "log matching",
        `member ${id} holds another entry ${entry.index}/${entry.term} than its peers`,
      );
    }
  }

  /** A member believes that everything up to `to` is committed. */
  committedUpTo(
    id: RaftId,
    commit: { readonly from: number; readonly to: number; readonly byTerm: number },
    log: LogPeek,
    leaders: () => readonly LeaderPeek[],
  ): void {
    for (let index = commit.from + 1; index <= commit.to; index++) {
      const term = log.term(index);
      if (term === undefined) continue; // it came with a snapshot, whose digest is checked
      const known = this.#committed[index];
      if (known !== undefined) {
        if (known.term === term) continue;
        throw new SafetyViolation(
          "leader completeness",
          `member ${id} commits ${index}/${term}, but ${index}/${known.term} was committed before`,
        );
      }
      const entry = { term, byTerm: commit.byTerm };
      this.#committed[index] = entry;
      for (const leader of leaders()) if (leader.term > commit.byTerm) mustHold(leader, index, entry);
    }
  }

  /** State Machine Safety: every member applies the same entry at an index, after the same history. */
  applied(id: RaftId, entry: Entry, digest: number): void {
    const known = this.#applied[entry.index];
    if (known === undefined) {
      this.#applied[entry.index] = { term: entry.term, digest, operation: operationOf(entry) };
    } else if (known.term !== entry.term || known.digest !== digest) {
      throw new SafetyViolation(
        "state machine safety",
        `member ${id} applies ${entry.index}/${entry.term} (digest ${digest}), a peer applied ` +
          `${entry.index}/${known.term} (digest ${known.digest})`,
      );
    }
  }

  /** State Machine Safety: what a member holds at `index` is what applying the entries gives. */
  restored(id: RaftId, index: number, digest: number): void {
    for (let at = index; at > 0; at--) {
      const known = this.#applied[at];
      if (known === undefined) continue;
      if (known.digest === digest) return;
      throw new SafetyViolation("state machine safety", `member ${id} starts from another state at ${index}`);
    }
  }

  /** What all members of a new cluster were told, before the first change. */
  foundedWith(membership: Membership): void {
    this.#memberships.push({ index: 0, text: textOf(membership) });
    for (const { raftId } of membership.members) this.#joined.set(raftId, 0);
  }

  /** A newcomer begins with the membership of now, wherever its log begins. */
  toldNow(id: RaftId): void {
    this.#joined.set(id, this.#memberships.at(-1)?.index ?? 0);
  }

  /** Every member has the same membership after the same entry; who was removed stays out of it. */
  membershipAt(id: RaftId, index: number, membership: Membership): void {
    // What a newcomer was told is ahead of its log, until that has caught up.
    if (index === 0 || index < (this.#joined.get(id) ?? 0)) return;
    const { members, removed } = membership;
    const back = members.find((member) => removed.includes(member.raftId));
    if (back !== undefined)
      throw new SafetyViolation("removed stay out", `member ${id} counts ${back.raftId} again at ${index}`);
    const text = textOf(membership);
    let at = this.#memberships.length - 1;
    while (at >= 0 && (this.#memberships[at]?.index ?? 0) > index) at -= 1;
    const known = this.#memberships[at];
    if (known === undefined || known.text !== text) {
      throw new SafetyViolation(
        "membership agreement",
        `member ${id} has the membership ${text} at ${index}, others have ${known?.text}`,
      );
    }
  }

  /** A change was applied. */
  membershipChanged(id: RaftId, index: number, membership: Membership): void {
    const last = this.#memberships.at(-1);
    if (last === undefined || last.index < index) {
      this.#memberships.push({ index, text: textOf(membership) });
      this.membershipChanges += 1;
      for (const { raftId } of membership.members)
        if (!this.#joined.has(raftId)) this.#joined.set(raftId, index);
      const before = removedIn(last?.text);
      const forgotten = before.filter((raftId) => !membership.removed.includes(raftId));
      if (forgotten.length > 0)
        throw new SafetyViolation(
          "removed stay out",
          `member ${id} forgot at ${index} that ${forgotten} left`,
        );
    }
    this.membershipAt(id, index, membership);
  }

  acknowledge(operation: number, index: number): void {
    this.acknowledged += 1;
    this.#acknowledged.push({ operation, index });
    this.lastAcknowledged = operation;
    if (index > this.maxAcknowledged) this.maxAcknowledged = index;
  }

  /** A read that was asked when `floor` was acknowledged must see at least that. */
  readAnswered(id: RaftId, index: number, floor: number): void {
    this.reads += 1;
    if (index < floor) {
      throw new SafetyViolation(
        "linearizable reads",
        `member ${id} reads at ${index}, but a write at ${floor} was acknowledged before the read`,
      );
    }
  }

  /** Acknowledged writes are never lost. @param appliedIndex of the members that agreed in the end. */
  finish(appliedIndex: number): void {
    for (const { operation, index } of this.#acknowledged) {
      if (index > appliedIndex || this.#applied[index]?.operation !== operation) {
        throw new SafetyViolation("durability", `acknowledged operation ${operation} at ${index} is gone`);
      }
    }
  }
}

function mustHold(leader: LeaderPeek, index: number, entry: Committed): void {
  // What is compacted was applied: the digests answer for it.
  if (index < leader.log.firstIndex || leader.log.term(index) === entry.term) return;
  throw new SafetyViolation(
    "leader completeness",
    `member ${leader.id} leads term ${leader.term} without the committed entry ${index}/${entry.term}`,
  );
}

/** Ids, addresses and roles, then who was removed. */
function textOf({ members, removed }: Membership): string {
  const each = members.map((member) => `${member.raftId}${member.learner ? "?" : ""}@${member.address}`);
  return `${each.join(",")}|${removed.join(",")}`;
}

function removedIn(text: string | undefined): readonly RaftId[] {
  const part = text?.split("|")[1] ?? "";
  return part === "" ? [] : part.split(",").map(Number);
}
