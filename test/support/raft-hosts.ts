/**
 * A cluster of whole Raft members in one process: real hosts over memory disks,
 * a memory network and a manual clock.
 * Pure: equal seeds give equal runs.
 */
import assert from "node:assert/strict";
import { setImmediate } from "node:timers/promises";
import { ManualClock } from "../../base/clock/manual-clock.js";
import { silentLogger } from "../../base/log/logger.js";
import { SeededRandom } from "../../base/random/seeded-random.js";
import { openRaftNode, type RaftStart } from "../../raft/host/host.js";
import type { ReadMode } from "../../raft/host/lease-reads.js";
import type { KeyValueChange, KeyValuePair, RaftNode, StateMachine } from "../../raft/host/raft-node.js";
import { MemoryDisk } from "../../raft/storage/memory-disk.js";
import {
  emptyStateFolder,
  folderAfter,
  MemoryState,
  type MemoryStateFolder,
} from "../../raft/storage/memory-state.js";
import { MemoryNetwork } from "../../raft/transport/memory-transport.js";

/** Remembers words in order; each command is one word. */
export class Words implements StateMachine {
  words = new Map<string, string>();
  applied: number[] = [];

  apply(entry: { index: number; data: Uint8Array }): readonly KeyValueChange[] {
    const word = Buffer.from(entry.data).toString();
    const key = String(entry.index).padStart(8, "0");
    this.applied.push(entry.index);
    this.words.set(key, word);
    return [{ key, value: Buffer.from(word) }];
  }

  async restore(_index: number, pairs: AsyncIterable<KeyValuePair>): Promise<void> {
    this.words = new Map();
    for await (const { key, value } of pairs) this.words.set(key, Buffer.from(value).toString());
  }

  get text(): string {
    return [...this.words.keys()]
      .sort()
      .map((key) => this.words.get(key))
      .join(" ");
  }
}

export interface Member {
  readonly name: string;
  readonly node: RaftNode;
  readonly machine: Words;
  readonly media: { disk: MemoryDisk; folder: MemoryStateFolder };
  readonly stopped: unknown[];
  readonly refused: string[];
}

export class Cluster {
  readonly clock = new ManualClock();
  readonly network = new MemoryNetwork();
  readonly members = new Map<string, Member>();
  readonly #random: SeededRandom;
  /** Dead members' nodes: kept, so that nothing of them is collected while a test may still look. */
  readonly #dead: RaftNode[] = [];
  snapshotInterval = 10_000;
  reads: ReadMode = "read-index";
  /** Of members that are not at `<name>:2377`. */
  readonly addresses = new Map<string, string>();

  constructor(seed: string | number = "host") {
    this.#random = new SeededRandom(seed);
  }

  async open(
    name: string,
    start: RaftStart,
    media = { disk: new MemoryDisk(), folder: emptyStateFolder() },
  ): Promise<Member> {
    const machine = new Words();
    const stopped: unknown[] = [];
    const refused: string[] = [];
    this.clock.advance(37); // no two members tick at the same moment
    const opening = openRaftNode({
      dir: "",
      clusterId: "c1",
      nodeId: name,
      address: this.addresses.get(name) ?? `${name}:2377`,
      start,
      transport: this.network.createTransport(),
      stateMachine: machine,
      clock: this.clock,
      random: this.#random.child(`${name}/${this.clock.nowMs()}`),
      log: silentLogger,
      segmentBytes: 64 * 1024,
      snapshotInterval: this.snapshotInterval,
      reads: this.reads,
      onStopped: (error) => stopped.push(error),
      onRefused: (reason) => refused.push(reason),
      media: { disk: media.disk, openState: async () => new MemoryState(media.folder) },
    });
    const member = { name, node: await opening, machine, media, stopped, refused };
    this.members.set(name, member);
    return member;
  }

  async tick(count = 1): Promise<void> {
    for (let i = 0; i < count; i++) {
      for (let step = 0; step < 5; step++) {
        this.clock.advance(20);
        await turns();
      }
    }
  }

  async until(what: string, condition: () => boolean, ticksMax = 100): Promise<number> {
    for (let ticks = 0; ticks <= ticksMax; ticks++) {
      await turns();
      if (condition()) return ticks;
      await this.tick();
    }
    throw new Error(`${what}: not within ${ticksMax} ticks`);
  }

  /** Ticks until the work is done. */
  async during<T>(work: Promise<T>): Promise<T> {
    let done = false;
    const end = (): void => {
      done = true;
    };
    work.then(end, end);
    await this.until("work", () => done);
    return work;
  }

  get leader(): Member {
    const leaders = [...this.members.values()].filter(({ node }) => node.status().role === "leader");
    const newest = leaders.sort((a, b) => b.node.status().term - a.node.status().term)[0];
    assert.ok(newest, "there is a leader");
    return newest;
  }

  others(member: Member): Member[] {
    return [...this.members.values()].filter((each) => each !== member);
  }

  /** Three voters a, b, c. */
  static async ofThree(
    options: { snapshotInterval?: number; seed?: string | number } = {},
  ): Promise<Cluster> {
    const cluster = new Cluster(options.seed);
    cluster.snapshotInterval = options.snapshotInterval ?? cluster.snapshotInterval;
    const a = await cluster.open("a", { kind: "bootstrap" });
    await cluster.until("founder leads", () => a.node.status().role === "leader");
    for (const name of ["b", "c"]) await cluster.join(name, a);
    return cluster;
  }

  async join(name: string, leader: Member): Promise<Member> {
    const reply = await this.during(leader.node.addMember({ nodeId: name, address: `${name}:2377` }));
    const member = await this.open(name, { kind: "join", ...reply });
    await this.until(`${name} is a voter`, () => member.node.status().role === "follower");
    return member;
  }

  async close(): Promise<void> {
    await this.during(Promise.all([...this.members.values()].map(({ node }) => node.close())));
    this.members.clear();
  }

  /** The process dies: nothing is written or sent any more. */
  crash(member: Member): Member["media"] {
    this.network.detach(member.node.raftId);
    this.members.delete(member.name);
    this.#dead.push(member.node);
    const end = this.#random.int(0, 2) === 0 ? "power-cut" : "process-death";
    const { disk: old } = member.media;
    const disk = end === "power-cut" ? old.crash(this.#random) : old.die(this.#random);
    return { disk, folder: folderAfter(member.media.folder, end) };
  }
}

/** Lets everything run that needs no time to pass. */
export async function turns(): Promise<void> {
  for (let i = 0; i < 12; i++) await setImmediate();
}

export function word(text: string): Uint8Array {
  return Buffer.from(text);
}
