/**
 * The patterns of ${name#pattern}, ${name%pattern} and ${name/pattern/text}: * and ?, with \ before what
 * means itself. Pure. Invariant: time is at most text × pattern (× text for a replacement); both are bounded.
 * Source: POSIX shell command language 2.6.2, 2.13; Dockerfile reference.
 */
import { InvalidArgumentError } from "../../../base/errors/errors.js";

export type PatternToken = { readonly kind: "many" } | { readonly kind: "one" } | { readonly text: string };

/** Characters of a value that is cut by a pattern, and of the pattern. */
const PATTERN_TEXT_MAX = 65_536;
/** Of a value in which a pattern is replaced. */
const REPLACE_TEXT_MAX = 4_096;
const PATTERN_MAX = 1_024;

export function readPattern(text: string): readonly PatternToken[] {
  const tokens: PatternToken[] = [];
  const characters = [...text];
  if (characters.length > PATTERN_MAX)
    throw new InvalidArgumentError(`a pattern has more than ${PATTERN_MAX} characters`);
  for (let at = 0; at < characters.length; at++) {
    const character = characters[at] ?? "";
    if (character === "*") {
      const last = tokens.at(-1);
      if (last === undefined || !("kind" in last) || last.kind !== "many") tokens.push({ kind: "many" });
    } else if (character === "?") tokens.push({ kind: "one" });
    else if (character === "\\" && at + 1 < characters.length) {
      at += 1;
      tokens.push({ text: characters[at] ?? "" });
    } else tokens.push({ text: character });
  }
  return tokens;
}

export function trimPrefix(value: string, pattern: readonly PatternToken[], longest: boolean): string {
  const characters = bounded(value, PATTERN_TEXT_MAX);
  const end = matchEnd(characters, pattern, { from: 0, longest });
  return end === undefined ? value : characters.slice(end).join("");
}

export function trimSuffix(value: string, pattern: readonly PatternToken[], longest: boolean): string {
  const characters = bounded(value, PATTERN_TEXT_MAX).reverse();
  const end = matchEnd(characters, [...pattern].reverse(), { from: 0, longest });
  return end === undefined ? value : characters.slice(end).reverse().join("");
}

export function replaceMatches(
  value: string,
  pattern: readonly PatternToken[],
  options: { replacement: string; all: boolean },
): string {
  if (pattern.length === 0) return value;
  const characters = bounded(value, REPLACE_TEXT_MAX);
  const out: string[] = [];
  let done = false;
  for (let at = 0; at < characters.length; ) {
    const end = done ? undefined : matchEnd(characters, pattern, { from: at, longest: true });
    if (end === undefined || end === at) {
      out.push(characters[at] ?? "");
      at += 1;
      continue;
    }
    out.push(options.replacement);
    at = end;
    done = !options.all;
  }
  return out.join("");
}

/** Where a match that begins at `from` ends; every possible end is followed at once. */
function matchEnd(
  text: readonly string[],
  pattern: readonly PatternToken[],
  options: { from: number; longest: boolean },
): number | undefined {
  let states = closed(new Set([0]), pattern);
  let found: number | undefined;
  for (let at = options.from; ; at++) {
    if (states.has(pattern.length)) {
      found = at;
      if (!options.longest) return found;
    }
    const character = text[at];
    if (character === undefined || states.size === 0) return found;
    const next = new Set<number>();
    for (const state of states) {
      const token = pattern[state];
      if (token === undefined) continue;
      if ("kind" in token) next.add(token.kind === "many" ? state : state + 1);
      else if (token.text === character) next.add(state + 1);
    }
    states = closed(next, pattern);
  }
}

/** A * may also match nothing. */
function closed(states: Set<number>, pattern: readonly PatternToken[]): Set<number> {
  for (const state of states) {
    const token = pattern[state];
    if (token !== undefined && "kind" in token && token.kind === "many") states.add(state + 1);
  }
  return states;
}

function bounded(value: string, max: number): string[] {
  if (value.length > max)
    throw new InvalidArgumentError(`a value that is matched with a pattern has more than ${max} characters`);
  return [...value];
}
