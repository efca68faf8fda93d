/**
 * Stations that a node stamped, brought to the leader's account of the task.
 * Pure. Invariants: the first stamp of a station stays; stations stand in order and in time. A node's clock
 * may differ from the leader's: all its stamps of one task are moved by the same time, so that what it took
 * between two of them stays true.
 */
import { type PhaseMark, TaskPhase, taskPhaseToNumber } from "../../proto/gen/skein/v1/types.js";

/** Those that nodes see; the others are the leader's own. */
const OF_NODES: ReadonlySet<TaskPhase> = new Set([
  TaskPhase.ACCEPTED,
  TaskPhase.PULLED,
  TaskPhase.PREPARED,
  TaskPhase.STARTED,
  TaskPhase.HEALTHY,
  TaskPhase.ENDED,
]);

const rank = taskPhaseToNumber;

/** @returns the stored list itself when the node has nothing new. */
export function mergedPhases(
  stored: readonly PhaseMark[],
  reported: readonly PhaseMark[],
  nowMs: number,
): readonly PhaseMark[] {
  const own = reported.filter(({ phase }) => OF_NODES.has(phase));
  const news = own.filter(({ phase }) => !stored.some((mark) => mark.phase === phase));
  if (news.length === 0) return stored;
  const shiftMs = shiftOf(stored, own, nowMs);
  let merged = stored;
  for (const { phase, atMs } of news) merged = inserted(merged, { phase, atMs: atMs + shiftMs });
  return merged;
}

/** What the node's clock is corrected by: the first thing it did came after it was told, and before now. */
function shiftOf(stored: readonly PhaseMark[], own: readonly PhaseMark[], nowMs: number): number {
  const first = own[0];
  if (first === undefined) return 0;
  const known = stored.find(({ phase }) => phase === first.phase);
  if (known !== undefined) return known.atMs - first.atMs;
  const told = stored.filter(({ phase }) => rank(phase) < rank(TaskPhase.ACCEPTED));
  const earliestMs = Math.max(0, ...told.map(({ atMs }) => atMs));
  return Math.min(Math.max(first.atMs, earliestMs), Math.max(nowMs, earliestMs)) - first.atMs;
}

function inserted(phases: readonly PhaseMark[], { phase, atMs }: PhaseMark): readonly PhaseMark[] {
  const next = phases.findIndex((mark) => rank(mark.phase) > rank(phase));
  const at = next < 0 ? phases.length : next;
  const afterMs = phases[at - 1]?.atMs ?? 0;
  const beforeMs = phases[at]?.atMs ?? Number.POSITIVE_INFINITY;
  const mark = { phase, atMs: Math.min(Math.max(atMs, afterMs), Math.max(beforeMs, afterMs)) };
  return [...phases.slice(0, at), mark, ...phases.slice(at)];
}
