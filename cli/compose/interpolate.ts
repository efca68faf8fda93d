/**
 * Variables in the values of a compose file: $VAR, ${VAR}, ${VAR:-default}, ${VAR-default}, ${VAR:?error},
 * ${VAR?error}, ${VAR:+other}, ${VAR+other}, and $$ for a dollar. Defaults may hold variables themselves.
 * Pure. With a colon an empty variable counts as unset; a dollar before anything else is a dollar. Errors
 * name variables and never what stands beside them, which may be secret.
 * Source: Compose Specification, "Interpolation".
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";

export type Variables = Readonly<Record<string, string | undefined>>;

/** undefined: it is not set. Also of a name that every object has: `constructor` is no variable. */
export const variableOf = (variables: Variables, name: string): string | undefined =>
  Object.hasOwn(variables, name) ? variables[name] : undefined;

export interface Interpolated {
  readonly text: string;
  /** Whether there was anything to replace (also $$). */
  readonly changed: boolean;
  /** Variables that are not set and have no default: they became "". */
  readonly unset: readonly string[];
}

/** Nested defaults deeper than this are refused. */
const DEPTH_MAX = 16;
/** A text with its variables filled in may be that long, in characters. */
export const FILLED_LENGTH_MAX = 2 * 1024 * 1024;
const NAME = /^[A-Za-z_][A-Za-z0-9_]*/;

/** @throws {InvalidArgumentError} a form that is none, or a required variable that is missing. */
export function interpolate(
  text: string,
  variables: Variables | ((name: string) => string | undefined),
): Interpolated {
  if (!text.includes("$")) return { text, changed: false, unset: [] };
  const unset: string[] = [];
  const lookup = typeof variables === "function" ? variables : (name: string) => variableOf(variables, name);
  return { text: expand(text, { lookup, unset, depth: 0 }), changed: true, unset };
}

interface State {
  readonly lookup: (name: string) => string | undefined;
  readonly unset: string[];
  readonly depth: number;
}

function expand(text: string, state: State): string {
  if (state.depth > DEPTH_MAX)
    throw new InvalidArgumentError(`variables are nested deeper than ${DEPTH_MAX}`);
  let out = "";
  let at = 0;
  while (at < text.length) {
    if (out.length > FILLED_LENGTH_MAX)
      throw new InvalidArgumentError(
        `becomes longer than ${FILLED_LENGTH_MAX} characters with its variables`,
      );
    const dollar = text.indexOf("$", at);
    if (dollar < 0) return out + text.slice(at);
    out += text.slice(at, dollar);
    const rest = text.slice(dollar + 1);
    if (rest.startsWith("$")) {
      out += "$";
      at = dollar + 2;
    } else if (rest.startsWith("{")) {
      const end = closingBrace(text, dollar + 1);
      out += braced(text.slice(dollar + 2, end), state);
      at = end + 1;
    } else {
      const name = NAME.exec(rest)?.[0];
      out += name === undefined ? "$" : plain(name, state);
      at = dollar + 1 + (name?.length ?? 0);
    }
  }
  return out;
}

/** Index of the brace that closes the one at `open`. */
function closingBrace(text: string, open: number): number {
  let depth = 0;
  for (let i = open; i < text.length; i++) {
    if (text[i] === "{" && (i === open || text[i - 1] === "$")) depth += 1;
    else if (text[i] === "}") {
      depth -= 1;
      if (depth === 0) return i;
    }
  }
  const name = NAME.exec(text.slice(open + 1))?.[0] ?? "";
  throw new InvalidArgumentError(`invalid interpolation \${${name}…: a } is missing`);
}

function plain(name: string, { lookup, unset }: State): string {
  const value = lookup(name);
  if (value === undefined) unset.push(name);
  return value ?? "";
}

function braced(expression: string, state: State): string {
  const name = NAME.exec(expression)?.[0];
  const match = /^(:?[-?+])?(.*)$/s.exec(expression.slice(name?.length ?? 0));
  const [, operator, argument = ""] = match ?? [];
  if (name === undefined || (operator === undefined && argument !== "")) {
    throw new InvalidArgumentError(
      `invalid interpolation \${${name ?? ""}…}: forms are ` +
        `\${NAME}, \${NAME:-default}, \${NAME:?error}, \${NAME:+other}`,
    );
  }
  const value = state.lookup(name);
  const isSet = value !== undefined && (operator?.startsWith(":") !== true || value !== "");
  const inner = { ...state, depth: state.depth + 1 };
  switch (operator?.at(-1)) {
    case "-":
      return isSet ? (value ?? "") : expand(argument, inner);
    case "+":
      return isSet ? expand(argument, inner) : "";
    case "?":
      if (isSet) return value ?? "";
      throw new InvalidArgumentError(
        `required variable ${name} is missing${argument === "" ? "" : `: ${expand(argument, inner)}`}`,
      );
    default:
      return plain(name, state);
  }
}
