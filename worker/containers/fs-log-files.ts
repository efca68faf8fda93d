/**
 * The log files of one container: the live one and the rotated ones, <path>.1 the youngest.
 * Edge: to the file system.
 */
import { type FileHandle, open, rename, rm, stat } from "node:fs/promises";
import { isErrno } from "../runtime/linux-process.js";
import { parseCriLine } from "./cri-log.js";

/** More rotated files than this are not looked for. */
export const ROTATED_FILES_MAX = 100;
const BLOCK_BYTES = 64 * 1024;

export interface OpenLog {
  readonly file: FileHandle;
  readonly inode: number;
}

export async function openLog(path: string): Promise<OpenLog | undefined> {
  try {
    const file = await open(path, "r");
    return { file, inode: (await file.stat()).ino };
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    throw error;
  }
}

/**
 * Oldest first. Opened from the youngest on, so that a rotation in between shows a file twice instead of
 * hiding it.
 */
export async function openLogs(path: string): Promise<OpenLog[]> {
  const logs: OpenLog[] = [];
  for (let number = 0; number <= ROTATED_FILES_MAX; number++) {
    const log = await openLog(number === 0 ? path : `${path}.${number}`);
    if (log === undefined) {
      if (number > 0) break;
      continue; // between the rename and the monitor's reopening there is no live file
    }
    if (logs.some((known) => known.inode === log.inode)) await log.file.close();
    else logs.unshift(log);
  }
  return logs;
}

/** @returns size in bytes, 0 when missing. */
export async function logSize(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (isErrno(error, "ENOENT")) return 0;
    throw error;
  }
}

/**
 * Moves the files up by one and drops what is beyond `filesMax`; the monitor must then reopen `path`.
 * With one file only, the old one stays as .1: the caller drops it once the monitor has let go of it.
 */
export async function shiftLogs(path: string, filesMax: number): Promise<void> {
  const last = Math.max(1, filesMax - 1);
  await rm(`${path}.${last}`, { force: true });
  for (let number = last - 1; number >= 0; number--) {
    try {
      await rename(number === 0 ? path : `${path}.${number}`, `${path}.${number + 1}`);
    } catch (error) {
      if (!isErrno(error, "ENOENT")) throw error;
    }
  }
}

/**
 * Where the last `lines` lines of the wanted streams begin, reading backwards.
 * A last piece without an end counts as a line.
 * @returns `found` below `lines` when the file holds fewer.
 */
export async function tailOffset(
  file: FileHandle,
  lines: number,
  wanted: (stream: "stdout" | "stderr") => boolean,
): Promise<{ offset: number; found: number }> {
  let position = (await file.stat()).size;
  let offset = position;
  let found = 0;
  /** @returns false when the line at `start` is one too many. */
  const take = (line: Buffer, start: number): boolean => {
    const piece = parseCriLine(line);
    if (piece === undefined || !wanted(piece.stream)) return true;
    if (piece.whole || found === 0) {
      if (found === lines) return false;
      found += 1;
    }
    offset = start; // pieces before the end of a counted line belong to it
    return true;
  };
  let carry: Buffer = Buffer.alloc(0); // the end of a line that begins in the block before
  while (position > 0) {
    const size = Math.min(BLOCK_BYTES, position);
    position -= size;
    const block = Buffer.alloc(size);
    await file.read(block, 0, size, position);
    const data = Buffer.concat([block, carry]);
    let end = data.length;
    while (end > 0) {
      const newline = data.lastIndexOf(0x0a, end - 1);
      if (newline < 0) break;
      if (!take(data.subarray(newline + 1, end), position + newline + 1)) return { offset, found };
      end = newline;
    }
    carry = data.subarray(0, end);
  }
  take(carry, 0);
  return { offset, found };
}
