/**
 * The disk of one simulated member: what was written is visible at once,
 * but only what was synced survives a crash.
 * Pure. Invariant: after a crash the log is what it was at the last sync plus a prefix of the later writes,
 * whose last append may be torn. Source: contract of LogStorage in raft/core/types.ts.
 */
import type { Random } from "../../base/random/random.js";
import type { Entry, HardState, SnapshotMeta } from "../../raft/core/types.js";
import { MemoryLog } from "../../raft/storage/memory-log.js";

/** A snapshot with its content: the digest of all that was applied up to it. */
export interface SimSnapshot {
  readonly meta: SnapshotMeta;
  readonly digest: number;
}

type Write =
  | { readonly kind: "append"; readonly entries: readonly Entry[] }
  | { readonly kind: "hard-state"; readonly hardState: HardState }
  | { readonly kind: "compact"; readonly snapshot: SimSnapshot }
  | { readonly kind: "install"; readonly snapshot: SimSnapshot };

interface Platter {
  log: MemoryLog;
  digest: number;
}

export class SimDisk {
  #visible: Platter;
  #synced: Platter;
  #unsynced: Write[] = [];

  constructor(log: MemoryLog = new MemoryLog()) {
    this.#visible = { log, digest: 0 };
    this.#synced = { log: log.clone(), digest: 0 };
  }

  get log(): MemoryLog {
    return this.#visible.log;
  }

  /** The newest snapshot, from which the state machine starts. */
  get snapshot(): SimSnapshot {
    return { meta: this.log.snapshotMeta(), digest: this.#visible.digest };
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

  /** Power fails: the unsynced tail is lost from a random write on. */
  crash(random: Random): void {
    const kept = random.int(0, this.#unsynced.length + 1);
    for (const write of this.#unsynced.slice(0, kept)) perform(this.#synced, write);
    const torn = this.#unsynced[kept];
    if (torn?.kind === "append") {
      const entries = torn.entries.slice(0, random.int(0, torn.entries.length));
      perform(this.#synced, { kind: "append", entries });
    }
    this.#unsynced = [];
    this.#visible = { log: this.#synced.log.clone(), digest: this.#synced.digest };
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
      platter.digest = write.snapshot.digest;
      return;
    case "install":
      platter.log.installSnapshot(write.snapshot.meta);
      platter.digest = write.snapshot.digest;
      return;
  }
}
