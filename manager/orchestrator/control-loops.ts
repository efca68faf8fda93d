/**
 * The control loops of the leader: orchestrator, allocator and scheduler,
 * each reacting to the commits of the others.
 * Pure (store, clock, randomness and log are handed in).
 * Invariant: all state beside the store is rebuilt at the start, so leadership may come and go; make new
 * loops each time.
 *
 *   service ──► orchestrator ──► task NEW ──► allocator ──► task PENDING ──► scheduler ──► task ASSIGNED
 * ──► dispatcher
 */
import { Scope } from "../../base/lifecycle/scope.js";
import { createAllocator } from "../allocator/allocator-loop.js";
import { createScheduler } from "../scheduler/scheduler-loop.js";
import { type ControlLoopComponents, createOrchestrator } from "./orchestrator-loop.js";

export interface ControlLoops {
  /** Begins with one look at everything. Once. */
  start(): void;
  /** Stops after the passes that run; safe to call twice. */
  close(): Promise<void>;
  /** Resolves when nothing is left to do until time passes or something else writes. */
  idle(): Promise<void>;
}

export function createControlLoops(components: ControlLoopComponents): ControlLoops {
  const scope = new Scope();
  const component = (name: string): ControlLoopComponents => ({
    ...components,
    random: components.random.child(name),
    log: components.log.child({ component: name }),
  });
  const loops = [
    createOrchestrator(component("orchestrator")),
    createAllocator(component("allocator")),
    createScheduler(component("scheduler")),
  ];
  for (const loop of loops) scope.own(loop);
  return {
    start: () => {
      for (const loop of loops) loop.start();
    },
    close: () => scope.close(),
    idle: async () => {
      let index: number;
      do {
        index = components.store.index;
        for (const loop of loops) await loop.idle();
      } while (components.store.index !== index);
    },
  };
}

export type { ControlLoopComponents };
