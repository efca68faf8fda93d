/**
 * One member of the host world: the whole host as it runs in production, from RaftNode down to the
 * write-ahead log, on a simulated disk, clock and network. Pure. Invariant: a process that crashed leaves
 * nothing but its disk.
 */
import { codeOf, SkeinError, UnavailableError } from "../../base/errors/errors.js";
import { silentLogger } from "../../base/log/logger.js";
import type { Random } from "../../base/random/random.js";
import type { RaftId } from "../../raft/core/types.js";
import { openRaftNode, type RaftStart } from "../../raft/host/host.js";
import type { RaftNode } from "../../raft/host/raft-node.js";
import type { CrashKind } from "./core-disk.js";
import { HostClock } from "./host-clock.js";
import { HostDisk } from "./host-disk.js";
import { HostLife } from "./host-life.js";
import { HostMachine } from "./host-machine.js";
import { HostState, HostStateFolder } from "./host-state.js";
import { type Directory, HostTransport } from "./host-transport.js";
import { SimCore } from "./sim-core.js";
import type { MemberWorld, ProposalEnd, ReadEnd, SimMember } from "./sim-member.js";
import { NO_REGISTERS, type Registers } from "./sim-registers.js";

/** Small segments, so that they are changed and removed often. */
const SEGMENT_BYTES = [16 * 1024, 24 * 1024, 64 * 1024] as const;

/** A process and what it is made of. */
interface Process {
  readonly life: HostLife;
  readonly clock: HostClock;
  readonly machine: HostMachine;
  readonly transport: HostTransport;
  core: SimCore | undefined;
  node: RaftNode | undefined;
}

export class HostMember implements SimMember {
  readonly slot: number;
  readonly #world: MemberWorld;
  readonly #random: Random;
  readonly #directory: Directory;
  readonly #begin: RaftStart;
  readonly #disk: HostDisk;
  readonly #folder: HostStateFolder;
  readonly #segmentBytes: number;
  #id: RaftId;
  #address: string;
  #rate = 1;
  #lives = 0;
  #process: Process | undefined;

