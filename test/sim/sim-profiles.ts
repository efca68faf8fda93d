/**
 * Kinds of weather: how often each event comes, how large clusters are, how tight their bounds. Pure.
 */
import type { Random } from "../../base/random/random.js";
import type { CoreOptions } from "../../raft/core/types.js";
import { CALM, type NetworkQuality, ROUGH, SLOW } from "./sim-network.js";
import type { EventKind } from "./sim-schedule.js";

type Weights = Readonly<Partial<Record<EventKind, number>>>;

export interface MemberTuning
  extends Pick<
    CoreOptions,
    "bytesPerMessageMax" | "inflightMessagesMax" | "inflightBytesMax" | "uncommittedBytesMax"
  > {
  /** Milliseconds; each sync takes a random time up to it. */
  readonly syncMaxMs: number;
  /** Leaders answer reads by lease, where they can. */
  readonly leases: boolean;
  /** Applied entries in the log before it is compacted. */
  readonly compactAfter: number;
}

export interface SimProfile {
  /** One is drawn. */
  readonly sizes: readonly number[];
  /** The mean pause between two faults, in milliseconds; one is drawn. */
  readonly faultPausesMs: readonly number[];
  readonly clientPauseMs: number;
  readonly faults: Weights;
  readonly clients: Weights;
  readonly qualities: readonly NetworkQuality[];
  readonly tuning: (random: Random) => MemberTuning;
}

const CLIENTS: Weights = { write: 3, "compare-and-set": 2, read: 4, burst: 1.5 };

const EVERYTHING: Weights = {
  crash: 1,
  "crash-leader": 1,
  "crash-all": 0.3,
  "crash-at-write": 1.5,
  blink: 1,
  stop: 0.7,
  pause: 1.5,
  drift: 0.5,
  "clock-jump": 0.5,
  "disk-full": 0.5,
  "disk-error": 0.4,
  "slow-disk": 0.7,
  partition: 1,
  isolate: 1,
  "isolate-leader": 1,
  "one-way": 1,
  "false-hint": 1,
  quality: 1,
  hunt: 1,
  transfer: 1,
  join: 1,
  remove: 1,
  demote: 0.5,
  readdress: 1,
  "rejoin-removed": 0.3,
  "twin-change": 0.5,
};

export const PROFILES = {
  /** Everything that can go wrong, drawn by the seed. */
  mixed: {
    sizes: [1, 2, 3, 3, 3, 4, 5, 5, 6, 7],
    faultPausesMs: [300, 1_000, 2_500],
    clientPauseMs: 15,
    faults: EVERYTHING,
    clients: CLIENTS,
    qualities: ROUGH,
    tuning: drawTuning,
  },
  /** One entry per message and every leader struck down soon: the logs of Raft paper figure 8. */
  "leader-hunt": {
    sizes: [5],
    faultPausesMs: [350],
    clientPauseMs: 15,
    faults: { "crash-leader": 1, "isolate-leader": 1 },
    clients: CLIENTS,
    qualities: [SLOW],
    tuning: () => ({ ...NARROW, syncMaxMs: 5, compactAfter: 40, leases: false }),
  },
  /** Members with slow disks restart again and again: crashes meet unsynced votes and entries. */
  "restart-storm": {
    sizes: [3, 3, 4, 5],
    faultPausesMs: [250, 500],
    clientPauseMs: 15,
    faults: { ...EVERYTHING, blink: 12, "crash-at-write": 6 },
    clients: CLIENTS,
    qualities: ROUGH,
    tuning: (random) => ({ ...drawTuning(random), syncMaxMs: 100 }),
  },
  /** Members come and go all the time while leaders fall. */
  membership: {
    sizes: [1, 2, 3, 3, 4, 5],
    faultPausesMs: [120, 250, 500],
    clientPauseMs: 40,
    faults: {
      join: 6,
      remove: 5,
      demote: 3,
      readdress: 1,
      "twin-change": 5,
      "rejoin-removed": 2,
      transfer: 2,
      "crash-leader": 1.5,
      crash: 1,
      "crash-at-write": 1,
      "isolate-leader": 2,
      isolate: 1,
      partition: 2,
      "one-way": 1,
      blink: 0.5,
      stop: 1,
      pause: 1,
      quality: 0.5,
    },
    clients: CLIENTS,
    qualities: ROUGH,
    tuning: (random) => ({ ...drawTuning(random), compactAfter: random.float() < 0.5 ? 15 : 100 }),
  },
  /** Disks fail in every way between two short lives. */
  disks: {
    sizes: [1, 2, 3, 3, 5],
    faultPausesMs: [200, 500],
    clientPauseMs: 12,
    faults: {
      "crash-at-write": 12,
      "disk-full": 4,
      "disk-error": 3,
      "slow-disk": 4,
      "crash-all": 1,
      blink: 1,
      "isolate-leader": 1,
      join: 0.5,
      remove: 0.3,
    },
    clients: CLIENTS,
    qualities: [CALM],
    tuning: (random) => ({ ...drawTuning(random), syncMaxMs: 20, compactAfter: 30 }),
  },
  /** Processes that stand still, clocks that drift and jump: what leases trust. */
  clocks: {
    sizes: [3, 3, 5],
    faultPausesMs: [250, 600],
    clientPauseMs: 10,
    faults: {
      pause: 6,
      drift: 3,
      "clock-jump": 3,
      "isolate-leader": 4,
      "one-way": 2,
      "false-hint": 4,
      transfer: 3,
      partition: 2,
    },
    clients: { ...CLIENTS, read: 10 },
    qualities: ROUGH,
    tuning: (random) => ({ ...drawTuning(random), leases: random.float() < 0.7 }),
  },
} as const satisfies Record<string, SimProfile>;

export type ProfileName = keyof typeof PROFILES;
export const PROFILE_NAMES = Object.keys(PROFILES) as readonly ProfileName[]; // the keys of that very object

const NARROW = {
  bytesPerMessageMax: 1,
  inflightMessagesMax: 1,
  inflightBytesMax: 256,
  uncommittedBytesMax: 512,
} as const;

/** Small bounds in some runs, so that they are reached. */
function drawTuning(random: Random): MemberTuning {
  const bytesPerMessageMax = pick(random, [64, 512, 4096, 256 * 1024]);
  // On links that reorder, every small message of a wide window may call for the whole window again.
  const inflightMessagesMax = pick(random, bytesPerMessageMax < 4096 ? [1, 3, 16] : [16, 64, 256]);
  const inflightBytesMax = pick(random, [256, 4096, 1024 * 1024]);
  const syncMaxMs = pick(random, [0.5, 5, 40, 150]);
  // A few entries per round trip: a longer backlog would only prove that the agreement bound is short.
  const windowBytes = Math.min(bytesPerMessageMax * inflightMessagesMax, inflightBytesMax);
  const isNarrow = windowBytes < Math.max(4096, 100 * syncMaxMs);
  return {
    bytesPerMessageMax,
    inflightMessagesMax,
    inflightBytesMax,
    uncommittedBytesMax: isNarrow ? 1024 : pick(random, [1024, 16 * 1024, 1024 * 1024]),
    syncMaxMs,
    compactAfter: isNarrow ? 40 : pick(random, [20, 100, 400]),
    leases: random.float() < 0.4,
  };
}

export function pick<T>(random: Random, from: readonly T[]): T {
  const chosen = from[random.int(0, from.length)];
  if (chosen === undefined) throw new Error("nothing to pick from");
  return chosen;
}
