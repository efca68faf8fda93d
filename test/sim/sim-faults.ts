/**
 * Draws the faults of a run from its seed: crashes, partitions, bad links, stalls, transfers,
 * membership changes.
 * Pure. Invariant: every fault ends by itself or at `end`,
 * so that a run can be judged for liveness afterwards.
 */
import type { Random } from "../../base/random/random.js";
import type { RaftId } from "../../raft/core/types.js";
import { CALM, type NetworkQuality } from "./sim-network.js";
import { pick, type SimProfile, type SimWorld } from "./sim-world.js";

/** Delays in milliseconds. */
function rough(
  delay: readonly [min: number, max: number],
  shares: { loss: number; duplication: number; stragglers: number },
  order: "ordered" | "unordered",
): NetworkQuality {
  return { delayMinMs: delay[0], delayMaxMs: delay[1], ...shares, isOrdered: order === "ordered" };
}

const ROUGH: readonly NetworkQuality[] = [
  CALM,
  rough([0.2, 20], { loss: 0.02, duplication: 0.02, stragglers: 0.02 }, "unordered"),
  rough([1, 80], { loss: 0.1, duplication: 0.05, stragglers: 0.05 }, "unordered"),
  rough([1, 80], { loss: 0.02, duplication: 0.02, stragglers: 0.1 }, "ordered"),
  rough([5, 200], { loss: 0.25, duplication: 0.1, stragglers: 0.1 }, "unordered"),
];

const SLOW = rough([5, 120], { loss: 0.05, duplication: 0, stragglers: 0.1 }, "unordered");

export class SimFaults {
  readonly #world: SimWorld;
  readonly #random: Random;
  /** The mean pause between two faults, in milliseconds. */
  readonly #pauseMs: number;
  #active = true;

  constructor(world: SimWorld, profile: SimProfile = "mixed") {
    this.#world = world;
    this.#random = world.random.child("faults");
    this.#pauseMs = pick(this.#random, [300, 1_000, 2_500]);
    world.network.quality = profile === "leader-hunt" ? SLOW : pick(this.#random, ROUGH);
    if (profile === "leader-hunt") this.#huntLeaders(Number.POSITIVE_INFINITY, 700);
    else this.#loop();
    if (profile === "restart-storm") this.#storm();
  }

  end(): void {
    this.#active = false;
    this.#world.network.healAll();
    this.#world.network.quality = CALM;
  }

  #loop(): void {
    this.#world.queue.after(this.#random.float() * 2 * this.#pauseMs, () => {
      if (!this.#active) return;
      this.#strike();
      this.#loop();
    });
  }

  #strike(): void {
    const strikes: readonly (() => void)[] = [
      () => this.#crash(this.#victim()),
      () => this.#crash(this.#world.leader()?.id),
      () => this.#crashAll(),
      () => this.#partition(),
      () => this.#isolate(this.#world.leader()?.id),
      () => this.#isolate(this.#victim()),
      () => this.#oneWay(),
      () => this.#stall(),
      () => this.#transfer(),
      () => this.#world.addLearner(),
      () => this.#world.removeMember(),
      () => this.#world.updateAddress(),
      () => this.#falseHint(),
      () => this.#blink(),
      () => this.#huntLeaders(this.#world.queue.now + this.#random.float() * 5_000, 80),
      () => {
        this.#world.network.quality = pick(this.#random, ROUGH);
      },
    ];
    // The crash of all at once is rare, as in life; everything else is equally likely.
    const weights = strikes.map((_, at) => (at === 2 ? 0.3 : 1));
    let left = this.#random.float() * weights.reduce((sum, weight) => sum + weight, 0);
    const chosen = weights.findIndex((weight) => {
      left -= weight;
      return left < 0;
    });
    strikes[chosen]?.();
  }

  #victim(): RaftId | undefined {
    const up = this.#world.upNodes();
    return up.length > 0 ? pick(this.#random, up).id : undefined;
  }

  #crash(id: RaftId | undefined): void {
    const node = id === undefined ? undefined : this.#world.nodes.get(id);
    if (node === undefined || id === undefined) return;
    node.crash();
    this.#world.hintConnectionLost(id);
    this.#later(50 + this.#random.float() * 4_000, () => {
      if (!node.isUp && !this.#world.isRetired(id)) node.start();
    });
  }

  #crashAll(): void {
    for (const node of this.#world.upNodes()) this.#crash(node.id);
  }

  #partition(): void {
    const ids = [...this.#world.nodes.keys()];
    const side = new Set(ids.filter(() => this.#random.float() < 0.5));
    for (const from of ids) {
      for (const to of ids) if (side.has(from) !== side.has(to)) this.#world.network.cut(from, to);
    }
    this.#healLater();
  }

  #isolate(id: RaftId | undefined): void {
    if (id === undefined) return;
    for (const other of this.#world.nodes.keys()) {
      this.#world.network.cut(id, other);
      this.#world.network.cut(other, id);
    }
    if (this.#random.float() < 0.3) this.#world.hintConnectionLost(id);
    this.#healLater();
  }

  /** Somebody is heard but does not hear, or the other way round. */
  #oneWay(): void {
    const id = this.#victim();
    if (id === undefined) return;
    const hears = this.#random.float() < 0.5;
    for (const other of this.#world.nodes.keys()) {
      if (this.#random.float() < 0.2) continue;
      if (hears) this.#world.network.cut(id, other);
      else this.#world.network.cut(other, id);
    }
    this.#healLater();
  }

  #stall(): void {
    const id = this.#victim();
    const node = id === undefined ? undefined : this.#world.nodes.get(id);
    if (node === undefined) return;
    node.pause();
    this.#later(this.#random.float() * 3_000, () => node.resume());
  }

  /** Several members restart within moments, and all believe that the leader is gone: votes meet restarts. */
  #blink(): void {
    const leader = this.#world.leader()?.id;
    if (leader !== undefined) this.#world.hintConnectionLost(leader);
    for (const node of this.#world.upNodes()) {
      if (this.#random.float() < 0.4) continue;
      this.#later(this.#random.float() * 400, () => {
        node.crash();
        this.#later(this.#random.float() * 40, () => {
          if (!node.isUp && !this.#world.isRetired(node.id)) node.start();
        });
      });
    }
  }

  #storm(): void {
    this.#later(this.#random.float() * 1_500, () => {
      this.#blink();
      this.#storm();
    });
  }

  /** Whoever leads is struck down at once: logs end in many short terms (Raft paper, figure 8). */
  #huntLeaders(untilMs: number, everyMaxMs: number): void {
    this.#later(this.#random.float() * everyMaxMs, () => {
      const leader = this.#world.leader();
      if (leader !== undefined && this.#random.float() < 0.5) this.#isolate(leader.id);
      else if (leader !== undefined) this.#crash(leader.id);
      if (this.#world.queue.now < untilMs) this.#huntLeaders(untilMs, everyMaxMs);
    });
  }

  #transfer(): void {
    const to = this.#victim();
    if (to !== undefined) this.#world.leader()?.transferLeadership(to);
  }

  #falseHint(): void {
    const leader = this.#world.leader()?.id;
    if (leader !== undefined) this.#world.hintConnectionLost(leader);
  }

  /** Healing is for all cuts at once: overlapping partitions make odd shapes meanwhile. */
  #healLater(): void {
    this.#later(200 + this.#random.float() * 4_000, () => this.#world.network.healAll());
  }

  #later(delayMs: number, run: () => void): void {
    this.#world.queue.after(delayMs, () => {
      if (this.#active) run();
    });
  }
}
