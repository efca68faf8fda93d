/**
 * What may stand where the cursor is, from the tree of commands. Pure.
 * The tree says it all: names of arguments and of flags' values say which objects are meant, so that a new
 * command completes without a word here.
 */
import type { Argument, Command, Option } from "commander";

/** Objects whose names the daemon, or the contexts' folder, knows. */
export type ObjectKind =
  | "service"
  | "node"
  | "stack"
  | "network"
  | "secret"
  | "config"
  | "container"
  | "image"
  | "context";

export interface Candidate {
  readonly value: string;
  readonly description?: string;
}

export interface Completion {
  readonly candidates: readonly Candidate[];
  readonly objects?: ObjectKind;
  readonly files?: boolean;
  /** Stands before each value: "--network=". */
  readonly prefix: string;
  /** Nothing of the word is finished by the value: a key before "=". */
  readonly openEnded?: boolean;
  /** Flags of the program that were given: which daemon to ask. */
  readonly global: Readonly<Record<string, string | true>>;
}

const KINDS: Readonly<Record<string, ObjectKind>> = {
  service: "service",
  "service-or-task": "service",
  "service=replicas": "service",
  node: "node",
  stack: "stack",
  network: "network",
  secret: "secret",
  config: "config",
  container: "container",
  image: "image",
  "repository[:tag]": "image",
  context: "context",
};
const FILES = ["file", "folder", "dir", "path", "compose-file", "archive"];
const SHAPES = ["start-first", "stop-first"];

/** Values of flags that are words of ours, by the flag's long name. */
const WORDS: Readonly<Record<string, readonly string[]>> = {
  mode: ["replicated", "global", "replicated-job", "global-job"],
  "endpoint-mode": ["vip", "dnsrr"],
  balance: ["roundrobin", "sourcehash", "localfirst"],
  "restart-condition": ["none", "on-failure", "any"],
  "update-order": SHAPES,
  "rollback-order": SHAPES,
  "update-failure-action": ["pause", "continue", "rollback"],
  "rollback-failure-action": ["pause", "continue"],
  "log-driver": ["json-file", "local", "journald", "syslog", "none"],
  "placement-pref": ["spread=node.labels."],
  "placement-pref-add": ["spread=node.labels."],
  constraint: ["node.role==", "node.labels.", "node.hostname==", "node.id==", "engine.labels."],
  "constraint-add": ["node.role==", "node.labels.", "node.hostname==", "node.id==", "engine.labels."],
  mount: ["type=volume,", "type=bind,", "type=tmpfs,"],
  "template-driver": ["golang"],
  scope: ["swarm", "local"],
  format: ["json", "table"],
};

interface Place {
  readonly command: Command;
  readonly positionals: number;
  readonly pending: Option | undefined;
  /** Behind "--", or behind the image of a new service: no flags any more. */
  readonly plainOnly: boolean;
  readonly global: Readonly<Record<string, string | true>>;
}

const findOption = (command: Command, word: string): Option | undefined =>
  command.options.find((option) => option.long === word || option.short === word);

/** Whether words behind the first positional belong to the container. */
const passesThrough = (command: Command): boolean =>
  // commander keeps it so
  (command as unknown as { _passThroughOptions?: boolean })._passThroughOptions === true;

function placeOf(program: Command, words: readonly string[]): Place {
  let command = program;
  let positionals = 0;
  let pending: Option | undefined;
  let plainOnly = false;
  const global: Record<string, string | true> = {};
  for (const word of words) {
    if (pending !== undefined) {
      if (command === program) global[pending.attributeName()] = word;
      pending = undefined;
    } else if (word === "--") plainOnly = true;
    else if (word.startsWith("-") && word !== "-" && !plainOnly) {
      const [name = "", value] = splitFlag(word);
      const option = findOption(command, name);
      const takesValue = option !== undefined && (option.required || option.optional);
      if (option !== undefined && command === program) global[option.attributeName()] = value ?? true;
      if (takesValue && value === undefined && option.required) pending = option;
    } else {
      const inner = positionals === 0 && !plainOnly ? subcommand(command, word) : undefined;
      if (inner !== undefined) command = inner;
      else {
        positionals += 1;
        plainOnly ||= passesThrough(command);
      }
    }
  }
  return { command, positionals, pending, plainOnly, global };
}

