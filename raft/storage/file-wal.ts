/**
 * The write-ahead log of Raft: entries and hard state, durable before they count.
 * Edge: to the disk port. Group commit: what is appended while a sync runs goes into the next one,
 * in one write.
 * Invariant: after `append` resolves, a restart finds these records;
 * after a failed write nothing is appended any more (what is on the disk is then unknown until it is opened
 * again).
 */
import { InvalidArgumentError, messageOf, UnavailableError } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import type { Entry, HardState } from "../core/types.js";
import type { DiskFile } from "./disk.js";
import type { EntryLog, LogPoint } from "./entry-log.js";
import { encodeFrame, frameBytes } from "./wal-frame.js";
import { encodeRecord } from "./wal-record.js";
import { type RecoveredWal, recoverWal, type SegmentSummary, type WalTail } from "./wal-recovery.js";
import { cutTornWrite, discardSegment } from "./wal-repair.js";
import {
  createSegment,
  SEGMENT_HEAD_BYTES,
  type SegmentContext,
  type SegmentSeal,
  segmentName,
} from "./wal-segment.js";

/** Zeroed bytes per segment: large enough that preparing one is rare, small enough to read whole at start. */
const SEGMENT_BYTES = 16 * 1024 * 1024;
/** Records of one sync are sealed in frames of about this size. */
const FRAME_BYTES_MAX = 1024 * 1024;
/**
 * A segment's head, and its first frame, which repeats hard state and base, so that older segments can go;
 * with the rounding to sectors they fit in here.
 */
const SEGMENT_START_BYTES_MAX = 2048;

/** Calls of `maintain` between two attempts at a segment that could not be prepared: two seconds of ticks. */
const CALLS_UNTIL_RETRY = 20;

export interface WalBatch {
  /** Where the log begins from now on; taken before the entries. */
  readonly base?: LogPoint;
  readonly entries?: readonly Entry[];
  readonly hardState?: HardState;
}

export interface FileWalOptions extends SegmentContext {
  readonly log: Logger;
  /** @default 16 MiB */
  readonly segmentBytes?: number;
}

interface Waiting {
  readonly batch: WalBatch;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

interface PackedGroup {
  readonly frames: readonly { readonly plain: Buffer; readonly lastIndex: number }[];
  readonly hardState: HardState | undefined;
}

/** It is there from before its making begins until it has become the segment that is written. */
interface NextSegment {
  readonly keyId: number;
  readonly made: Promise<SegmentSeal>;
  isMade: boolean;
}

interface OpenSegment {
  readonly number: number;
  readonly seal: SegmentSeal;
  readonly file: DiskFile;
  readonly sizeBytes: number;
  position: number;
  lastIndex: number;
}

/** Opens the log in a folder, repairing a torn tail. @throws {DataLossError} it is damaged elsewhere. */
export async function openFileWal(
  options: FileWalOptions,
): Promise<{ wal: FileWal; hardState: HardState; log: EntryLog }> {
  const recovered = await recoverWal(options);
  for (const segment of recovered.surplus) await discardSegment(segment, options);
  const wal = new FileWal(options, recovered, await openTail(options, recovered));
  return { wal, hardState: recovered.hardState, log: recovered.log };
}

async function openTail(options: FileWalOptions, recovered: RecoveredWal): Promise<OpenSegment> {
  const tail: WalTail = recovered.tail ?? (await firstTail(options));
  const file = await options.disk.open(segmentName(tail.number));
  const { newest } = tail;
  try {
    await cutTornWrite(file, tail, options);
    if (newest.bytes.length > 0) await file.writeDurably(newest.position, newest.bytes);
  } catch (error) {
    await file.close();
    throw error;
  }
  const lastIndex = recovered.segments.at(-1)?.lastIndex ?? 0;
  return {
    number: tail.number,
    seal: tail.seal,
    file,
    sizeBytes: tail.sizeBytes,
    position: tail.position,
    lastIndex,
  };
}

async function firstTail(options: FileWalOptions): Promise<WalTail> {
  const sizeBytes = options.segmentBytes ?? SEGMENT_BYTES;
  const seal = await createSegment(1, sizeBytes, options);
  const position = SEGMENT_HEAD_BYTES;
  const newest = { position, bytes: Buffer.alloc(0) };
  return { number: 1, seal, sizeBytes, position, newest, dirtyEnd: position };
}

export class FileWal {
  readonly #options: FileWalOptions;
  readonly #segmentBytes: number;
  /** Older segments, ascending. */
  #older: SegmentSummary[];
  #segment: OpenSegment;
  #next: NextSegment | undefined;
  /** Position past which the next segment is prepared. */
  #prepareAt: number;
  #sequence: number;
  #hardState: HardState;
  #base: LogPoint;
  #unwritten: HardState | undefined;
  #waiting: Waiting[] = [];
  #writing: Promise<void> | undefined;
  #failure: UnavailableError | undefined;
  #closed = false;
  #rollAsked = false;
  /** Groups written in this life, and how many of them `maintain` has seen. */
  #groups = 0;
  #groupsSeen = 0;
  /** The newest group promises nothing that the one before it did not. */
  #isSettled: boolean;
  #maintained = 0;
  #trouble: string | undefined;

