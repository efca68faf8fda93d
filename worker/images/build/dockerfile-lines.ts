/**
 * Cuts a Dockerfile into its instructions: parser directives, comments, continued lines, flags, heredocs.
 * Pure. Invariant: every instruction knows the lines it came from; nothing here depends on what it means.
 * Source: Dockerfile reference (parser directives, format, here-documents).
 */
import { InvalidArgumentError } from "../../../base/errors/errors.js";
import { expandWord, splitWords } from "./shell-words.js";

export interface Heredoc {
  /** The word that ends it, and its name as a file. */
  readonly name: string;
  /** Variables in its content count: the word was not quoted. */
  readonly expands: boolean;
  readonly content: string;
}

export interface DockerfileLine {
  /** Upper case. */
  readonly keyword: string;
  /** "--from=x", quotes taken away. */
  readonly flags: readonly string[];
  /** What follows the flags. */
  readonly rest: string;
  /** The whole instruction on one line, without what heredocs hold. */
  readonly text: string;
  /** From 1. */
  readonly line: number;
  readonly heredocs: readonly Heredoc[];
}

export type EscapeCharacter = "\\" | "`";

export interface DockerfileText {
  readonly lines: readonly DockerfileLine[];
  readonly escapeWith: EscapeCharacter;
  readonly warnings: readonly string[];
}

/** Instructions of a Dockerfile. Beyond, it is a program. */
const LINES_MAX = 65_536;
const DIRECTIVES: ReadonlySet<string> = new Set(["escape", "syntax", "check"]);
const DIRECTIVE = /^#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*$/;
const COMMENT = /^[ \t\v\f\r]*#/;
const WITH_HEREDOCS: ReadonlySet<string> = new Set(["ADD", "COPY", "RUN"]);

/** @throws {InvalidArgumentError} with the line. */
export function readDockerfile(text: string): DockerfileText {
  const source = text.replace(/^\uFEFF/, "").split("\n");
  if (source.length > LINES_MAX)
    throw new InvalidArgumentError(`dockerfile has more than ${LINES_MAX} lines`);
  const escapeWith = escapeOf(source);
  const lines: DockerfileLine[] = [];
  const warnings: string[] = [];
  for (let at = 0; at < source.length; ) {
    const begun = at;
    const first = lineAt(source, at);
    at += 1;
    if (COMMENT.test(first)) continue;
    let { kept, continues } = withoutContinuation(first.replace(/^\s+/, ""), escapeWith);
    if (!continues && kept === "") continue;
    const parts = [kept];
    let hasGap = false;
    while (continues && at < source.length) {
      const next = lineAt(source, at);
      at += 1;
      if (COMMENT.test(next)) continue;
      if (next.trim() === "") {
        hasGap ||= at < source.length || next !== ""; // the end of the file is no line
        continue;
      }
      ({ kept, continues } = withoutContinuation(next, escapeWith));
      parts.push(kept);
    }
    const joined = parts.join("").trim();
    if (joined === "") continue;
    if (hasGap) warnings.push(`[WARNING]: Empty continuation line found in:\n    ${joined}`);
    const line = splitLine(joined, escapeWith, begun + 1);
    if (!WITH_HEREDOCS.has(line.keyword)) {
      lines.push(line);
      continue;
    }
    const heredocs: Heredoc[] = [];
    for (const opening of heredocsIn(line.rest)) {
      const read = readHeredoc(source, at, opening, begun + 1);
      heredocs.push(read.heredoc);
      at = read.next;
    }
    lines.push({ ...line, heredocs });
  }
  if (lines.length === 0)
    throw new InvalidArgumentError("failed to parse Dockerfile: file with no instructions");
  return { lines, escapeWith, warnings };
}

/** Directives stand before everything else, one of a kind. */
function escapeOf(source: readonly string[]): EscapeCharacter {
  const seen = new Set<string>();
  let escapeWith: EscapeCharacter = "\\";
  for (let at = 0; at < source.length; at++) {
    const match = DIRECTIVE.exec(lineAt(source, at).trimStart());
    const name = match?.[1]?.toLowerCase() ?? "";
    if (match === null || !DIRECTIVES.has(name)) break;
    if (seen.has(name))
      throw new InvalidArgumentError(
        `failed to parse Dockerfile: only one ${name} parser directive can be used`,
      );
    seen.add(name);
    const value = match[2] ?? "";
    if (name !== "escape") continue;
    if (value !== "\\" && value !== "`")
      throw new InvalidArgumentError(
        `failed to parse Dockerfile: invalid escape token '${value}' does not match \` or \\`,
      );
    escapeWith = value;
  }
  return escapeWith;
}

