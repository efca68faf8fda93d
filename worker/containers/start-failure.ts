/**
 * Why a container's process could not be started, in words and exit codes that Docker's clients tell apart.
 * Pure. 127: no such command; 126: it may not be executed; 128: anything else.
 * Sources: crun's and runc's messages; the CLI's search for "executable file not found" and "permission
 * denied".
 */
import { InvalidArgumentError, messageOf, SkeinError } from "../../base/errors/errors.js";

export interface StartFailure {
  readonly error: Error;
  readonly exitCode: number;
}

const PREFIX = "failed to create shim task: OCI runtime create failed: runc create failed";

export function startFailure(thrown: unknown, command: string): StartFailure {
  const words = messageOf(thrown);
  const asked = words.startsWith(PREFIX) || !(thrown instanceof InvalidArgumentError);
  const because = asked ? undefined : commandTrouble(words, command);
  if (because !== undefined) {
    const what = `unable to start container process: exec: ${JSON.stringify(command)}: ${because}`;
    const message = `${PREFIX}: ${what}: unknown`;
    return {
      error: new InvalidArgumentError(message, { cause: thrown }),
      exitCode: because === "permission denied" ? 126 : 127,
    };
  }
  const error = thrown instanceof SkeinError || thrown instanceof Error ? thrown : new Error(words);
  return { error, exitCode: exitCodeOfRefusal(words) };
}

/** @returns undefined when the words are about something else. */
function commandTrouble(words: string, command: string): string | undefined {
  const aboutCommand = (command !== "" && words.includes(command)) || /executable/i.test(words);
  if (!aboutCommand) return undefined;
  const searched = !command.includes("/");
  if (searched && /executable file .*not found/i.test(words)) return "executable file not found in $PATH";
  if (/no such file or directory/i.test(words)) return `stat ${command}: no such file or directory`;
  if (/permission denied|operation not permitted|is a directory/i.test(words)) return "permission denied";
  return undefined;
}

/** Docker's codes for a command that cannot be started. */
export function exitCodeOfRefusal(words: string): number {
  if (/not found|no such file/i.test(words)) return 127;
  return /permission denied/i.test(words) ? 126 : 128;
}
