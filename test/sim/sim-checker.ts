/**
 * What must hold at every moment, checked as members append, lead, commit, apply and answer.
 * Pure. It sees all members at once, which none of them can. Source: Raft paper figure 3;
 * thesis 6.4 for reads.
 */
import type { Entry, RaftId } from "../../raft/core/types.js";
import { EntryKind } from "../../raft/log/make-entry.js";

/** A promise of Raft was broken. */
export class SafetyViolation extends Error {
  readonly property: string;

  constructor(property: string, facts: string) {
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

interface Acknowledged {
  readonly operation: number;
  readonly index: number;
}

export class SimChecker {
  acknowledged: Acknowledged[] = [];
  maxAcknowledged = 0;
  reads = 0;
  readonly #leaders = new Map<number, RaftId>();
  readonly #appended = new Map<string, { previousTerm: number; fingerprint: number }>();
  readonly #committed: Committed[] = [];
  readonly #applied: Applied[] = [];

  get leaderCount(): number {
    return this.#leaders.size;
  }

  get committedIndex(): number {
    return Math.max(0, this.#committed.length - 1);
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
    const key = `${entry.index}/${entry.term}`;
    const fingerprint = fingerprintOf(entry);
    const known = this.#appended.get(key);
    if (known === undefined) {
      this.#appended.set(key, { previousTerm, fingerprint });
    } else if (known.previousTerm !== previousTerm || known.fingerprint !== fingerprint) {
      throw new SafetyViolation("log matching", `member ${id} holds another entry ${key} than its peers`);
    }
  }

  /** A member believes that everything up to `commitIndex` is committed. */
  committedUpTo(
    id: RaftId,
    commit: { from: number; to: number; byTerm: number },
    log: LogPeek,
    leaders: readonly LeaderPeek[],
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
      for (const leader of leaders) if (leader.term > commit.byTerm) mustHold(leader, index, entry);
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

  /** A snapshot's content is what applying the entries gives. */
  installed(id: RaftId, index: number, digest: number): void {
    const known = this.#applied[index];
    if (known !== undefined && known.digest !== digest) {
      throw new SafetyViolation("state machine safety", `member ${id} installs another state at ${index}`);
    }
  }

  acknowledge(operation: number, index: number): void {
    this.acknowledged.push({ operation, index });
    this.maxAcknowledged = Math.max(this.maxAcknowledged, index);
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
    for (const { operation, index } of this.acknowledged) {
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

/** The digest of a history extended by one entry. */
export function extendDigest(digest: number, entry: Entry): number {
  let next = Math.imul(digest ^ entry.term, 0x01000193) >>> 0;
  next = Math.imul(next ^ fingerprintOf(entry), 0x85ebca6b) >>> 0;
  return (next ^ (next >>> 15)) >>> 0;
}

/** The number of the client's operation inside an entry; 0 for those of Raft itself. */
export function operationOf(entry: Entry): number {
  if (entry.kind !== EntryKind.NORMAL || entry.data.length < 4) return 0;
  return new DataView(entry.data.buffer, entry.data.byteOffset).getUint32(0);
}

/** @param padding bytes added, so that sizes differ. */
export function encodeOperation(operation: number, padding: number): Uint8Array {
  const data = new Uint8Array(4 + padding);
  new DataView(data.buffer).setUint32(0, operation);
  return data;
}

function fingerprintOf(entry: Entry): number {
  let hash = entry.kind === EntryKind.NORMAL ? 1 : 2;
  for (const byte of entry.data.subarray(0, 32)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return Math.imul(hash ^ entry.data.length, 0x01000193) >>> 0;
}
