/**
 * Adds to the help of each command its examples and what to do next. Pure over the tree of commands.
 * Loaded only when help is asked for.
 */
import type { Command } from "commander";
import { LESSONS, type Lesson } from "./lessons.js";

/** "service create" of that command. */
export function pathOf(command: Command): string {
  const names: string[] = [];
  for (let each: Command | null = command; each?.parent != null; each = each.parent)
    names.unshift(each.name());
  return names.join(" ");
}

export function lessonText({ examples, next }: Lesson): string {
  const lines = examples.map(([line, says]) => (says === undefined ? `  ${line}` : `  # ${says}\n  ${line}`));
  return [`\nExamples:\n${lines.join("\n")}`, ...(next === undefined ? [] : [`\n${next}`])].join("\n");
}

export function lessonOf(command: Command): Lesson | undefined {
  const path = pathOf(command);
  return Object.hasOwn(LESSONS, path) ? LESSONS[path] : undefined;
}

/** Of the command and all below it. */
export function teach(command: Command): void {
  const lesson = lessonOf(command);
  if (lesson !== undefined) command.addHelpText("after", lessonText(lesson));
  for (const inner of command.commands) teach(inner);
}
