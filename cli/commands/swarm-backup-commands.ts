/**
 * `skein swarm backup` and `skein swarm restore`. Edge: to the API, files and signals.
 * Keys come from a file or a terminal, never from an argument or the environment, where others could read
 * them.
 */

import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import type { Command } from "commander";
import { CancelledError, InvalidArgumentError, messageOf } from "../../base/errors/errors.js";
import { askSecret } from "../../base/linux/tty-secret.js";
import { type Context, inner, readInput, textOf } from "../context.js";
import { ApiError } from "../http-client.js";
import { NewFile } from "../new-file.js";
import type { Row } from "../output/table.js";
import { size } from "../output/words.js";
import { withAddressOptions } from "./swarm-address-options.js";

const LINE_CHARS_MAX = 1024 * 1024;

interface BackupFlags {
  readonly passphraseFile?: string;
  readonly askPassphrase?: boolean;
  readonly force?: boolean;
  readonly stale?: boolean;
  readonly quiet?: boolean;
}

interface RestoreFlags {
  readonly keyFile?: string;
  readonly advertiseAddr?: string;
  readonly listenAddr?: string;
  readonly dataPathAddr?: string;
  readonly availability?: string;
  readonly quiet?: boolean;
}

export function addSwarmBackupCommands(swarm: Command, context: Context): void {
  swarm
    .command("backup")
    .description("Write the swarm's whole state, encrypted, to a file")
    .argument("<file>", "made with mode 0600; - for standard output")
    .option("--passphrase-file <file>", "encrypt with the passphrase in this file (- for standard input)")
    .option("--ask-passphrase", "encrypt with a passphrase asked for on the terminal")
    .option("-f, --force", "replace the file when it exists")
    .option(
      "--stale",
      "take this manager's state as it is, although no leader confirms that it is the newest",
    )
    .option("-q, --quiet", "print nothing but the recovery key")
    .addHelpText(
      "after",
      "\nWithout a passphrase a recovery key is made and shown once: whoever has file and key has the swarm.",
    )
    .action((file: string, flags: BackupFlags) =>
      interruptible("nothing was kept", (signal) => backup(context, file, flags, signal)),
    );

  withAddressOptions(swarm.command("restore"))
    .description("Make this host the only manager of a new swarm from a backup")
    .argument("<file>", "what swarm backup wrote; - for standard input")
    .option("--key-file <file>", "file with the backup's passphrase or recovery key; else it is asked for")
    .option("-q, --quiet", "print nothing but the node's id")
    .action((file: string, flags: RestoreFlags) =>
      interruptible("skein info tells whether the swarm was restored", (signal) =>
        restore(context, file, flags, signal),
      ),
    );
}

/** Ctrl-C ends the work in order: the half of a file is removed. */
async function interruptible(outcome: string, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const abort = new AbortController();
  const onSignal = (): void => abort.abort();
  process.once("SIGINT", onSignal);
  process.once("SIGTERM", onSignal);
  try {
    await work(abort.signal);
  } catch (error) {
    throw abort.signal.aborted ? new CancelledError(`interrupted: ${outcome}`, { cause: error }) : error;
  } finally {
    process.off("SIGINT", onSignal);
    process.off("SIGTERM", onSignal);
  }
}

async function backup(
  context: Context,
  path: string,
  flags: BackupFlags,
  signal: AbortSignal,
): Promise<void> {
  const toStdout = path === "-";
  if (toStdout && context.terminal)
    throw new InvalidArgumentError("a backup is no text for a terminal: name a file, or redirect it");
  const passphrase = await newPassphrase(flags);
  const file = toStdout ? undefined : await NewFile.open(path, { replace: flags.force === true });
  try {
    const response = await context.client().stream("POST", "/skein/v1/swarm/backup", {
      body: { Passphrase: passphrase, Stale: flags.stale === true },
      signal,
    });
    const bytes = await receive(
      response,
      (chunk) => (file === undefined ? toOutput(chunk) : file.write(chunk)),
      {
        total: Number(response.headers["skein-backup-bytes-estimate"] ?? 0),
        quiet: flags.quiet === true,
      },
    );
    await file?.commit();
    const say = toStdout ? context.note : context.print;
    const objects = textOf(response.trailers["skein-backup-objects"]);
    const index = textOf(response.headers["skein-backup-index"]);
    if (flags.quiet !== true)
      context.note(
        `Backed up ${objects} objects as of index ${index}: ${size(bytes)} in ${toStdout ? "all" : path}.`,
      );
    const key = response.headers["skein-backup-key"];
    if (typeof key !== "string") return;
    if (flags.quiet === true) say(key);
    else {
      say(
        `\nThe backup opens with this recovery key, which is shown only once and stored nowhere:\n\n    ${key}\n\n` +
          "Keep it apart from the file. Whoever has both has the swarm: its CA, its tokens, its secrets.",
      );
    }
  } finally {
    await file?.abort();
  }
}

async function newPassphrase(flags: BackupFlags): Promise<string> {
  if (flags.passphraseFile !== undefined) return secretIn(flags.passphraseFile);
  if (flags.askPassphrase !== true) return "";
  const instead = "use --passphrase-file";
  const first = await askSecret("Passphrase for the backup: ", { instead });
  const second = await askSecret("The same again: ", { instead });
  if (first !== second) throw new InvalidArgumentError("the two passphrases are not the same");
  return first;
}

/** The first line's end is no part of it. @throws {InvalidArgumentError} an empty file. */
async function secretIn(path: string): Promise<string> {
  const text = (await readInput(path)).toString("utf8").replace(/\r?\n$/, "");
  if (text === "") throw new InvalidArgumentError(`${path} holds no passphrase or key`);
  return text;
}

