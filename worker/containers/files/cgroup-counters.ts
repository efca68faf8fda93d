/**
 * Reads the counters of control groups and of network interfaces out of the kernel's text. Pure.
 * Invariant: text that is not as expected counts as nothing, and nothing throws: kernels differ.
 * Sources: cgroup v1 (cpuacct, memory, blkio, pids) and cgroup-v2.rst; proc(5): stat, net/dev, cgroup.
 */
import type { ContainerSample } from "../../../proto/engine/files.js";

export type BlkioEntry = ContainerSample["blkio"][string][number];
export type InterfaceCounters = ContainerSample["networks"][string];

/** Lines of "key value". */
export function keyedNumbers(text: string): Readonly<Record<string, number>> {
  const numbers: Record<string, number> = {};
  for (const line of text.split("\n")) {
    const match = /^(\S+)[ \t]+(-?\d+)$/.exec(line.trim());
    if (match?.[1] !== undefined && match[1] !== "__proto__") numbers[match[1]] = Number(match[2]);
  }
  return numbers;
}

/** A file that holds one number; "max" and what is none: undefined. */
export function soleNumber(text: string): number | undefined {
  const trimmed = text.trim();
  return /^-?\d+$/.test(trimmed) ? Number(trimmed) : undefined;
}

/** Numbers with blanks between them. */
export function numbersIn(text: string): readonly number[] {
  return text
    .trim()
    .split(/\s+/)
    .filter((word) => /^\d+$/.test(word))
    .map(Number);
}

/** v1: "8:0 Read 4096"; the line of totals is left out. */
export function blkioV1(text: string): readonly BlkioEntry[] {
  return text.split("\n").flatMap((line) => {
    const match = /^(\d+):(\d+) (?:(\w+) )?(\d+)$/.exec(line.trim());
    if (match === null) return [];
    const [, major, minor, op = "", value] = match;
    return [{ major: Number(major), minor: Number(minor), op, value: Number(value) }];
  });
}

/** v2: "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0". */
export function blkioV2(text: string): { bytes: readonly BlkioEntry[]; operations: readonly BlkioEntry[] } {
  const bytes: BlkioEntry[] = [];
  const operations: BlkioEntry[] = [];
  for (const line of text.split("\n")) {
    const match = /^(\d+):(\d+) (.*)$/.exec(line.trim());
    if (match === null) continue;
    const device = { major: Number(match[1]), minor: Number(match[2]) };
    for (const pair of (match[3] ?? "").split(" ")) {
      const [key = "", digits = ""] = pair.split("=");
      if (!/^\d+$/.test(digits)) continue;
      const value = Number(digits);
      if (key === "rbytes") bytes.push({ ...device, op: "read", value });
      else if (key === "wbytes") bytes.push({ ...device, op: "write", value });
      else if (key === "rios") operations.push({ ...device, op: "read", value });
      else if (key === "wios") operations.push({ ...device, op: "write", value });
    }
  }
  return { bytes, operations };
}

/** /proc/<pid>/net/dev, without the loopback. */
export function interfacesIn(text: string): Readonly<Record<string, InterfaceCounters>> {
  const interfaces: Record<string, InterfaceCounters> = {};
  for (const line of text.split("\n")) {
    const match = /^\s*(\S+):\s*(\d[\d\s]*)$/.exec(line);
    const name = match?.[1];
    if (name === undefined || name === "lo" || name === "__proto__") continue;
    const at = numbersIn(match?.[2] ?? "");
    if (at.length < 16) continue;
    interfaces[name] = {
      rxBytes: at[0] ?? 0,
      rxPackets: at[1] ?? 0,
      rxErrors: at[2] ?? 0,
      rxDropped: at[3] ?? 0,
      txBytes: at[8] ?? 0,
      txPackets: at[9] ?? 0,
      txErrors: at[10] ?? 0,
      txDropped: at[11] ?? 0,
    };
  }
  return interfaces;
}

const TICK_NS = 10_000_000;

/** Time of all CPUs since boot, ns: the first line of /proc/stat, as Docker sums it. */
export function systemCpuNs(procStat: string): number {
  const line = /^cpu\s+(.*)$/m.exec(procStat)?.[1] ?? "";
  return numbersIn(line)
    .slice(0, 7)
    .reduce((sum, ticks) => sum + ticks * TICK_NS, 0);
}

/** Ticks of cpuacct.stat as ns. */
export function ticksToNs(ticks: number | undefined): number {
  return (ticks ?? 0) * TICK_NS;
}

/**
 * The group of a container in each tree, by controller ("" for v2), from /proc/<pid>/cgroup. A process may
 * have made groups of its own below: the path ends with the part that holds the container's id.
 */
export function cgroupPaths(text: string, containerId: string): ReadonlyMap<string, string> {
  const paths = new Map<string, string>();
  for (const line of text.split("\n")) {
    const match = /^\d+:([^:]*):(\/.*)$/.exec(line);
    if (match === null) continue;
    const parts = (match[2] ?? "/").split("/");
    if (parts.includes("..")) continue;
    const end = parts.findIndex((part) => part.includes(containerId));
    const path = (end < 0 ? parts : parts.slice(0, end + 1)).join("/");
    for (const controller of (match[1] ?? "").split(",")) paths.set(controller, path);
  }
  return paths;
}
