/**
 * One simulated member: the host's duties around the real core, on a simulated disk and network.
 * Pure. Invariant: it drives Ready exactly as raft/core/types.ts states,
 * with the sync taking time during which messages, ticks and proposals go on.
 * Source: contract in raft/core/types.ts.
 */

import { SkeinError } from "../../base/errors/errors.js";
import type { Random } from "../../base/random/random.js";
import type { ConfChange, CoreOptions, Entry, RaftId, RaftMessage, Ready } from "../../raft/core/types.js";
import { decodeConfChange } from "../../raft/log/conf-change-codec.js";
import { EntryKind } from "../../raft/log/make-entry.js";
import type { EventQueue } from "./event-queue.js";
import { extendDigest, type LeaderPeek, operationOf, type SimChecker } from "./sim-checker.js";
import { type PlantedBug, SimCore } from "./sim-core.js";
import type { SimDisk, SimSnapshot } from "./sim-disk.js";
import type { Envelope, Receiver, SimNetwork } from "./sim-network.js";
import type { SimTrace } from "./sim-trace.js";

export interface NodeTuning
  extends Pick<
    CoreOptions,
    "bytesPerMessageMax" | "inflightMessagesMax" | "inflightBytesMax" | "uncommittedBytesMax"
  > {
  /** Milliseconds; each sync takes a random time up to it. */
  readonly syncMaxMs: number;
  /** Applied entries in the log before it is compacted. */
  readonly compactAfter: number;
}

export interface NodeWorld {
  readonly queue: EventQueue;
  readonly network: SimNetwork;
  readonly checker: SimChecker;
  readonly trace: SimTrace;
  readonly tuning: NodeTuning;
  readonly bug: PlantedBug | undefined;
  leaders(): readonly LeaderPeek[];
  /** The member has applied its own removal. */
  removedSelf(id: RaftId): void;
}

const TICK_MS = 100;

export class SimNode implements Receiver {
  readonly id: RaftId;
  readonly disk: SimDisk;
  readonly #world: NodeWorld;
  readonly #random: Random;
  #core: SimCore | undefined;
  /** Grows at every crash: what an earlier life scheduled is void. */
  #life = 0;
  #tickMs = TICK_MS;
  #busy = false;
  /** What waits while the process stands still. */
  #backlog: (() => void)[] | undefined;
  #applied = 0;
  #digest = 0;
  #commitSeen = 0;
  readonly #proposed = new Map<number, { term: number; operation: number }>();
  readonly #readFloors = new Map<number, number>();
  readonly #arrivedSnapshots = new Map<number, SimSnapshot>();

  constructor(id: RaftId, disk: SimDisk, world: NodeWorld, random: Random) {
    this.id = id;
    this.disk = disk;
    this.#world = world;
    this.#random = random;
    world.network.attach(id, this);
  }

  get core(): SimCore | undefined {
    return this.#core;
  }

  get isUp(): boolean {
    return this.#core !== undefined;
  }

  get isPaused(): boolean {
    return this.#backlog !== undefined;
  }

  get applied(): number {
    return this.#applied;
  }

  get digest(): number {
    return this.#digest;
  }

