/**
 * The processes of a container, as `docker top` shows them. Edge: to control groups, and to the host's ps, or
 * to /proc where no ps is installed (linux-proc-table.ts).
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../../../base/clock/clock.js";
import { InternalError } from "../../../base/errors/errors.js";
import type { ContainerRecord } from "../../../proto/engine/containers.js";
import { detectCgroupMode } from "../../runtime/linux-cgroup.js";
import { findProgram, runCommand } from "../../runtime/process-run.js";
import { cgroupPaths } from "./cgroup-counters.js";
import { procTable } from "./linux-proc-table.js";
import { isCode } from "./linux-root-view.js";
import { type ProcessTable, processTable, psArgumentList } from "./ps-table.js";

const ROOT = "/sys/fs/cgroup";
const PS_TIMEOUT_MS = 10_000;
/** ps lists the whole host, and a command line may have 128 KiB. */
const PS_OUTPUT_BYTES_MAX = 16 * 1024 * 1024;
/** Groups below a container's that are looked into. */
const GROUPS_MAX = 1_000;

/** @throws {InvalidArgumentError} {InternalError} with ps's own words. */
export async function listProcesses(
  record: ContainerRecord,
  options: { readonly psArguments: string; readonly clock: Clock },
): Promise<ProcessTable> {
  const words = psArgumentList(options.psArguments);
  const pids = pidsOf(record);
  const ps = findProgram("ps");
  if (ps === undefined) return procTable(words, pids, options.clock);
  const run = { clock: options.clock, timeoutMs: PS_TIMEOUT_MS, outputBytesMax: PS_OUTPUT_BYTES_MAX };
  const done = await runCommand(ps, words, run);
  if (done.code !== 0)
    throw new InternalError(`ps: ${done.stderr.split("\n")[0] || `exit status ${done.code}`}`);
  // listed again: processes may have come since, and are in ps's list
  return processTable(done.stdout, new Set([...pids, ...pidsOf(record)]));
}

/** All in the container's group and the groups it made itself. */
function pidsOf(record: ContainerRecord): ReadonlySet<number> {
  const pids = new Set<number>([record.pid]);
  const paths = cgroupPaths(textOf(`/proc/${record.pid}/cgroup`), record.id);
  const v2 = detectCgroupMode() === "v2";
  const tree = v2 ? "" : ["pids", "memory", "cpu"].find((controller) => paths.has(controller));
  const path = tree === undefined ? undefined : paths.get(tree);
  if (tree === undefined || path === undefined) return pids;
  const pending = [join(ROOT, tree, path)];
  for (let seen = 0; seen < GROUPS_MAX; seen++) {
    const group = pending.pop();
    if (group === undefined) break;
    for (const word of textOf(join(group, "cgroup.procs")).split("\n"))
      if (/^[1-9]\d*$/.test(word)) pids.add(Number(word));
    pending.push(...foldersIn(group));
  }
  return pids;
}

function foldersIn(path: string): readonly string[] {
  try {
    const entries = readdirSync(path, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map((entry) => join(path, entry.name));
  } catch (error) {
    if (isCode(error, "ENOENT")) return [];
    throw error;
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch (error) {
    // a group with threads of its own (v2) has no list of processes
    if (isCode(error, "ENOENT", "ESRCH", "ENODEV", "EOPNOTSUPP")) return "";
    throw error;
  }
}
