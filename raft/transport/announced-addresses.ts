/**
 * Where peers say that they are reached, while the membership still names another address.
 * Pure. Invariant: an announcement counts until the membership names a different address than it did then:
 * what the cluster has agreed on later is newer. What a third says of a peer counts while that third is in
 * reach and says so, and the peer itself has not spoken here. Bound: two addresses per member.
 */
import type { RaftId, RaftMember } from "../core/types.js";

interface Announcement {
  readonly address: string;
  /** What the membership said then. */
  readonly insteadOf: string;
}

export class AnnouncedAddresses {
  readonly #byId = new Map<RaftId, Announcement>();
  /** From others, to whom the peer said it. */
  readonly #hearsay = new Map<RaftId, Announcement>();

  /** @returns whether the peer is to be dialled elsewhere than before. */
  note(members: readonly RaftMember[], peer: RaftId, address: string): boolean {
    const member = members.find(({ raftId }) => raftId === peer);
    if (member === undefined) return false;
    const before = this.#effective(member);
    this.#hearsay.delete(peer);
    if (address === member.address) this.#byId.delete(peer);
    else this.#byId.set(peer, { address, insteadOf: member.address });
    return before !== address;
  }

  /**
   * Replaces what others said of the members before. Of one that is `settled`, who has a stream to us or
   * we one to it, nothing is changed.
   * @returns whether a peer is to be dialled elsewhere than before.
   */
  hear(
    members: readonly RaftMember[],
    said: ReadonlyMap<RaftId, string>,
    isSettled: (peer: RaftId) => boolean,
  ): boolean {
    let isChanged = false;
    for (const member of members) {
      const { raftId, address: insteadOf } = member;
      if (isSettled(raftId)) continue;
      const before = this.#effective(member);
      const address = said.get(raftId);
      if (address === undefined) this.#hearsay.delete(raftId);
      else this.#hearsay.set(raftId, { address, insteadOf });
      if (this.#effective(member) !== before) isChanged = true;
    }
    return isChanged;
  }

  /** The members with the addresses to dial. */
  over(members: readonly RaftMember[]): readonly RaftMember[] {
    for (const known of [this.#byId, this.#hearsay])
      for (const id of known.keys()) if (!members.some(({ raftId }) => raftId === id)) known.delete(id);
    return members.map((member) => ({ ...member, address: this.#effective(member) }));
  }

  #effective({ raftId, address }: RaftMember): string {
    const counting = [this.#hearsay.get(raftId), this.#byId.get(raftId)].find(
      (announced) => announced?.insteadOf === address,
    );
    return counting?.address ?? address;
  }
}
