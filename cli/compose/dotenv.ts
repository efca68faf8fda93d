/**
 * Files of variables: `.env`, --env-file, env_file and label_file. Pure.
 * Two grammars: Compose's (quotes, escapes, values over several lines, `export`, comments, variables) and the
 * plain one, which takes what stands behind `=` as it is: env_file with `format: raw`, and all env_files of
 * version 3 files, as `docker stack deploy` reads them. Errors never quote: values may be secret.
 * Source: Compose Specification, "Env_file format"; Docker's environment file reference.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import { FILLED_LENGTH_MAX, interpolate, type Variables, variableOf } from "./interpolate.js";

/** null: the name stood without a value, and the environment has none either. */
export type EnvEntries = ReadonlyMap<string, string | null>;

export interface DotenvOptions {
  /** Names in values: these first, then what the file said above, then what files before it said. */
  readonly variables: Variables;
  readonly before?: EnvEntries;
  /** Names the file in errors. */
  readonly file: string;
}

const ESCAPES: Readonly<Record<string, string>> = {
  a: "\u0007",
  b: "\b",
  c: "c",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
  '"': '"',
  "\\": "\\",
  // stays one dollar through interpolation
  $: "$$",
};
/** A file of variables may be that long, in characters. */
export const ENV_FILE_LENGTH_MAX = 1024 * 1024;

/** @throws {InvalidArgumentError} with file and line. */
export function parseDotenv(text: string, { variables, before, file }: DotenvOptions): EnvEntries {
  checkLength(text, file);
  const entries = new Map<string, string | null>();
  const lookup = (name: string): string | undefined =>
    variableOf(variables, name) ?? entries.get(name) ?? before?.get(name) ?? undefined;
  const scan = new Scanner(text.replace(/^\uFEFF/, ""), file);
  let length = 0;
  for (let key = scan.key(); key !== undefined; key = scan.key()) {
    if (!key.hasValue) {
      entries.set(key.name, variableOf(variables, key.name) ?? null);
      continue;
    }
    const { value, expands } = scan.value();
    let full = value;
    try {
      if (expands) full = interpolate(value, lookup).text;
    } catch (error) {
      scan.fail((error as Error).message); // interpolate throws errors alone
    }
    length += full.length;
    if (length > FILLED_LENGTH_MAX)
      scan.fail(`values become longer than ${FILLED_LENGTH_MAX} characters with their variables`);
    entries.set(key.name, full);
  }
  return entries;
}

class Scanner {
  readonly #text: string;
  readonly #file: string;
  #at = 0;

  constructor(text: string, file: string) {
    this.#text = text;
    this.#file = file;
  }

  fail(rule: string): never {
    const line = this.#text.slice(0, this.#at).split("\n").length;
    throw new InvalidArgumentError(`${this.#file}:${line}: ${rule}`);
  }

  #match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#text);
    if (match !== null) this.#at += match[0].length;
    return match;
  }

  /** The next name, past blank lines and comments; undefined at the end. */
  key(): { name: string; hasValue: boolean } | undefined {
    this.#match(/(?:\s+|#[^\n]*)*/y);
    if (this.#at >= this.#text.length) return undefined;
    this.#match(/export[ \t]+(?=[^\s=:])/y);
    const match = this.#match(/([\p{L}\p{N}_.[\]-]+)[^\S\n]*(?:([=:])[^\S\n]*|(?=\n|$))/uy);
    if (match === null) this.fail("must be NAME=VALUE");
    return { name: match[1] ?? "", hasValue: match[2] !== undefined };
  }

  value(): { value: string; expands: boolean } {
    const quote = this.#text[this.#at];
    if (quote !== '"' && quote !== "'") {
      const line = this.#match(/[^\n]*/y)?.[0] ?? "";
      return {
        value: line
          .replace(/\s#.*$/s, "")
          .replace(/^#.*$/s, "")
          .trimEnd(),
        expands: true,
      };
    }
    const match = this.#match(quote === '"' ? /"((?:[^"\\]|\\[\s\S])*)"/y : /'((?:[^'\\]|\\[\s\S])*)'/y);
    if (match === null) this.fail(`a closing ${quote} is missing`);
    const inner = match[1] ?? "";
    const rest = this.#match(/[^\n]*/y)?.[0] ?? "";
    if (!/^\s*(#.*)?$/s.test(rest))
      this.fail(`has more behind the closing ${quote}: quotes within are written with a backslash`);
    if (quote === "'") return { value: inner.replaceAll("\\'", "'"), expands: false };
    const value = inner.replace(/\\(0[0-7]{1,3}|[abcfnrtv$"\\])/g, (_, code: string) =>
      code.startsWith("0") ? String.fromCharCode(Number.parseInt(code, 8)) : (ESCAPES[code] ?? code),
    );
    return { value, expands: true };
  }
}

/** @throws {InvalidArgumentError} with file and line. */
export function parsePlainEnv(text: string, { variables, file }: DotenvOptions): EnvEntries {
  checkLength(text, file);
  const entries = new Map<string, string | null>();
  for (const [i, raw] of text
    .replace(/^\uFEFF/, "")
    .split(/\r?\n/)
    .entries()) {
    const line = raw.trimStart();
    if (line === "" || line.startsWith("#")) continue;
    const at = line.indexOf("=");
    const name = at < 0 ? line : line.slice(0, at);
    if (name === "" || /\s/.test(name))
      throw new InvalidArgumentError(`${file}:${i + 1}: must be NAME=VALUE`);
    if (at >= 0) entries.set(name, line.slice(at + 1));
    // a name alone that nobody has set is left out, as Docker does
    else {
      const value = variableOf(variables, name);
      if (value !== undefined) entries.set(name, value);
    }
  }
  return entries;
}

function checkLength(text: string, file: string): void {
  if (text.length > ENV_FILE_LENGTH_MAX)
    throw new InvalidArgumentError(`${file} is longer than ${ENV_FILE_LENGTH_MAX} characters`);
}