/** @returns the bytes of the file. @throws {Error} the stream ended before the backup was complete. */
async function receive(
  response: IncomingMessage,
  write: (chunk: Buffer) => Promise<void>,
  options: { total: number; quiet: boolean },
): Promise<number> {
  const progress = new ProgressLine(options);
  let bytes = 0;
  try {
    // no encoding is set
    for await (const chunk of response as AsyncIterable<Buffer>) {
      await write(chunk);
      bytes += chunk.length;
      progress.show(bytes);
    }
  } catch (error) {
    const cut = error instanceof Error && "code" in error && error.code === "ECONNRESET";
    throw cut ? new Error("the backup broke off: the daemon's log says why", { cause: error }) : error;
  } finally {
    progress.end();
  }
  if (response.trailers["skein-backup-complete"] !== "true")
    throw new Error("the backup broke off before it was complete: the daemon's log says why");
  return bytes;
}

function toOutput(chunk: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(chunk, (error) => (error ? reject(error) : resolve()));
  });
}

async function restore(
  context: Context,
  path: string,
  flags: RestoreFlags,
  signal: AbortSignal,
): Promise<void> {
  const instead = "use --key-file";
  const secret =
    flags.keyFile === undefined
      ? await askSecret("Passphrase or recovery key of the backup: ", { instead })
      : await secretIn(flags.keyFile);
  const total = path === "-" ? 0 : await sizeOf(path);
  const input = path === "-" ? process.stdin : createReadStream(path);
  const stream = input as AsyncIterable<Buffer>; // no encoding is set
  const response = await context.client().stream("POST", "/skein/v1/swarm/restore", {
    query: {
      advertiseAddr: flags.advertiseAddr,
      listenAddr: flags.listenAddr,
      dataPathAddr: flags.dataPathAddr,
      availability: flags.availability,
    },
    headers: { "x-skein-backup-key": Buffer.from(secret, "utf8").toString("base64") },
    stream,
    signal,
  });
  const progress = new ProgressLine({ total, quiet: flags.quiet === true });
  let restored: Row | undefined;
  try {
    for await (const line of lines(response)) {
      const failure = inner(line, "Error");
      if (failure["Message"] !== undefined) throw new ApiError(500, textOf(failure["Message"]));
      if (line["Restored"] !== undefined) restored = inner(line, "Restored");
      else progress.show(Number(inner(line, "Progress")["Bytes"] ?? 0));
    }
  } finally {
    progress.end();
  }
  if (restored === undefined)
    throw new Error("the daemon broke off: skein info tells whether it restored the swarm");
  if (flags.quiet === true) context.print(textOf(restored["NodeID"]));
  else context.print(accountLines(restored).join("\n"));
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    throw new InvalidArgumentError(`cannot read ${path}: ${messageOf(error)}`, { cause: error });
  }
}

async function* lines(response: IncomingMessage): AsyncGenerator<Row> {
  let rest = "";
  for await (const chunk of response.setEncoding("utf8") as AsyncIterable<string>) {
    const parts = `${rest}${chunk}`.split("\n");
    rest = parts.pop() ?? "";
    if (rest.length > LINE_CHARS_MAX) throw new Error("the daemon's progress is not JSON lines");
    for (const part of parts.filter(Boolean)) yield JSON.parse(part) as Row; // the API's lines are objects
  }
}

/** What was restored, and what is left to do, as people read it. */
export function accountLines(restored: Row): string[] {
  const from = inner(restored, "Backup");
  const former = restored["FormerManagers"];
  const managers = Array.isArray(former) ? (former as Row[]) : []; // the API's listings are arrays of objects
  const told = [
    `Swarm ${textOf(restored["ClusterID"])} restored: current node (${textOf(restored["NodeID"])}) ` +
      "is its only manager.",
    `  backup     of ${textOf(from["CreatedAt"])}, index ${textOf(from["Index"])}, term ${textOf(from["Term"])}, ` +
      `written by Skein ${textOf(from["SkeinVersion"])}`,
    `  restored   ${textOf(restored["Objects"])} objects; the index goes on from ${textOf(restored["Index"])}`,
    "  not in it  what was changed after the backup; volumes and images",
  ];
  if (restored["Autolock"] === true)
    told.push("  autolock   is on, and the unlock key is the one it had when the backup was made");
  if (managers.length > 0) {
    told.push("", "Managers of before are workers now; none of them may still run the old swarm:");
    for (const { ID, Hostname, Addr } of managers)
      told.push(`  ${textOf(ID)}  ${textOf(Hostname) || "?"}  ${textOf(Addr)}`);
    told.push(
      "",
      "Nodes that are gone for good: skein node rm --force NODE. For more managers: skein swarm join-token manager.",
    );
  }
  return told;
}

/** One line on the terminal that is repainted; nothing elsewhere. */
class ProgressLine {
  readonly #total: number;
  readonly #shown: boolean;
  #last = "";

  constructor(options: { total: number; quiet: boolean }) {
    this.#total = options.total;
    this.#shown = !options.quiet && process.stderr.isTTY === true;
  }

  show(bytes: number): void {
    const of = this.#total > 0 ? ` of about ${size(Math.max(bytes, this.#total))}` : "";
    const text = `${size(bytes)}${of}`;
    if (!this.#shown || text === this.#last) return;
    process.stderr.write(`\r\x1b[2K${text}`);
    this.#last = text;
  }

  end(): void {
    if (this.#last !== "") process.stderr.write("\r\x1b[2K");
    this.#last = "";
  }
}
