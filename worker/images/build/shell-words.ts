/**
 * Words of a Dockerfile as its reference reads them: quotes, escapes, ${variables} and what may follow their
 * names. Pure. Invariant: linear in the text, or quadratic within PATTERN_TEXT_MAX characters; it never runs
 * anything. Source: Dockerfile reference, "Environment replacement".
 */
import { InvalidArgumentError } from "../../../base/errors/errors.js";
import { readPattern, replaceMatches, trimPrefix, trimSuffix } from "./shell-patterns.js";

export interface Expansion {
  readonly escapeWith: "\\" | "`";
  /** undefined: not set. */
  readonly lookup: (name: string) => string | undefined;
  /** Quotes mean themselves (content of a heredoc). */
  readonly rawQuotes?: boolean;
}

/** ${a:-${b:-…}} may nest so deep. */
const DEPTH_MAX = 64;
/** A variable that grows by being repeated in itself stops here. */
const RESULT_MAX = 8 << 20;

/** One word; blanks that variables bring stay. @throws {InvalidArgumentError} naming the word. */
export function expandWord(word: string, expansion: Expansion): string {
  return run(word, expansion).text();
}

/** As many words as come out: unquoted blanks divide. @throws {InvalidArgumentError} naming the word. */
export function expandWords(word: string, expansion: Expansion): readonly string[] {
  return run(word, expansion).words();
}

function run(word: string, expansion: Expansion): Output {
  const reader = new Reader(word, expansion);
  try {
    reader.read(undefined, 0);
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error;
    throw new InvalidArgumentError(`failed to process ${JSON.stringify(word)}: ${error.message}`, {
      cause: error,
    });
  }
  return reader.output;
}

/** Words between blanks, quotes and escapes left as they are. */
export function splitWords(text: string, escapeWith: "\\" | "`" = "\\"): string[] {
  const words: string[] = [];
  let word = "";
  let open = false;
  let quote = "";
  for (let at = 0; at < text.length; at++) {
    const character = text[at] ?? "";
    if (quote === "" && /\s/.test(character)) {
      if (open) words.push(word);
      word = "";
      open = false;
      continue;
    }
    open = true;
    if (character === escapeWith && quote !== "'") {
      if (at + 1 === text.length) continue; // nothing to escapeWith: dropped
      at += 1;
      word += character + (text[at] ?? "");
      continue;
    }
    if (quote === character) quote = "";
    else if (quote === "" && (character === '"' || character === "'")) quote = character;
    word += character;
  }
  if (open) words.push(word);
  return words;
}

class Output {
  readonly #all: string[] = [];
  readonly #words: string[] = [];
  #word: string[] = [];
  #open = false;
  #size = 0;

  /** Text that is one piece, blanks and all. */
  raw(text: string): void {
    this.#grow(text);
    this.#open = true;
    this.#word.push(text);
  }

  /** Text whose blanks divide words. */
  loose(text: string): void {
    this.#grow(text);
    for (const part of text.split(/(\s+)/)) {
      if (part === "") continue;
      if (/^\s/.test(part)) this.#close();
      else {
        this.#open = true;
        this.#word.push(part);
      }
    }
  }

  text(): string {
    return this.#all.join("");
  }

  words(): readonly string[] {
    this.#close();
    return this.#words;
  }

  #grow(text: string): void {
    this.#size += text.length;
    if (this.#size > RESULT_MAX)
      throw new InvalidArgumentError(`the result has more than ${RESULT_MAX} characters`);
    this.#all.push(text);
  }

  #close(): void {
    if (this.#open) this.#words.push(this.#word.join(""));
    this.#word = [];
    this.#open = false;
  }
}

const SPECIAL = new Set(["@", "*", "#", "?", "-", "$", "!"]);

class Reader {
  readonly #text: string;
  readonly #expansion: Expansion;
  #at = 0;
  output = new Output();

  constructor(text: string, expansion: Expansion) {
    this.#text = text;
    this.#expansion = expansion;
  }

  /** Reads up to `stop`, which is taken; @throws when it never comes. */
  read(stop: string | undefined, depth: number): void {
    if (depth > DEPTH_MAX) throw new InvalidArgumentError("substitutions are nested too deep");
    const { escapeWith, rawQuotes = false } = this.#expansion;
    for (; this.#at < this.#text.length; ) {
      const character = this.#text[this.#at] ?? "";
      if (character === stop) {
        this.#at += 1;
        return;
      }
      if (character === "$") {
        const value = this.#dollar(depth);
        if (rawQuotes) this.output.raw(value);
        else this.output.loose(value);
      } else if (!rawQuotes && character === "'") this.#single();
      else if (!rawQuotes && character === '"') this.#double(depth);
      else if (character === escapeWith) this.#escaped(rawQuotes);
      else {
        this.#at += 1;
        if (rawQuotes) this.output.raw(character);
        else this.output.loose(character);
      }
    }
    if (stop !== undefined) throw new InvalidArgumentError("syntax error: missing '}'");
  }

  #escaped(rawQuotes: boolean): void {
    const next = this.#text[this.#at + 1];
    this.#at += 2;
    if (next === undefined) {
      if (rawQuotes) this.output.raw(this.#expansion.escapeWith);
      return; // nothing to escapeWith: dropped
    }
    const keeps = rawQuotes && next !== "$" && next !== this.#expansion.escapeWith;
    this.output.raw(keeps ? `${this.#expansion.escapeWith}${next}` : next);
  }