  start(): void {
    const { snapshot } = this.disk;
    this.#applied = snapshot.meta.index;
    this.#digest = snapshot.digest;
    this.#commitSeen = snapshot.meta.index;
    const { tuning } = this.#world;
    this.#core = new SimCore(
      {
        id: this.id,
        storage: this.disk.log,
        random: this.#random,
        appliedIndex: this.#applied,
        ...tuning,
      },
      this.#world.bug,
    );
    this.#note(1, "start");
    // Crystals differ, and so do restarts.
    this.#tickMs = TICK_MS * (0.9 + 0.2 * this.#random.float());
    this.#scheduleTick(this.#life);
    this.#pump();
  }

  crash(): void {
    if (this.#core === undefined) return;
    this.#note(2, "crash");
    this.#life += 1;
    this.#core = undefined;
    this.#busy = false;
    this.#backlog = undefined;
    this.#proposed.clear();
    this.#readFloors.clear();
    this.#arrivedSnapshots.clear();
    this.disk.crash(this.#random);
  }

  /** The process stops getting the processor: its time stands still, messages pile up. */
  pause(): void {
    if (this.#core === undefined || this.#backlog !== undefined) return;
    this.#note(3, "pause");
    this.#backlog = [];
  }

  resume(): void {
    const backlog = this.#backlog;
    if (backlog === undefined) return;
    this.#note(4, "resume");
    this.#backlog = undefined;
    for (const run of backlog) run();
    this.#pump();
  }

  receive(envelope: Envelope): void {
    if (this.#backlog !== undefined) {
      this.#backlog.push(() => this.receive(envelope));
      return;
    }
    if (this.#core === undefined) return;
    if (envelope.snapshot !== undefined) {
      this.#arrivedSnapshots.set(envelope.snapshot.meta.index, envelope.snapshot);
    }
    this.#core.step(envelope.message);
    this.#pump();
  }

  /** @returns false when it was refused, which a client has to live with. */
  propose(operation: number, data: Uint8Array): boolean {
    return this.#ask((core) => {
      const { term, firstIndex } = core.propose([data]);
      this.#proposed.set(firstIndex, { term, operation });
    });
  }

  proposeConfChange(change: ConfChange): boolean {
    return this.#ask((core) => core.proposeConfChange(change));
  }

  transferLeadership(to: RaftId): boolean {
    return this.#ask((core) => core.transferLeadership(to));
  }

  /** @param context unique in the whole run. */
  read(context: number): boolean {
    const floor = this.#world.checker.maxAcknowledged;
    return this.#ask((core) => {
      this.#readFloors.set(context, floor);
      core.readIndex(context);
    });
  }

  connectionLost(peer: RaftId): void {
    this.#ask((core) => core.connectionLost(peer));
  }

  /** Calls the core unless it is down or paused. Refusals are part of life; anything else is a bug. */
  #ask(call: (core: SimCore) => void): boolean {
    const core = this.#core;
    if (core === undefined || this.#backlog !== undefined) return false;
    try {
      call(core);
    } catch (error) {
      if (!(error instanceof SkeinError)) throw error;
      return false;
    }
    this.#pump();
    return true;
  }

  #scheduleTick(life: number): void {
    this.#world.queue.after(this.#tickMs, () => {
      if (life !== this.#life || this.#core === undefined) return;
      if (this.#backlog === undefined) {
        this.#core.tick();
        this.#pump();
      }
      this.#scheduleTick(life);
    });
  }

  #pump(): void {
    const core = this.#core;
    while (core !== undefined && this.#core === core && !this.#busy && core.hasReady()) {
      const ready = core.ready();
      this.#observe(core, ready);
      this.#write(ready);
      const isLying = this.#world.bug === "ack-before-sync";
      if (!ready.mustSync || isLying) {
        if (ready.mustSync)
          this.#world.queue.after(
            this.#syncMs(),
            this.#inThisLife(() => this.disk.sync()),
          );
        this.#finish(core, ready);
      } else {
        this.#busy = true;
        const synced = () => {
          this.disk.sync();
          this.#busy = false;
          this.#finish(core, ready);
          this.#pump();
        };
        this.#world.queue.after(this.#syncMs(), this.#inThisLife(synced));
      }
    }
  }

  #syncMs(): number {
    return this.#random.float() * this.#world.tuning.syncMaxMs;
  }

  /** Step 1 of a Ready: write, and send what need not wait for the sync. */
  #write(ready: Ready): void {
    for (const message of ready.messagesBeforeSync) this.#send(message);
    this.disk.append(ready.entries);
    const { hardState } = ready;
    if (hardState === undefined) return;
    this.disk.setHardState(this.#world.bug === "forget-vote" ? { ...hardState, vote: 0 } : hardState);
  }

  /** Steps 2 to 5. */
  #finish(core: SimCore, ready: Ready): void {
    if (ready.snapshot !== undefined) this.#install(ready.snapshot.index);
    for (const message of ready.messages) this.#send(message);
    for (const entry of ready.committedEntries) this.#apply(core, entry);
    for (const { context, index } of ready.readStates) {
      const floor = this.#readFloors.get(context);
      this.#readFloors.delete(context);
      if (floor !== undefined) this.#world.checker.readAnswered(this.id, index, floor);
    }
    core.advance();
    this.#compact(core);
  }

  #observe(core: SimCore, ready: Ready): void {
    const { checker } = this.#world;
    const { role, term, commitIndex } = core.status();
    for (const entry of ready.entries) checker.appended(this.id, entry, core.peek.term(entry.index - 1) ?? 0);
    if (ready.softState !== undefined) {
      this.#note(
        5,
        `${role} in term ${term}, leader ${ready.softState.leader}`,
        term,
        ready.softState.leader,
      );
      if (role === "leader") checker.leaderSeen(this.id, term, core.peek);
    }
    if (commitIndex > this.#commitSeen) {
      const commit = { from: this.#commitSeen, to: commitIndex, byTerm: term };
      checker.committedUpTo(this.id, commit, core.peek, this.#world.leaders());
      this.#commitSeen = commitIndex;
    }
  }

  #install(index: number): void {
    const snapshot = this.#arrivedSnapshots.get(index);
    if (snapshot === undefined)
      throw new Error(`member ${this.id} has no content for the snapshot at ${index}`);
    this.#arrivedSnapshots.clear();
    this.disk.install(snapshot);
    this.disk.sync();
    this.#applied = index;
    this.#digest = snapshot.digest;
    this.#note(6, `installs the snapshot at ${index}`, index);
    this.#world.checker.installed(this.id, index, snapshot.digest);
  }

  #apply(core: SimCore, entry: Entry): void {
    this.#applied = entry.index;
    this.#digest = extendDigest(this.#digest, entry);
    this.#world.checker.applied(this.id, entry, this.#digest);
    if (entry.kind === EntryKind.CONF_CHANGE) {
      const change = decodeConfChange(entry.data);
      const membership = core.applyConfChange(change);
      this.#note(7, `${change.kind} ${change.member?.raftId}`, entry.index, change.member?.raftId ?? 0);
      if (membership.removed.includes(this.id)) this.#world.removedSelf(this.id);
    }
    const own = this.#proposed.get(entry.index);
    if (own === undefined) return;
    this.#proposed.delete(entry.index);
    if (own.term === entry.term && own.operation === operationOf(entry)) {
      this.#world.checker.acknowledge(own.operation, entry.index);
    }
  }

  /** Keeps nothing that is applied, so that slow peers need the snapshot. */
  #compact(core: SimCore): void {
    const { log } = this.disk;
    if (this.#applied - log.firstIndex() < this.#world.tuning.compactAfter) return;
    const { membership } = core.status();
    const term = log.term(this.#applied);
    if (term === undefined) return;
    this.disk.compact({ meta: { index: this.#applied, term, membership }, digest: this.#digest });
    this.#note(8, `compacts to ${this.#applied}`, this.#applied);
  }

  #send(message: RaftMessage): void {
    const isSnapshot = message.snapshot !== undefined;
    // The content that is streamed is the one on disk now: never older than what was announced.
    const snapshot = isSnapshot ? this.disk.snapshot : undefined;
    const envelope: Envelope =
      snapshot === undefined ? { message } : { message: { ...message, snapshot: snapshot.meta }, snapshot };
    this.#world.network.send(
      envelope,
      this.#inThisLife((delivered: boolean) => this.#report(message, delivered)),
    );
  }

  #report(message: RaftMessage, delivered: boolean): void {
    if (this.#backlog !== undefined) {
      this.#backlog.push(() => this.#report(message, delivered));
    } else if (message.snapshot !== undefined) {
      this.#ask((core) => core.reportSnapshot(message.to, delivered));
    } else if (!delivered && this.#random.float() < 0.1) {
      this.#ask((core) => core.reportUnreachable(message.to));
    }
  }

  #inThisLife<A extends readonly unknown[]>(run: (...args: A) => void): (...args: A) => void {
    const life = this.#life;
    return (...args) => {
      if (life === this.#life && this.#core !== undefined) run(...args);
    };
  }

  #note(code: number, text: string, ...facts: number[]): void {
    this.#world.trace.note([code, this.id, ...facts], () => `member ${this.id} ${text}`);
  }
}
