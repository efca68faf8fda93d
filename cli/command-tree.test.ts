/**
 * Nothing of the command line is lost: the tree of commands against what docker's has (test/matrix/flags.txt)
 * and against what ours had (cli/command-tree.txt, written anew with SKEIN_WRITE=1).
 */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { NOT_RUN } from "./help/fs-manuals.js";
import { documented } from "./help/manual-page.js";
import { lessonOf, ownWordsOf, pathOf } from "./help/teach.js";
import { buildProgram } from "./program.js";

const HERE = dirname(fileURLToPath(import.meta.url));
const PROJECT = resolve(HERE, HERE.includes("/dist/") ? "../.." : "..");
const LIST = join(PROJECT, "cli/command-tree.txt");
const commands = documented(await buildProgram(NOT_RUN, "all"));

/** "service create: -p, --publish <port> = default", and "service rm | remove <service...>". */
const lines = commands.flatMap((command) => {
  const path = pathOf(command);
  if (path.startsWith("stack")) return []; // the stacks' own tests see to these
  const names = [path, ...command.aliases()].join(" | ");
  const usage = command.registeredArguments.map((argument) =>
    argument.required ? `<${argument.name()}>` : `[${argument.name()}]`,
  );
  const options = command.options
    .filter((option) => !option.hidden)
    .map((option) => {
      const fallback = option.defaultValue === undefined ? "" : ` = ${String(option.defaultValue)}`;
      return `${path}: ${option.flags}${fallback}`;
    });
  return [[names, ...usage].join(" ").trim(), ...options];
});

test("every command and flag of docker's that concerns a swarm is there", () => {
  const flags = new Set(
    commands.flatMap((command) => command.options.map(({ long }) => `${pathOf(command)} ${long}`)),
  );
  const listed = readFileSync(join(PROJECT, "test/matrix/flags.txt"), "utf8").trimEnd().split("\n");
  assert.deepEqual(
    listed.filter((flag) => !flags.has(flag)),
    [],
  );
});

test("no command, argument, alias, flag or default that was there is lost", () => {
  if (process.env["SKEIN_WRITE"] === "1") writeFileSync(LIST, `${[...lines].sort().join("\n")}\n`);
  const now = new Set(lines);
  const before = readFileSync(LIST, "utf8").trimEnd().split("\n");
  assert.deepEqual(
    before.filter((line) => !now.has(line)),
    [],
  );
});

test("lists can be filtered, formatted and kept quiet; what inspects takes a template", () => {
  const missing: string[] = [];
  for (const command of commands) {
    const longs = command.options.map(({ long }) => long);
    const want =
      command.name() === "ls"
        ? ["--format", "--quiet"]
        : command.name() === "inspect"
          ? ["--format"]
          : command.name() === "ps"
            ? ["--format", "--filter", "--no-trunc", "--quiet"]
            : [];
    for (const flag of want)
      if (!longs.includes(flag) && pathOf(command) !== "stack ls") missing.push(`${pathOf(command)} ${flag}`);
  }
  assert.deepEqual(missing, []);
});

test("short flags mean the same in a whole group of commands", () => {
  const wrong = commands.flatMap((command) =>
    command.options
      .filter(({ short, long }) => SHORT[short ?? ""]?.includes(long ?? "") === false)
      .map(({ short, long }) => `${pathOf(command)} ${short} ${long}`),
  );
  assert.deepEqual(wrong, []);
});

const SHORT: Readonly<Record<string, readonly string[]>> = {
  "-q": ["--quiet"],
  "-d": ["--detach", "--driver"],
  "-f": ["--filter", "--format", "--follow", "--force"],
  "-l": ["--label", "--log-level"],
  "-n": ["--tail", "--last"],
  "-t": ["--timestamps", "--tty", "--tag"],
};

test("every command that does something has examples, and they name it and flags that it has", () => {
  const leaves = commands.filter((command) => command.commands.length === 0);
  const without = leaves
    .filter((command) => lessonOf(command) === undefined && !ownWordsOf(command).includes("xamples:"))
    .map(pathOf);
  assert.deepEqual(without, []);
  const faulty: string[] = [];
  for (const command of leaves) {
    const known = new Set(commands.flatMap(({ options }) => options.map(({ long }) => long)));
    for (const [line] of lessonOf(command)?.examples ?? []) {
      if (!line.includes(`skein ${pathOf(command)}`)) faulty.push(`${line}: not of ${pathOf(command)}`);
      for (const [flag] of line.matchAll(/(?<= )--[a-z][a-z-]*/g))
        if (!known.has(flag) && !flag.startsWith("--no-")) faulty.push(`${line}: ${flag}`);
    }
  }
  assert.deepEqual(faulty, []);
});