  #single(): void {
    const end = this.#text.indexOf("'", this.#at + 1);
    if (end < 0)
      throw new InvalidArgumentError("unexpected end of statement while looking for matching single-quote");
    this.output.raw(this.#text.slice(this.#at + 1, end));
    this.#at = end + 1;
  }

  #double(depth: number): void {
    const { escapeWith } = this.#expansion;
    this.#at += 1;
    this.output.raw(""); // "" is a word, too
    for (; this.#at < this.#text.length; ) {
      const character = this.#text[this.#at] ?? "";
      if (character === '"') {
        this.#at += 1;
        return;
      }
      if (character === "$") {
        this.output.raw(this.#dollar(depth));
        continue;
      }
      this.#at += 1;
      if (character !== escapeWith) {
        this.output.raw(character);
        continue;
      }
      const next = this.#text[this.#at];
      if (next === undefined) break;
      if (next !== '"' && next !== "$" && next !== escapeWith) this.output.raw(escapeWith);
      this.output.raw(next);
      this.#at += 1;
    }
    throw new InvalidArgumentError("unexpected end of statement while looking for matching double-quote");
  }

  #dollar(depth: number): string {
    this.#at += 1;
    if (this.#text[this.#at] !== "{") {
      const name = this.#name();
      return name === "" ? "$" : (this.#expansion.lookup(name) ?? "");
    }
    this.#at += 1;
    const first = this.#text[this.#at];
    if (first === undefined) throw new InvalidArgumentError("syntax error: missing '}'");
    if (first === "{" || first === "}" || first === ":")
      throw new InvalidArgumentError("syntax error: bad substitution");
    const name = this.#name();
    const value = this.#expansion.lookup(name);
    let modifier = this.#text[this.#at];
    this.#at += 1;
    if (modifier === "}") return value ?? "";
    if (modifier === undefined) throw new InvalidArgumentError("missing ':' in substitution");
    let emptyIsUnset = false;
    if (modifier === ":") {
      emptyIsUnset = true;
      modifier = this.#text[this.#at] ?? "";
      this.#at += 1;
      if (!"+-?".includes(modifier) || modifier === "")
        throw new InvalidArgumentError(`unsupported modifier (${modifier}) in substitution`);
    }
    const isSet = value !== undefined && !(emptyIsUnset && value === "");
    switch (modifier) {
      case "+": {
        const word = this.#argument(depth);
        return isSet ? word : "";
      }
      case "-": {
        const word = this.#argument(depth);
        return isSet ? value : word;
      }
      case "?": {
        const word = this.#argument(depth);
        if (!isSet)
          throw new InvalidArgumentError(`${name}: ${word === "" ? "is not allowed to be unset" : word}`);
        return value;
      }
      case "#":
      case "%":
        return this.#trimmed(value ?? "", modifier);
      case "/":
        return this.#replaced(value ?? "", depth);
      default:
        throw new InvalidArgumentError(`unsupported modifier (${modifier}) in substitution`);
    }
  }

  /** The word after a modifier, up to the brace, itself expanded. */
  #argument(depth: number): string {
    const outer = this.output;
    this.output = new Output();
    this.read("}", depth + 1);
    const text = this.output.text();
    this.output = outer;
    return text;
  }

  #trimmed(value: string, modifier: "#" | "%"): string {
    const longest = this.#text[this.#at] === modifier;
    if (longest) this.#at += 1;
    const pattern = readPattern(this.#rawUpTo(["}"]));
    return modifier === "#" ? trimPrefix(value, pattern, longest) : trimSuffix(value, pattern, longest);
  }

  #replaced(value: string, depth: number): string {
    const all = this.#text[this.#at] === "/";
    if (all) this.#at += 1;
    const pattern = readPattern(this.#rawUpTo(["/", "}"]));
    const replacement = this.#text[this.#at - 1] === "/" ? this.#argument(depth) : "";
    return replaceMatches(value, pattern, { replacement, all });
  }

  /** Variables in it count, escapes stay for the pattern. The end is taken. */
  #rawUpTo(ends: readonly string[]): string {
    let text = "";
    for (; this.#at < this.#text.length; ) {
      const character = this.#text[this.#at] ?? "";
      if (ends.includes(character)) {
        this.#at += 1;
        return text;
      }
      if (character === "$") {
        text += this.#dollar(DEPTH_MAX).replace(/[*?\\]/g, "\\$&");
        continue;
      }
      this.#at += 1;
      if (character === this.#expansion.escapeWith) {
        text += `\\${this.#text[this.#at] ?? ""}`;
        this.#at += 1;
      } else text += character;
    }
    throw new InvalidArgumentError("syntax error: missing '}'");
  }

  #name(): string {
    const rest = this.#text.slice(this.#at, this.#at + 256);
    const found = /^[0-9]+|^[\p{L}_][\p{L}\p{Nd}_]*/u.exec(rest)?.[0];
    const name = found ?? (SPECIAL.has(rest[0] ?? "") ? (rest[0] ?? "") : "");
    this.#at += name.length;
    return name;
  }
}
