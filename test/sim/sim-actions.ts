/**
 * Does to a world what a schedule says: crashes, partitions, stalls, membership changes, full disks, bad
 * clocks. Pure. Invariant: every fault ends by itself or at `end`, so that a run can be judged for liveness
 * afterwards.
 */
import type { RaftId } from "../../raft/core/types.js";
import type { CrashKind } from "./core-disk.js";
import type { SimClients } from "./sim-clients.js";
import type { SimMember } from "./sim-member.js";
import { CALM } from "./sim-network.js";
import type { EventKind, SimEvent } from "./sim-schedule.js";
import type { SimWorld } from "./sim-world.js";

type Draws = SimEvent["draws"];

export class SimActions {
  readonly #world: SimWorld;
  readonly #clients: SimClients;
  readonly #do: Readonly<Record<EventKind, (draws: Draws) => void>>;
  #active = true;

  constructor(world: SimWorld, clients: SimClients) {
    this.#world = world;
    this.#clients = clients;
    this.#do = this.#table();
  }

  /** @param events in order of time. */
  schedule(events: readonly SimEvent[]): void {
    const first = events[0];
    if (first === undefined) return;
    let at = 0;
    const next = (): void => {
      const event = events[at];
      at += 1;
      if (!this.#active || event === undefined) return;
      this.#do[event.kind](event.draws);
      const following = events[at];
      if (following !== undefined) this.#world.queue.after(following.atMs - event.atMs, next);
    };
    this.#world.queue.after(first.atMs, next);
  }

  end(): void {
    this.#active = false;
    this.#world.network.healAll();
    this.#world.network.quality = CALM;
    for (const member of this.#world.members) member.drift(1);
  }

  #table(): Record<EventKind, (draws: Draws) => void> {
    const world = this.#world;
    const clients = this.#clients;
    return {
      write: (draws) => clients.write(draws),
      "compare-and-set": (draws) => clients.compareAndSet(draws),
      read: (draws) => clients.read(draws),
      burst: (draws) => clients.burst(draws),
      crash: (draws) => this.#crash(this.#victim(draws[0]), draws),
      "crash-leader": (draws) => this.#crash(world.leader(), draws),
      "crash-all": ([a, b, c, d]) => {
        for (const member of world.upMembers()) {
          this.#crash(member, [a, (b + 0.37 * member.slot) % 1, c, d]);
        }
      },
      "crash-at-write": ([who, when, kind]) =>
        (who < 0.4 ? world.leader() : this.#victim((who - 0.4) / 0.6))?.crashAtWrite(
          1 + Math.floor(when * 40),
          kindOf(kind),
        ),
      blink: (draws) => this.#blink(draws),
      stop: ([who]) => (who < 0.5 ? world.leader() : this.#victim((who - 0.5) * 2))?.stop(),
      pause: ([who, ms]) => this.#pause(who < 0.3 ? world.leader() : this.#victim((who - 0.3) / 0.7), ms),
      drift: ([who, rate]) => this.#victim(who)?.drift(0.9 + 0.2 * rate),
      "clock-jump": ([who, ms]) => this.#victim(who)?.jump((ms - 0.5) * 20_000),
      "disk-full": ([who, ms]) => {
        const member = this.#victim(who);
        member?.fillDisk(true);
        this.#later(100 + ms * 3_000, () => member?.fillDisk(false));
      },
      "disk-error": ([who]) => this.#victim(who)?.failWrite(),
      "slow-disk": ([who, factor, ms]) => {
        const member = this.#victim(who);
        member?.slowDisk(2 + factor * 20);
        this.#later(ms * 4_000, () => member?.slowDisk(1));
      },
      partition: ([sides, ms]) => {
        const ids = this.#ids();
        // The bits of the draw say who is on which side.
        const side = new Set(ids.filter((_, at) => Math.floor(sides * 2 ** (at + 1)) % 2 === 1));
        for (const from of ids) {
          for (const to of ids) if (side.has(from) !== side.has(to)) world.network.cut(from, to);
        }
        this.#healLater(ms);
      },
      isolate: (draws) => this.#isolate(this.#victim(draws[0]), draws),
      "isolate-leader": (draws) => this.#isolate(world.leader(), draws),
      "one-way": ([who, way, ms, spare]) => {
        const id = this.#victim(who)?.id;
        if (id === undefined) return;
        // Somebody is heard but does not hear, or the other way round.
        this.#ids().forEach((other, at) => {
          if ((spare * 7 * (at + 1)) % 1 < 0.2) return;
          if (way < 0.5) world.network.cut(id, other);
          else world.network.cut(other, id);
        });
        this.#healLater(ms);
      },
      "false-hint": () => {
        const id = world.leader()?.id;
        if (id !== undefined) world.hintConnectionLost(id);
      },
      quality: ([which]) => {
        world.network.quality = pickBy(which, world.profile.qualities) ?? CALM;
      },
      hunt: ([until, every]) => this.#hunt(world.queue.now + until * 5_000, 20 + every * 60),
      transfer: ([who]) => {
        const to = this.#victim(who)?.id;
        if (to !== undefined) world.leader()?.transfer(to);
      },
      join: () => this.#admit(),
      remove: ([who]) => this.#remove(who),
      demote: ([who, ms]) => {
        this.#remove(who);
        this.#later(ms * 3_000, () => this.#admit());
      },
      readdress: ([who, address]) => {
        const member = pickBy(who, this.#listed());
        if (member !== undefined)
          world.leader()?.readdress(member, `10.1.0.${1 + Math.floor(address * 254)}:4242`);
      },
      "rejoin-removed": ([who]) => {
        const id = pickBy(who, world.leader()?.core?.inside.membership.removed ?? []);
        if (id !== undefined) world.leader()?.admit({ slot: id, id });
      },
      "twin-change": ([who, kind]) => {
        if (kind < 0.5) this.#admit();
        this.#remove(who);
        this.#remove((who + 0.4) % 1);
        if (kind >= 0.5) this.#admit();
      },
    };
  }

  #ids(): RaftId[] {
    return this.#world.members.map(({ id }) => id);
  }

