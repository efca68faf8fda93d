/**
 * What happens to a simulated cluster and what its user does, drawn before the run begins. Pure.
 * Invariant: any part of a schedule is a schedule; an event finds its victim by its draws when its time
 * comes.
 */
import type { Random } from "../../../base/random/random.js";

export const CLUSTER_FAULTS = [
  "manager-crash",
  "manager-power-cut",
  "manager-pause",
  "leader-crash",
  "leader-cut",
  "hand-over",
  "node-power-cut",
  "daemon-crash",
  "daemon-restart",
  "node-cut",
  "partition",
  "one-way",
  "quality",
  "heal",
] as const;
export const CLUSTER_DEEDS = [
  "create",
  "create-global",
  "create-job",
  "scale",
  "update-image",
  "update-bad",
  "update-crash",
  "update-order",
  "force",
  "rollback",
  "remove",
  "drain",
  "pause-node",
  "activate",
  "label",
  "secret",
  "remove-node",
] as const;
/** Of the user, about stacks. */
export const STACK_DEEDS = ["stack-deploy", "stack-rollback", "stack-remove"] as const;
export type ClusterEventKind =
  | (typeof CLUSTER_FAULTS)[number]
  | (typeof CLUSTER_DEEDS)[number]
  | (typeof STACK_DEEDS)[number];

export interface ClusterEvent {
  readonly atMs: number;
  readonly kind: ClusterEventKind;
  /** Four draws from 0 to 1. */
  readonly draws: readonly [number, number, number, number];
}

const FAULT_WEIGHTS: Readonly<Record<(typeof CLUSTER_FAULTS)[number], number>> = {
  "manager-crash": 1.5,
  "manager-power-cut": 1,
  "manager-pause": 1,
  "leader-crash": 1.5,
  "leader-cut": 1,
  "hand-over": 0.7,
  "node-power-cut": 1.5,
  "daemon-crash": 1.5,
  "daemon-restart": 1,
  "node-cut": 2,
  partition: 0.7,
  "one-way": 0.5,
  quality: 1,
  heal: 3,
};
const DEED_WEIGHTS: Readonly<Record<(typeof CLUSTER_DEEDS)[number], number>> = {
  create: 3,
  "create-global": 0.7,
  "create-job": 0.7,
  scale: 3,
  "update-image": 3,
  "update-bad": 0.7,
  "update-crash": 0.7,
  "update-order": 1,
  force: 0.7,
  rollback: 1,
  remove: 1.3,
  drain: 1.5,
  "pause-node": 0.7,
  activate: 2,
  label: 0.7,
  secret: 1.5,
  "remove-node": 0.3,
};

const STACK_WEIGHTS: Readonly<Record<(typeof STACK_DEEDS)[number], number>> = {
  "stack-deploy": 6,
  "stack-rollback": 1,
  "stack-remove": 0.7,
};

/** @param options.stacks drawn after all else: without them the schedule is the same. */
export function drawClusterSchedule(
  random: Random,
  untilMs: number,
  options: { readonly stacks: boolean },
): readonly ClusterEvent[] {
  const faultPauseMs = [700, 1_500, 4_000][random.int(0, 3)] ?? 1_500;
  const deedPauseMs = [500, 900, 2_000][random.int(0, 3)] ?? 900;
  const events = [
    ...drawEvents(random, { untilMs, pauseMs: faultPauseMs, kinds: CLUSTER_FAULTS, weights: FAULT_WEIGHTS }),
    ...drawEvents(random, { untilMs, pauseMs: deedPauseMs, kinds: CLUSTER_DEEDS, weights: DEED_WEIGHTS }),
  ];
  if (options.stacks) {
    const pauseMs = [1_500, 4_000, 9_000][random.int(0, 3)] ?? 4_000;
    events.push(...drawEvents(random, { untilMs, pauseMs, kinds: STACK_DEEDS, weights: STACK_WEIGHTS }));
  }
  return events.sort((a, b) => a.atMs - b.atMs);
}

function drawEvents<K extends ClusterEventKind>(
  random: Random,
  given: {
    readonly untilMs: number;
    readonly pauseMs: number;
    readonly kinds: readonly K[];
    readonly weights: Readonly<Record<K, number>>;
  },
): ClusterEvent[] {
  const { untilMs, pauseMs, kinds, weights } = given;
  const total = kinds.reduce((sum, kind) => sum + weights[kind], 0);
  const events: ClusterEvent[] = [];
  for (let atMs = random.float() * pauseMs; atMs < untilMs; atMs += random.float() * 2 * pauseMs) {
    let left = random.float() * total;
    const kind =
      kinds.find((one) => {
        left -= weights[one];
        return left < 0;
      }) ?? kinds[0];
    if (kind === undefined) break;
    events.push({ atMs, kind, draws: [random.float(), random.float(), random.float(), random.float()] });
  }
  return events;
}
