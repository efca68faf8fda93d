/**
 * The tree of commands: what can be given before a command, and the groups of commands. Pure (modules of
 * commands are imported when they are asked for).
 * Only the module of the command that was named is loaded, or all of them for manuals and checks.
 */
import { Option } from "commander";
import { COMMAND_GROUPS, type CommandGroup, groupOf } from "./command-groups.js";
import type { Context } from "./context.js";
import { SkeinCommand } from "./skein-command.js";

export const VERSION = "0.1.0";

const EPILOGUE = `
Examples:
  skein swarm init                                     make this host the first manager of a swarm
  skein service create --name web --replicas 3 -p 8080:80 nginx
  skein service ps web                                 where its tasks run, and why one does not
  skein stack deploy -c compose.yml hello              a whole application from a compose file
  skein context create prod --host ssh://root@host1    a name for a swarm somewhere else

The daemon is the one of --host, --context, SKEIN_HOST, SKEIN_CONTEXT, DOCKER_HOST or DOCKER_CONTEXT, of
'skein context use', or else unix:///run/skein/skein.sock: the first of these that is given.

Exit codes: 0 done; 1 the daemon refused, failed, or could not be reached; 2 the command was wrong and nothing
was asked of the daemon; 3 what was planned does not fit; 4 it would change something (stack plan);
130 interrupted.

'skein help COMMAND' tells more about a command; 'skein completion bash' makes the TAB key know them.`;

/** Options of the program that take a value: they and it are passed over to find the command. */
const WITH_VALUE = ["host", "context", "config", "tlscacert", "tlscert", "tlskey", "log-level"];
const SHORT_WITH_VALUE = ["-H", "-c", "-l"];

/** The first word that is neither an option of the program nor its value. */
export function namedCommand(argv: readonly string[]): string | undefined {
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i] ?? "";
    if (SHORT_WITH_VALUE.includes(word) || WITH_VALUE.some((name) => word === `--${name}`)) i += 1;
    else if (!word.startsWith("-")) return word;
  }
  return undefined;
}

function addGlobalOptions(program: SkeinCommand): void {
  program
    .option("-H, --host <host>", "the daemon: unix:///PATH, tcp://HOST[:PORT] or ssh://[USER@]HOST[:PORT]")
    .option("-c, --context <context>", "the daemon of a context (see 'skein context ls')")
    .option("--config <folder>", "folder of contexts (default ~/.skein)")
    .option("-D, --debug", "tell the causes of an error, too")
    .addOption(new Option("-l, --log-level <level>", "accepted; there is no log here").hideHelp())
    .option("--tls", "use TLS; the daemon's certificate is not checked")
    .option("--tlsverify", "use TLS, and check the daemon's certificate")
    .option(
      "--tlscacert <file>",
      "trust daemons with certificates signed by this CA (default ~/.docker/ca.pem)",
    )
    .option("--tlscert <file>", "certificate of the client (default ~/.docker/cert.pem)")
    .option("--tlskey <file>", "its key (default ~/.docker/key.pem)");
}

/** @param wanted whose commands are complete; the others are known by name and description alone. */
export async function buildProgram(
  context: Context,
  wanted: CommandGroup | "all" | undefined,
): Promise<SkeinCommand> {
  const program = new SkeinCommand("skein");
  program
    .description("Runs containers on a cluster of Linux hosts")
    .usage("[OPTIONS] COMMAND")
    .version(VERSION, "-v, --version", "print the version of this command")
    .enablePositionalOptions()
    .exitOverride()
    .helpCommand("help [command...]", "tell more about a command")
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, "Error: ")) })
    .addHelpText("after", EPILOGUE);
  addGlobalOptions(program);
  for (const group of COMMAND_GROUPS) {
    program.commandsGroup(group.heading);
    if (wanted === "all" || group === wanted) (await group.load())(program, context);
    else
      for (const [name, description] of Object.entries(group.commands))
        program.command(name).description(description);
  }
  return program;
}

/** The program with what these words need of it. */
export function programFor(context: Context, argv: readonly string[]): Promise<SkeinCommand> {
  return buildProgram(context, groupOf(namedCommand(argv)));
}
