/**
 * A disk in memory that fails on demand: lost and torn writes at a crash, writes that only look done, a full
 * disk, I/O errors, writes that hang, rotten bytes.
 * Pure. Invariant: what `writeDurably` or `replace` has resolved for survives `crash` and `die`;
 * of what was still under way, any set of 512-byte sectors may have reached the disk, in any order.
 */
import type { Random } from "../../base/random/random.js";
import type { Disk, DiskFile } from "./disk.js";

const SECTOR_BYTES = 512;

interface InFlight {
  readonly name: string;
  readonly position: number;
  readonly bytes: Uint8Array;
}

export interface MemoryDiskOptions {
  /**
   * Called before each write becomes durable; a test or the simulator makes it wait.
   * @default resolves at once
   */
  readonly latency?: () => Promise<void>;
  /** Bytes the files may hold together before writes fail with ENOSPC. @default unlimited */
  readonly capacityBytes?: number;
}

export type DiskFailure = "ENOSPC" | "EIO" | "EROFS";

function failure(code: DiskFailure | "ENOENT", what: string): Error {
  const words = {
    ENOSPC: "no space left on device",
    EIO: "i/o error",
    EROFS: "read-only file system",
    ENOENT: "no such file or directory",
  };
  return Object.assign(new Error(`${code}: ${words[code]}, ${what}`), { code });
}

export class MemoryDisk implements Disk {
  readonly #latency: () => Promise<void>;
  #files = new Map<string, Uint8Array>();
  #inFlight = new Set<InFlight>();
  #dead = false;
  #failNext: DiskFailure | undefined;
  #held: { readonly released: Promise<void>; readonly release: () => void } | undefined;
  /** What the disk holds of sectors that read differently: "name/sector" and the old content. */
  #unsynced = new Map<string, { name: string; position: number; old: Uint8Array }>();
  #failUnseen = false;
  #writes = 0;
  capacityBytes: number;
  /** While set, every change fails with it. */
  failing: DiskFailure | undefined;

  constructor(options: MemoryDiskOptions = {}) {
    this.#latency = options.latency ?? (() => Promise.resolve());
    this.capacityBytes = options.capacityBytes ?? Number.POSITIVE_INFINITY;
  }

  /** Durable writes done so far. */
  get writeCount(): number {
    return this.#writes;
  }

