/**
 * Makes the members of the host world: whole hosts on simulated machines. Edge: to Node's event loop, for
 * turns.
 */
import { nextTurn } from "../../base/loop/process-turn.js";
import type { RaftStart } from "../../raft/host/host.js";
import { HostMember } from "./host-member.js";
import type { Directory } from "./host-transport.js";
import type { Foundry, SimWorld } from "./sim-world.js";

/** One per run. */
export function createHostFoundry(): Foundry {
  const directory: Directory = new Map();
  const make = (world: SimWorld, slot: number, begin: RaftStart): HostMember =>
    new HostMember(slot, begin, { world, random: world.random.child(`node-${slot}`), directory });
  return {
    /** One founds its cluster alone; several begin with a membership that all of them were told. */
    found(world, count) {
      if (count === 1) return [make(world, 1, { kind: "bootstrap" })];
      const members = Array.from({ length: count }, (_, at) => ({
        raftId: at + 1,
        nodeId: `node-${at + 1}`,
        address: `10.0.0.${at + 1}:4242`,
        learner: false,
      }));
      world.checker.foundedWith({ members, removed: [] });
      return members.map(({ raftId }) => make(world, raftId, { kind: "join", raftId, members, removed: [] }));
    },

    join(world, { slot, told }) {
      return make(world, slot, told as RaftStart); // as HostMember.admit was told
    },

    isStreaming: true,
    turn: nextTurn,
  };
}
