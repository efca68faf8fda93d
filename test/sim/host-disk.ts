/**
 * The disk of one simulated machine: files and the materialised state, behind the ports of raft/storage.
 * Pure. Invariant: what an operation has resolved for survives every crash; of writes under way any set of
 * 512-byte sectors may survive a power cut, in any order; of state batches that were not synced, a prefix.
 * Every operation takes simulated time and may be the one at which the machine stops.
 */
import type { Random } from "../../base/random/random.js";
import type { Disk, DiskFile } from "../../raft/storage/disk.js";
import type { CrashKind } from "./core-disk.js";
import type { EventQueue } from "./event-queue.js";
import type { HostLife } from "./host-life.js";

const SECTOR_BYTES = 512;
/** What opening, reading and closing take. */
const QUICK_MS = 0.02;

/** An operation under way; `survive` does what a crash leaves of it. */
interface Underway {
  readonly survive: (kind: CrashKind) => void;
}

export interface HostDiskOptions {
  readonly queue: EventQueue;
  readonly random: Random;
  readonly syncMaxMs: number;
  /** The machine stops at this very operation. */
  readonly stops: (kind: CrashKind) => void;
}

export class HostDisk {
  readonly #options: HostDiskOptions;
  readonly #files = new Map<string, Uint8Array>();
  readonly #underway = new Set<Underway>();
  /** Sectors that read as written and are not on the disk: by file and number, what is there instead. */
  readonly #unsynced = new Map<string, Map<number, Uint8Array>>();
  #crashAt: { left: number; readonly kind: CrashKind } | undefined;
  isFull = false;
  slowness = 1;
  /** The next write, replacement or removal fails. */
  failsNext = false;
  /** Planted: writes are called durable while they are under way. */
  isLying = false;
  /** Planted: the state is called synced when it is not. */
  isStateLying = false;
  operations = 0;

  constructor(options: HostDiskOptions) {
    this.#options = options;
  }

  crashAt(countdown: number, kind: CrashKind): void {
    this.#crashAt = { left: countdown, kind };
  }