  async list(): Promise<readonly string[]> {
    return [...this.#files.keys()].sort();
  }

  async read(name: string): Promise<Buffer | undefined> {
    const bytes = this.#files.get(name);
    return bytes === undefined ? undefined : Buffer.from(bytes);
  }

  async replace(name: string, bytes: Uint8Array, options: { sizeBytes?: number } = {}): Promise<void> {
    const content = new Uint8Array(Math.max(bytes.length, options.sizeBytes ?? 0));
    content.set(bytes);
    await this.#pass();
    this.#throwIfFailing(`replace ${name}`);
    if (this.usedBytes - (this.#files.get(name)?.length ?? 0) + content.length > this.capacityBytes) {
      throw failure("ENOSPC", `replace ${name}`);
    }
    this.#files.set(name, content);
    this.#forgetUnsynced(name);
  }

  #forgetUnsynced(name: string): void {
    for (const [key, sector] of this.#unsynced) if (sector.name === name) this.#unsynced.delete(key);
  }

  async open(name: string): Promise<DiskFile> {
    if (!this.#files.has(name)) throw failure("ENOENT", `open ${name}`);
    let open = true;
    return {
      writeDurably: (position, bytes) => {
        if (!open) return Promise.reject(new Error("write to a closed file"));
        return this.#write({ name, position, bytes: bytes.slice() });
      },
      close: async () => {
        open = false;
      },
    };
  }

  async remove(name: string): Promise<void> {
    if (this.#dead) await new Promise<never>(() => undefined);
    if (this.failing !== undefined && this.failing !== "ENOSPC")
      throw failure(this.failing, `remove ${name}`);
    this.#files.delete(name);
    this.#forgetUnsynced(name);
  }

  get usedBytes(): number {
    let sum = 0;
    for (const bytes of this.#files.values()) sum += bytes.length;
    return sum;
  }

  /**
   * The machine loses power: writes under way are lost, kept or torn as `random` says.
   * This object never answers again.
   * @returns the same disk as the next start finds it.
   */
  crash(random: Random): MemoryDisk {
    this.#dead = true;
    for (const write of this.#inFlight) {
      const keepPermille = random.int(0, 1001);
      for (let at = 0; at < write.bytes.length; ) {
        const end = Math.min(write.bytes.length, at + SECTOR_BYTES - ((write.position + at) % SECTOR_BYTES));
        if (random.int(0, 1000) < keepPermille) {
          this.#files.get(write.name)?.set(write.bytes.subarray(at, end), write.position + at);
        }
        at = end;
      }
    }
    for (const { name, position, old } of this.#unsynced.values()) {
      if (random.int(0, 2) === 0) this.#files.get(name)?.set(old, position);
    }
    return this.#successor();
  }

  /**
   * The process is killed, the machine runs on: of writes under way some reads already as written, and is not
   * durable. @returns the same disk as the next start finds it.
   */
  die(random: Random): MemoryDisk {
    this.#dead = true;
    for (const { name, position, bytes } of this.#inFlight) {
      const sectors = random.int(0, Math.ceil(bytes.length / SECTOR_BYTES) + 1);
      this.#cache(name, position, bytes.subarray(0, sectors * SECTOR_BYTES));
    }
    const next = this.#successor();
    next.#unsynced = this.#unsynced;
    return next;
  }

  #successor(): MemoryDisk {
    this.#inFlight.clear();
    const next = new MemoryDisk({ latency: this.#latency, capacityBytes: this.capacityBytes });
    next.#files = this.#files;
    return next;
  }

  #cache(name: string, position: number, bytes: Uint8Array): void {
    const file = this.#files.get(name);
    if (file === undefined) return;
    for (const { key, start, end } of sectorsOf(name, position, bytes.length)) {
      if (!this.#unsynced.has(key))
        this.#unsynced.set(key, { name, position: start, old: file.slice(start, end) });
    }
    file.set(bytes, position);
  }

  /** The next write fails with this code and changes nothing. */
  failNextWrite(code: DiskFailure): void {
    this.#failNext = code;
  }

  /** Writes wait from now on until the returned function is called. */
  hang(): () => void {
    let release = (): void => undefined;
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    this.#held = { released, release };
    return () => {
      this.#held = undefined;
      release();
    };
  }

  /** A write fails with EIO, and yet it reads as if it were done: what Linux makes of a failed write-back. */
  failNextWriteUnseen(): void {
    this.#failNext = "EIO";
    this.#failUnseen = true;
  }

  /** Flips one bit of a stored byte. */
  rot(name: string, position: number): void {
    const bytes = this.#files.get(name);
    if (bytes === undefined || position >= bytes.length)
      throw failure("ENOENT", `rot ${name} at ${position}`);
    bytes[position] = (bytes[position] ?? 0) ^ 1;
  }

  async #write(write: InFlight): Promise<void> {
    this.#inFlight.add(write);
    try {
      await this.#pass();
      if (this.#failUnseen) this.#cache(write.name, write.position, write.bytes);
      this.#failUnseen = false;
      this.#throwIfFailing(`write ${write.name}`);
      const file = this.#files.get(write.name);
      if (file === undefined) throw failure("ENOENT", `write ${write.name}`);
      if (write.position + write.bytes.length > file.length)
        throw failure("ENOSPC", `write past ${write.name}`);
      file.set(write.bytes, write.position);
      const { name, position, bytes } = write;
      for (const { key } of sectorsOf(name, position, bytes.length)) this.#unsynced.delete(key);
      this.#writes += 1;
    } finally {
      this.#inFlight.delete(write);
    }
  }

  /** Waits the latency; a crash meanwhile leaves the caller waiting for ever, as a dead process would. */
  async #pass(): Promise<void> {
    if (!this.#dead) await this.#latency();
    while (this.#held !== undefined && !this.#dead) await this.#held.released;
    if (this.#dead) await new Promise<never>(() => undefined);
  }

  #throwIfFailing(what: string): void {
    const code = this.#failNext ?? this.failing;
    this.#failNext = undefined;
    if (code !== undefined) throw failure(code, what);
  }
}

function* sectorsOf(
  name: string,
  position: number,
  length: number,
): Generator<{ readonly key: string; readonly start: number; readonly end: number }> {
  const first = Math.floor(position / SECTOR_BYTES);
  for (let sector = first; sector * SECTOR_BYTES < position + length; sector++) {
    const start = sector * SECTOR_BYTES;
    yield { key: `${name}/${sector}`, start, end: start + SECTOR_BYTES };
  }
}
