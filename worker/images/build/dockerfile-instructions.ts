/**
 * What one line of a Dockerfile says, as a value that cannot be wrong in form. Variables are not filled in
 * yet. Pure. Invariant: each instruction and flag is either here or refused by name with its line.
 * Source: Dockerfile reference.
 */
import { InvalidArgumentError } from "../../../base/errors/errors.js";
import { type DockerfileLine, type EscapeCharacter, type Heredoc, splitLine } from "./dockerfile-lines.js";
import { goDurationMs } from "./go-duration.js";
import { type RunMount, readRunMount } from "./run-mount.js";
import { splitWords } from "./shell-words.js";

export interface Pair {
  readonly name: string;
  readonly value: string;
}

export interface CommandLine {
  readonly words: readonly string[];
  /** Given to the shell: one word. Else executed as it stands. */
  readonly shell: boolean;
}

export interface CopyInstruction {
  readonly kind: "copy";
  readonly keyword: "ADD" | "COPY";
  readonly sources: readonly string[];
  readonly heredocs: readonly Heredoc[];
  readonly target: string;
  readonly from: string;
  readonly chown: string;
  readonly chmod: string;
  readonly excludes: readonly string[];
  /** --parents: sources keep their folders. */
  readonly parents: boolean;
  readonly checksum: string;
  /** --unpack of ADD: undefined: local archives are, downloaded ones are not. */
  readonly unpack: boolean | undefined;
}

export interface HealthcheckInstruction {
  readonly kind: "healthcheck";
  readonly test: readonly string[];
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly startPeriodMs: number;
  readonly startIntervalMs: number;
  readonly retries: number;
}

export interface RunInstruction {
  readonly kind: "run";
  readonly command: CommandLine;
  readonly heredocs: readonly Heredoc[];
  readonly network: "default" | "none" | "host";
  readonly mounts: readonly RunMount[];
}

export type Instruction =
  | { readonly kind: "from"; readonly image: string; readonly name: string; readonly platform: string }
  | { readonly kind: "arg"; readonly args: readonly { readonly name: string; readonly value?: string }[] }
  | { readonly kind: "env" | "label"; readonly pairs: readonly Pair[] }
  | { readonly kind: "maintainer" | "user" | "workdir" | "stopsignal"; readonly value: string }
  | { readonly kind: "expose" | "volume"; readonly values: readonly string[] }
  | { readonly kind: "cmd" | "entrypoint"; readonly command: CommandLine }
  | { readonly kind: "shell"; readonly words: readonly string[] }
  | { readonly kind: "onbuild"; readonly trigger: string }
  | HealthcheckInstruction
  | RunInstruction
  | CopyInstruction;

export interface Step {
  readonly instruction: Instruction;
  /** As it is shown. */
  readonly text: string;
  readonly line: number;
}

interface Reading {
  readonly line: DockerfileLine;
  readonly escapeWith: EscapeCharacter;
  readonly flags: Flags;
}

/** @throws {InvalidArgumentError} "dockerfile parse error line N: …" */
export function readInstruction(line: DockerfileLine, escapeWith: EscapeCharacter): Step {
  const read = READERS[line.keyword];
  if (read === undefined) throw atLine(line.line, `unknown instruction: ${line.keyword}`);
  try {
    const flags = new Flags(line.flags);
    const instruction = read({ line, escapeWith, flags });
    flags.refuseOthers();
    return { instruction, text: line.text, line: line.line };
  } catch (error) {
    if (!(error instanceof InvalidArgumentError) || error instanceof PlainRefusal) throw error;
    throw atLine(line.line, error.message);
  }
}

/** One line that stands alone: a trigger of ONBUILD, a change of commit. */
export function readSingleInstruction(text: string): Step {
  return readInstruction(splitLine(text, "\\", 1), "\\");
}

function atLine(line: number, words: string): InvalidArgumentError {
  return new InvalidArgumentError(`dockerfile parse error line ${line}: ${words}`);
}

