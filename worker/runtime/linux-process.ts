/**
 * Processes told apart by number and start time, since numbers are used again. Edge: to /proc and kill(2).
 * Source: proc(5), fields 3 (state) and 22 (start time) of /proc/<pid>/stat.
 */
import { readdirSync, readFileSync } from "node:fs";
import type { ProcessIdentity } from "./oci-runtime.js";

/** @returns who has this number now; undefined: nobody, or only a zombie. */
export function processOf(pid: number): ProcessIdentity | undefined {
  if (pid <= 0) return undefined;
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  } catch (error) {
    if (isErrno(error, "ENOENT", "ESRCH")) return undefined;
    throw error;
  }
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" "); // the name may hold anything, also blanks
  const state = fields[0];
  if (state === "Z" || state === "X") return undefined;
  return { pid, startTicks: Number(fields[19]) };
}

export function isAlive(process: ProcessIdentity): boolean {
  return processOf(process.pid)?.startTicks === process.startTicks;
}

/** Sends a signal if the process is still the same one. @returns false when it is gone. */
export function signalProcess(target: ProcessIdentity, signal: number): boolean {
  if (!isAlive(target)) return false;
  try {
    process.kill(target.pid, signal);
    return true;
  } catch (error) {
    if (isErrno(error, "ESRCH")) return false;
    throw error;
  }
}

/** At once, whoever has this number now; gone already is fine. */
export function killProcess(pid: number): void {
  const found = processOf(pid);
  if (found !== undefined) signalProcess(found, 9);
}

/** Children and their children, without those whose parent has gone. */
export function descendantsOf(pid: number): readonly ProcessIdentity[] {
  const parents = new Map<number, number[]>();
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const parent = parentOf(Number(name));
    if (parent !== undefined) parents.set(parent, [...(parents.get(parent) ?? []), Number(name)]);
  }
  const found = [...(parents.get(pid) ?? [])];
  for (const child of found) found.push(...(parents.get(child) ?? [])); // goes on over what it adds
  return found.flatMap((child) => processOf(child) ?? []);
}

function parentOf(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
  } catch (error) {
    if (isErrno(error, "ENOENT", "ESRCH")) return undefined;
    throw error;
  }
}

/** Differs after each start of the host. */
export function readBootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
}

/** Whether the process is in a control group with this folder name on its path. */
export function isInGroup(pid: number, folder: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/cgroup`, "latin1").split(/[\n/]/).includes(folder);
  } catch (error) {
    if (isErrno(error, "ENOENT", "ESRCH")) return false;
    throw error;
  }
}

export function isErrno(error: unknown, ...codes: string[]): boolean {
  return error instanceof Error && "code" in error && codes.includes(String(error.code));
}