  #victim(draw: number): SimMember | undefined {
    return pickBy(draw, this.#world.upMembers());
  }

  #listed(): readonly RaftId[] {
    return this.#world.leader()?.core?.inside.membership.members.map(({ raftId }) => raftId) ?? [];
  }

  #admit(): void {
    const leader = this.#world.leader();
    const slot = leader === undefined ? undefined : this.#world.nextSlot();
    if (slot !== undefined) leader?.admit({ slot });
  }

  /** Anybody, be it the leader itself; down to a single voter. */
  #remove(draw: number): void {
    const id = pickBy(draw, this.#listed());
    if (id !== undefined) this.#world.leader()?.remove(id);
  }

  #crash(member: SimMember | undefined, [, ms, kind]: Draws): void {
    if (member === undefined) return;
    member.crash(kindOf(kind));
    this.#world.hintConnectionLost(member.id);
    this.#world.restartLater(member, 50 + ms * 4_000);
  }

  #isolate(member: SimMember | undefined, [, ms, hint]: Draws): void {
    if (member === undefined) return;
    for (const other of this.#ids()) {
      this.#world.network.cut(member.id, other);
      this.#world.network.cut(other, member.id);
    }
    if (hint < 0.3) this.#world.hintConnectionLost(member.id);
    this.#healLater(ms);
  }

  #pause(member: SimMember | undefined, ms: number): void {
    member?.pause();
    this.#later(ms * 3_000, () => member?.resume());
  }

  /** Several members restart within moments, and all believe that the leader is gone: votes meet restarts. */
  #blink([a, b, kind]: Draws): void {
    const leader = this.#world.leader()?.id;
    if (leader !== undefined) this.#world.hintConnectionLost(leader);
    for (const member of this.#world.upMembers()) {
      const own = (a + 0.618 * member.slot) % 1;
      if (own < 0.4) continue;
      this.#later(((own * 13) % 1) * 400, () => {
        member.crash(kindOf(kind));
        this.#world.restartLater(member, ((b * 17 * member.slot) % 1) * 40);
      });
    }
  }

  /** Whoever leads is struck down at once: logs end in many short terms (Raft paper, figure 8). */
  #hunt(untilMs: number, everyMs: number): void {
    this.#later(everyMs, () => {
      const leader = this.#world.leader();
      const turn = Math.floor(this.#world.queue.now);
      const draws: Draws = [0, ((turn * 7) % 97) / 97, ((turn * 3) % 11) / 11, 0];
      if (turn % 2 === 0) this.#isolate(leader, draws);
      else this.#crash(leader, draws);
      if (this.#world.queue.now < untilMs) this.#hunt(untilMs, everyMs);
    });
  }

  /** Healing is for all cuts at once: overlapping partitions make odd shapes meanwhile. */
  #healLater(draw: number): void {
    this.#later(200 + draw * 4_000, () => this.#world.network.healAll());
  }

  #later(delayMs: number, run: () => void): void {
    this.#world.queue.after(delayMs, () => {
      if (this.#active) run();
    });
  }
}

function kindOf(draw: number): CrashKind {
  return draw < 0.5 ? "power-cut" : "process-death";
}

function pickBy<T>(draw: number, from: readonly T[]): T | undefined {
  return from[Math.min(from.length - 1, Math.floor(draw * from.length))];
}
