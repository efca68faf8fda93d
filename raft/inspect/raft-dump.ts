/**
 * Reads a member's folder without changing it: identity, log, hard state, materialised state.
 * Edge: to node:fs, level. Invariant: no file of the member is written, so that what a fault left behind can
 * be looked at again; the state is read from a copy, because opening a level database changes it.
 *
 * The copy, a folder `.inspect-…` in the member's that is removed afterwards, is of hard links for the
 * tables, which level never changes in place, and of bytes for the rest. Made while a manager runs, it may
 * be torn between two files: it is then left out, with the reason.
 */
import { existsSync } from "node:fs";
import { copyFile, link, mkdir, mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { messageOf, NotFoundError } from "../../base/errors/errors.js";
import type { Random } from "../../base/random/random.js";
import { changedMembership } from "../core/membership.js";
import type { Entry, HardState, Membership, SnapshotMeta } from "../core/types.js";
import { loadMemberIdentity, type MemberIdentity } from "../host/member-identity.js";
import type { KeyValuePair } from "../host/raft-node.js";
import { decodeConfChange } from "../log/conf-change-codec.js";
import { EntryKind } from "../log/make-entry.js";
import type { DataKeyLock, DataKeys } from "../storage/data-key.js";
import { readDataKeyRing } from "../storage/data-key-ring.js";
import type { LogPoint } from "../storage/entry-log.js";
import { openFileDisk } from "../storage/file-disk.js";
import { openLevelState } from "../storage/level-state.js";
import { recoverWal } from "../storage/wal-recovery.js";

const PORTION_BYTES = 1024 * 1024;

export interface RaftDump {
  readonly identity: MemberIdentity;
  readonly hardState: HardState;
  /** The log begins after this point. */
  readonly base: LogPoint;
  readonly entries: readonly Entry[];
  readonly segments: readonly { readonly number: number; readonly lastIndex: number }[];
  /** Bytes after the last whole record, which the next start will cut off. */
  readonly tornBytes: number;
  readonly state: DumpedState | undefined;
  /** Why `state` is missing. */
  readonly stateMissing: string;
  /** By the state and the committed membership changes after it. */
  readonly membership: Membership;
}

export interface DumpedState {
  readonly meta: SnapshotMeta;
  readonly pairs: readonly KeyValuePair[];
}

export interface RaftDumpOptions {
  readonly folder: string;
  readonly random: Random;
  /** Unwraps the data keys of auto-locked managers. */
  readonly lock?: DataKeyLock | undefined;
}

/**
 * @throws {NotFoundError} no member in the folder. {DataLossError} its log is damaged, in words.
 * {FailedPreconditionError} locked.
 */
export async function dumpRaft(options: RaftDumpOptions): Promise<RaftDump> {
  const { folder, random, lock } = options;
  // Opening a folder as a disk would make it.
  if (!existsSync(folder)) throw new NotFoundError(`there is no folder ${folder}`);
  const disk = await openFileDisk(folder);
  const identity = await loadMemberIdentity(disk);
  if (identity === undefined) throw new NotFoundError(`${folder} holds no Raft member`);
  const keys = await readDataKeyRing(disk, lock === undefined ? [] : [lock]);
  const wal = await recoverWal({ disk, keys, random });
  const { base, lastIndex } = wal.log;
  const entries = wal.log.slice(base.index + 1, lastIndex + 1, Number.POSITIVE_INFINITY);
  let state: DumpedState | undefined;
  let stateMissing = "";
  try {
    state = await readStateCopy(folder, keys, random);
  } catch (error) {
    stateMissing = messageOf(error);
  }
  const from = state?.meta.membership ?? identity.membership;
  const tail = wal.tail;
  return {
    identity,
    hardState: wal.hardState,
    base,
    entries,
    segments: wal.segments,
    tornBytes: tail === undefined ? 0 : tail.dirtyEnd - tail.position,
    state,
    stateMissing,
    membership: membershipAfter(from, entries, {
      from: state?.meta.index ?? 0,
      to: Math.max(wal.hardState.commit, state?.meta.index ?? 0),
    }),
  };
}

/** A look takes seconds: copies this old were left behind by one that was killed. */
const STALE_COPY_MS = 10 * 60_000;

async function removeStaleCopies(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const path = join(folder, name);
    if (name.startsWith(".inspect-") && Date.now() - (await stat(path)).mtimeMs > STALE_COPY_MS)
      await rm(path, { recursive: true, force: true });
  }
}

async function readStateCopy(folder: string, keys: DataKeys, random: Random): Promise<DumpedState> {
  await removeStaleCopies(folder);
  const copy = await mkdtemp(join(folder, ".inspect-"));
  try {
    for (const entry of await readdir(folder, { withFileTypes: true })) {
      if (entry.name === "state") await copyFile(join(folder, entry.name), join(copy, entry.name));
      if (entry.isDirectory() && /^state-\d+$/.test(entry.name))
        await copyDatabase(join(folder, entry.name), join(copy, entry.name));
    }
    const disk = await openFileDisk(copy);
    const store = await openLevelState({ folder: copy, disk, keys, random });
    try {
      const snapshot = await store.snapshot();
      try {
        const pairs: KeyValuePair[] = [];
        for await (const portion of snapshot.portions(PORTION_BYTES)) pairs.push(...portion);
        return { meta: snapshot.meta, pairs };
      } finally {
        await snapshot.close();
      }
    } finally {
      await store.close();
    }
  } finally {
    await rm(copy, { recursive: true, force: true });
  }
}

async function copyDatabase(from: string, to: string): Promise<void> {
  await mkdir(to, { mode: 0o700 });
  for (const name of await readdir(from)) {
    if (name === "LOCK") continue;
    const place = [join(from, name), join(to, name)] as const;
    await (name.endsWith(".ldb") ? link(...place) : copyFile(...place));
  }
}

/** Applies the committed changes in (from, to]; those before `from` are in the state already. */
function membershipAfter(
  start: Membership,
  entries: readonly Entry[],
  range: { readonly from: number; readonly to: number },
): Membership {
  return entries
    .filter(({ kind, index }) => kind === EntryKind.CONF_CHANGE && index > range.from && index <= range.to)
    .reduce((membership, { data }) => changedMembership(membership, decodeConfChange(data)), start);
}