function lineAt(source: readonly string[], at: number): string {
  return (source[at] ?? "").replace(/\r$/, "");
}

/** A line goes on when it ends in one escape character; a doubled one is a character of the command. */
function withoutContinuation(
  line: string,
  escapeWith: EscapeCharacter,
): { kept: string; continues: boolean } {
  let end = line.length;
  while (end > 0 && (line[end - 1] === " " || line[end - 1] === "\t")) end--;
  if (end === 0 || line[end - 1] !== escapeWith || (end > 1 && line[end - 2] === escapeWith))
    return { kept: line, continues: false };
  return { kept: line.slice(0, end - 1), continues: true };
}

/** Keyword, flags and the rest of one instruction. */
export function splitLine(text: string, escapeWith: EscapeCharacter, line: number): DockerfileLine {
  const gap = /\s+/.exec(text);
  const keyword = gap === null ? text : text.slice(0, gap.index);
  const after = gap === null ? "" : text.slice(gap.index + gap[0].length);
  const { flags, rest } = takeFlags(after, escapeWith);
  return { keyword: keyword.toUpperCase(), flags, rest: rest.trim(), text, line, heredocs: [] };
}

function takeFlags(text: string, escapeWith: EscapeCharacter): { flags: string[]; rest: string } {
  const flags: string[] = [];
  let at = 0;
  for (;;) {
    while (at < text.length && /\s/.test(text[at] ?? "")) at++;
    if (!text.startsWith("--", at)) return { flags, rest: text.slice(at) };
    let word = "";
    let quote = "";
    for (; at < text.length; at++) {
      let character = text[at] ?? "";
      if (quote === "" && /\s/.test(character)) break;
      if (character === quote) {
        quote = "";
        continue;
      }
      if (quote === "" && (character === '"' || character === "'")) {
        quote = character;
        continue;
      }
      if (character === escapeWith && at + 1 < text.length) {
        at += 1;
        character = text[at] ?? "";
      }
      word += character;
    }
    if (word === "--") return { flags, rest: text.slice(at) };
    flags.push(word);
  }
}

interface Opening {
  readonly name: string;
  readonly chomps: boolean;
  readonly expands: boolean;
}

/** The heredocs a command line opens: words like <<EOF, <<-EOF, 3<<"EOF". */
function heredocsIn(rest: string): Opening[] {
  if (!rest.includes("<<")) return [];
  const found: Opening[] = [];
  for (const word of splitWords(rest)) {
    const match = /^\d*<<(-?)([^<]+)$/s.exec(word);
    if (match === null) continue;
    const raw = match[2] ?? "";
    const name = unquoted(raw);
    if (name === undefined || name === "") continue;
    found.push({ name, chomps: match[1] === "-", expands: name === raw });
  }
  return found;
}

function unquoted(word: string): string | undefined {
  try {
    return expandWord(word, { escapeWith: "\\", lookup: (name) => `$${name}` });
  } catch (error) {
    if (error instanceof InvalidArgumentError) return undefined; // a quote without its end: no heredoc
    throw error;
  }
}

function readHeredoc(
  source: readonly string[],
  from: number,
  opening: Opening,
  line: number,
): { heredoc: Heredoc; next: number } {
  const content: string[] = [];
  for (let at = from; at < source.length; at++) {
    const raw = source[at] ?? "";
    const shown = opening.chomps ? raw.replace(/^\t+/, "") : raw;
    if (shown.replace(/\r$/, "") === opening.name) {
      const text = content.length === 0 ? "" : `${content.join("\n")}\n`;
      return { heredoc: { name: opening.name, expands: opening.expands, content: text }, next: at + 1 };
    }
    content.push(shown);
  }
  throw new InvalidArgumentError(`dockerfile parse error line ${line}: unterminated heredoc`);
}
