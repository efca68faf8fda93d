/**
 * A member of a simulated cluster as the world sees it, whatever it is made of. Pure (interfaces only).
 */
import type { RaftId } from "../../raft/core/types.js";
import type { CrashKind } from "./core-disk.js";
import type { EventQueue } from "./event-queue.js";
import type { CoreWatch, SimCore } from "./sim-core.js";
import type { SimNetwork } from "./sim-network.js";
import type { Registers } from "./sim-registers.js";

/** What became of a proposal. Nothing is said when nobody knows. */
export type ProposalEnd =
  | { readonly kind: "applied"; readonly index: number; readonly isDone: boolean }
  /** It certainly was not done, and never will be. */
  | { readonly kind: "refused" };

/** Refused: nobody answers; ask again. */
export type ReadEnd = { readonly index: number; readonly state: Registers } | "refused";

export interface SimMember {
  /** Counts the machines of a run from 1. */
  readonly slot: number;
  /** 0 while it is not known yet. */
  readonly id: RaftId;
  /** Of the process that runs, if one does. */
  readonly core: SimCore | undefined;
  readonly isUp: boolean;
  readonly applied: number;
  readonly state: Registers;
  start(): void;
  crash(kind: CrashKind): void;
  /** Somebody stops the process in good order, and starts it again later. */
  stop(): void;
  /** The process stops getting the processor: its time stands still, messages and completions pile up. */
  pause(): void;
  resume(): void;
  propose(operation: number, data: Uint8Array, end: (how: ProposalEnd) => void): void;
  read(end: (how: ReadEnd) => void): void;
  connectionLost(peer: RaftId): void;
  // What only a leader may do; anybody else refuses.
  /** @param id asks for that very id: a member that was removed wants to come back as itself. */
  admit(newcomer: { slot: number; id?: RaftId }): void;
  remove(id: RaftId): void;
  readdress(id: RaftId, address: string): void;
  transfer(to: RaftId): void;
  /** Policy of a host that runs now and then; the real one needs no help. */
  tend(): void;
  /** How fast its clock runs, 1 being right. */
  drift(rate: number): void;
  /** Its timers are late by so much and then catch up; the wall clock jumps. */
  jump(byMs: number): void;
  /** The machine stops at that many disk operations from now. */
  crashAtWrite(countdown: number, kind: CrashKind): void;
  fillDisk(isFull: boolean): void;
  /** The next write fails with an I/O error, and nobody knows what of it is on the disk. */
  failWrite(): void;
  /** Syncs take so many times as long. */
  slowDisk(factor: number): void;
}

export interface MemberWorld extends CoreWatch {
  readonly queue: EventQueue;
  readonly network: SimNetwork;
  /** The member has applied its own removal. */
  removedSelf(member: SimMember): void;
  /** The machine stopped by itself: somebody starts it again. */
  crashed(member: SimMember): void;
  /** A member that was admitted begins, blank. */
  begin(newcomer: Newcomer): void;
  /** Who wants to join asks again later, under the same name. */
  joinFailed(slot: number): void;
  memberOf(id: RaftId): SimMember | undefined;
  /** Something broke that no fault excuses. */
  fail(error: unknown): void;
}

export interface Newcomer {
  readonly slot: number;
  readonly id: RaftId;
  /** What it was told by the leader, for a host. */
  readonly told?: unknown;
}