  constructor(options: FileWalOptions, recovered: RecoveredWal, segment: OpenSegment) {
    this.#options = options;
    this.#segmentBytes = options.segmentBytes ?? SEGMENT_BYTES;
    this.#older = recovered.segments.slice(0, -1);
    this.#segment = segment;
    this.#prepareAt = segment.sizeBytes / 2;
    this.#sequence = recovered.nextSequence;
    this.#hardState = recovered.hardState;
    this.#base = recovered.log.base;
    this.#isSettled = recovered.nextSequence === 1;
  }

  /** Why this log will soon not be able to go on; undefined: nothing is wrong. */
  get trouble(): string | undefined {
    return this.#trouble;
  }

  /** Bytes that one entry's data may have. */
  get entryBytesMax(): number {
    return Math.floor(this.#segmentBytes / 2) - SEGMENT_START_BYTES_MAX;
  }

  /** The next append may hold the thread for a moment: let what was sent go out first. */
  get holdsThread(): boolean {
    return this.#segment.file.holdsThread?.(0) ?? false;
  }

  /** Batches that wait for the sync that runs. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Of the data keys that segments are sealed under, the one prepared ahead included. */
  get keyIds(): readonly number[] {
    const ids = [...this.#older.map(({ keyId }) => keyId), this.#segment.seal.keyId];
    return this.#next === undefined ? ids : [...ids, this.#next.keyId];
  }

  /**
   * Goes on in a segment that is sealed under the data key that is current now. It is made before anybody
   * has to wait for it; one that was prepared under an older key gets a few records first, and is done with.
   * @throws as `append`, and what the disk says when there is no room for a segment: nothing has changed
   * then.
   */
  async rollOver(): Promise<void> {
    while (this.#segment.seal.keyId !== this.#options.keys.currentId) {
      if (this.#ended !== undefined) throw this.#ended; // whoever opens the log next makes its segments
      await this.#prepare();
      this.#rollAsked = true;
      await this.append({});
    }
  }

  get segmentCount(): number {
    return this.#older.length + 1;
  }

  /**
   * Resolves when the batch is durable.
   * @throws {UnavailableError} the disk failed, now or before; {InvalidArgumentError}
   */
  append(batch: WalBatch): Promise<void> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    for (const entry of batch.entries ?? []) {
      if (entry.data.length > this.entryBytesMax) {
        const limit = `at most ${this.entryBytesMax} are allowed`;
        return Promise.reject(
          new InvalidArgumentError(`a log entry has ${entry.data.length} bytes, ${limit}`),
        );
      }
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ batch, resolve, reject });
      this.#writing ??= this.#writeAll();
    });
  }