/** A refusal of the text before its line is known to mean something. */
class PlainRefusal extends InvalidArgumentError {}

function refuseText(words: string): never {
  throw new PlainRefusal(`failed to parse Dockerfile: ${words}`);
}

function refuse(words: string): never {
  throw new InvalidArgumentError(words);
}

/** --name=value of a line; what nobody asked for is refused. */
class Flags {
  readonly #left: Map<string, string[]>;

  constructor(flags: readonly string[]) {
    this.#left = new Map();
    for (const flag of flags) {
      const equals = flag.indexOf("=");
      const name = equals < 0 ? flag.slice(2) : flag.slice(2, equals);
      const values = this.#left.get(name) ?? [];
      values.push(equals < 0 ? NO_VALUE : flag.slice(equals + 1));
      this.#left.set(name, values);
    }
  }

  all(name: string): readonly string[] {
    const values = this.#left.get(name) ?? [];
    this.#left.delete(name);
    if (values.includes(NO_VALUE)) refuse(`Missing a value on flag: ${name}`);
    return values;
  }

  one(name: string): string {
    const values = this.all(name);
    if (values.length > 1) refuse(`Duplicate flag specified: ${name}`);
    return values[0] ?? "";
  }

  bool(name: string): boolean | undefined {
    const value = this.#left.get(name)?.[0];
    this.#left.delete(name);
    if (value === undefined) return undefined;
    if (value === NO_VALUE || value === "true") return true;
    if (value === "false") return false;
    refuse(`Expecting boolean value for flag ${name}, not: ${value}`);
  }

  refuseOthers(): void {
    const [name] = this.#left.keys();
    if (name !== undefined) refuse(`Unknown flag: ${name}`);
  }
}

const NO_VALUE = "\0";

const READERS: Readonly<Record<string, (reading: Reading) => Instruction>> = {
  FROM: readFrom,
  ARG: readArg,
  ENV: (reading) => ({ kind: "env", pairs: readPairs(reading, "ENV") }),
  LABEL: (reading) => ({ kind: "label", pairs: readPairs(reading, "LABEL") }),
  MAINTAINER: ({ line }) => ({ kind: "maintainer", value: single(line) }),
  USER: ({ line }) => ({ kind: "user", value: single(line) }),
  WORKDIR: ({ line }) => ({ kind: "workdir", value: single(line) }),
  STOPSIGNAL: ({ line }) => ({ kind: "stopsignal", value: single(line) }),
  EXPOSE: ({ line }) => ({ kind: "expose", values: atLeastOne(line, words(line.rest)) }),
  VOLUME: ({ line }) => {
    const values = atLeastOne(line, jsonWords(line.rest) ?? words(line.rest)).map((value) => value.trim());
    if (values.includes("")) refuse("VOLUME specified can not be an empty string");
    return { kind: "volume", values };
  },
  CMD: ({ line }) => ({ kind: "cmd", command: commandOf(line.rest) }),
  ENTRYPOINT: ({ line }) => ({ kind: "entrypoint", command: commandOf(line.rest) }),
  SHELL: ({ line }) => {
    const shell = jsonWords(line.rest);
    if (shell === undefined) refuse("SHELL requires the arguments to be in JSON form");
    if (shell.length === 0) refuse("SHELL requires at least one argument");
    return { kind: "shell", words: shell };
  },
  RUN: readRun,
  COPY: readCopy,
  ADD: readCopy,
  HEALTHCHECK: readHealthcheck,
  ONBUILD: readOnBuild,
};

function readFrom({ line, flags }: Reading): Instruction {
  const parts = words(line.rest);
  const name = (parts[2] ?? "").toLowerCase();
  if (parts.length !== 1 && !(parts.length === 3 && parts[1]?.toUpperCase() === "AS"))
    refuse("FROM requires either one or three arguments");
  if (parts.length === 3 && !/^[a-z][a-z0-9\-_.]*$/.test(name))
    refuse(
      `invalid name for build stage: ${JSON.stringify(parts[2])}, name can't start with a number or contain symbols`,
    );
  return { kind: "from", image: parts[0] ?? "", name, platform: flags.one("platform") };
}