  constructor(
    slot: number,
    begin: RaftStart,
    given: { world: MemberWorld; random: Random; directory: Directory },
  ) {
    this.slot = slot;
    this.#begin = begin;
    this.#id = begin.kind === "join" ? begin.raftId : 0;
    this.#world = given.world;
    this.#random = given.random;
    this.#directory = given.directory;
    this.#address = `10.0.0.${slot}:4242`;
    this.#segmentBytes = SEGMENT_BYTES[this.#random.int(0, SEGMENT_BYTES.length)] ?? SEGMENT_BYTES[0];
    const { queue, tuning } = this.#world;
    this.#disk = new HostDisk({
      queue,
      random: this.#random.child("disk"),
      syncMaxMs: tuning.syncMaxMs,
      stops: (kind) => {
        this.crash(kind);
        this.#world.crashed(this);
      },
    });
    this.#disk.isLying = this.#world.bug === "disk-lies";
    this.#disk.isStateLying = this.#world.bug === "state-sync-lies";
    this.#folder = new HostStateFolder(this.#random.child("state"));
  }

  get id(): RaftId {
    return this.#id;
  }

  get core(): SimCore | undefined {
    return this.#process?.core;
  }

  get isUp(): boolean {
    return this.#process !== undefined;
  }

  get applied(): number {
    return this.#process?.node?.status().appliedIndex ?? 0;
  }

  get state(): Registers {
    return this.#process?.machine.state ?? NO_REGISTERS;
  }

  start(): void {
    if (this.#process !== undefined) return;
    if (this.#world.bug === "tail-forgotten" && this.#lives > 0) this.#disk.forgetTail(200);
    const { queue, network, checker } = this.#world;
    const life = new HostLife(queue);
    this.#rate = 0.95 + 0.1 * this.#random.float();
    const process: Process = {
      life,
      clock: new HostClock(queue, life, this.#rate),
      machine: new HostMachine(checker, () => this.#id),
      transport: new HostTransport(
        {
          queue,
          network,
          directory: this.#directory,
          chance: () => this.#random.float(),
          isDeafToStrangers: this.#world.bug === "strangers-unanswered",
        },
        life,
      ),
      core: undefined,
      node: undefined,
    };
    this.#process = process;
    this.#lives += 1;
    this.#world.note(this.slot, "start", 1);
    this.#open(process).then(
      (node) => {
        if (!life.isDead) process.node = node;
      },
      (error: unknown) => this.#stopped(process, error),
    );
  }

  #open({ life, clock, machine, transport, ...rest }: Process): Promise<RaftNode> {
    const { tuning } = this.#world;
    const { bytesPerMessageMax, inflightMessagesMax, inflightBytesMax, uncommittedBytesMax } = tuning;
    const process = this.#process;
    return openRaftNode({
      ...rest,
      dir: "",
      clusterId: "simulated",
      nodeId: `node-${this.slot}`,
      address: this.#address,
      start: this.#begin,
      transport,
      stateMachine: machine,
      clock,
      random: this.#random.child(`life-${this.#lives}`),
      log: silentLogger,
      segmentBytes: this.#segmentBytes,
      snapshotInterval: tuning.compactAfter,
      entriesKept: Math.floor(tuning.compactAfter / 4),
      reads: tuning.leases && this.#random.float() < 0.9 ? "lease" : "read-index",
      onStopped: (error) => {
        if (process !== undefined) this.#stopped(process, error);
      },
      onRefused: () => this.#world.removedSelf(this),
      onRemoved: () => this.#world.removedSelf(this),
      media: {
        disk: this.#disk.portOf(life),
        openState: async () => new HostState(this.#folder, this.#disk, life),
      },
      createCore: (options) => {
        this.#id = options.id;
        const core = new SimCore(
          {
            ...options,
            ...(bytesPerMessageMax !== undefined && { bytesPerMessageMax }),
            ...(inflightMessagesMax !== undefined && { inflightMessagesMax }),
            ...(inflightBytesMax !== undefined && { inflightBytesMax }),
            ...(uncommittedBytesMax !== undefined && { uncommittedBytesMax }),
          },
          this.#world,
        );
        if (process !== undefined && !life.isDead) process.core = core;
        return core;
      },
    });
  }

  /** The node gave up by itself: what only a bug can cause is told, for the rest it is started again. */
  #stopped(process: Process, error: unknown): void {
    if (process.life.isDead || process !== this.#process) return;
    if (!isExcused(error)) {
      this.#world.fail(error);
      return;
    }
    this.#world.note(this.slot, `stops by itself: ${String(error)}`, 10);
    this.crash("process-death");
    this.#world.crashed(this);
  }

  crash(kind: CrashKind): void {
    const process = this.#process;
    if (process === undefined) return;
    this.#world.note(this.slot, `crash (${kind})`, 2);
    this.#process = undefined;
    process.life.end();
    if (this.#directory.get(this.#id) === process.transport) this.#directory.delete(this.#id);
    this.#disk.crash(kind);
    this.#folder.crash(kind);
  }

  stop(): void {
    const process = this.#process;
    if (process?.node === undefined) return;
    this.#world.note(this.slot, "is told to stop", 12);
    this.#ask(async (asked, node) => {
      try {
        await node.close();
      } catch (error) {
        if (!isExcused(error)) this.#world.fail(error);
      }
      if (asked.life.isDead) return;
      this.crash("process-death");
      this.#world.crashed(this);
    });
  }

  pause(): void {
    if (this.#process === undefined) return;
    this.#world.note(this.slot, "pause", 3);
    this.#process.life.pause();
    // Half of the time the machine sleeps, and its monotonic clock with it.
    if (this.#random.float() < 0.5) this.#process.clock.drift(0);
  }

  resume(): void {
    if (this.#process === undefined) return;
    this.#world.note(this.slot, "resume", 4);
    this.#process.clock.drift(this.#rate);
    this.#process.life.resume();
  }

  propose(operation: number, data: Uint8Array, end: (how: ProposalEnd) => void): void {
    const isAsked = this.#ask(({ life, machine }, node) =>
      node.propose(data).then(
        ({ index }) => {
          if (!life.isDead) end({ kind: "applied", index, isDone: machine.outcomeAt(index) });
        },
        (error: unknown) => {
          const code = this.#excuse(error);
          if (life.isDead) return;
          // Of these two the contract of RaftNode says that it certainly was not done.
          if (code === "not-leader" || code === "resource-exhausted") end({ kind: "refused" });
          else this.#world.note(this.slot, `operation ${operation}: ${code}`, 11);
        },
      ),
    );
    if (!isAsked) end({ kind: "refused" });
  }

  read(end: (how: ReadEnd) => void): void {
    const isAsked = this.#ask(({ life, machine }, node) =>
      node.readBarrier().then(
        (index) => {
          if (!life.isDead) end({ index, state: machine.state });
        },
        (error: unknown) => {
          this.#excuse(error);
          if (!life.isDead) end("refused");
        },
      ),
    );
    if (!isAsked) end("refused");
  }

  connectionLost(peer: RaftId): void {
    this.#process?.transport.connectionLost(peer);
  }

  admit({ slot, id }: { slot: number; id?: RaftId }): void {
    if (id !== undefined) return; // no host can ask for its old id
    this.#ask(async (_process, node) => {
      try {
        const reply = await node.addMember({ nodeId: `node-${slot}`, address: `10.0.0.${slot}:4242` });
        this.#world.begin({ slot, id: reply.raftId, told: { kind: "join", ...reply } satisfies RaftStart });
      } catch (error) {
        this.#excuse(error);
        this.#world.joinFailed(slot);
      }
    });
  }

  remove(id: RaftId): void {
    const force = this.#random.float() < 0.3;
    this.#change((node) => node.removeMember(id, { force }));
  }

  /** It comes back where nobody expects it. */
  readdress(id: RaftId, address: string): void {
    const member = this.#world.memberOf(id);
    if (member instanceof HostMember) member.#moveTo(address);
  }

  #moveTo(address: string): void {
    this.#address = address;
    this.crash("process-death");
    this.#world.crashed(this);
  }

  transfer(to: RaftId): void {
    this.#change((node) => node.transferLeadership({ to }));
  }

  tend(): void {}

  drift(rate: number): void {
    this.#rate = rate;
    if (this.#process?.life.isStanding === false) this.#process.clock.drift(rate);
  }

  jump(byMs: number): void {
    // Not while it sleeps: a clock put back meanwhile hides the sleep, which nobody inside can tell (ADR
    // 0012).
    if (this.#process?.life.isStanding === false) this.#process.clock.jump(byMs);
  }

  crashAtWrite(countdown: number, kind: CrashKind): void {
    this.#disk.crashAt(countdown, kind);
  }

  fillDisk(isFull: boolean): void {
    this.#disk.isFull = isFull;
  }

  failWrite(): void {
    this.#disk.failsNext = true;
  }

  slowDisk(factor: number): void {
    this.#disk.slowness = factor;
  }

  /** Asks the running node, when the process gets to it. */
  #ask(call: (process: Process, node: RaftNode) => Promise<void>): boolean {
    const process = this.#process;
    const node = process?.node;
    if (process === undefined || node === undefined) return false;
    process.life.through(() => {
      call(process, node).catch((error: unknown) => this.#world.fail(error));
    });
    return true;
  }

  #change(call: (node: RaftNode) => Promise<unknown>): void {
    this.#ask(async (_process, node) => {
      try {
        await call(node);
      } catch (error) {
        this.#excuse(error);
      }
    });
  }

  /** Refusals are part of life; anything else is a bug. */
  #excuse(error: unknown): string {
    if (!(error instanceof SkeinError)) this.#world.fail(error);
    return codeOf(error);
  }
}

/** A full or failing disk may stop a host. */
function isExcused(error: unknown): boolean {
  if (error instanceof UnavailableError) return error.cause === undefined || isExcused(error.cause);
  return error instanceof Error && "code" in error && (error.code === "ENOSPC" || error.code === "EIO");
}