  /** Why nothing can be appended any more. */
  get #ended(): UnavailableError | undefined {
    return this.#failure ?? (this.#closed ? new UnavailableError("the raft log is closed") : undefined);
  }

  /** Keeps a hard state in mind for the next write: for a commit index, which needs no sync of its own. */
  remember(hardState: HardState): void {
    this.#unwritten = hardState;
  }

  /**
   * To be called at every tick. Once nothing was appended between two calls, a group of its own is put behind
   * the newest one and proves it from then on: the loss of a sector's content is noticed in all but the last
   * group. Prepares the next segment when that failed before. @throws as `append`
   */
  async maintain(): Promise<void> {
    if (this.#closed || this.#failure !== undefined) return;
    const isIdle = this.#groups === this.#groupsSeen && this.#writing === undefined;
    this.#groupsSeen = this.#groups;
    this.#maintained += 1;
    if (this.#trouble !== undefined && this.#maintained % CALLS_UNTIL_RETRY === 0) this.#prepare();
    if (isIdle && !this.#isSettled) await this.append({ hardState: this.#unwritten ?? this.#hardState });
  }

  /** Records that the log begins after `base`, then removes the segments that this makes superfluous. */
  async compact(base: LogPoint): Promise<void> {
    if (base.index >= this.#base.index) await this.append({ base });
    while (this.#older[0] !== undefined && this.#older[0].lastIndex <= base.index) {
      // A segment that was just taken into use does not repeat hard state and base yet.
      if (this.#older.length === 1 && this.#segment.position === SEGMENT_HEAD_BYTES) return;
      try {
        await this.#options.disk.remove(segmentName(this.#older[0].number));
      } catch (error) {
        // It holds nothing that is needed: the next compaction tries again.
        this.#options.log.warn("cannot remove an old log segment yet", { error: messageOf(error) });
        return;
      }
      this.#older.shift();
    }
  }

  /** Writes what is remembered, where the disk takes it, and closes. */
  async close(): Promise<void> {
    if (this.#closed) return;
    try {
      if (this.#unwritten !== undefined && this.#failure === undefined) await this.append({});
    } catch (error) {
      // It is a commit index: that is found again.
      this.#options.log.warn("the log is closed without its last commit index", { error: messageOf(error) });
    }
    this.#closed = true;
    await this.#writing;
    await this.#next?.made.then(
      () => undefined,
      () => undefined, // a spare segment that could not be made is nobody's loss now
    );
    await this.#segment.file.close();
  }

  async #writeAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const group = this.#waiting;
      this.#waiting = [];
      try {
        await this.#writeGroup(group.map((waiting) => waiting.batch));
      } catch (error) {
        this.#fail(error, group);
        break;
      }
      for (const waiting of group) waiting.resolve();
    }
    this.#writing = undefined;
  }

  #fail(error: unknown, group: readonly Waiting[]): void {
    this.#failure = new UnavailableError(`the raft log cannot be written: ${messageOf(error)}`, {
      cause: error,
    });
    for (const waiting of [...group, ...this.#waiting]) waiting.reject(this.#failure);
    this.#waiting = [];
  }

  async #writeGroup(batches: readonly WalBatch[]): Promise<void> {
    const group = this.#sequence;
    const packed = this.#pack(batches);
    let pending: Buffer[] = [];
    let pendingBytes = 0;
    const flush = async (): Promise<void> => {
      if (pending.length === 0) return;
      const bytes = pending.length === 1 && pending[0] !== undefined ? pending[0] : Buffer.concat(pending);
      await this.#segment.file.writeDurably(this.#segment.position, bytes);
      this.#segment.position += bytes.length;
      pending = [];
      pendingBytes = 0;
    };
    const add = (plain: Buffer): void => {
      const frame = encodeFrame({ sequence: this.#sequence, group }, plain, this.#segment.seal.sealer);
      this.#sequence += 1;
      pending.push(frame);
      pendingBytes += frame.length;
    };
    if (this.#takeRoll()) {
      await this.#rotate();
      add(this.#checkpoint());
    }
    for (const { plain, lastIndex } of packed.frames) {
      const needed = frameBytes(plain.length);
      if (this.#segment.position + pendingBytes + needed > this.#segment.sizeBytes) {
        await flush();
        await this.#rotate();
        add(this.#checkpoint());
      }
      add(plain);
      this.#segment.lastIndex = Math.max(this.#segment.lastIndex, lastIndex);
    }
    await flush();
    this.#groups += 1;
    this.#isSettled = batches.every((batch) => this.#promisesNothing(batch));
    this.#hardState = packed.hardState ?? this.#hardState;
    this.#prepareNext();
  }

  #promisesNothing({ base, entries, hardState }: WalBatch): boolean {
    if (base !== undefined || (entries !== undefined && entries.length > 0)) return false;
    const { term, vote } = this.#hardState;
    return hardState === undefined || (hardState.term === term && hardState.vote === vote);
  }

  /** Packs the records of one sync into frames' contents. */
  #pack(batches: readonly WalBatch[]): PackedGroup {
    const frames: PackedGroup["frames"][number][] = [];
    let records: Buffer[] = [];
    let bytes = 0;
    let lastIndex = 0;
    const cut = (): void => {
      if (records.length > 0) frames.push({ plain: Buffer.concat(records), lastIndex });
      records = [];
      bytes = 0;
      lastIndex = 0;
    };
    const add = (record: Buffer): void => {
      if (bytes + record.length > FRAME_BYTES_MAX || bytes + record.length > this.entryBytesMax) cut();
      records.push(record);
      bytes += record.length;
    };
    let hardState = this.#unwritten;
    this.#unwritten = undefined;
    for (const batch of batches) {
      if (batch.base !== undefined) {
        this.#base = batch.base;
        add(encodeRecord({ kind: "base", base: batch.base }));
      }
      for (const entry of batch.entries ?? []) {
        add(encodeRecord({ kind: "entry", entry }));
        lastIndex = Math.max(lastIndex, entry.index);
      }
      hardState = batch.hardState ?? hardState;
    }
    if (hardState !== undefined) add(encodeRecord({ kind: "hard-state", hardState }));
    cut();
    return { frames, hardState };
  }

  /**
   * The hard state is the one before this group:
   * a newer commit index must not outrun its entries in a torn group.
   */
  #checkpoint(): Buffer {
    return Buffer.concat([
      encodeRecord({ kind: "base", base: this.#base }),
      encodeRecord({ kind: "hard-state", hardState: this.#hardState }),
    ]);
  }

  /** The next segment is made, and this one is sealed under an older data key. */
  #takeRoll(): boolean {
    const asked = this.#rollAsked;
    this.#rollAsked = false;
    return asked && this.#next?.isMade === true && this.#segment.seal.keyId !== this.#options.keys.currentId;
  }

  async #rotate(): Promise<void> {
    const number = this.#segment.number + 1;
    const seal = await this.#prepare();
    this.#trouble = undefined;
    const file = await this.#options.disk.open(segmentName(number));
    const was = this.#segment;
    this.#older.push({ number: was.number, lastIndex: was.lastIndex, keyId: was.seal.keyId });
    this.#segment = {
      number,
      seal,
      file,
      sizeBytes: this.#segmentBytes,
      position: SEGMENT_HEAD_BYTES,
      lastIndex: 0,
    };
    // Not before: whoever prepares the next one meanwhile would make this very segment anew.
    this.#next = undefined;
    this.#prepareAt = this.#segmentBytes / 2;
    await was.file.close();
  }

  /**
   * Past the middle of a segment the next one is made ahead, so that no append waits for megabytes of zeros.
   */
  #prepareNext(): void {
    if (this.#segment.position >= this.#prepareAt && !this.#closed) this.#prepare();
  }

  #prepare(): Promise<SegmentSeal> {
    if (this.#next !== undefined) return this.#next.made;
    const keyId = this.#options.keys.currentId;
    const made = createSegment(this.#segment.number + 1, this.#segmentBytes, this.#options);
    const next: NextSegment = { keyId, made, isMade: false };
    this.#next = next;
    made.then(
      () => {
        next.isMade = true;
        this.#trouble = undefined;
      },
      (error: unknown) => {
        if (this.#trouble === undefined)
          this.#options.log.warn("cannot prepare the next log segment yet", { error: messageOf(error) });
        this.#trouble = `the raft log cannot be given more room: ${messageOf(error)}`;
        if (this.#next === next) this.#next = undefined;
        // not at every append to a full disk
        this.#prepareAt = this.#segment.position + this.#segment.sizeBytes / 8;
      },
    );
    return made;
  }
}
