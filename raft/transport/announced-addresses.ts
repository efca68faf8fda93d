/**
 * Where peers say that they are reached, while the membership still names another address.
 * Pure. Invariant: an announcement counts until the membership names a different address than it did then:
 * what the cluster has agreed on later is newer. Bound: one address per member.
 */
import type { RaftId, RaftMember } from "../core/types.js";

export class AnnouncedAddresses {
  readonly #byId = new Map<RaftId, { readonly address: string; readonly insteadOf: string }>();

  /** @returns whether the peer is to be dialled elsewhere than before. */
  note(members: readonly RaftMember[], peer: RaftId, address: string): boolean {
    const member = members.find(({ raftId }) => raftId === peer);
    if (member === undefined) return false;
    const before = this.#effective(member);
    if (address === member.address) this.#byId.delete(peer);
    else this.#byId.set(peer, { address, insteadOf: member.address });
    return before !== address;
  }

  /** The members with the addresses to dial. */
  over(members: readonly RaftMember[]): readonly RaftMember[] {
    for (const id of this.#byId.keys())
      if (!members.some(({ raftId }) => raftId === id)) this.#byId.delete(id);
    return members.map((member) => ({ ...member, address: this.#effective(member) }));
  }

  #effective({ raftId, address }: RaftMember): string {
    const announced = this.#byId.get(raftId);
    return announced?.insteadOf === address ? announced.address : address;
  }
}
