/**
 * The ring of data keys: each has an id, one is current, and what is sealed on disk names the id it is sealed
 * under. Pure over the disk port; the file is `dek`, readable by its owner only.
 * Invariants: memory holds what the file holds, because every change is written, whole and durably, before it
 * counts; an id is never given twice; a key leaves the ring only when its owner says that nothing needs it.
 *
 *   0  magic "SKDEK2"
 *   6  u8  0: open, 1: locked
 *   7  the ring, as it is or as the lock wrapped it
 *   …  u32 CRC-32 of everything before: damage is told from a key that does not fit
 *
 * The ring: u32 current id, u64 epoch, u32 highest id ever given, then per key u32 id and its 32 bytes.
 * "SKDEK1", of versions before, holds one key without an id or a checksum; it opens as a ring of one.
 */
import { crc32 } from "node:zlib";
import {
  codeOf,
  DataLossError,
  FailedPreconditionError,
  NotFoundError,
  ResourceExhaustedError,
} from "../../base/errors/errors.js";
import { invariant } from "../../base/errors/invariant.js";
import type { Random } from "../../base/random/random.js";
import { DATA_KEY_BYTES, type DataKeyLock, type DataKeys } from "./data-key.js";
import type { Disk } from "./disk.js";

export const DATA_KEY_FILE = "dek";
const MAGIC = Buffer.from("SKDEK2");
const OLD_MAGIC = Buffer.from("SKDEK1");
const KIND_AT = MAGIC.length;
const BODY_AT = KIND_AT + 1;
const CRC_BYTES = 4;
const RING_HEAD_BYTES = 16;
const ROW_BYTES = 4 + DATA_KEY_BYTES;
/** The id of the one key that a file of the old format holds. */
const FIRST_ID = 1;
/**
 * More than a few means that what is sealed under old keys cannot be sealed anew, on a full disk, say. No
 * key is added then: the oldest one could not go either.
 */
const KEYS_MAX = 64;

interface Ring {
  readonly current: number;
  readonly highest: number;
  readonly epoch: number;
  readonly keys: ReadonlyMap<number, Uint8Array>;
}

export interface DataKeyRingOptions {
  readonly disk: Disk;
  readonly random: Random;
  /** What the file shall be locked under. Absent: it stands open. */
  readonly lock?: DataKeyLock | undefined;
  /** What it may be locked under still: a change of the lock that a crash cut short. */
  readonly formerLocks?: readonly DataKeyLock[] | undefined;
}

/**
 * Loads the ring, or makes one when the folder has none, and brings the file under `lock`.
 * @throws {FailedPreconditionError} it is locked and no lock was given. {PermissionDeniedError} none of
 * them fits. {DataLossError}
 */
export async function openDataKeyRing(options: DataKeyRingOptions): Promise<DataKeyRing> {
  const { disk, random, lock } = options;
  const stored = await disk.read(DATA_KEY_FILE);
  if (stored === undefined) {
    const ring = withNewKey({ current: 0, highest: 0, epoch: 0, keys: new Map() }, 0, random);
    await disk.replace(DATA_KEY_FILE, encodeFile(ring, lock));
    return new DataKeyRing(ring, options);
  }
  const { ring, openedBy } = decodeFile(stored, [lock, ...(options.formerLocks ?? [])]);
  const opened = new DataKeyRing(ring, { disk, random, lock: openedBy });
  if (openedBy !== lock) await opened.relock(lock);
  return opened;
}

/** Whether a member's folder holds a ring that is locked. Reads it only. */
export async function isDataKeyLocked(disk: Disk): Promise<boolean> {
  const stored = await disk.read(DATA_KEY_FILE);
  return stored !== undefined && stored[KIND_AT] === 1;
}

/**
 * Opens a ring to read what it sealed, and leaves the file as it is. @throws as `openDataKeyRing`;
 * {NotFoundError}
 */
