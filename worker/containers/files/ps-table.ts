/**
 * What `ps` prints, as a table of one container's processes. Pure.
 * Source: moby's rules: the PID column is found by its title, the last column takes the rest of the line.
 */
import { InternalError, InvalidArgumentError } from "../../../base/errors/errors.js";

export interface ProcessTable {
  readonly titles: readonly string[];
  readonly processes: readonly (readonly string[])[];
}

/** @throws {InvalidArgumentError} arguments that would give another column the title PID. */
export function psArgumentList(text: string): readonly string[] {
  const words = text.split(/\s+/).filter((word) => word !== "");
  for (const match of text.matchAll(/(?:^|\s)([^\s]*)=\s*(PID[^\s]*)/g)) {
    if (match[1] !== "pid" && match[2] === "PID")
      throw new InvalidArgumentError(`specifying "${match[1]}=${match[2]}" is not allowed`);
  }
  return words.length === 0 ? ["-ef"] : words;
}

/** @throws {InternalError} no PID column, or a line that is none of a table. */
export function processTable(output: string, pids: ReadonlySet<number>): ProcessTable {
  const lines = output.split("\n");
  const titles = fieldsOf(lines[0] ?? "");
  const pidColumn = titles.indexOf("PID");
  if (pidColumn < 0) throw new InternalError("Couldn't find PID field in ps output");
  const processes: (readonly string[])[] = [];
  let before = false;
  for (const line of lines.slice(1)) {
    const fields = fieldsOf(line);
    if (fields.length === 0) continue;
    const word = fields[pidColumn] ?? "";
    // with threads (ps -T, m) a line of a thread has "-" for its PID, and belongs to the process before it
    if (word === "-") {
      if (before) processes.push(row(fields, titles.length));
      continue;
    }
    if (!/^\d+$/.test(word)) throw new InternalError(`Unexpected pid '${word}': not a number`);
    before = pids.has(Number(word));
    if (before) processes.push(row(fields, titles.length));
  }
  return { titles, processes };
}

function row(fields: readonly string[], columns: number): readonly string[] {
  if (fields.length <= columns) return fields;
  return [...fields.slice(0, columns - 1), fields.slice(columns - 1).join(" ")];
}

function fieldsOf(line: string): readonly string[] {
  return line.split(/\s+/).filter((field) => field !== "");
}
