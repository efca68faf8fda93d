/**
 * The words RUN executes: shell form, exec form, here-documents. Pure.
 * Source: Dockerfile reference, RUN and "Here-Documents".
 */
import type { FileToPlace } from "../../../proto/engine/containers.js";
import { type BuildConfig, commandWords, shellOf } from "./build-config.js";
import type { RunInstruction } from "./dockerfile-instructions.js";

export interface RunCommand {
  readonly words: readonly string[];
  /** As history shows it; different commands never look alike. */
  readonly shown: string;
  readonly files: readonly FileToPlace[];
}

const SCRIPT_FOLDER = "/dev/pipes";

export function runCommand(instruction: RunInstruction, config: BuildConfig): RunCommand {
  const { command, heredocs } = instruction;
  const [only] = heredocs;
  if (only === undefined || !command.shell)
    return shownAs(commandWords(command, config), command.shell, config);
  const line = command.words[0] ?? "";
  const isAll = heredocs.length === 1 && /^\d*<<-?\S+$/.test(line);
  if (isAll && only.content.startsWith("#!")) {
    const [interpreter = "", ...rest] = (/^#![ \t]*([^\n]*)/.exec(only.content)?.[1] ?? "")
      .trim()
      .split(/\s+(.*)/s);
    const target = `${SCRIPT_FOLDER}/${only.name.replace(/[^A-Za-z0-9_.-]/g, "_")}`;
    const words = [interpreter, ...rest.filter((one) => one !== "").slice(0, 1), target];
    const data = Buffer.from(only.content, "utf8");
    return {
      words,
      shown: `${words.join(" ")} <<${only.name}\n${only.content}${only.name}`,
      files: [{ target, data, uid: 0, gid: 0, mode: 0o755 }],
    };
  }
  const script = isAll
    ? only.content
    : `${line}\n${heredocs.map(({ content, name }) => `${content}${name}\n`).join("")}`;
  return shownAs([...shellOf(config), script], true, config);
}

/**
 * Docker joins the words with blanks. Exec forms that would look like another command are written as JSON,
 * or the cache would take one for the other.
 */
function shownAs(words: readonly string[], shell: boolean, config: BuildConfig): RunCommand {
  const prefix = shellOf(config);
  const isShellForm =
    shell || (words.length === prefix.length + 1 && prefix.every((word, at) => words[at] === word));
  const looksLikeShell = words.join(" ").startsWith(`${prefix.join(" ")} `);
  const isAmbiguous =
    !isShellForm && (looksLikeShell || words.some((word) => word === "" || /\s/.test(word)));
  return { words, shown: isAmbiguous ? JSON.stringify(words) : words.join(" "), files: [] };
}
