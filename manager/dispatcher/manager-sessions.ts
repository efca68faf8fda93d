/**
 * Whom each manager vouches for, as the leader knows it. A manager that keeps its word once a period keeps
 * all its nodes alive, however many they are.
 * Pure. Invariants: only a manager's own reports change what it vouches for; one that counts otherwise than
 * the leader is asked for all its sessions, at once when it is new, else after two words in a row, since
 * reports may be on their way.
 */
import type { ManagerWord } from "../../proto/gen/skein/v1/dispatcher.js";
import { SessionDigest } from "./session-digest.js";

export interface VouchedSession {
  readonly nodeId: string;
  readonly sessionId: string;
}

interface Manager {
  readonly epoch: string;
  /** By node, the session. */
  readonly sessions: Map<string, string>;
  readonly digest: SessionDigest;
  dueMs: number;
  mismatches: number;
  /** Its sessions were told, or there was nothing to tell; and what that changed is committed. */
  isKnown: boolean;
  isDoubted: boolean;
}

export class ManagerSessions {
  readonly #managers = new Map<string, Manager>();
  /** By node, how many managers vouch for it: two while an agent goes from one to another. */
  readonly #vouchers = new Map<string, number>();
  /** By node, the session told of last. */
  readonly #newest = new Map<string, string>();

  isVouchedFor(nodeId: string): boolean {
    return this.#vouchers.has(nodeId);
  }

  /** Managers that vouch for nodes. */
  *managerIds(): Iterable<string> {
    for (const [id, { sessions }] of this.#managers) if (sessions.size > 0) yield id;
  }

  /** Somebody vouches for the node, by a session that began after this one. */
  isSucceeded({ nodeId, sessionId }: VouchedSession): boolean {
    return this.isVouchedFor(nodeId) && (this.#newest.get(nodeId) ?? sessionId) !== sessionId;
  }

  /** What the manager told was not committed: it is to tell again. */
  doubt(managerId: string): void {
    const manager = this.#managers.get(managerId);
    if (manager !== undefined) manager.isDoubted = true;
  }

  /** When the next manager will have been silent for too long; undefined: there is none. */
  get nextMs(): number | undefined {
    let next: number | undefined;
    for (const { dueMs } of this.#managers.values()) if (next === undefined || dueMs < next) next = dueMs;
    return next;
  }

  /** A manager whose first word is to come counts for nothing: all its sessions come with that. */
  begin(managerId: string, { nodeId, sessionId }: VouchedSession): void {
    const manager = this.#managers.get(managerId);
    if (manager === undefined) return;
    this.#remove(manager, nodeId);
    this.#newest.set(nodeId, sessionId);
    manager.sessions.set(nodeId, sessionId);
    manager.digest.add(nodeId, sessionId);
    this.#vouchers.set(nodeId, (this.#vouchers.get(nodeId) ?? 0) + 1);
  }

  /** @returns false when the manager vouched for no such session, or for a newer one. */
  end(managerId: string, { nodeId, sessionId }: VouchedSession): boolean {
    const manager = this.#managers.get(managerId);
    if (manager?.sessions.get(nodeId) !== sessionId) return false;
    this.#remove(manager, nodeId);
    return true;
  }

  /**
   * A manager's word.
   * @param told with a full word: all its sessions.
   * @returns whether it is to tell all its sessions, and the nodes for which nobody vouches any more.
   */
  word(
    managerId: string,
    word: ManagerWord,
    given: { readonly dueMs: number; readonly told: readonly VouchedSession[] },
  ): { readonly wantsAll: boolean; readonly dropped: readonly string[] } {
    let manager = this.#managers.get(managerId);
    let before: readonly string[] = [];
    if (manager?.epoch !== word.epoch || word.full) {
      before = manager === undefined ? [] : this.#empty(manager);
      const { dueMs } = given;
      manager = {
        epoch: word.epoch,
        sessions: new Map(),
        digest: new SessionDigest(),
        dueMs,
        mismatches: 0,
        isKnown: word.full,
        isDoubted: false,
      };
      this.#managers.set(managerId, manager);
      for (const session of given.told) this.begin(managerId, session);
    }
    manager.dueMs = given.dueMs;
    const { count, digest } = manager.digest;
    if (count === word.sessions && digest === word.digest) {
      manager.mismatches = 0;
      manager.isKnown = true;
    } else manager.mismatches += 1;
    const wantsAll = manager.isDoubted || manager.mismatches > (manager.isKnown ? 1 : 0);
    return { wantsAll, dropped: before.filter((nodeId) => !this.isVouchedFor(nodeId)) };
  }

  /** Managers that have been silent for too long are forgotten. @returns each with the nodes left alone. */
  takeSilent(nowMs: number): readonly { readonly managerId: string; readonly nodeIds: readonly string[] }[] {
    const silent = [...this.#managers].filter(([, { dueMs }]) => dueMs <= nowMs);
    return silent.map(([managerId, manager]) => {
      this.#managers.delete(managerId);
      const nodeIds = this.#empty(manager).filter((nodeId) => !this.isVouchedFor(nodeId));
      return { managerId, nodeIds };
    });
  }

  #empty(manager: Manager): readonly string[] {
    const nodeIds = [...manager.sessions.keys()];
    for (const nodeId of nodeIds) this.#remove(manager, nodeId);
    return nodeIds;
  }

  #remove(manager: Manager, nodeId: string): void {
    const sessionId = manager.sessions.get(nodeId);
    if (sessionId === undefined) return;
    manager.sessions.delete(nodeId);
    manager.digest.remove(nodeId, sessionId);
    const left = (this.#vouchers.get(nodeId) ?? 1) - 1;
    if (left > 0) this.#vouchers.set(nodeId, left);
    else {
      this.#vouchers.delete(nodeId);
      this.#newest.delete(nodeId);
    }
  }
}
