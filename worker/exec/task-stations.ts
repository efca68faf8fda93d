/**
 * The stations of a task's life that its node sees, stamped by the node's clock.
 * Pure. Invariants: a station is stamped once; stations stand in order; those of the node never go back in
 * time, though its clock may. What the managers stamped stays as it is: their clock is another one.
 */
import { type PhaseMark, TaskPhase, taskPhaseToNumber } from "../../proto/gen/skein/v1/types.js";

const OWN: ReadonlySet<TaskPhase> = new Set([
  TaskPhase.ACCEPTED,
  TaskPhase.PULLED,
  TaskPhase.PREPARED,
  TaskPhase.STARTED,
  TaskPhase.HEALTHY,
  TaskPhase.ENDED,
]);

/** @returns the stations with those stamped that were not before; the same list when all were. */
export function withStations(
  phases: readonly PhaseMark[],
  marks: readonly PhaseMark[],
): readonly PhaseMark[] {
  let result: readonly PhaseMark[] = phases;
  for (const mark of marks) result = withStation(result, mark);
  return result;
}

function withStation(phases: readonly PhaseMark[], { phase, atMs }: PhaseMark): readonly PhaseMark[] {
  if (phases.some((mark) => mark.phase === phase)) return phases;
  const rank = taskPhaseToNumber(phase);
  const next = phases.findIndex((mark) => taskPhaseToNumber(mark.phase) > rank);
  const at = next < 0 ? phases.length : next;
  const before = phases.slice(0, at).filter((mark) => OWN.has(mark.phase));
  const mark = { phase, atMs: Math.max(atMs, ...before.map((earlier) => earlier.atMs)) };
  return [...phases.slice(0, at), mark, ...phases.slice(at)];
}
