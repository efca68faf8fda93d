/**
 * Makes the members of the core world: real cores, everything around them simulated. Pure.
 */
import { ConfChangeKind } from "../../proto/gen/skein/v1/raft.js";
import { encodeConfChange } from "../../raft/log/conf-change-codec.js";
import { EntryKind, makeEntry } from "../../raft/log/make-entry.js";
import { MemoryLog } from "../../raft/storage/memory-log.js";
import { CoreDisk } from "./core-disk.js";
import { CoreMember } from "./core-member.js";
import type { Foundry, SimWorld } from "./sim-world.js";

export const coreFoundry: Foundry = {
  isStreaming: false,

  /**
   * The founders' logs begin with the entries that make them members, as at the founding of a real cluster.
   */
  found(world, count) {
    const ids = Array.from({ length: count }, (_, at) => at + 1);
    const entries = ids.map((raftId) => {
      const member = { raftId, nodeId: `node-${raftId}`, address: `10.0.0.${raftId}:4242`, learner: false };
      const change = { kind: ConfChangeKind.ADD_VOTER, member, context: new Uint8Array(0) };
      return makeEntry({ term: 1, index: raftId }, encodeConfChange(change), EntryKind.CONF_CHANGE);
    });
    return ids.map((id) => {
      const log = new MemoryLog();
      log.append(entries);
      log.setHardState({ term: 1, vote: 0, commit: count });
      return memberOf(world, id, new CoreDisk(log));
    });
  },

  join(world, { id }) {
    return memberOf(world, id, new CoreDisk());
  },
};

function memberOf(world: SimWorld, id: number, disk: CoreDisk): CoreMember {
  return new CoreMember(id, disk, world, world.random.child(`node-${id}`));
}
