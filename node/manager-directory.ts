/**
 * The managers as agents should know them: Raft's members, the leader marked. Pure over a RaftNode.
 */
import type { ManagerDirectory } from "../manager/dispatcher/dispatcher.js";
import type { ManagerPeer } from "../proto/gen/skein/v1/dispatcher.js";
import type { RaftNode } from "../raft/host/raft-node.js";

export class ManagerDirectoryView implements ManagerDirectory {
  readonly #raft: RaftNode;
  readonly #listeners = new Set<() => void>();
  readonly #unsubscribe: (() => void)[];
  #list: readonly ManagerPeer[] = [];

  constructor(raft: RaftNode) {
    this.#raft = raft;
    this.#unsubscribe = [raft.onMembership(() => this.#refresh()), raft.onLeadership(() => this.#refresh())];
  }

  list(): readonly ManagerPeer[] {
    return this.#list;
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    this.#listeners.clear();
  }

  #refresh(): void {
    const { membership, leader } = this.#raft.status();
    const list = membership.members
      .map(({ nodeId, address, raftId }) => ({ nodeId, address, leader: raftId === leader }))
      .sort((a, b) => (a.nodeId < b.nodeId ? -1 : 1));
    if (JSON.stringify(list) === JSON.stringify(this.#list)) return;
    this.#list = list;
    for (const listener of this.#listeners) listener();
  }
}
