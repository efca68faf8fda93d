/**
 * One daemon per data directory. Edge: to node:fs and /proc. The lock is the pid in <data>/skeind.pid
 * together with the process's start time, so that a pid used again by another process does not lock out a
 * restart.
 */
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { FailedPreconditionError } from "../base/errors/errors.js";
import { readFileIfThere, writeFileAtomic } from "./atomic-file.js";

/** "pid start-time" of a live process; undefined when there is none, or only its remains. */
function processMark(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const [state] = fields;
    if (state === "Z" || state === "X") return undefined; // ended; its parent has not asked for it yet
    return `${pid} ${fields[19]}`;
  } catch {
    return undefined; // no such process
  }
}

/** @throws {FailedPreconditionError} another skeind uses the directory. */
export function lockDataDir(dataDir: string): { close(): void } {
  const path = join(dataDir, "skeind.pid");
  const held = readFileIfThere(path)?.trim();
  if (held !== undefined && held !== "" && processMark(Number(held.split(" ")[0])) === held) {
    throw new FailedPreconditionError(`another skeind (process ${held.split(" ")[0]}) uses ${dataDir}`);
  }
  writeFileAtomic(path, `${processMark(process.pid)}\n`, 0o644);
  return { close: () => rmSync(path, { force: true }) };
}