export async function readDataKeyRing(disk: Disk, locks: readonly DataKeyLock[]): Promise<DataKeys> {
  const stored = await disk.read(DATA_KEY_FILE);
  if (stored === undefined) throw new NotFoundError(`there is no data key file \`${DATA_KEY_FILE}\``);
  const { ring } = decodeFile(stored, locks);
  return { currentId: ring.current, key: (id) => keyOf(ring, id) };
}

export class DataKeyRing implements DataKeys {
  readonly #disk: Disk;
  readonly #random: Random;
  #lock: DataKeyLock | undefined;
  #ring: Ring;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(ring: Ring, options: DataKeyRingOptions) {
    this.#ring = ring;
    this.#disk = options.disk;
    this.#random = options.random;
    this.#lock = options.lock;
  }

  get currentId(): number {
    return this.#ring.current;
  }

  /** Ascending. */
  get ids(): readonly number[] {
    return [...this.#ring.keys.keys()].sort((a, b) => a - b);
  }

  /** The rotation that the current key follows, as the cluster counts them; 0: it was never told of one. */
  get epoch(): number {
    return this.#ring.epoch;
  }

  get isLocked(): boolean {
    return this.#lock !== undefined;
  }

  key(id: number): Uint8Array {
    return keyOf(this.#ring, id);
  }

  /**
   * Makes a new current key, because the cluster counts a newer rotation than the ring follows. A ring that
   * was never told of one takes the first for its own: its key is as young as its membership.
   * @returns whether there is a new key. @throws {ResourceExhaustedError} too many old ones are still needed.
   */
  rotate(epoch: number): Promise<boolean> {
    return this.#exclusively(async () => {
      const before = this.#ring;
      if (epoch <= before.epoch) return false;
      if (before.epoch === 0) {
        await this.#write({ ...before, epoch }, this.#lock);
        return false;
      }
      if (before.keys.size >= KEYS_MAX) {
        throw new ResourceExhaustedError(
          `${KEYS_MAX} data keys are in use still: none is added until some go`,
        );
      }
      await this.#write(withNewKey(before, epoch, this.#random), this.#lock);
      return true;
    });
  }

  /**
   * Writes the ring under another lock, or none: nothing else is encrypted anew. When the ring stood open,
   * its keys may have been read: in the same step it gets a new current one.
   * @returns whether there is a new key.
   */
  relock(lock: DataKeyLock | undefined): Promise<boolean> {
    return this.#exclusively(async () => {
      const stoodOpen = this.#lock === undefined && lock !== undefined;
      const ring = stoodOpen ? withNewKey(this.#ring, this.#ring.epoch, this.#random) : this.#ring;
      await this.#write(ring, lock);
      return stoodOpen;
    });
  }

  /**
   * Forgets keys but the current one and those that `used` names when its turn has come.
   * @returns the ids that went.
   */
  forgetUnused(used: () => Iterable<number>): Promise<readonly number[]> {
    return this.#exclusively(async () => {
      const needed = new Set([...used(), this.#ring.current]);
      const keys = new Map([...this.#ring.keys].filter(([id]) => needed.has(id)));
      const gone = this.ids.filter((id) => !keys.has(id));
      if (gone.length > 0) await this.#write({ ...this.#ring, keys }, this.#lock);
      return gone;
    });
  }

  async #write(ring: Ring, lock: DataKeyLock | undefined): Promise<void> {
    await this.#disk.replace(DATA_KEY_FILE, encodeFile(ring, lock));
    this.#ring = ring;
    this.#lock = lock;
  }

  #exclusively<T>(operation: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(operation, operation);
    this.#turn = turn;
    return turn;
  }
}

function keyOf(ring: Ring, id: number): Uint8Array {
  const key = ring.keys.get(id);
  if (key === undefined) throw new DataLossError(`the key ring does not hold data key ${id}`);
  return key;
}

function withNewKey(ring: Ring, epoch: number, random: Random): Ring {
  const current = ring.highest + 1;
  const keys = new Map(ring.keys).set(current, random.bytes(DATA_KEY_BYTES));
  return { current, highest: current, epoch, keys };
}

