/**
 * What a member keeps on disk, opened together and closed together.
 * Edge: composes the storage edges (folder, level).
 * Tests and the simulator make a `RaftStorage` of memory twins instead.
 */
import { mkdir } from "node:fs/promises";
import { Scope } from "../../base/lifecycle/scope.js";
import type { Logger } from "../../base/log/logger.js";
import type { Random } from "../../base/random/random.js";
import type { Membership } from "../core/types.js";
import type { DataKeyLock, DataKeys } from "../storage/data-key.js";
import { type DataKeyRing, openDataKeyRing } from "../storage/data-key-ring.js";
import type { Disk } from "../storage/disk.js";
import { openFileDisk } from "../storage/file-disk.js";
import { type FileWal, openFileWal } from "../storage/file-wal.js";
import { openLevelState } from "../storage/level-state.js";
import { openStableLog, type StableLog } from "../storage/stable-log.js";
import type { StateStore } from "../storage/state-store.js";

export interface RaftStorage {
  readonly keys: DataKeyRing;
  readonly log: StableLog;
  readonly wal: FileWal;
  readonly state: StateStore;
}

export interface StorageOptions {
  readonly random: Random;
  readonly log: Logger;
  /** What the data keys are locked under on disk. Absent: they stand open. */
  readonly lock?: DataKeyLock | undefined;
  /** What they may be locked under still. */
  readonly formerLocks?: readonly DataKeyLock[] | undefined;
  readonly segmentBytes?: number | undefined;
  readonly snapshotInterval?: number | undefined;
  readonly entriesKept?: number | undefined;
  /** In force while the state is empty: what a joining member was told. */
  readonly initialMembership: Membership;
}

/** The disk of a member's folder, and its materialised state. */
export interface StorageMedia {
  readonly disk: Disk;
  readonly openState: (keys: DataKeys) => Promise<StateStore>;
}

/** The real media: a folder (mode 0700), and level inside it. */
export async function openFolderMedia(folder: string, random: Random): Promise<StorageMedia> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const disk = await openFileDisk(folder);
  return { disk, openState: (keys) => openLevelState({ folder, disk, keys, random }) };
}

/** Closes both parts, whatever becomes of the first. */
export async function closeRaftStorage({ wal, state }: RaftStorage): Promise<void> {
  const scope = new Scope();
  scope.own(state);
  scope.own(wal);
  await scope.close();
}

/** @throws {DataLossError} {FailedPreconditionError} the data key is locked. */
export async function openRaftStorage(media: StorageMedia, options: StorageOptions): Promise<RaftStorage> {
  const { disk } = media;
  const { random, log, lock, formerLocks, initialMembership, segmentBytes } = options;
  const keys = await openDataKeyRing({ disk, random, lock, formerLocks });
  const state = await media.openState(keys);
  try {
    const sizes = segmentBytes === undefined ? {} : { segmentBytes };
    const opened = await openFileWal({ disk, keys, random, log, ...sizes });
    try {
      const { snapshotInterval, entriesKept } = options;
      const stable = await openStableLog({
        ...opened,
        state,
        initialMembership,
        ...(snapshotInterval !== undefined && { snapshotInterval }),
        ...(entriesKept !== undefined && { entriesKept }),
      });
      return { keys, log: stable, wal: opened.wal, state };
    } catch (error) {
      await opened.wal.close();
      throw error;
    }
  } catch (error) {
    await state.close();
    throw error;
  }
}