function splitFlag(word: string): [string, string | undefined] {
  const at = word.indexOf("=");
  return at < 0 ? [word, undefined] : [word.slice(0, at), word.slice(at + 1)];
}

const subcommand = (command: Command, word: string): Command | undefined =>
  command.commands.find((each) => each.name() === word || each.aliases().includes(word));

/** @param words what stands behind the program's name, up to the cursor; the last one is unfinished. */
export function completionOf(program: Command, words: readonly string[]): Completion {
  const current = words.at(-1) ?? "";
  const { command, positionals, pending, plainOnly, global } = placeOf(program, words.slice(0, -1));
  const base = { candidates: [], prefix: "", global };
  if (pending !== undefined) return { ...base, ...valuesOf(pending) };
  if (current.startsWith("-") && !plainOnly) {
    const [name, value] = splitFlag(current);
    if (value === undefined) return { ...base, candidates: flagsOf(command) };
    const option = findOption(command, name);
    return option === undefined ? base : { ...base, ...valuesOf(option), prefix: `${name}=` };
  }
  if (command.commands.length > 0 && positionals === 0)
    return { ...base, candidates: commandsOf(command, command === program) };
  const args = command.registeredArguments;
  const argument = args[Math.min(positionals, args.length - 1)];
  if (argument === undefined || (positionals >= args.length && !argument.variadic)) return base;
  return { ...base, ...ofArgument(argument) };
}

function commandsOf(command: Command, top: boolean): Candidate[] {
  const help = top ? [{ value: "help", description: "tell more about a command" }] : [];
  const visible = command.createHelp().visibleCommands(command);
  return [
    ...visible
      .filter((each) => each.name() !== "help")
      .map((each) => ({ value: each.name(), description: firstSentence(each.description()) })),
    ...help,
  ];
}

const firstSentence = (text: string): string => (text.split(/[;.:] /)[0] ?? "").slice(0, 80);

function flagsOf(command: Command): Candidate[] {
  const flags = command.options
    .filter((option) => !option.hidden && option.long !== undefined)
    .map((option) => ({ value: option.long ?? "", description: firstSentence(option.description) }));
  return [...flags, { value: "--help", description: "tell about the command" }];
}

function valuesOf(option: Option): Partial<Completion> {
  if (option.argChoices !== undefined) return { candidates: option.argChoices.map((value) => ({ value })) };
  const long = option.long?.replace(/^--/, "") ?? "";
  if (long === "filter") {
    const keys = option.description.match(/[a-z][a-z.-]*/g) ?? [];
    return { candidates: keys.map((key) => ({ value: `${key}=` })), openEnded: true };
  }
  const words = WORDS[long];
  if (words !== undefined)
    return {
      candidates: words.map((value) => ({ value })),
      openEnded: words.some((word) => /[=.,]$/.test(word)),
    };
  const name = /[<[]([^>\]]+)[>\]]/.exec(option.flags)?.[1] ?? "";
  return ofName(name.replace(/\.\.\.$/, ""));
}

function ofArgument(argument: Argument): Partial<Completion> {
  if (argument.argChoices !== undefined)
    return { candidates: argument.argChoices.map((value) => ({ value })) };
  return ofName(argument.name());
}

function ofName(name: string): Partial<Completion> {
  const objects = Object.hasOwn(KINDS, name) ? KINDS[name] : undefined;
  if (objects !== undefined) return { objects, ...(name.includes("=") ? { openEnded: true } : {}) };
  return FILES.includes(name) ? { files: true } : {};
}
