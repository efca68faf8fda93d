/**
 * A command line as its words: quotes, backslashes and comments as a POSIX shell reads them, and nothing more
 * (no variables, no globs). Pure. Source: Compose Specification, `command`; POSIX shell, "Quoting".
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";

/** Blank, comment, escape, single quotes, double quotes, plain text. */
const PART = /(\s+)|(#[^\n]*)|\\([\s\S])|'([^']*)'|"((?:[^"\\]|\\[\s\S])*)"|([^\s\\'"]+)/y;

/** @throws {InvalidArgumentError} a quote that is not closed. */
export function shellWords(text: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  for (let at = 0; at < text.length; ) {
    PART.lastIndex = at;
    const match = PART.exec(text);
    const [part = "", blank, comment, escaped, single, double, plain] = match ?? [];
    if (match === null || (comment !== undefined && word !== undefined)) {
      // a # within a word is no comment; anything else that matches nothing is an open quote
      if (comment === undefined)
        throw new InvalidArgumentError(`a quote is not closed in ${JSON.stringify(text)}`);
      word += "#";
      at += 1;
      continue;
    }
    at += part.length;
    if (blank !== undefined) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else if (comment === undefined) {
      const inner = double?.replace(/\\([\\"$`\n])/g, (_, each: string) => (each === "\n" ? "" : each));
      word = (word ?? "") + (escaped ?? single ?? inner ?? plain ?? "");
    }
  }
  if (word !== undefined) words.push(word);
  return words;
}
