/**
 * A manual page, as roff with the man macros, from a command of the tree: the same words as its help. Pure.
 * Source: man-pages(7), groff_man(7). Invariant: no line of text begins with "." or "'", and every backslash
 * and dash of it is escaped.
 */
import type { Command, Option } from "commander";
import { lessonOf, ownWordsOf, pathOf } from "./teach.js";

const EXIT_CODES: readonly (readonly [string, string])[] = [
  ["0", "Done."],
  ["1", "The daemon refused, failed, or could not be reached."],
  ["2", "The command was wrong: nothing was asked of the daemon."],
  ["3", "What was planned does not fit the cluster."],
  ["4", "What stack plan planned would change something."],
  ["130", "Interrupted; what was asked for goes on."],
];
const ENVIRONMENT: readonly (readonly [string, string])[] = [
  ["SKEIN_HOST, DOCKER_HOST", "The daemon, as --host has it. The first goes before the second."],
  ["SKEIN_CONTEXT, DOCKER_CONTEXT", "The context, as --context has it."],
  ["SKEIN_CONFIG", "Folder of contexts. By default ~/.skein."],
  ["DOCKER_TLS_VERIFY, DOCKER_CERT_PATH", "As --tlsverify, and the folder of ca.pem, cert.pem and key.pem."],
  ["NO_COLOR", "When it is set and not empty, nothing is coloured."],
];

const hexOf = (sign: string): string =>
  (sign.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0");

/** Text as roff takes it: in ASCII. */
export function roff(text: string): string {
  return text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replaceAll(/[^\x20-\x7e\n\t]/gu, (sign) => `\\[u${hexOf(sign)}]`)
    .split("\n")
    .map((line) => (/^[.']/.test(line) ? `\\&${line}` : line))
    .join("\n");
}

/** An argument of a macro. */
const quoted = (text: string): string => `"${roff(text).replaceAll('"', '""')}"`;

const sentence = (text: string): string => (/[.:!?]$/.test(text) ? text : `${text}.`);
const capital = (text: string): string => `${text[0]?.toUpperCase() ?? ""}${text.slice(1)}`;

export function pageName(command: Command): string {
  return ["skein", ...pathOf(command).split(" ")].filter((word) => word !== "").join("-");
}

function optionLines(option: Option): string[] {
  const choices = option.argChoices === undefined ? "" : ` (one of ${option.argChoices.join(", ")})`;
  return [".TP", `.B ${quoted(option.flags)}`, roff(sentence(capital(`${option.description}${choices}`)))];
}

function listed(pairs: readonly (readonly [string, string])[]): string[] {
  return pairs.flatMap(([term, text]) => [".TP", `.B ${quoted(term)}`, roff(text)]);
}

function section(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : [`.SH ${quoted(title)}`, ...lines];
}

export function usageOf(command: Command): string {
  return ["skein", pathOf(command), command.usage()].filter((word) => word !== "").join(" ");
}

/** @param version such as "0.1.0". */
export function manualPage(command: Command, version: string): string {
  const name = pageName(command);
  const options = command.options.filter((option) => !option.hidden);
  const lesson = lessonOf(command);
  const help = command.createHelp();
  const inner = help.visibleCommands(command).filter((each) => each.name() !== "help");
  const args = command.registeredArguments.map((argument): [string, string] => [
    argument.name(),
    sentence(capital(help.argumentDescription(argument) || argument.name())),
  ]);
  const aliases = command.aliases();
  const examples = (lesson?.examples ?? []).flatMap(([line, says]) => [
    ".PP",
    ...(says === undefined ? [] : [roff(sentence(capital(says)))]),
    ".RS 4",
    ".nf",
    roff(line),
    ".fi",
    ".RE",
  ]);
  const isTop = command.parent === null;
  const ownWords = ownWordsOf(command);
  const see = [...(isTop ? [] : [command.parent]), ...inner]
    .filter((each) => each !== null)
    .map((each) => pageName(each));
  return `${[
    `.TH ${quoted(name.toUpperCase())} 1 "" ${quoted(`skein ${version}`)} "Skein Manual"`,
    ...section("NAME", [`${roff(name)} \\- ${roff(command.description())}`]),
    ...section("SYNOPSIS", [`.B ${quoted(usageOf(command))}`]),
    ...section("DESCRIPTION", [
      roff(sentence(command.description())),
      ...(aliases.length === 0 ? [] : [".PP", roff(`Other names: ${aliases.join(", ")}.`)]),
      ...(lesson?.next === undefined ? [] : [".PP", roff(lesson.next)]),
    ]),
    ...section(
      "COMMANDS",
      inner.flatMap((each) => [".TP", `.B ${quoted(each.name())}`, roff(sentence(each.description()))]),
    ),
    ...section("ARGUMENTS", listed(args)),
    ...section("OPTIONS", options.flatMap(optionLines)),
    ...section("EXAMPLES", examples),
    ...section("NOTES", ownWords === "" ? [] : [".nf", roff(ownWords), ".fi"]),
    ...(isTop ? section("ENVIRONMENT", listed(ENVIRONMENT)) : []),
    ...section("EXIT STATUS", listed(EXIT_CODES)),
    ...section("SEE ALSO", see.length === 0 ? [] : [see.map((each) => `.BR ${roff(each)} (1)`).join("\n")]),
  ].join("\n")}\n`;
}

/** The command and all below it that people are shown. */
export function documented(command: Command): Command[] {
  const inner = command.createHelp().visibleCommands(command);
  return [command, ...inner.filter((each) => each.name() !== "help").flatMap(documented)];
}
