/**
 * What happens to a run from outside, drawn from its seed before it begins: faults, clients, membership
 * changes. Pure. Invariant: a schedule is plain text; the same schedule, seed and options give the same
 * run, and any part of a schedule is a schedule, which is what the minimiser lives on.
 */
import type { Random } from "../../base/random/random.js";
import type { SimProfile } from "./sim-profiles.js";

/** Each does something to whoever its draws pick when its time comes; nobody fitting: nothing happens. */
export const EVENT_KINDS = [
  // clients
  "write",
  "compare-and-set",
  "read",
  "burst",
  // the machine
  "crash",
  "crash-leader",
  "crash-all",
  "crash-at-write",
  "blink",
  "stop",
  "pause",
  "drift",
  "clock-jump",
  "disk-full",
  "disk-error",
  "slow-disk",
  // the network
  "partition",
  "isolate",
  "isolate-leader",
  "one-way",
  "false-hint",
  "quality",
  "hunt",
  // the operator
  "transfer",
  "join",
  "remove",
  "demote",
  "readdress",
  "rejoin-removed",
  "twin-change",
] as const;

export type EventKind = (typeof EVENT_KINDS)[number];

export interface SimEvent {
  readonly atMs: number;
  readonly kind: EventKind;
  /** Each in [0, 1): what they decide is the kind's business. */
  readonly draws: readonly [number, number, number, number];
}

export function drawSchedule(random: Random, profile: SimProfile, untilMs: number): readonly SimEvent[] {
  const events: SimEvent[] = [];
  const clients = random.child("clients");
  for (let atMs = 0; ; ) {
    atMs += (0.1 + 1.8 * clients.float()) * profile.clientPauseMs;
    if (atMs >= untilMs) break;
    events.push(drawEvent(clients, atMs, profile.clients));
  }
  const faults = random.child("faults");
  const pauses = profile.faultPausesMs;
  const pauseMs = pauses[faults.int(0, pauses.length)] ?? 1_000;
  for (let atMs = 0; ; ) {
    atMs += faults.float() * 2 * pauseMs;
    if (atMs >= untilMs) break;
    events.push(drawEvent(faults, atMs, profile.faults));
  }
  return events.sort((a, b) => a.atMs - b.atMs);
}

function drawEvent(
  random: Random,
  atMs: number,
  weights: Readonly<Partial<Record<EventKind, number>>>,
): SimEvent {
  const total = Object.values(weights).reduce((sum, weight) => sum + weight, 0);
  let left = random.float() * total;
  let chosen: EventKind = "read";
  for (const kind of EVENT_KINDS) {
    const weight = weights[kind] ?? 0;
    if (weight === 0) continue;
    chosen = kind;
    left -= weight;
    if (left < 0) break;
  }
  const draw = (): number => random.int(0, 1_000_000) / 1_000_000;
  return { atMs: Math.round(atMs * 1_000) / 1_000, kind: chosen, draws: [draw(), draw(), draw(), draw()] };
}

/** One event per line. */
export function formatSchedule(events: readonly SimEvent[]): string {
  return events.map(({ atMs, kind, draws }) => `${atMs} ${kind} ${draws.join(" ")}\n`).join("");
}

/** Empty lines and those that begin with # mean nothing. @throws {Error} naming the line that is no event. */
export function parseSchedule(text: string): readonly SimEvent[] {
  const events: SimEvent[] = [];
  for (const line of text.split("\n")) {
    if (line.trim() === "" || line.startsWith("#")) continue;
    const [at, word, ...numbers] = line.trim().split(/\s+/);
    const kind = EVENT_KINDS.find((known) => known === word);
    const [a, b, c, d] = numbers.map(Number);
    if (kind === undefined || a === undefined || b === undefined || c === undefined || d === undefined)
      throw new Error(`a schedule has lines of an instant, a kind and four draws, got "${line}"`);
    events.push({ atMs: Number(at), kind, draws: [a, b, c, d] });
  }
  return events;
}
