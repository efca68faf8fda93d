/**
 * What a schedule's faults do to a simulated cluster. Pure.
 * Invariant: whatever stops is started again some time later.
 */
import { CALM, ROUGH } from "../sim-network.js";
import type { ClusterMachine } from "./cluster-machine.js";
import type { ClusterEvent } from "./cluster-schedule.js";
import type { ClusterWorld } from "./cluster-world.js";

export function doFault(world: ClusterWorld, { kind, draws }: ClusterEvent): void {
  const [which, howLong, more] = draws;
  const managers = world.machines.filter(({ isManager }) => isManager);
  const machine = pick(world.machines, which);
  const manager = pick(managers, which);
  const leader = world.machines.find(({ slot }) => slot === world.leader()?.slot);
  const later = (victim: ClusterMachine | undefined, maxMs: number): void =>
    world.queue.after(100 + howLong * howLong * maxMs, () => victim?.boot());
  switch (kind) {
    case "manager-crash":
      manager?.crashManager("process-death");
      later(manager, 5_000);
      return;
    case "leader-crash":
      leader?.crashManager("process-death");
      later(leader, 5_000);
      return;
    case "manager-power-cut":
      manager?.powerCut();
      later(manager, 12_000);
      return;
    case "node-power-cut":
      machine?.powerCut();
      later(machine, 40_000);
      return;
    case "manager-pause":
      manager?.pauseManager(howLong * 5_000);
      return;
    case "hand-over":
      leader?.manager?.raft?.transferLeadership().catch((error: unknown) => {
        world.note(leader.slot, `does not hand over: ${String(error)}`, 30);
      });
      return;
    case "daemon-crash":
      machine?.crashDaemon();
      later(machine, more < 0.3 ? 15_000 : 3_000);
      return;
    case "daemon-restart":
      machine?.stopDaemon();
      later(machine, 12_000);
      return;
    case "leader-cut":
      if (leader === undefined || managers.length < 3) return;
      world.note(leader.slot, "is cut off", 31);
      world.isolate(leader.slot);
      healLater(world, howLong);
      return;
    case "node-cut":
      if (machine === undefined) return;
      world.note(machine.slot, "is cut off", 31);
      world.isolate(machine.slot);
      healLater(world, howLong);
      return;
    case "partition":
    case "one-way": {
      const inside = new Set(
        world.machines.filter((_, at) => ((at + 1) * 0.618 + which) % 1 < 0.4).map(({ slot }) => slot),
      );
      world.note(0, `${kind}: ${[...inside].join(" ")} from the rest`, 32);
      world.partition(inside, kind === "one-way" ? "out" : "both");
      healLater(world, howLong);
      return;
    }
    case "quality":
      world.network.quality = ROUGH[Math.floor(howLong * Math.min(4, ROUGH.length))] ?? CALM;
      return;
    case "heal":
      world.note(0, "the network heals", 33);
      world.heal();
  }
}

function healLater(world: ClusterWorld, howLong: number): void {
  world.queue.after(300 + howLong * howLong * 35_000, () => world.heal());
}

function pick<T>(from: readonly T[], draw: number): T | undefined {
  return from[Math.floor(draw * from.length)];
}
