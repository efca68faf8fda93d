/**
 * `skein debug raft`: shows what a manager has on its disk, while its daemon is stopped or runs.
 * Edge: to the process. Called by the command line as `raft-dump-main --data-dir DIR [--json] [--entries N]`;
 * the unlock key of an auto-locked manager comes on standard input. Nothing in the folder is changed.
 */
import { join } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { codeOf, InvalidArgumentError, messageOf } from "../base/errors/errors.js";
import { askSecret } from "../base/linux/tty-secret.js";
import { systemRandom } from "../base/random/system-random.js";
import { dataKeyLockOf } from "../manager/keys/unlock-lock.js";
import { describeObject, describeTransaction } from "../manager/store/describe-transaction.js";
import { type DumpWords, dumpText, entryContent } from "../raft/inspect/dump-text.js";
import { dumpRaft, type RaftDump } from "../raft/inspect/raft-dump.js";

const words: DumpWords = {
  entry(data) {
    const described = describeTransaction(data);
    if ("unreadable" in described) return `not readable: ${described.unreadable}`;
    return described.actions
      .map(({ action, table, id, name }) =>
        [action, table, name, id].filter((each) => each !== undefined).join(" "),
      )
      .join("; ");
  },
  state(pairs) {
    return pairs.map((pair) => {
      const object = describeObject(pair);
      if (object === undefined) return `${pair.key}: not readable`;
      const { table, name, id, version } = object;
      return [table, name, id, `version ${version}`].filter((each) => each !== undefined).join(" ");
    });
  },
};

function json(dump: RaftDump, entriesMax: number): string {
  const { state, entries, ...rest } = dump;
  return JSON.stringify(
    {
      ...rest,
      entries: entries.slice(Math.max(0, entries.length - entriesMax)).map((entry) => ({
        index: entry.index,
        term: entry.term,
        bytes: entry.data.length,
        content: entryContent(entry, words),
      })),
      state: state && {
        ...state.meta,
        objects: state.pairs.map((pair) => describeObject(pair) ?? { key: pair.key }),
      },
    },
    undefined,
    2,
  );
}

/** Asked for when the folder turns out to be locked: on the terminal, or the first line of standard input. */
async function unlockKey(): Promise<string> {
  if (process.stdin.isTTY) {
    const instead = "give the unlock key on standard input";
    return (await askSecret("Enter unlock key: ", { instead })).trim();
  }
  for await (const line of createInterface({ input: process.stdin })) return line.trim();
  throw new InvalidArgumentError("the managers are auto-locked: give the unlock key on standard input");
}

async function read(folder: string): Promise<RaftDump> {
  try {
    return await dumpRaft({ folder, random: systemRandom });
  } catch (error) {
    if (codeOf(error) !== "failed-precondition") throw error;
  }
  return dumpRaft({ folder, random: systemRandom, lock: dataKeyLockOf(await unlockKey(), systemRandom) });
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      "data-dir": { type: "string", default: "" },
      json: { type: "boolean", default: false },
      entries: { type: "string", default: "50" },
    },
  });
  const entriesMax = Number(values.entries);
  const dump = await read(join(values["data-dir"], "manager"));
  process.stdout.write(`${values.json ? json(dump, entriesMax) : dumpText(dump, { entriesMax, words })}\n`);
}

try {
  await main();
} catch (error) {
  process.stderr.write(`Error: ${messageOf(error)}\n`);
  process.exitCode = 1;
}
