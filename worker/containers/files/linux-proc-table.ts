/**
 * A table of processes where no ps is installed: the columns of `ps -ef` and `ps aux`. Edge: to /proc and
 * /etc/passwd of the host. Other arguments are refused by name.
 * Source: proc(5), stat and status; ps(1) for what the columns say.
 */
import { readFileSync } from "node:fs";
import { totalmem } from "node:os";
import type { Clock } from "../../../base/clock/clock.js";
import { FailedPreconditionError } from "../../../base/errors/errors.js";
import { type ProcessFacts, procFacts } from "./proc-facts.js";
import type { ProcessTable } from "./ps-table.js";

const EF = ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"];
const AUX = ["USER", "PID", "%CPU", "%MEM", "VSZ", "RSS", "TTY", "STAT", "START", "TIME", "COMMAND"];
const TICKS_PER_SECOND = 100;

/** @throws {FailedPreconditionError} columns that only ps knows. */
export function procTable(words: readonly string[], pids: ReadonlySet<number>, clock: Clock): ProcessTable {
  const asked = words.join(" ");
  const isAux = /^-?(aux|axu|ax u)$/.test(asked);
  if (!isAux && !/^-?(ef|fe|e|-e -f)$/.test(asked)) {
    throw new FailedPreconditionError(
      `ps is not installed on this node: without it only -ef and aux are answered, got ${asked}`,
    );
  }
  const users = userNames();
  const uptimeSeconds = Number(textOf("/proc/uptime").split(" ")[0] ?? 0);
  const bootMs = clock.nowMs() - uptimeSeconds * 1000;
  const processes = [...pids]
    .sort((a, b) => a - b)
    .flatMap((pid) => {
      const facts = procFacts({
        stat: textOf(`/proc/${pid}/stat`),
        status: textOf(`/proc/${pid}/status`),
        cmdline: textOf(`/proc/${pid}/cmdline`),
      });
      if (facts === undefined) return []; // ended meanwhile
      const user = users.get(facts.uid) ?? String(facts.uid);
      const startMs = bootMs + (facts.startTicks / TICKS_PER_SECOND) * 1000;
      const share = cpuPercent(facts, uptimeSeconds);
      return [isAux ? auxRow(facts, { user, startMs, share }) : efRow(facts, { user, startMs, share })];
    });
  return { titles: isAux ? AUX : EF, processes };
}

interface Shown {
  readonly user: string;
  readonly startMs: number;
  readonly share: number;
}

function efRow(facts: ProcessFacts, { user, startMs, share }: Shown): readonly string[] {
  const { pid, parentPid, tty, command } = facts;
  const words = [
    user,
    pid,
    parentPid,
    Math.floor(share),
    clockTime(startMs),
    tty,
    cpuTime(facts, true),
    command,
  ];
  return words.map(String);
}

function auxRow(facts: ProcessFacts, { user, startMs, share }: Shown): readonly string[] {
  const memory = ((100 * facts.residentKib * 1024) / totalmem()).toFixed(1);
  const { pid, virtualKib, residentKib, tty, state, command } = facts;
  const times = [clockTime(startMs), cpuTime(facts, false)];
  return [user, pid, share.toFixed(1), memory, virtualKib, residentKib, tty, state, ...times, command].map(
    String,
  );
}

function cpuPercent({ cpuTicks, startTicks }: ProcessFacts, uptimeSeconds: number): number {
  const seconds = uptimeSeconds - startTicks / TICKS_PER_SECOND;
  return seconds <= 0 ? 0 : (100 * cpuTicks) / TICKS_PER_SECOND / seconds;
}

function clockTime(ms: number): string {
  const date = new Date(ms);
  return [date.getHours(), date.getMinutes()].map((part) => String(part).padStart(2, "0")).join(":");
}

function cpuTime({ cpuTicks }: ProcessFacts, long: boolean): string {
  const total = Math.floor(cpuTicks / TICKS_PER_SECOND);
  const two = (part: number): string => String(part).padStart(2, "0");
  if (!long) return `${Math.floor(total / 60)}:${two(total % 60)}`;
  return `${two(Math.floor(total / 3600))}:${two(Math.floor(total / 60) % 60)}:${two(total % 60)}`;
}

function userNames(): ReadonlyMap<number, string> {
  const rows = textOf("/etc/passwd").split("\n");
  return new Map(
    rows.map((row) => row.split(":")).map(([name = "", , uid = "-1"]) => [Number(uid), name] as const),
  );
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error) return "";
    throw error;
  }
}
