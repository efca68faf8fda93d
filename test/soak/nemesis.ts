/**
 * Rounds of faults, drawn from a seed: what is done to which hosts, for how long, one round after the other.
 * Edge: to the lab. Invariant: whatever a round did is undone at its end; a majority is taken away only in
 * the rounds that say so, and their exact time without a quorum is kept for the checks.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Random } from "../../base/random/random.js";
import type { LabHost } from "../support/lab/lab-host.js";
import { type Fault, HOST_FAULTS, type HostFaultKind, mend } from "./host-faults.js";
import { demote, joinAnew, leave, promote, untilAllManagers } from "./membership-faults.js";
import { ask } from "./soak-client.js";
import type { SoakRecorder } from "./soak-record.js";

/** What one round does; a host fault's name stands for that fault on one host. */
export type RoundKind =
  | HostFaultKind
  | "several hosts at once"
  | "no quorum"
  | "kill -9 everything"
  | "demote and promote"
  | "demote and promote, one is killed"
  | "leave and join"
  | "leave and join, one is killed";

const HOST_FAULT_KINDS = Object.keys(HOST_FAULTS) as HostFaultKind[]; // its own keys

export const ROUND_KINDS: readonly RoundKind[] = [
  ...HOST_FAULT_KINDS,
  "kill -9 manager",
  "kill -9 skeind and manager",
  "cut both ways",
  "several hosts at once",
  "several hosts at once",
  "no quorum",
  "no quorum",
  "kill -9 everything",
  "demote and promote",
  "demote and promote, one is killed",
  "leave and join",
  "leave and join, one is killed",
];

/** A time in which no majority could reach each other; milliseconds of the run. */
export interface QuorumLoss {
  readonly since: number;
  readonly until: number;
  readonly how: string;
}

export interface NemesisOptions {
  readonly hosts: readonly LabHost[];
  readonly random: Random;
  readonly recorder: SoakRecorder;
  readonly say: (line: string) => void;
  readonly odd: (what: string) => void;
  /** Milliseconds that a fault lasts, and between two rounds. */
  readonly holdMs: readonly [number, number];
  readonly gapMs: readonly [number, number];
}

/** Those that keep a host from taking part for as long as they last. */
const SILENCING: readonly HostFaultKind[] = [
  "kill -9 skeind and manager",
  "SIGSTOP manager",
  "cut both ways",
  "link down",
];
/** Writes are expected again within this time after a round; later ones are told as odd. */
const RECOVERY_MS = 15_000;

export class Nemesis {
  readonly counts = new Map<string, number>();
  readonly quorumLosses: QuorumLoss[] = [];
  /** Milliseconds from a round's end to the next acknowledged write that began after it. */
  readonly recoveriesMs: number[] = [];
  readonly #options: NemesisOptions;
  #deck: RoundKind[] = [];

  constructor(options: NemesisOptions) {
    this.#options = options;
  }

  /**
   * Rounds until the signal fires: those of the plan in order, or drawn from a shuffled deck of all kinds.
   */
  async run(signal: AbortSignal, plan?: readonly RoundKind[]): Promise<void> {
    const { random, gapMs } = this.#options;
    for (let at = 0; !signal.aborted && (plan === undefined || at < plan.length); at++) {
      const kind = plan?.[at] ?? this.#draw();
      await this.#round(kind);
      await this.#untilWritten(signal);
      await pause(random.int(...gapMs), signal);
    }
  }

  /** Everything undone, all hosts up. */
  async mendAll(): Promise<void> {
    const { hosts, odd } = this.#options;
    await Promise.all(hosts.map((host) => mend(host, odd)));
  }

  #draw(): RoundKind {
    const { random } = this.#options;
    if (this.#deck.length === 0) this.#deck = shuffled(ROUND_KINDS, random);
    return this.#deck.pop() ?? "kill -9 manager";
  }

