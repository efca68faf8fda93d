/**
 * Adds to the help of each command its examples and what to do next. Pure over the tree of commands.
 * Loaded only when help is asked for.
 */
import type { EventEmitter } from "node:events";
import type { Command } from "commander";
import { LESSONS, type Lesson } from "./lessons.js";

/** "service create" of that command. */
export function pathOf(command: Command): string {
  const names: string[] = [];
  for (let each: Command | null = command; each?.parent != null; each = each.parent)
    names.unshift(each.name());
  return names.join(" ");
}

const COLUMNS = 100;

/** Cut at spaces; each line but the last ends in `joint`. */
function wrapped(text: string, joint: string, indent: string): string {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last === undefined || last.length + word.length + 1 > COLUMNS) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines.join(`${joint}\n${indent}`);
}

export function lessonText({ examples, next }: Lesson): string {
  const lines = examples.map(([line, says]) => {
    const typed = `  ${wrapped(line, " \\", "      ")}`;
    return says === undefined ? typed : `  # ${says}\n${typed}`;
  });
  const after = next === undefined ? [] : [`\n${wrapped(next, "", "")}`];
  return [`\nExamples:\n${lines.join("\n")}`, ...after].join("\n");
}

export function lessonOf(command: Command): Lesson | undefined {
  const path = pathOf(command);
  return Object.hasOwn(LESSONS, path) ? LESSONS[path] : undefined;
}

/** What a command itself says behind its help: commander tells it by an event. */
export function ownWordsOf(command: Command): string {
  const words: string[] = [];
  const events = command as unknown as EventEmitter; // its types do not tell
  events.emit("afterHelp", { error: false, command, write: (text: string) => void words.push(text) });
  return words.join("").trim();
}

/** Of the command and all below it. */
export function teach(command: Command): void {
  const lesson = lessonOf(command);
  if (lesson !== undefined) command.addHelpText("after", lessonText(lesson));
  for (const inner of command.commands) teach(inner);
}
