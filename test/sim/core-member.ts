/**
 * One member of the core world: the host's duties around the real core, on a disk of entries.
 * Pure. Invariant: it drives Ready exactly as raft/core/types.ts states,
 * with the sync taking time during which messages, ticks and proposals go on.
 * Source: contract in raft/core/types.ts.
 */
import { SkeinError } from "../../base/errors/errors.js";
import type { Random } from "../../base/random/random.js";
import { ConfChangeKind } from "../../proto/gen/skein/v1/raft.js";
import type { ConfChange, Entry, RaftId, RaftMember, RaftMessage, Ready } from "../../raft/core/types.js";
import { decodeConfChange } from "../../raft/log/conf-change-codec.js";
import { EntryKind } from "../../raft/log/make-entry.js";
import type { CoreDisk, CrashKind, SimSnapshot } from "./core-disk.js";
import { SimCore } from "./sim-core.js";
import type { MemberWorld, ProposalEnd, ReadEnd, SimMember } from "./sim-member.js";
import type { Envelope, Receiver } from "./sim-network.js";
import { applyEntry, operationOf, type Registers } from "./sim-registers.js";

const TICK_MS = 100;
/** What a host in good order takes to stop. */
const STOP_MS = 100;
/** A learner this close is made a voter. */
const CAUGHT_UP_ENTRIES = 20;

interface Proposed {
  readonly term: number;
  readonly operation: number;
  readonly end: (how: ProposalEnd) => void;
}

interface Reading {
  readonly end: (how: ReadEnd) => void;
  index: number | undefined;
}

export class CoreMember implements SimMember, Receiver {
  readonly slot: number;
  readonly id: RaftId;
  readonly #disk: CoreDisk;
  readonly #world: MemberWorld;
  readonly #random: Random;
  #core: SimCore | undefined;
  /** Grows at every crash: what an earlier life scheduled is void. */
  #life = 0;
  #tickMs = TICK_MS;
  /** Its monotonic clock, in ticks: what it showed, and when. */
  #elapsedTicks = 0;
  #elapsedSinceMs = 0;
  #slowness = 1;
  #busy = false;
  /** What waits while the process stands still. */
  #backlog: (() => void)[] | undefined;
  #crashAt: { left: number; readonly kind: CrashKind } | undefined;
  #applied = 0;
  #state: Registers;
  #nextRead = 1;
  readonly #proposed = new Map<number, Proposed>();
  readonly #readings = new Map<number, Reading>();
  readonly #arrivedSnapshots = new Map<number, SimSnapshot>();

  constructor(id: RaftId, disk: CoreDisk, world: MemberWorld, random: Random) {
    this.slot = id;
    this.id = id;
    this.#disk = disk;
    this.#world = world;
    this.#random = random;
    this.#state = disk.snapshot.state;
    world.network.attach(id, this);
  }

  get core(): SimCore | undefined {
    return this.#core;
  }

  get isUp(): boolean {
    return this.#core !== undefined;
  }

  get applied(): number {
    return this.#applied;
  }

  get state(): Registers {
    return this.#state;
  }

