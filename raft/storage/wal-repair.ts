/**
 * What a torn write left behind the log's end becomes zeros again, before the log goes on. Pure over the disk
 * port. Invariant: when `cutTornWrite` has resolved, all behind the log's end is zero and durable, and so is
 * the folder as it was read.
 *
 * A process that is killed while it writes zeros leaves some that read as written and are not. So how far
 * they go is noted before, in a file, and they are written again at the next start until they are known to be
 * durable. A note that is left behind does no harm: zeros are written behind the last whole frame only.
 */
import { messageOf } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import type { Disk, DiskFile } from "./disk.js";
import type { RecoveredWal, WalTail } from "./wal-recovery.js";
import { SEGMENT_HEAD_BYTES, segmentName } from "./wal-segment.js";

/** Number of the segment and end of the zeros that are being written over a torn write, in decimal. */
const NOTE = "wal-repair";

interface RepairParts {
  readonly disk: Disk;
  readonly log: Logger;
}

/** Removal may be undone by a power cut: what comes back then shall be zeros, as if it had been prepared. */
export async function discardSegment(
  segment: RecoveredWal["surplus"][number],
  { disk, log }: RepairParts,
): Promise<void> {
  const name = segmentName(segment.number);
  if (segment.dirtyEnd > SEGMENT_HEAD_BYTES) {
    log.warn("cut a torn write off the end of the log", { segment: segment.number });
    const file = await disk.open(name);
    try {
      await file.writeDurably(SEGMENT_HEAD_BYTES, new Uint8Array(segment.dirtyEnd - SEGMENT_HEAD_BYTES));
    } finally {
      await file.close();
    }
  }
  await disk.remove(name);
}

/** Zeros a torn write in the last segment; those before it are discarded already. */
export async function cutTornWrite(file: DiskFile, tail: WalTail, parts: RepairParts): Promise<void> {
  const { number, position, dirtyEnd } = tail;
  const noted = notedEnd(await parts.disk.read(NOTE), tail);
  const end = Math.max(dirtyEnd, noted);
  if (end > position) {
    parts.log.warn("cut a torn write off the end of the log", { segment: number, at: position });
    if (dirtyEnd > Math.max(position, noted)) await noteRepair(`${number} ${dirtyEnd}`, parts);
    await file.writeDurably(position, new Uint8Array(end - position));
  }
  // Without a note, too: a process that was killed may have made or removed files, and not synced the folder.
  await parts.disk.remove(NOTE);
}

/** A note that cannot be read is taken to mean the whole segment. */
function notedEnd(note: Buffer | undefined, { number, sizeBytes }: WalTail): number {
  if (note === undefined) return 0;
  const [, notedNumber, end] = /^(\d+) (\d+)$/.exec(note.toString("latin1")) ?? [];
  if (end === undefined) return sizeBytes;
  return Number(notedNumber) === number ? Math.min(Number(end), sizeBytes) : 0;
}

/** A full disk has no room for a note; the repair itself needs none. */
async function noteRepair(note: string, { disk, log }: RepairParts): Promise<void> {
  try {
    await disk.replace(NOTE, Buffer.from(note));
  } catch (error) {
    log.warn("cannot note that the end of the log is being repaired", { error: messageOf(error) });
  }
}
