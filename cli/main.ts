#!/usr/bin/env node
/**
 * skein: the command line of a Skein cluster. Edge: to the process.
 * Exit codes: 0 done; 1 the daemon refused or failed; 2 the command was wrong and nothing was asked of the
 * daemon; 3 what `skein plan` plans does not fit; 130 interrupted.
 * Only the module of the command that was named is loaded: it starts in a tenth of a second.
 */
import { CommanderError } from "commander";
import { CancelledError, InvalidArgumentError, messageOf } from "../base/errors/errors.js";
import { COMMAND_GROUPS, type CommandGroup, groupOf } from "./command-groups.js";
import type { Context } from "./context.js";
import { ApiClient } from "./http-client.js";
import { SkeinCommand } from "./skein-command.js";

const VERSION = "0.1.0";

const EPILOGUE = `
Examples:
  skein swarm init                                     make this host the first manager of a swarm
  skein service create --name web --replicas 3 -p 8080:80 nginx
  skein service ps web                                 where its tasks run, and why one does not
  skein stack deploy -c compose.yml hello              a whole application from a compose file

The daemon is found by --host, SKEIN_HOST, DOCKER_HOST, or at unix:///run/skein/skein.sock.
'skein COMMAND --help' tells more about a command.`;

function makeContext(program: SkeinCommand): Context {
  let client: ApiClient | undefined;
  return {
    client: () => {
      client ??= ApiClient.fromEnvironment(program.opts<{ host?: string }>().host);
      return client;
    },
    print: (text) => {
      if (text !== "") process.stdout.write(`${text}\n`);
    },
    note: (text) => process.stderr.write(`${text}\n`),
    terminal: process.stdout.isTTY === true,
  };
}

/** The first word that is neither an option of the program nor its value; after "help", the one behind it. */
function namedCommand(argv: readonly string[]): string | undefined {
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i] ?? "";
    if (word === "-H" || word === "--host") i += 1;
    else if (!word.startsWith("-") && word !== "help") return word;
  }
  return undefined;
}

async function addCommands(
  program: SkeinCommand,
  context: Context,
  wanted: CommandGroup | undefined,
): Promise<void> {
  for (const group of COMMAND_GROUPS) {
    program.commandsGroup(group.heading);
    if (group === wanted) (await group.load())(program, context);
    else
      for (const [name, description] of Object.entries(group.commands))
        program.command(name).description(description);
  }
}

async function main(argv: readonly string[]): Promise<void> {
  const program = new SkeinCommand("skein");
  program
    .description("Runs containers on a cluster of Linux hosts")
    .usage("[--host HOST] COMMAND")
    .version(VERSION, "--version", "print the version of this command")
    .option("-H, --host <host>", "the daemon: unix:///PATH or tcp://HOST:PORT")
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, "Error: ")) })
    .addHelpText("after", EPILOGUE);
  await addCommands(program, makeContext(program), groupOf(namedCommand(argv)));
  if (argv.length === 0) program.outputHelp();
  else await program.parseAsync(argv, { from: "user" });
}

function exitCodeOf(error: unknown): number {
  // it has printed its message itself
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  process.stderr.write(`Error: ${messageOf(error)}\n`);
  if (error instanceof CancelledError) return 130;
  return error instanceof InvalidArgumentError ? 2 : 1;
}

process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  // The reader went away, as `head` does: nothing is left to say.
  process.exit(error.code === "EPIPE" ? 0 : 1);
});
try {
  await main(process.argv.slice(2));
} catch (error) {
  process.exitCode = exitCodeOf(error);
}