  async #round(kind: RoundKind): Promise<void> {
    const { hosts, random } = this.#options;
    const quorum = Math.floor(hosts.length / 2) + 1;
    switch (kind) {
      case "several hosts at once": {
        const victims = shuffled(hosts, random).slice(0, Math.max(1, hosts.length - quorum));
        const kinds = victims.map(() => pick(random, HOST_FAULT_KINDS));
        await this.#hold(
          kind,
          victims.map((host, i) => [host, kinds[i] ?? "kill -9 manager"]),
        );
        return;
      }
      case "no quorum": {
        const victims = shuffled(hosts, random).slice(0, quorum);
        const only = random.float() < 0.5 ? pick(random, SILENCING) : undefined;
        await this.#hold(
          kind,
          victims.map((host) => [host, only ?? pick(random, SILENCING)]),
        );
        return;
      }
      case "kill -9 everything":
        await this.#hold(
          kind,
          hosts.map((host) => [host, "kill -9 skeind and manager"]),
        );
        return;
      case "demote and promote":
      case "demote and promote, one is killed":
      case "leave and join":
      case "leave and join, one is killed":
        await this.#membership(kind);
        return;
      default:
        await this.#hold("", [[await this.#victim(), kind]]);
    }
  }

  /** Applies the faults together, holds them, undoes them together. */
  async #hold(title: string, faults: readonly (readonly [LabHost, HostFaultKind])[]): Promise<void> {
    const { hosts, random, recorder, holdMs, odd } = this.#options;
    const lengthMs = random.int(...holdMs);
    const tried = await Promise.allSettled(
      faults.map(([host, kind]) => {
        this.#count(kind);
        return HOST_FAULTS[kind]({ host, peers: hosts.filter((each) => each !== host), random, odd });
      }),
    );
    const applied = tried.flatMap((each) => (each.status === "fulfilled" ? [each.value] : []));
    try {
      for (const each of tried) if (each.status === "rejected") throw each.reason;
      const since = recorder.now();
      const how = faults.map(([host, kind], i) => `${kind}: ${host.name}${detail(applied[i])}`).join(", ");
      this.#say(`${title === "" ? "" : `${title}: `}${how}, for ${(lengthMs / 1000).toFixed(1)} s`);
      if (title !== "") this.#count(title);
      await sleep(lengthMs);
      const isLoss = title === "no quorum" || title === "kill -9 everything";
      if (isLoss && applied.every(({ missed }) => missed !== true))
        this.quorumLosses.push({ since, until: recorder.now(), how });
    } finally {
      await Promise.all(applied.map((fault) => fault.undo()));
    }
  }

  async #membership(kind: RoundKind): Promise<void> {
    const { hosts, random, holdMs, recorder } = this.#options;
    await untilAllManagers(hosts); // a change of members begins with all of them
    const host = await this.#victim();
    const others = hosts.filter((each) => each !== host);
    const isLeave = kind.startsWith("leave");
    const change = async (): Promise<void> => {
      await (isLeave ? leave(host) : demote(host, others));
      const outAt = recorder.now();
      await sleep(random.int(...holdMs) / 2);
      await (isLeave ? joinAnew(host, others) : promote(host, others));
      this.#say(`${kind}: ${host.name} was out for ${Math.round(recorder.now() - outAt)} ms`);
    };
    this.#say(`${kind}: ${host.name}`);
    this.#count(kind);
    if (!kind.endsWith("one is killed")) {
      await change();
      return;
    }
    // A kill at any moment of it. Killed alone, a manager is started again by its daemon.
    const killing = async (): Promise<void> => {
      for (let kills = 0; kills < 3; kills++) {
        await sleep(random.int(0, 1_500));
        const victim = pick(random, hosts);
        victim.killManager();
        this.#count("kill -9 manager");
        this.#say(`  kill -9 manager: ${victim.name}`);
      }
    };
    const ends = await Promise.allSettled([change(), killing()]);
    for (const end of ends) if (end.status === "rejected") throw end.reason;
  }

  /** The leader as often as not: it is the worst one to lose. */
  async #victim(): Promise<LabHost> {
    const { hosts, random } = this.#options;
    const wantsLeader = random.float() < 0.5;
    const other = pick(random, hosts);
    return wantsLeader ? ((await leaderOf(hosts)) ?? other) : other;
  }

  async #untilWritten(signal: AbortSignal): Promise<void> {
    const { recorder, odd } = this.#options;
    const endedAt = recorder.now();
    let told = false;
    while (!signal.aborted && recorder.lastWriteCalledAt < endedAt) {
      await sleep(20);
      if (!told && recorder.now() - endedAt > RECOVERY_MS) {
        told = true;
        odd(
          `no write was acknowledged within ${RECOVERY_MS} ms after the round that ended at ${Math.round(endedAt)} ms`,
        );
      }
    }
    if (!signal.aborted) this.recoveriesMs.push(recorder.now() - endedAt);
  }

  #count(kind: string): void {
    this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1);
  }

  #say(line: string): void {
    this.#options.recorder.fault(line);
    this.#options.say(line);
  }
}

interface RaftView {
  readonly role?: string;
  readonly term?: number;
}

/** As the managers say themselves; of several that think so, the one of the highest term. */
export async function leaderOf(hosts: readonly LabHost[]): Promise<LabHost | undefined> {
  const views = await Promise.all(
    hosts.map(async (host) => {
      const answer = await ask(host, "GET", "/skein/v1/debug/raft", undefined, 1_000);
      return { host, view: (answer.status === 200 ? answer.json : {}) as RaftView };
    }),
  );
  return views
    .filter(({ view }) => view.role === "leader")
    .sort((a, b) => (b.view.term ?? 0) - (a.view.term ?? 0))[0]?.host;
}

const detail = (fault: Fault | undefined): string =>
  fault === undefined || fault.detail === "" ? "" : ` (${fault.detail})`;

function pick<T>(random: Random, list: readonly T[]): T {
  const one = list[random.int(0, list.length)];
  if (one === undefined) throw new Error("nothing to pick from");
  return one;
}

function shuffled<T>(list: readonly T[], random: Random): T[] {
  const copy = [...list];
  for (let i = copy.length - 1; i > 0; i--) {
    const other = random.int(0, i + 1);
    [copy[i], copy[other]] = [copy[other] as T, copy[i] as T]; // both are in the list
  }
  return copy;
}

async function pause(lengthMs: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((done) => {
    const finish = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", finish);
      done();
    };
    const timer = setTimeout(finish, lengthMs);
    signal.addEventListener("abort", finish);
  });
}