  start(): void {
    if (this.#core !== undefined) return;
    if (this.#world.bug === "recovery-truncates") this.#disk.truncate(2);
    const { meta, state } = this.#disk.snapshot;
    this.#applied = meta.index;
    this.#state = state;
    this.#world.checker.restored(this.id, meta.index, state.digest);
    const { bytesPerMessageMax, inflightMessagesMax, inflightBytesMax, uncommittedBytesMax } =
      this.#world.tuning;
    const leaseReads = {
      elapsedTicks: () => this.#readClock(),
      retiring: this.#world.tuning.leases && this.#random.float() < 0.1,
    };
    // Crystals differ, and so do restarts. Contexts must not repeat over a restart.
    this.#tickMs = TICK_MS * (0.9 + 0.2 * this.#random.float());
    this.#nextRead = 1 + this.#life * 1_000_000;
    this.#core = new SimCore(
      {
        id: this.id,
        storage: this.#disk.log,
        random: this.#random,
        appliedIndex: this.#applied,
        ...(this.#world.tuning.leases && { leaseReads }),
        ...(bytesPerMessageMax !== undefined && { bytesPerMessageMax }),
        ...(inflightMessagesMax !== undefined && { inflightMessagesMax }),
        ...(inflightBytesMax !== undefined && { inflightBytesMax }),
        ...(uncommittedBytesMax !== undefined && { uncommittedBytesMax }),
      },
      this.#world,
    );
    this.#world.note(this.id, "start", 1);
    this.#scheduleTick(this.#life);
    this.#pump();
  }

  crash(kind: CrashKind): void {
    if (this.#core === undefined) return;
    this.#world.note(this.id, `crash (${kind})`, 2);
    this.#life += 1;
    this.#core = undefined;
    this.#busy = false;
    this.#backlog = undefined;
    this.#crashAt = undefined;
    this.#proposed.clear();
    this.#readings.clear();
    this.#arrivedSnapshots.clear();
    this.#disk.crash(kind, this.#random);
  }

  /** Hands over if it leads, and is gone an instant later. */
  stop(): void {
    const inside = this.#core?.inside;
    const heir = inside?.voters.find((voter) => voter !== this.id);
    if (inside?.activity === "leader" && heir !== undefined) this.transfer(heir);
    const life = this.#life;
    this.#world.queue.after(STOP_MS, () => {
      if (life !== this.#life || this.#core === undefined) return;
      this.crash("process-death");
      this.#world.crashed(this);
    });
  }

  pause(): void {
    if (this.#core === undefined || this.#backlog !== undefined) return;
    this.#world.note(this.id, "pause", 3);
    this.#backlog = [];
  }

  resume(): void {
    const backlog = this.#backlog;
    if (backlog === undefined) return;
    this.#world.note(this.id, "resume", 4);
    this.#backlog = undefined;
    const life = this.#life;
    for (const run of backlog) if (life === this.#life) run();
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

  propose(operation: number, data: Uint8Array, end: (how: ProposalEnd) => void): void {
    // Saves the making of an error: most proposals of a stormy run go to nobody's leader.
    const isLeading = this.#core?.isLeader === true;
    const isTaken =
      isLeading &&
      this.#ask((core) => {
        const { term, firstIndex } = core.propose([data]);
        this.#proposed.get(firstIndex)?.end({ kind: "refused" });
        this.#proposed.set(firstIndex, { term, operation, end });
      });
    if (!isTaken) end({ kind: "refused" });
  }

  read(end: (how: ReadEnd) => void): void {
    const core = this.#core;
    const context = this.#nextRead++;
    this.#readings.set(context, { end, index: undefined });
    const isTaken =
      core !== undefined && core.inside.leader !== 0 && this.#ask((it) => it.readIndex(context));
    if (isTaken) return;
    this.#readings.delete(context);
    end("refused");
  }

  connectionLost(peer: RaftId): void {
    this.#ask((core) => core.connectionLost(peer));
  }

  admit({ slot, id }: { slot: number; id?: RaftId }): void {
    const raftId = id ?? slot;
    const member = { raftId, nodeId: `node-${slot}`, address: `10.0.0.${slot}:4242`, learner: false };
    if (this.#change(ConfChangeKind.ADD_LEARNER, member)) this.#world.begin({ slot: raftId, id: raftId });
  }

  remove(id: RaftId): void {
    const member = this.#memberOf(id);
    if (member !== undefined) this.#change(ConfChangeKind.REMOVE, member);
  }

  readdress(id: RaftId, address: string): void {
    const member = this.#memberOf(id);
    if (member !== undefined) this.#change(ConfChangeKind.UPDATE_ADDRESS, { ...member, address });
  }

  transfer(to: RaftId): void {
    this.#ask((core) => core.transferLeadership(to));
  }

  /** The policy of the real host: a learner that has caught up becomes a voter. */
  tend(): void {
    const inside = this.#core?.inside;
    if (inside === undefined || inside.activity !== "leader") return;
    for (const peer of inside.progress.values()) {
      const isReady = peer.learner && peer.match + CAUGHT_UP_ENTRIES >= inside.log.commitIndex;
      if (!isReady || !peer.recentlyActive) continue;
      const member = this.#memberOf(peer.raftId);
      if (member !== undefined) this.#change(ConfChangeKind.PROMOTE, member);
      return;
    }
  }

  #readClock(): number {
    return this.#elapsedTicks + (this.#world.queue.now - this.#elapsedSinceMs) / this.#tickMs;
  }

  drift(rate: number): void {
    this.#elapsedTicks = this.#readClock();
    this.#elapsedSinceMs = this.#world.queue.now;
    this.#tickMs = TICK_MS / rate;
  }

  /** Late timers come in a row; there is no wall clock here. */
  jump(byMs: number): void {
    for (let ticks = Math.min(3, Math.floor(Math.abs(byMs) / 1_000)); ticks > 0; ticks--)
      this.#ask((core) => core.tick());
  }

  crashAtWrite(countdown: number, kind: CrashKind): void {
    this.#crashAt = { left: countdown, kind };
  }

  /** A full disk stops the real host; here it only is a disk that takes no writes for a while: a crash. */
  fillDisk(isFull: boolean): void {
    if (!isFull || this.#core === undefined) return;
    this.crash("process-death");
    this.#world.crashed(this);
  }

  /** There is no host here that could take it well. */
  failWrite(): void {}

  slowDisk(factor: number): void {
    this.#slowness = factor;
  }

  #memberOf(id: RaftId): RaftMember | undefined {
    return this.#core?.inside.membership.members.find(({ raftId }) => raftId === id);
  }

  #change(kind: ConfChange["kind"], member: RaftMember): boolean {
    return this.#ask((core) => core.proposeConfChange({ kind, member, context: new Uint8Array(0) }));
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
      if (!this.#write(ready)) return;
      const isLying = this.#world.bug === "ack-before-sync";
      if (!ready.mustSync || isLying) {
        if (ready.mustSync) this.#later(() => this.#disk.sync());
        this.#finish(core, ready);
      } else {
        this.#busy = true;
        this.#later(() => {
          if (!this.#onDisk(() => this.#disk.sync())) return;
          this.#busy = false;
          this.#finish(core, ready);
          this.#pump();
        });
      }
    }
  }

  /** After the time of a sync, if the process still lives then; a process that stands still gets it later. */
  #later(run: () => void): void {
    const life = this.#life;
    const syncMs = this.#random.float() * this.#world.tuning.syncMaxMs * this.#slowness;
    const complete = (): void => {
      if (life !== this.#life) return;
      if (this.#backlog === undefined) run();
      else this.#backlog.push(complete);
    };
    this.#world.queue.after(syncMs, complete);
  }

  /** @returns false when the machine stopped at this operation; half of the time just after it. */
  #onDisk(run: () => void): boolean {
    const { kind, left } = this.#crashAt ?? { left: 0, kind: "power-cut" };
    if (this.#crashAt === undefined || left > 1) {
      if (this.#crashAt !== undefined) this.#crashAt.left -= 1;
      run();
      return true;
    }
    if (this.#random.float() < 0.5) run();
    this.crash(kind);
    this.#world.crashed(this);
    return false;
  }

  /** Step 1 of a Ready: write, and send what need not wait for the sync. */
  #write({ messagesBeforeSync, entries, hardState }: Ready): boolean {
    for (const message of messagesBeforeSync) this.#send(message);
    if (entries.length > 0 && !this.#onDisk(() => this.#disk.append(entries))) return false;
    return hardState === undefined || this.#onDisk(() => this.#disk.setHardState(hardState));
  }

  /** Steps 2 to 5. */
  #finish(core: SimCore, ready: Ready): void {
    if (ready.snapshot !== undefined && !this.#install(ready.snapshot.index)) return;
    for (const message of ready.messages) this.#send(message);
    for (const entry of ready.committedEntries) this.#apply(core, entry);
    for (const { context, index } of ready.readStates) {
      const reading = this.#readings.get(context);
      if (reading !== undefined) reading.index ??= index;
    }
    core.advance();
    this.#answerReads();
    this.#compact(core);
  }

  #answerReads(): void {
    for (const [context, { index, end }] of this.#readings) {
      if (index === undefined || index > this.#applied) continue;
      this.#readings.delete(context);
      end({ index: this.#applied, state: this.#state });
    }
  }

  #install(index: number): boolean {
    const snapshot = this.#arrivedSnapshots.get(index);
    if (snapshot === undefined)
      throw new Error(`member ${this.id} has no content for the snapshot at ${index}`);
    this.#arrivedSnapshots.clear();
    const isAlive = this.#onDisk(() => {
      this.#disk.install(snapshot);
      this.#disk.sync();
    });
    if (!isAlive) return false;
    this.#applied = index;
    this.#state = snapshot.state;
    this.#world.note(this.id, `installs the snapshot at ${index}`, 6, index);
    this.#world.checker.restored(this.id, index, snapshot.state.digest);
    return true;
  }

  #apply(core: SimCore, entry: Entry): void {
    this.#applied = entry.index;
    let isDone = true;
    if (entry.kind === EntryKind.CONF_CHANGE) {
      const membership = core.applyConfChange(decodeConfChange(entry.data));
      if (membership.removed.includes(this.id)) this.#world.removedSelf(this);
    } else if (entry.data.length > 0) {
      ({ state: this.#state, isDone } = applyEntry(this.#state, entry));
      this.#world.checker.applied(this.id, entry, this.#state.digest);
    }
    const own = this.#proposed.get(entry.index);
    if (own === undefined) return;
    this.#proposed.delete(entry.index);
    const isOwn = own.term === entry.term && own.operation === operationOf(entry);
    if (this.#world.bug === "mismatch-called-set") isDone = true;
    own.end(isOwn ? { kind: "applied", index: entry.index, isDone } : { kind: "refused" });
  }

  /** Keeps nothing that is applied, so that slow peers need the snapshot. */
  #compact(core: SimCore): void {
    const { log } = this.#disk;
    if (this.#applied - log.firstIndex() < this.#world.tuning.compactAfter) return;
    const { bug } = this.#world;
    const index = bug === "snapshot-ahead" ? this.#applied - 1 : this.#applied;
    const term = log.term(index);
    if (term === undefined) return;
    const { membership } = core.inside;
    const kept = bug === "snapshot-forgets-removed" ? { ...membership, removed: [] } : membership;
    const snapshot = { meta: { index, term, membership: kept }, state: this.#state };
    if (!this.#onDisk(() => this.#disk.compact(snapshot))) return;
    this.#world.note(this.id, `compacts to ${index}`, 8, index);
  }

  #send(message: RaftMessage): void {
    // The content that is streamed is the one on disk now: never older than what was announced.
    const snapshot = message.snapshot === undefined ? undefined : this.#disk.snapshot;
    const envelope: Envelope =
      snapshot === undefined ? { message } : { message: { ...message, snapshot: snapshot.meta }, snapshot };
    const life = this.#life;
    this.#world.network.send(envelope, (isDelivered) => {
      if (life === this.#life) this.#report(message, isDelivered);
    });
  }

  #report(message: RaftMessage, isDelivered: boolean): void {
    if (this.#core === undefined) return;
    if (this.#backlog !== undefined) {
      this.#backlog.push(() => this.#report(message, isDelivered));
    } else if (message.snapshot !== undefined) {
      this.#ask((core) => core.reportSnapshot(message.to, isDelivered));
    } else if (!isDelivered && this.#random.float() < 0.1) {
      this.#ask((core) => core.reportUnreachable(message.to));
    }
  }
}
