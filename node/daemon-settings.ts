/**
 * Flags and daemon.json as one set of values. Pure.
 * Invariant: nothing is dropped in silence: a name is honoured, named in a warning, or refused. What both
 * places set is refused, as dockerd does.
 */
import { InvalidArgumentError } from "../base/errors/errors.js";
import { FLAGS, type Flag, type FlagName, REFUSED, WITHOUT_EFFECT } from "./daemon-flags.js";

export type FlagValue = string | boolean | number | readonly string[] | Readonly<Record<string, string>>;
export type FlagValues = ReadonlyMap<FlagName, FlagValue>;

export interface ParsedFlags {
  readonly values: FlagValues;
  /** Sentences. */
  readonly warnings: readonly string[];
}

const NAMES = new Map<string, FlagName>();
const FILE_KEYS = new Map<string, FlagName>();
for (const [name, flag] of Object.entries(FLAGS) as [FlagName, Flag][]) {
  NAMES.set(name, name);
  if (flag.alias !== undefined) NAMES.set(flag.alias, name);
  if (flag.short !== undefined) NAMES.set(flag.short, name);
  if (!("file" in flag) || flag.file !== undefined) FILE_KEYS.set(flag.file ?? name, name);
}
/** dockerd's switches that stand alone on the command line. */
const ALONE = new Set([
  "live-restore",
  "iptables",
  "ip6tables",
  "ip-forward",
  "userland-proxy",
  "experimental",
  "raw-logs",
  "selinux-enabled",
  "ipv6",
]);

function toBoolean(name: string, text: string): boolean {
  if (["true", "1", "t"].includes(text.toLowerCase())) return true;
  if (["false", "0", "f"].includes(text.toLowerCase())) return false;
  throw new InvalidArgumentError(`--${name} must be true or false, got ${JSON.stringify(text)}`);
}

function toNumber(name: string, text: string): number {
  if (!/^\d{1,9}$/.test(text))
    throw new InvalidArgumentError(`${name} must be a whole number, got ${JSON.stringify(text)}`);
  return Number(text);
}

function pair(name: string, text: string): [string, string] {
  const at = text.indexOf("=");
  if (at <= 0) throw new InvalidArgumentError(`${name} must be KEY=VALUE, got ${JSON.stringify(text)}`);
  return [text.slice(0, at), text.slice(at + 1)];
}

function merged(kind: Flag["kind"], name: string, before: FlagValue | undefined, text: string): FlagValue {
  switch (kind) {
    case "flag":
      return toBoolean(name, text);
    case "number":
      return toNumber(`--${name}`, text);
    case "list":
      return [...((before as readonly string[] | undefined) ?? []), text];
    case "map": {
      const [key, value] = pair(`--${name}`, text);
      return { ...((before as Readonly<Record<string, string>> | undefined) ?? {}), [key]: value };
    }
    case "text":
      return text;
  }
}

/** @throws {InvalidArgumentError} an unknown flag, a bad value, or one that is refused. */
export function parseFlags(args: readonly string[]): ParsedFlags {
  const values = new Map<FlagName, FlagValue>();
  const warnings: string[] = [];
  const queue = [...args];
  for (let word = queue.shift(); word !== undefined; word = queue.shift()) {
    const match = /^(?:--([a-z0-9][a-z0-9-]*)|-([a-zA-Z]))(?:=(.*))?$/s.exec(word);
    if (match === null) throw new InvalidArgumentError(`unexpected argument ${JSON.stringify(word)}`);
    const given = match[1] ?? match[2] ?? "";
    const next = (): string => {
      const value = match[3] ?? queue.shift();
      if (value === undefined) throw new InvalidArgumentError(`--${given} needs a value`);
      return value;
    };
    const reason = REFUSED[given];
    if (reason !== undefined) {
      const off = ALONE.has(given) && match[3] !== undefined && !toBoolean(given, match[3]);
      if (off) continue;
      throw new InvalidArgumentError(`--${given} is not supported: ${reason}`);
    }
    if (WITHOUT_EFFECT[given] !== undefined) {
      if (!ALONE.has(given)) next();
      warnings.push(`--${given} has no effect: ${WITHOUT_EFFECT[given]}`);
      continue;
    }
    const name = NAMES.get(given);
    if (name === undefined)
      throw new InvalidArgumentError(`unknown flag ${JSON.stringify(word)} (see skeind --help)`);
    const { kind } = FLAGS[name];
    const text = kind === "flag" ? (match[3] ?? "true") : next();
    values.set(name, merged(kind, name, values.get(name), text));
  }
  return { values, warnings };
}