  /** What was under way survives as chance has it; the next life finds the rest. */
  crash(kind: CrashKind): void {
    for (const { survive } of this.#underway) survive(kind);
    this.#underway.clear();
    this.#crashAt = undefined;
    if (kind === "power-cut") this.#loseUnsynced();
  }

  /** Planted: the newest frame of the newest segment that has one is gone. */
  forgetTail(bytes: number): void {
    const names = [...this.#files.keys()].filter((name) => name.startsWith("wal-")).sort();
    for (const name of names.reverse()) {
      const file = this.#files.get(name);
      const end = file === undefined ? -1 : file.findLastIndex((byte) => byte !== 0);
      if (file === undefined || end < SECTOR_BYTES) continue;
      file.fill(0, Math.max(SECTOR_BYTES, end - bytes), end + 1);
      return;
    }
  }

  /** The port for one life. */
  portOf(life: HostLife): Disk {
    const read = <T>(run: () => T): Promise<T> => this.operate(life, "quick", run, () => undefined);
    return {
      list: () => read(() => [...this.#files.keys()].sort()),
      read: (name) =>
        read(() => {
          const bytes = this.#files.get(name);
          return bytes === undefined ? undefined : Buffer.from(bytes);
        }),
      open: (name) =>
        read(() => {
          if (!this.#files.has(name)) throw failure("ENOENT", name);
          return this.#openFile(life, name);
        }),
      replace: (name, bytes, options = {}) => {
        const content = new Uint8Array(Math.max(bytes.length, options.sizeBytes ?? 0));
        content.set(bytes);
        const perform = (): void => {
          this.#files.set(name, content);
          this.#unsynced.delete(name);
        };
        const allocate = (): void => {
          if (this.isFull) throw failure("ENOSPC", name);
          perform();
        };
        // Written beside, synced, renamed: there is no state in between.
        return this.operate(life, "sync", allocate, () => this.flip() && perform());
      },
      remove: (name) => {
        const perform = (): void => {
          this.#files.delete(name);
          this.#unsynced.delete(name);
        };
        return this.operate(life, "sync", perform, () => this.flip() && perform());
      },
    };
  }

  /**
   * Does something that takes time.
   * @param survive what of it a crash meanwhile leaves on the disk.
   */
  operate<T>(
    life: HostLife,
    length: "quick" | "sync",
    run: () => T,
    survive: (kind: CrashKind) => void,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      if (life.isDead) return; // nobody is there to hear of it
      this.operations += 1;
      const { queue, random, syncMaxMs, stops } = this.#options;
      const crash = length === "sync" ? this.#countDown() : undefined;
      const lengthMs = length === "quick" ? QUICK_MS : random.float() * syncMaxMs * this.slowness;
      const underway: Underway = { survive };
      this.#underway.add(underway);
      const isSilent = crash !== undefined && random.float() < 0.5;
      // It stops the machine in its middle, or when it is done and nobody has heard of it.
      queue.after(crash === undefined || isSilent ? lengthMs : lengthMs * random.float(), () => {
        if (life.isDead) return;
        if (crash !== undefined && !isSilent) {
          stops(crash);
          return;
        }
        this.#underway.delete(underway);
        let done: () => void;
        try {
          if (length === "sync") this.#failOnce(survive);
          const result = run();
          done = () => resolve(result);
        } catch (error) {
          done = () => reject(error);
        }
        if (crash === undefined) life.through(done);
        else stops(crash);
      });
    });
  }

  /** @throws {Error} EIO, if this one is to fail: what is on the disk then is a matter of chance. */
  #failOnce(survive: Underway["survive"]): void {
    if (!this.failsNext) return;
    this.failsNext = false;
    survive("power-cut");
    throw failure("EIO", "a write");
  }

  #countDown(): CrashKind | undefined {
    if (this.#crashAt === undefined) return undefined;
    this.#crashAt.left -= 1;
    if (this.#crashAt.left > 0) return undefined;
    const { kind } = this.#crashAt;
    this.#crashAt = undefined;
    return kind;
  }

  flip(): boolean {
    return this.#options.random.float() < 0.5;
  }

  #openFile(life: HostLife, name: string): DiskFile {
    let isOpen = true;
    return {
      writeDurably: (position, given) => {
        if (!isOpen) return Promise.reject(new Error("write to a closed file"));
        const bytes = given.slice();
        const written = this.operate(
          life,
          "sync",
          () => {
            const file = this.#files.get(name);
            if (file === undefined) throw failure("ENOENT", name);
            if (position + bytes.length > file.length) throw failure("ENOSPC", `past the end of ${name}`);
            file.set(bytes, position);
            this.#noteSynced(name, position, bytes.length);
          },
          (kind) => this.#tear(name, { position, bytes }, kind),
        );
        return this.isLying ? Promise.resolve() : written;
      },
      close: async () => {
        isOpen = false;
      },
    };
  }

  #noteSynced(name: string, position: number, length: number): void {
    const unsynced = this.#unsynced.get(name);
    if (unsynced === undefined) return;
    const end = Math.ceil((position + length) / SECTOR_BYTES);
    for (let sector = Math.floor(position / SECTOR_BYTES); sector < end; sector++) unsynced.delete(sector);
  }

  #noteUnsynced(name: string, file: Uint8Array, sector: number): void {
    const sectors = this.#unsynced.get(name) ?? new Map<number, Uint8Array>();
    this.#unsynced.set(name, sectors);
    const start = sector * SECTOR_BYTES;
    if (!sectors.has(sector)) sectors.set(sector, file.slice(start, start + SECTOR_BYTES));
  }

  #loseUnsynced(): void {
    for (const [name, sectors] of this.#unsynced) {
      for (const [sector, old] of sectors)
        if (this.flip()) this.#files.get(name)?.set(old, sector * SECTOR_BYTES);
    }
    this.#unsynced.clear();
  }

  /**
   * Sector by sector. A process that dies leaves all or nothing with the kernel, and what it leaves reads
   * as written
   * although a later power cut may still take it.
   */
  #tear(name: string, write: { position: number; bytes: Uint8Array }, kind: CrashKind): void {
    const { random } = this.#options;
    const file = this.#files.get(name);
    if (file === undefined) return;
    const keptShare = kind === "process-death" ? (this.flip() ? 1 : 0) : random.float();
    for (let at = 0; at < write.bytes.length; ) {
      const place = write.position + at;
      const end = Math.min(write.bytes.length, at + SECTOR_BYTES - (place % SECTOR_BYTES));
      if (place + end - at <= file.length && random.float() < keptShare) {
        if (kind === "process-death") this.#noteUnsynced(name, file, Math.floor(place / SECTOR_BYTES));
        file.set(write.bytes.subarray(at, end), place);
      }
      at = end;
    }
  }
}

function failure(code: "ENOSPC" | "EIO" | "ENOENT", what: string): Error {
  const words = {
    ENOSPC: "no space left on device",
    EIO: "i/o error",
    ENOENT: "no such file or directory",
  };
  return Object.assign(new Error(`${code}: ${words[code]}, ${what}`), { code });
}
