/**
 * The words inside {{ and }}. Pure.
 */
import { InvalidArgumentError } from "../../../base/errors/errors.js";

export type Token =
  | { readonly kind: "literal"; readonly text: string; readonly value: unknown }
  /** ".": no path. `spaced`: something stands between it and what is before. */
  | {
      readonly kind: "field";
      readonly text: string;
      readonly path: readonly string[];
      readonly spaced: boolean;
    }
  | { readonly kind: "variable"; readonly text: string; readonly path: readonly string[] }
  | { readonly kind: "word"; readonly text: string }
  | { readonly kind: "|" | "(" | ")" | "," | ":=" | "="; readonly text: string };

const WORD = new RegExp(
  [
    "(?<space>\\s+)",
    '(?<string>"(?:\\\\.|[^"\\\\])*")',
    "(?<raw>`[^`]*`)",
    "(?<char>'(?:\\\\.|[^'\\\\])')",
    "(?<number>[+-]?(?:0x[0-9a-fA-F]+|\\d+(?:\\.\\d+)?(?:[eE][+-]?\\d+)?))",
    "(?<variable>\\$\\w*(?:\\.\\w+)*)",
    "(?<field>(?:\\.\\w+)+|\\.)",
    "(?<name>[A-Za-z_]\\w*)",
    "(?<sign>:=|[|(),=])",
  ].join("|"),
  "y",
);
const CONSTANTS: Readonly<Record<string, unknown>> = { true: true, false: false, nil: undefined };

function unquoted(text: string, source: string): string {
  try {
    // Go's escapes that JSON lacks
    const json = text.replace(/\\([abfnrtv'\\"]|x[0-9a-fA-F]{2})/g, (all, sign: string) => {
      if (sign === "a") return "\\u0007";
      if (sign === "v") return "\\u000b";
      if (sign === "'") return "'";
      return sign.startsWith("x") ? `\\u00${sign.slice(1)}` : all;
    });
    return JSON.parse(json.replaceAll("\t", "\\t").replaceAll("\n", "\\n")) as string; // it is quoted
  } catch (error) {
    throw new InvalidArgumentError(`template {{${source}}}: the string ${text} is not understood`, {
      cause: error,
    });
  }
}

const pathOf = (text: string): string[] => text.split(".").filter((part) => part !== "");

/** @param source the whole action, for errors. */
export function tokensOf(text: string, source: string): readonly Token[] {
  const tokens: Token[] = [];
  let at = 0;
  let spaced = true;
  while (at < text.length) {
    WORD.lastIndex = at;
    const match = WORD.exec(text);
    if (match === null)
      throw new InvalidArgumentError(
        `template {{${source}}} is not understood at ${JSON.stringify(text.slice(at, at + 12))}`,
      );
    const [whole] = match;
    at += whole.length;
    const token = tokenOf(match.groups ?? {}, whole, spaced, source);
    if (token !== undefined) tokens.push(token);
    spaced = token === undefined;
  }
  return tokens;
}

function tokenOf(
  groups: Readonly<Record<string, string | undefined>>,
  text: string,
  spaced: boolean,
  source: string,
): Token | undefined {
  if (groups["space"] !== undefined) return undefined;
  if (groups["string"] !== undefined) return { kind: "literal", text, value: unquoted(text, source) };
  if (groups["raw"] !== undefined) return { kind: "literal", text, value: text.slice(1, -1) };
  if (groups["char"] !== undefined) {
    const inside = text === `'"'` ? '"' : unquoted(`"${text.slice(1, -1)}"`, source);
    return { kind: "literal", text, value: inside.codePointAt(0) };
  }
  if (groups["number"] !== undefined) return { kind: "literal", text, value: Number(text) };
  if (groups["variable"] !== undefined) {
    const [name = "", ...path] = text.split(".");
    return { kind: "variable", text: name, path };
  }
  if (groups["field"] !== undefined) return { kind: "field", text, path: pathOf(text), spaced };
  if (groups["name"] !== undefined)
    return Object.hasOwn(CONSTANTS, text)
      ? { kind: "literal", text, value: CONSTANTS[text] }
      : { kind: "word", text };
  return { kind: text as "|" | "(" | ")" | "," | ":=" | "=", text }; // the pattern has no others
}
