/**
 * Carries out one command line. Edge: to the process.
 * Exit codes: 0 done; 1 the daemon refused or failed; 2 the command was wrong and nothing was asked of the
 * daemon; 3 what was planned does not fit; 4 what `skein stack plan` plans would change something; 130
 * interrupted.
 * Only the module of the command that was named is loaded: it starts in a tenth of a second.
 */
import { CommanderError } from "commander";
import { CancelledError, InvalidArgumentError, messageOf } from "../base/errors/errors.js";
import type { GlobalFlags } from "./connection/resolve-endpoint.js";
import type { Context } from "./context.js";
import type { ApiClient } from "./http-client.js";
import { printable } from "./output/printable.js";
import { coloured, screenOf } from "./output/process-screen.js";
import { programFor } from "./program.js";

/** The daemon is found before a command runs; that it is not found matters when it is needed. */
class Connection {
  #client: ApiClient | undefined;
  #failure: unknown = new Error("the daemon was asked for before the command line was read");

  async prepare(flags: GlobalFlags): Promise<void> {
    try {
      const { resolveEndpoint } = await import("./connection/resolve-endpoint.js");
      const { openClient } = await import("./connection/open-client.js");
      this.#client = await openClient(await resolveEndpoint(flags, process.env));
    } catch (error) {
      this.#failure = error;
    }
  }

  get(): ApiClient {
    if (this.#client === undefined) throw this.#failure;
    return this.#client;
  }

  close(): void {
    this.#client?.close();
  }
}

/** A program gets every byte as it is, a terminal what is harmless. */
const writeTo = (stream: NodeJS.WriteStream, text: string): void =>
  void stream.write(`${stream.isTTY ? printable(text) : text}\n`);

function makeContext(connection: Connection): Context {
  const screen = screenOf(process.stdout, process.env);
  return {
    client: () => connection.get(),
    print: (text) => {
      if (text !== "") writeTo(process.stdout, text);
    },
    note: (text) => writeTo(process.stderr, text),
    terminal: screen.terminal,
    screen,
  };
}

const ASKS_FOR_HELP = ["-h", "--help"];

/** "help a b" is "a b --help". */
function withHelpLast(argv: readonly string[]): readonly string[] {
  const at = argv.indexOf("help");
  const before = argv.slice(0, Math.max(0, at));
  if (at < 0 || before.some((word) => !word.startsWith("-"))) return argv;
  return [...before, ...argv.slice(at + 1), "--help"];
}

async function run(words: readonly string[], connection: Connection): Promise<void> {
  const argv = withHelpLast(words);
  const context = makeContext(connection);
  const program = await programFor(context, argv);
  program.hook("preAction", async () => {
    const flags = program.opts<GlobalFlags & { config?: string; debug?: boolean }>();
    if (flags.config !== undefined) process.env["SKEIN_CONFIG"] = flags.config;
    await connection.prepare(flags);
  });
  if (argv.length === 0 || argv.length < 3 || argv.some((word) => ASKS_FOR_HELP.includes(word)))
    (await import("./help/teach.js")).teach(program);
  if (argv.length === 0) program.outputHelp();
  else if (program.refuseUnknownHelp(argv)) return;
  else await program.parseAsync(argv, { from: "user" });
}

function causesOf(error: unknown): string[] {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause === undefined ? [] : [`  because: ${messageOf(cause)}`, ...causesOf(cause)];
}

function exitCodeOf(error: unknown, debug: boolean): number {
  // it has printed its message itself
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  const screen = screenOf(process.stderr, process.env);
  const lines = [messageOf(error), ...(debug ? causesOf(error).slice(0, 10) : [])];
  writeTo(process.stderr, `${coloured(screen, "red", "Error:")} ${lines.join("\n")}`);
  if (error instanceof CancelledError) return 130;
  return error instanceof InvalidArgumentError ? 2 : 1;
}

/** Sets the exit code of the process. */
export async function runSkein(words: readonly string[]): Promise<void> {
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    // The reader went away, as `head` does: nothing is left to say.
    process.exit(error.code === "EPIPE" ? 0 : 1);
  });
  // Nobody reads what goes wrong: the exit code still says so.
  process.stderr.on("error", () => undefined);
  const connection = new Connection();
  try {
    if (words[0] === "__complete")
      await (await import("./completion/http-complete.js")).complete(words.slice(1), process.env);
    else await run(words, connection);
  } catch (error) {
    process.exitCode = exitCodeOf(error, words.includes("-D") || words.includes("--debug"));
  } finally {
    connection.close();
  }
}