function encodeFile(ring: Ring, lock: DataKeyLock | undefined): Buffer {
  const plain = encodeRing(ring);
  const body = lock?.wrap(plain) ?? plain;
  const whole = Buffer.alloc(BODY_AT + body.length + CRC_BYTES);
  MAGIC.copy(whole);
  whole.writeUInt8(lock === undefined ? 0 : 1, KIND_AT);
  whole.set(body, BODY_AT);
  whole.writeUInt32LE(crc32(whole.subarray(0, -CRC_BYTES)), whole.length - CRC_BYTES);
  return whole;
}

function encodeRing({ current, highest, epoch, keys }: Ring): Buffer {
  const bytes = Buffer.alloc(RING_HEAD_BYTES + keys.size * ROW_BYTES);
  bytes.writeUInt32LE(current, 0);
  bytes.writeBigUInt64LE(BigInt(epoch), 4);
  bytes.writeUInt32LE(highest, 12);
  let at = RING_HEAD_BYTES;
  for (const [id, key] of keys) {
    invariant(key.length === DATA_KEY_BYTES, `data key ${id} has ${key.length} bytes`);
    bytes.writeUInt32LE(id, at);
    bytes.set(key, at + 4);
    at += ROW_BYTES;
  }
  return bytes;
}

type Opened = { readonly ring: Ring; readonly openedBy: DataKeyLock | undefined };

function decodeFile(stored: Buffer, locks: readonly (DataKeyLock | undefined)[]): Opened {
  const magic = stored.subarray(0, KIND_AT);
  if (magic.equals(OLD_MAGIC)) return decodeWith(stored, stored.subarray(BODY_AT), locks, ringOfOne);
  const isWhole =
    magic.equals(MAGIC) &&
    stored.length >= BODY_AT + CRC_BYTES &&
    crc32(stored.subarray(0, -CRC_BYTES)) === stored.readUInt32LE(stored.length - CRC_BYTES);
  if (!isWhole) throw new DataLossError("the data key file is damaged");
  return decodeWith(stored, stored.subarray(BODY_AT, -CRC_BYTES), locks, decodeRing);
}

function decodeWith(
  stored: Buffer,
  body: Buffer,
  locks: readonly (DataKeyLock | undefined)[],
  decode: (plain: Buffer) => Ring,
): Opened {
  if (stored[KIND_AT] === 0) return { ring: decode(body), openedBy: undefined };
  let refusal: unknown = new FailedPreconditionError("the Raft data is locked: an unlock key is needed");
  for (const lock of locks) {
    if (lock === undefined) continue;
    let plain: Uint8Array;
    try {
      plain = lock.unwrap(new Uint8Array(body));
    } catch (error) {
      if (codeOf(error) !== "permission-denied") throw error;
      refusal = error;
      continue;
    }
    return { ring: decode(Buffer.from(plain)), openedBy: lock };
  }
  throw refusal;
}

function ringOfOne(plain: Buffer): Ring {
  if (plain.length !== DATA_KEY_BYTES) throw new DataLossError("the data key file is damaged");
  return {
    current: FIRST_ID,
    highest: FIRST_ID,
    epoch: 0,
    keys: new Map([[FIRST_ID, new Uint8Array(plain)]]),
  };
}

function decodeRing(plain: Buffer): Ring {
  const rows = (plain.length - RING_HEAD_BYTES) / ROW_BYTES;
  if (!Number.isInteger(rows) || rows < 1) throw new DataLossError("the data key file is damaged");
  const keys = new Map<number, Uint8Array>();
  for (let at = RING_HEAD_BYTES; at < plain.length; at += ROW_BYTES) {
    keys.set(plain.readUInt32LE(at), new Uint8Array(plain.subarray(at + 4, at + ROW_BYTES)));
  }
  const current = plain.readUInt32LE(0);
  if (!keys.has(current)) throw new DataLossError("the data key file does not hold its current key");
  return { current, highest: plain.readUInt32LE(12), epoch: Number(plain.readBigUInt64LE(4)), keys };
}
