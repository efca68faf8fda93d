/**
 * A disk in memory that fails on demand: lost and torn writes at a crash, a full disk, I/O errors,
 * rotten bytes.
 * Pure. Invariant: what `writeDurably` or `replace` has resolved for survives `crash`;
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

function failure(code: "ENOSPC" | "EIO" | "ENOENT", what: string): Error {
  const words = { ENOSPC: "no space left on device", EIO: "i/o error", ENOENT: "no such file or directory" };
  return Object.assign(new Error(`${code}: ${words[code]}, ${what}`), { code });
}

export class MemoryDisk implements Disk {
  readonly #latency: () => Promise<void>;
  #files = new Map<string, Uint8Array>();
  #inFlight = new Set<InFlight>();
  #dead = false;
  #failNext: "EIO" | "ENOSPC" | undefined;
  #writes = 0;
  capacityBytes: number;

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
    this.#files.delete(name);
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
    this.#inFlight.clear();
    const next = new MemoryDisk({ latency: this.#latency, capacityBytes: this.capacityBytes });
    next.#files = this.#files;
    return next;
  }

  /** The next write fails with this code and changes nothing. */
  failNextWrite(code: "EIO" | "ENOSPC"): void {
    this.#failNext = code;
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
      this.#throwIfFailing(`write ${write.name}`);
      const file = this.#files.get(write.name);
      if (file === undefined) throw failure("ENOENT", `write ${write.name}`);
      if (write.position + write.bytes.length > file.length)
        throw failure("ENOSPC", `write past ${write.name}`);
      file.set(write.bytes, write.position);
      this.#writes += 1;
    } finally {
      this.#inFlight.delete(write);
    }
  }

  /** Waits the latency; a crash meanwhile leaves the caller waiting for ever, as a dead process would. */
  async #pass(): Promise<void> {
    if (!this.#dead) await this.#latency();
    if (this.#dead) await new Promise<never>(() => undefined);
  }

  #throwIfFailing(what: string): void {
    const code = this.#failNext;
    this.#failNext = undefined;
    if (code !== undefined) throw failure(code, what);
  }
}
