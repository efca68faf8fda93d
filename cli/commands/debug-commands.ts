/**
 * `skein debug raft`: what a manager holds of Raft. Edge: to the API with --live, else to a process that
 * reads the manager's folder, because it must work where no daemon does.
 */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { InvalidArgumentError, UnavailableError } from "../../base/errors/errors.js";
import { type Context, fetchRow, inner, textOf } from "../context.js";
import { type Row, table } from "../output/table.js";

interface RaftFlags {
  readonly live?: boolean;
  readonly dataDir: string;
  readonly entries: string;
  readonly format: string;
}

const READER = new URL("../../node/raft-dump-main.js", import.meta.url);

/** The reader writes to our own standard output and error; its exit code is ours. */
async function readFolder({ dataDir, entries, format }: RaftFlags): Promise<void> {
  const args = ["--data-dir", dataDir, "--entries", entries, ...(format === "json" ? ["--json"] : [])];
  const reader = spawn(process.execPath, [fileURLToPath(READER), ...args], { stdio: "inherit" });
  const code = await new Promise<number | null>((resolve, reject) => {
    reader.once("error", reject);
    reader.once("exit", resolve);
  });
  if (code !== 0) throw new UnavailableError("the Raft folder could not be read");
}

/** Seconds below which the share of the observations lies, by the bucket's upper bound. */
function quantile(histogram: Row, share: number): string {
  const counts = histogram["counts"] as readonly number[] | undefined;
  const bounds = histogram["bounds"] as readonly number[] | undefined;
  const total = counts?.reduce((sum, count) => sum + count, 0) ?? 0;
  if (counts === undefined || bounds === undefined || total === 0) return "none yet";
  let seen = 0;
  const at = counts.findIndex((count) => {
    seen += count;
    return seen >= total * share;
  });
  const bound = bounds[at];
  return bound === undefined ? `over ${bounds.at(-1)} s` : `<= ${bound * 1_000} ms`;
}

const MEMBER_COLUMNS = [
  { header: "RAFT ID", field: "raftId" },
  { header: "NODE", field: "nodeId" },
  { header: "ADDRESS", field: "address" },
  { header: "KIND", field: "kind" },
  { header: "REACHABLE", field: "up" },
  { header: "MATCH", field: "match" },
  { header: "PROGRESS", field: "progress" },
] as const;

function liveText(raft: Row): string {
  const queues = inner(raft, "queues");
  const members = (raft["members"] as readonly Row[] | undefined) ?? [];
  const latency = (name: string): string =>
    `p50 ${quantile(inner(raft, name), 0.5)}, p99 ${quantile(inner(raft, name), 0.99)}`;
  const removed = (raft["removed"] as readonly number[] | undefined) ?? [];
  const lines: [string, string][] = [
    ["Member", `${textOf(raft["raftId"])} of node ${textOf(raft["nodeId"])}`],
    ["Role", `${textOf(raft["role"])} in term ${textOf(raft["term"])}`],
    ["Leader", raft["leader"] === 0 ? "unknown" : textOf(raft["leader"])],
    ["Leader changes", `${textOf(raft["leaderChanges"])} since the manager started`],
    ["Log", `entries ${textOf(raft["firstIndex"])} to ${textOf(raft["lastIndex"])}`],
    ["Committed", textOf(raft["commitIndex"])],
    ["Applied", textOf(raft["appliedIndex"])],
    ["Commit latency", latency("commitSeconds")],
    ["Sync latency", latency("syncSeconds")],
    [
      "Waiting",
      `${textOf(queues["proposals"])} proposals, ${textOf(queues["reads"])} reads, ` +
        `${textOf(queues["applyEntries"])} entries to apply, ${textOf(queues["logBatches"])} log batches, ` +
        `${textOf(queues["snapshots"])} snapshots`,
    ],
    ["Trouble", textOf(raft["trouble"])],
    ["Removed", removed.join(", ")],
  ];
  const rows = members.map((member) => ({
    ...member,
    kind: member["learner"] === true ? "learner" : "voter",
    up: member["reachable"] === true ? "yes" : "no",
  }));
  return [
    ...lines.filter(([, text]) => text !== "").map(([name, text]) => `${`${name}:`.padEnd(17)}${text}`),
    "",
    table(MEMBER_COLUMNS, rows),
  ].join("\n");
}

async function showRaft(context: Context, flags: RaftFlags): Promise<void> {
  if (flags.format !== "text" && flags.format !== "json")
    throw new InvalidArgumentError(`--format must be text or json, got ${JSON.stringify(flags.format)}`);
  if (!/^\d+$/.test(flags.entries))
    throw new InvalidArgumentError(`--entries must be an integer >= 0, got ${JSON.stringify(flags.entries)}`);
  if (flags.live !== true) {
    await readFolder(flags);
    return;
  }
  const raft = await fetchRow(context, "/skein/v1/debug/raft");
  context.print(flags.format === "json" ? JSON.stringify(raft, undefined, 2) : liveText(raft));
}

const HELP = `
Without --live the folder of this host's manager is read as it stands on the disk, whether the daemon runs or
not; root may do that. Nothing is changed. Names, ids and versions are shown, never contents. When managers are
auto-locked, the unlock key is read from standard input.

Examples:
  skein debug raft                         this host's member: log, state, membership
  skein debug raft --entries 500 --format json
  skein debug raft --live                  what the running manager says: role, queues, latencies, peers`;

export function addDebugCommands(program: Command, context: Context): void {
  const debug = program.command("debug").description("Look inside, when something is wrong");
  debug
    .command("raft")
    .description("Show the Raft log, state and membership of this host's manager")
    .option("--live", "ask the running manager instead of reading its folder")
    .option("--data-dir <dir>", "the daemon's data directory", "/var/lib/skein")
    .option("--entries <n>", "show the newest n log entries", "50")
    .option("--format <format>", "text or json", "text")
    .addHelpText("after", HELP)
    .action((flags: RaftFlags) => showRaft(context, flags));
}