function fromFile(kind: Flag["kind"], key: string, value: unknown): FlagValue {
  const wrong = (rule: string): InvalidArgumentError =>
    new InvalidArgumentError(`configuration key ${key} must be ${rule}`);
  switch (kind) {
    case "flag":
      if (typeof value !== "boolean") throw wrong("true or false");
      return value;
    case "number":
      if (typeof value !== "number" || !Number.isInteger(value) || value < 0) throw wrong("a whole number");
      return value;
    case "text":
      if (typeof value !== "string") throw wrong("a string");
      return value;
    case "list":
      if (!Array.isArray(value)) throw wrong("a list");
      return value.map((item: unknown) => listItem(item, wrong));
    case "map":
      if (typeof value !== "object" || value === null || Array.isArray(value)) throw wrong("an object");
      return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, mapItem(inner, wrong)]));
  }
}

/** default-address-pools are objects there: {"base": …, "size": …}. */
function listItem(item: unknown, wrong: (rule: string) => Error): string {
  if (typeof item === "string") return item;
  if (typeof item === "object" && item !== null && "base" in item && "size" in item)
    return `base=${String(item.base)},size=${String(item.size)}`;
  throw wrong("a list of strings");
}

/** default-ulimits are objects there: {"Name": …, "Soft": …, "Hard": …}. */
function mapItem(item: unknown, wrong: (rule: string) => Error): string {
  if (typeof item === "string") return item;
  if (typeof item === "number" || typeof item === "boolean") return String(item);
  if (typeof item === "object" && item !== null && "Soft" in item && "Hard" in item)
    return `${Number(item.Soft)}:${Number(item.Hard)}`;
  throw wrong("an object of strings");
}

/** @throws {InvalidArgumentError} no JSON object, an unknown key, a bad value, or one that is refused. */
export function parseConfigFile(text: string): ParsedFlags {
  let json: unknown;
  try {
    json = text.trim() === "" ? {} : JSON.parse(text);
  } catch (error) {
    throw new InvalidArgumentError(`the configuration file is no JSON: ${String(error)}`, { cause: error });
  }
  if (typeof json !== "object" || json === null || Array.isArray(json))
    throw new InvalidArgumentError("the configuration file must hold a JSON object");
  const values = new Map<FlagName, FlagValue>();
  const warnings: string[] = [];
  const unknown: string[] = [];
  for (const [key, value] of Object.entries(json)) {
    const name = FILE_KEYS.get(key);
    if (name !== undefined) values.set(name, fromFile(FLAGS[name].kind, key, value));
    else if (REFUSED[key] !== undefined && value !== false && value !== "")
      throw new InvalidArgumentError(`configuration key ${key} is not supported: ${REFUSED[key]}`);
    else if (WITHOUT_EFFECT[key] !== undefined)
      warnings.push(`configuration key ${key} has no effect: ${WITHOUT_EFFECT[key]}`);
    else if (REFUSED[key] === undefined) unknown.push(key);
  }
  if (unknown.length > 0)
    throw new InvalidArgumentError(
      `the following directives don't match any configuration option: ${unknown.join(", ")}`,
    );
  return { values, warnings };
}

/** @throws {InvalidArgumentError} naming what both places set. */
export function joined(flags: ParsedFlags, file: ParsedFlags): ParsedFlags {
  const both = [...file.values.keys()].filter((name) => flags.values.has(name));
  if (both.length > 0) {
    const list = both.map((name) => JSON.stringify(name)).join(", ");
    throw new InvalidArgumentError(
      `the following directives are specified both as a flag and in the configuration file: ${list}`,
    );
  }
  return {
    values: new Map([...file.values, ...flags.values]),
    warnings: [...flags.warnings, ...file.warnings],
  };
}
