/**
 * The disk of one member of the core world, which stores entries rather than bytes: what was written is
 * visible at once, but only what was synced survives a power cut. Pure. Invariant: after a power cut the
 * log is what it was at the last sync plus a prefix of the later writes, whose last append may be torn.
 * Source: contract of LogStorage in raft/core/types.ts.
 */
import type { Random } from "../../base/random/random.js";
import type { Entry, HardState, SnapshotMeta } from "../../raft/core/types.js";
import { MemoryLog } from "../../raft/storage/memory-log.js";
import { NO_REGISTERS, type Registers } from "./sim-registers.js";

/** A snapshot with its content: the state after all that was applied up to it. */
export interface SimSnapshot {
  readonly meta: SnapshotMeta;
  readonly state: Registers;
}

type Write =
  | { readonly kind: "append"; readonly entries: readonly Entry[] }
  | { readonly kind: "hard-state"; readonly hardState: HardState }
  | { readonly kind: "compact"; readonly snapshot: SimSnapshot }
  | { readonly kind: "install"; readonly snapshot: SimSnapshot };

/** A process that dies leaves what it wrote to the kernel; a power cut takes what was not synced. */
export type CrashKind = "process-death" | "power-cut";

interface Platter {
  log: MemoryLog;
  state: Registers;
}

export class CoreDisk {
  #visible: Platter;
  #synced: Platter;
  #unsynced: Write[] = [];

  constructor(log: MemoryLog = new MemoryLog()) {
    this.#visible = { log, state: NO_REGISTERS };
    this.#synced = { log: log.clone(), state: NO_REGISTERS };
  }

  get log(): MemoryLog {
    return this.#visible.log;
  }

  /** The newest snapshot, from which the state machine starts. */
  get snapshot(): SimSnapshot {
    return { meta: this.log.snapshotMeta(), state: this.#visible.state };
  }

  append(entries: readonly Entry[]): void {
    if (entries.length > 0) this.#write({ kind: "append", entries });
  }

  setHardState(hardState: HardState): void {
    this.#write({ kind: "hard-state", hardState });
  }

  compact(snapshot: SimSnapshot): void {
    this.#write({ kind: "compact", snapshot });
  }

  install(snapshot: SimSnapshot): void {
    this.#write({ kind: "install", snapshot });
  }

  sync(): void {
    for (const write of this.#unsynced) perform(this.#synced, write);
    this.#unsynced = [];
  }

  crash(kind: CrashKind, random: Random): void {
    if (kind === "process-death") this.sync();
    const kept = random.int(0, this.#unsynced.length + 1);
    for (const write of this.#unsynced.slice(0, kept)) perform(this.#synced, write);
    const torn = this.#unsynced[kept];
    if (torn?.kind === "append") {
      const entries = torn.entries.slice(0, random.int(0, torn.entries.length));
      perform(this.#synced, { kind: "append", entries });
    }
    this.#unsynced = [];
    this.#visible = { log: this.#synced.log.clone(), state: this.#synced.state };
  }

  /** What a wrong recovery would do: it takes the last entries for torn ones, although they were synced. */
  truncate(count: number): void {
    for (const { log } of [this.#visible, this.#synced]) {
      const { commit } = log.initialState().hardState;
      const end = Math.max(log.firstIndex(), commit + 1, log.lastIndex() + 1 - count);
      const last = log.entries(log.firstIndex(), end, Number.POSITIVE_INFINITY);
      const snapshot = log.snapshotMeta();
      log.installSnapshot(snapshot);
      log.append(last);
    }
  }

  #write(write: Write): void {
    perform(this.#visible, write);
    this.#unsynced.push(write);
  }
}

function perform(platter: Platter, write: Write): void {
  switch (write.kind) {
    case "append":
      platter.log.append(write.entries);
      return;
    case "hard-state":
      platter.log.setHardState(write.hardState);
      return;
    case "compact":
      platter.log.compact(write.snapshot.meta);
      platter.state = write.snapshot.state;
      return;
    case "install":
      platter.log.installSnapshot(write.snapshot.meta);
      platter.state = write.snapshot.state;
      return;
  }
}
