/**
 * Patterns of .dockerignore: which paths of a context stay out. Pure.
 * Invariant: time is at most patterns × path × pattern; no regular expression is built from foreign text.
 * Source: Dockerfile reference, ".dockerignore file"; Go's path.Match for *, ? and [classes].
 */
import { InvalidArgumentError } from "../errors/errors.js";
import { cleanPath } from "./clean-path.js";

const PATTERNS_MAX = 65_536;

export interface IgnoreRules {
  /** Path relative to the context, with /. Also true when a folder above it is excluded. */
  excludes(path: string): boolean;
  /** Some pattern begins with "!": an excluded folder may hold what is not. */
  readonly hasExceptions: boolean;
}

/** @throws {InvalidArgumentError} a pattern that is none. */
export function readDockerignore(text: string): IgnoreRules {
  return ignoreRules(
    text
      .replace(/^\uFEFF/, "")
      .split("\n")
      .filter((line) => !line.startsWith("#")),
  );
}

/** Lines of an ignore file, or values of --exclude. */
export function ignoreRules(lines: readonly string[]): IgnoreRules {
  if (lines.length > PATTERNS_MAX)
    throw new InvalidArgumentError(`more than ${PATTERNS_MAX} patterns in .dockerignore`);
  const rules = lines.flatMap((line) => {
    let pattern = line.trim();
    if (pattern === "") return [];
    const negated = pattern.startsWith("!");
    if (negated) pattern = pattern.slice(1).trim();
    if (negated && pattern === "") throw new InvalidArgumentError('illegal exclusion pattern: "!"');
    pattern = cleanPath(pattern);
    if (pattern.length > 1 && pattern.startsWith("/")) pattern = pattern.slice(1);
    return [{ negated, tokens: readPathPattern(pattern) }];
  });
  const matches = (tokens: readonly PathToken[], parts: readonly string[]): boolean => {
    for (let count = parts.length; count > 0; count--)
      if (matchesPath(tokens, parts.slice(0, count).join("/"))) return true;
    return false;
  };
  return {
    hasExceptions: rules.some(({ negated }) => negated),
    excludes(path) {
      const parts = path.split("/").filter((part) => part !== "");
      let excluded = false;
      for (const { negated, tokens } of rules) {
        if (negated === !excluded) continue; // it could not change the answer
        if (matches(tokens, parts)) excluded = !negated;
      }
      return excluded;
    },
  };
}

export type PathToken =
  | { readonly kind: "text"; readonly text: string }
  /** * : anything but a slash. */
  | { readonly kind: "many" }
  /** ? */
  | { readonly kind: "one" }
  /** ** at the end: all that follows. */
  | { readonly kind: "rest" }
  /** double star and slash: any number of folders, or none. */
  | { readonly kind: "folders" }
  | {
      readonly kind: "class";
      readonly negated: boolean;
      readonly ranges: readonly (readonly [low: string, high: string])[];
    };

/** @param doubleStar false: ** is two stars, as in the sources of COPY. */
export function readPathPattern(pattern: string, doubleStar = true): readonly PathToken[] {
  const text = [...pattern];
  const tokens: PathToken[] = [];
  for (let at = 0; at < text.length; at++) {
    const character = text[at] ?? "";
    if (character === "*") {
      if (!doubleStar || text[at + 1] !== "*") {
        tokens.push({ kind: "many" });
        continue;
      }
      at += 1;
      if (text[at + 1] === "/") at += 1;
      tokens.push({ kind: at + 1 === text.length ? "rest" : "folders" });
    } else if (character === "?") tokens.push({ kind: "one" });
    else if (character === "[") {
      const read = readClass(text, at, pattern);
      tokens.push(read.token);
      at = read.end;
    } else if (character === "\\") {
      if (at + 1 >= text.length) throw bad(pattern);
      at += 1;
      tokens.push({ kind: "text", text: text[at] ?? "" });
    } else tokens.push({ kind: "text", text: character });
  }
  return tokens;
}

function readClass(
  text: readonly string[],
  from: number,
  pattern: string,
): { token: PathToken; end: number } {
  let at = from + 1;
  const negated = text[at] === "^";
  if (negated) at += 1;
  const ranges: (readonly [string, string])[] = [];
  const one = (): string => {
    if (text[at] === "\\") at += 1;
    const character = text[at];
    if (character === undefined) throw bad(pattern);
    at += 1;
    return character;
  };
  while (text[at] !== "]" || ranges.length === 0) {
    if (text[at] === "]" || text[at] === "-") throw bad(pattern);
    const low = one();
    let high = low;
    if (text[at] === "-") {
      at += 1;
      if (text[at] === "]") throw bad(pattern);
      high = one();
    }
    ranges.push([low, high]);
  }
  return { token: { kind: "class", negated, ranges }, end: at };
}

function bad(pattern: string): InvalidArgumentError {
  return new InvalidArgumentError(`syntax error in pattern: ${JSON.stringify(pattern.slice(0, 200))}`);
}

/** The whole path; every way to match is followed at once. */
export function matchesPath(tokens: readonly PathToken[], path: string): boolean {
  let states = new Set<number>();
  enter(0, states, tokens);
  for (const character of path) {
    const next = new Set<number>();
    for (const state of states) {
      const token = tokens[state];
      if (token === undefined) continue;
      switch (token.kind) {
        case "rest":
          enter(state, next, tokens);
          break;
        case "many":
          if (character !== "/") enter(state, next, tokens);
          break;
        case "folders":
          next.add(state);
          if (character === "/") enter(state + 1, next, tokens); // a folder ends: the name may begin here
          break;
        default:
          if (matchesOne(token, character)) enter(state + 1, next, tokens);
      }
    }
    states = next;
    if (states.size === 0) return false;
  }
  return states.has(tokens.length);
}

/** Comes to a state, and past it where its token may match nothing. */
function enter(from: number, states: Set<number>, tokens: readonly PathToken[]): void {
  for (let state = from; ; state++) {
    states.add(state);
    const kind = tokens[state]?.kind;
    if (kind !== "many" && kind !== "rest" && kind !== "folders") return;
  }
}

function matchesOne(token: PathToken, character: string): boolean {
  if (token.kind === "text") return token.text === character;
  if (token.kind === "one") return character !== "/";
  if (token.kind !== "class" || character === "/") return false;
  return token.ranges.some(([low, high]) => low <= character && character <= high) !== token.negated;
}