function readArg({ line, escapeWith }: Reading): Instruction {
  const args = splitWords(line.rest, escapeWith).map((word) => {
    const equals = word.indexOf("=");
    if (equals === 0) refuse("ARG names can not be blank");
    return equals < 0 ? { name: word } : { name: word.slice(0, equals), value: word.slice(equals + 1) };
  });
  if (args.length === 0) refuse("ARG requires at least one argument");
  return { kind: "arg", args };
}

function readPairs({ line, escapeWith }: Reading, keyword: string): readonly Pair[] {
  const parts = splitWords(line.rest, escapeWith);
  const first = parts[0];
  if (first === undefined) refuse(`${keyword} requires at least one argument`);
  if (!first.includes("=")) {
    const match = /^(\S+)\s+(.+)$/s.exec(line.rest); // the old form: a name and all the rest
    if (match === null) refuseText(`${keyword} must have two arguments`);
    return [{ name: match[1] ?? "", value: match[2] ?? "" }];
  }
  return parts.map((word) => {
    const equals = word.indexOf("=");
    if (equals < 0)
      refuseText(`Syntax error - can't find = in ${JSON.stringify(word)}. Must be of the form: name=value`);
    if (equals === 0) refuse(`${keyword} names can not be blank`);
    return { name: word.slice(0, equals), value: word.slice(equals + 1) };
  });
}

function readRun({ line, flags }: Reading): Instruction {
  const network = flags.one("network") || "default";
  if (network !== "default" && network !== "none" && network !== "host")
    refuse(`invalid network mode: ${JSON.stringify(network)}: use default, none or host`);
  const security = flags.one("security");
  if (security !== "" && security !== "sandbox")
    refuse(`RUN --security=${security} is not supported by Skein: only sandbox is`);
  return {
    kind: "run",
    command: commandOf(line.rest),
    heredocs: line.heredocs,
    network,
    mounts: flags.all("mount").map(readRunMount),
  };
}

function readCopy({ line, flags }: Reading): Instruction {
  const keyword = line.keyword === "ADD" ? "ADD" : "COPY";
  const all = jsonWords(line.rest) ?? words(line.rest);
  if (all.length === 0) refuse(`${keyword} requires at least two arguments, but no arguments were provided`);
  if (all.length === 1)
    refuse(
      `${keyword} requires at least two arguments, but only one was provided. Destination could not be determined`,
    );
  const add = keyword === "ADD";
  const unpack = add ? flags.bool("unpack") : undefined;
  if (add && flags.bool("keep-git-dir") !== undefined)
    refuse("ADD of git repositories is not supported by Skein: clone it in a RUN, or in the context");
  flags.bool("link"); // every layer stands on its own here; files end up the same
  const heredocNames = new Set(line.heredocs.map(({ name }) => name));
  const isHeredoc = (word: string): boolean =>
    heredocNames.size > 0 && /^\d*<<-?/.test(word) && heredocNames.has(unquotedHeredoc(word));
  return {
    kind: "copy",
    keyword,
    sources: all.slice(0, -1).filter((word) => !isHeredoc(word)),
    heredocs: line.heredocs,
    target: all.at(-1) ?? "",
    from: add ? "" : flags.one("from"),
    chown: flags.one("chown"),
    chmod: flags.one("chmod"),
    excludes: flags.all("exclude"),
    parents: !add && flags.bool("parents") === true,
    checksum: add ? flags.one("checksum") : "",
    unpack,
  };
}

function unquotedHeredoc(word: string): string {
  return word.replace(/^\d*<<-?/, "").replace(/["'\\]/g, "");
}

const NO_TIMES = { intervalMs: 0, timeoutMs: 0, startPeriodMs: 0, startIntervalMs: 0, retries: 0 };

function readHealthcheck({ line, flags }: Reading): Instruction {
  const match = /^(\S+)\s*([\s\S]*)$/.exec(line.rest);
  if (match === null) refuse("HEALTHCHECK requires at least one argument");
  const type = (match[1] ?? "").toUpperCase();
  const rest = match[2] ?? "";
  if (type === "NONE") {
    if (rest !== "") refuse("HEALTHCHECK NONE takes no arguments");
    return { kind: "healthcheck", test: ["NONE"], ...NO_TIMES };
  }
  if (type !== "CMD") refuse(`Unknown type ${JSON.stringify(type)} in HEALTHCHECK (try CMD)`);
  const command = commandOf(rest);
  if (rest === "" || command.words.length === 0) refuse("Missing command after HEALTHCHECK CMD");
  const time = (name: string): number => {
    const text = flags.one(name);
    if (text === "") return 0;
    const ms = goDurationMs(text);
    if (ms === undefined) refuse(`time: invalid duration ${JSON.stringify(text)}`);
    if (ms !== 0 && ms < 1) refuse(`Interval ${JSON.stringify(name)} cannot be less than 1ms`);
    return ms;
  };
  const retries = flags.one("retries");
  if (!/^[+-]?\d*$/.test(retries))
    refuse(`strconv.ParseInt: parsing ${JSON.stringify(retries)}: invalid syntax`);
  if (retries !== "" && Number(retries) < 1) refuse(`--retries must be at least 1 (not ${Number(retries)})`);
  return {
    kind: "healthcheck",
    test: [command.shell ? "CMD-SHELL" : "CMD", ...command.words],
    intervalMs: time("interval"),
    timeoutMs: time("timeout"),
    startPeriodMs: time("start-period"),
    startIntervalMs: time("start-interval"),
    retries: retries === "" ? 0 : Number(retries),
  };
}

function readOnBuild({ line, escapeWith }: Reading): Instruction {
  if (line.rest === "") refuse("ONBUILD requires at least one argument");
  const inner = splitLine(line.rest, escapeWith, line.line);
  if (inner.keyword === "ONBUILD") refuse("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
  if (inner.keyword === "FROM" || inner.keyword === "MAINTAINER")
    refuse(`${inner.keyword} isn't allowed as an ONBUILD trigger`);
  if (READERS[inner.keyword] === undefined) refuse(`unknown instruction: ${inner.keyword}`);
  return { kind: "onbuild", trigger: line.text.replace(/^\s*ONBUILD\s*/i, "").trim() };
}

function words(text: string): string[] {
  return text.split(/[\t\v\f\r ]+/).filter((word) => word !== "");
}

function single(line: DockerfileLine): string {
  if (line.rest === "") refuse(`${line.keyword} requires exactly one argument`);
  return line.rest;
}

function atLeastOne(line: DockerfileLine, values: readonly string[]): readonly string[] {
  if (values.length === 0) refuse(`${line.keyword} requires at least one argument`);
  return values;
}

export function commandOf(rest: string): CommandLine {
  if (rest === "") return { words: [], shell: true };
  const exec = jsonWords(rest);
  return exec === undefined ? { words: [rest], shell: true } : { words: exec, shell: false };
}

/**
 * The strings of a JSON array, whatever follows it; undefined when the text is no array: the shell form.
 * @throws {InvalidArgumentError} an array of something else.
 */
function jsonWords(rest: string): readonly string[] | undefined {
  if (!rest.startsWith("[")) return undefined;
  for (
    let end = rest.indexOf("]"), tries = 0;
    end >= 0 && tries < 64;
    end = rest.indexOf("]", end + 1), tries++
  ) {
    let value: unknown;
    try {
      value = JSON.parse(rest.slice(0, end + 1));
    } catch (error) {
      if (error instanceof SyntaxError) continue; // a bracket inside a string: look for the next
      throw error;
    }
    if (!Array.isArray(value) || !value.every((one): one is string => typeof one === "string"))
      refuseText("when using JSON array syntax, arrays must be comprised of strings only");
    return value;
  }
  return undefined;
}
