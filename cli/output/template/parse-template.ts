/**
 * Go's text/template as --format takes it: from text to a tree. Pure.
 * Understood: actions, pipelines, variables, if/else, range, with, break, continue, comments, trim marks.
 * Not understood: define, template and block. Bounds: 64 KiB of text, blocks 50 deep.
 * Source: Go's text/template package documentation.
 */
import { InvalidArgumentError } from "../../../base/errors/errors.js";
import { type Token, tokensOf } from "./template-tokens.js";

export type Operand =
  | { readonly kind: "literal"; readonly value: unknown }
  | { readonly kind: "field"; readonly path: readonly string[] }
  | { readonly kind: "variable"; readonly name: string; readonly path: readonly string[] }
  | { readonly kind: "pipe"; readonly pipe: Pipe; readonly path: readonly string[] }
  | { readonly kind: "function"; readonly name: string };

export interface Pipe {
  /** Variables that take the value: with "$". */
  readonly variables: readonly string[];
  readonly declares: boolean;
  /** Each one's operands; the result of one is the last argument of the next. */
  readonly commands: readonly (readonly Operand[])[];
}

export type Node =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "action"; readonly pipe: Pipe; readonly source: string }
  | {
      readonly kind: "if" | "with" | "range";
      readonly pipe: Pipe;
      readonly body: readonly Node[];
      readonly otherwise: readonly Node[];
    }
  | { readonly kind: "break" | "continue" };

const TEXT_LENGTH_MAX = 64 * 1024;
const DEPTH_MAX = 50;

interface Piece {
  readonly text?: string;
  readonly action?: string;
}

/** Text and actions in turn; trim marks and comments are carried out. */
function piecesOf(template: string): Piece[] {
  const pieces: Piece[] = [];
  let at = 0;
  let trimNext = false;
  const pushText = (text: string, trimEnd: boolean): void => {
    let out = trimNext ? text.trimStart() : text;
    if (trimEnd) out = out.trimEnd();
    if (out !== "") pieces.push({ text: out });
  };
  for (;;) {
    const open = template.indexOf("{{", at);
    if (open < 0) {
      pushText(template.slice(at), false);
      return pieces;
    }
    const rest = template.slice(open + 2);
    const match = /^(-(?=\s))?((?:"(?:\\.|[^"\\])*"|`[^`]*`|'(?:\\.|[^'\\])*'|(?!\}\})[^"`'])*)\}\}/s.exec(
      rest,
    );
    if (match === null)
      throw new InvalidArgumentError(
        `template: {{ at position ${open} is not closed by }}: ${JSON.stringify(template.slice(open, open + 30))}`,
      );
    let inside = match[2] ?? "";
    pushText(template.slice(at, open), match[1] !== undefined);
    trimNext = /\s-$/.test(inside);
    if (trimNext) inside = inside.slice(0, -1);
    inside = inside.trim();
    if (!/^\/\*.*\*\/$/s.test(inside)) pieces.push({ action: inside });
    at = open + 2 + match[0].length;
  }
}

class Parser {
  readonly #pieces: readonly Piece[];
  #at = 0;

  constructor(pieces: readonly Piece[]) {
    this.#pieces = pieces;
  }

  /** Nodes up to `end` or `else`, which is returned too. */
  block(depth: number): { nodes: Node[]; end: string } {
    if (depth > DEPTH_MAX)
      throw new InvalidArgumentError(`template: blocks may be ${DEPTH_MAX} deep, and here are more`);
    const nodes: Node[] = [];
    for (;;) {
      const piece = this.#pieces[this.#at++];
      if (piece === undefined) return { nodes, end: "" };
      const { text, action = "" } = piece;
      if (text !== undefined) {
        nodes.push({ kind: "text", text });
        continue;
      }
      const [word = ""] = /^[a-z]+\b/.exec(action) ?? [];
      const rest = action.slice(word.length).trim();
      if (word === "end" || word === "else") return { nodes, end: action };
      if (word === "if" || word === "with" || word === "range") nodes.push(this.#branch(word, rest, depth));
      else if ((word === "break" || word === "continue") && rest === "") nodes.push({ kind: word });
      else if (word === "define" || word === "template" || word === "block")
        throw new InvalidArgumentError(`template {{${action}}} is not understood: ${word} is not supported`);
      else nodes.push({ kind: "action", pipe: parsePipe(action, action), source: action });
    }
  }

  #branch(kind: "if" | "with" | "range", condition: string, depth: number): Node {
    const pipe = parsePipe(condition, `${kind} ${condition}`);
    const { nodes, end } = this.block(depth + 1);
    const fail = (): never => {
      throw new InvalidArgumentError(`template {{${kind} ${condition}}} has no {{end}}`);
    };
    if (end === "end") return { kind, pipe, body: nodes, otherwise: [] };
    if (!end.startsWith("else")) return fail();
    const chained = /^else\s+(if|with)\s+(.*)$/s.exec(end);
    if (chained !== null) {
      const inner = this.#branch(chained[1] === "if" ? "if" : "with", chained[2] ?? "", depth + 1);
      return { kind, pipe, body: nodes, otherwise: [inner] };
    }
    const other = this.block(depth + 1);
    if (other.end !== "end") return fail();
    return { kind, pipe, body: nodes, otherwise: other.nodes };
  }
}

/** A pipeline: `$x := .A | f 1`. */
function parsePipe(text: string, source: string): Pipe {
  const tokens = tokensOf(text, source);
  const position = { at: 0 };
  const pipe = pipeFrom(tokens, position, source, 0);
  if (position.at < tokens.length) notUnderstood(source, tokens[position.at]?.text ?? "");
  return pipe;
}

function notUnderstood(source: string, near: string): never {
  throw new InvalidArgumentError(
    `template {{${source}}} is not understood${near === "" ? "" : ` at ${JSON.stringify(near)}`}: ` +
      'use {{.Field}}, {{json .Field}} or {{index .Map "key"}}',
  );
}

function pipeFrom(tokens: readonly Token[], position: { at: number }, source: string, depth: number): Pipe {
  if (depth > DEPTH_MAX) notUnderstood(source, "(");
  const variables: string[] = [];
  let declares = false;
  const assignment = assignedVariables(tokens.slice(position.at));
  if (assignment !== undefined) {
    variables.push(...assignment.names);
    declares = assignment.declares;
    position.at += assignment.length;
  }
  const commands: Operand[][] = [];
  let current: Operand[] = [];
  for (;;) {
    const token = tokens[position.at];
    if (token === undefined || token.kind === ")") break;
    position.at += 1;
    if (token.kind === "|") {
      if (current.length === 0) notUnderstood(source, "|");
      commands.push(current);
      current = [];
    } else current.push(operandFrom(token, tokens, position, source, depth));
  }
  if (current.length === 0) notUnderstood(source, tokens[position.at]?.text ?? "");
  return { variables, declares, commands: [...commands, current] };
}

function assignedVariables(
  tokens: readonly Token[],
): { names: string[]; declares: boolean; length: number } | undefined {
  const [first, second, third, fourth] = tokens;
  if (first?.kind !== "variable" || first.path.length > 0) return undefined;
  if (second?.kind === ":=" || second?.kind === "=")
    return { names: [first.text], declares: second.kind === ":=", length: 2 };
  if (second?.kind === "," && third?.kind === "variable" && (fourth?.kind === ":=" || fourth?.kind === "="))
    return { names: [first.text, third.text], declares: fourth.kind === ":=", length: 4 };
  return undefined;
}

function operandFrom(
  token: Token,
  tokens: readonly Token[],
  position: { at: number },
  source: string,
  depth: number,
): Operand {
  switch (token.kind) {
    case "literal":
      return { kind: "literal", value: token.value };
    case "field":
      return { kind: "field", path: token.path };
    case "variable":
      return { kind: "variable", name: token.text, path: token.path };
    case "word":
      return { kind: "function", name: token.text };
    case "(": {
      const pipe = pipeFrom(tokens, position, source, depth + 1);
      const close = tokens[position.at++];
      if (close?.kind !== ")") return notUnderstood(source, "(");
      const next = tokens[position.at];
      if (next?.kind !== "field" || next.spaced || next.path.length === 0)
        return { kind: "pipe", pipe, path: [] };
      position.at += 1;
      return { kind: "pipe", pipe, path: next.path };
    }
    default:
      return notUnderstood(source, token.text);
  }
}

/** @throws {InvalidArgumentError} what is not understood, and where. */
export function parseTemplate(template: string): readonly Node[] {
  if (template.length > TEXT_LENGTH_MAX)
    throw new InvalidArgumentError(
      `a template may have ${TEXT_LENGTH_MAX} characters, got ${template.length}`,
    );
  const { nodes, end } = new Parser(piecesOf(template)).block(0);
  if (end !== "") throw new InvalidArgumentError(`template {{${end}}} has no if, with or range before it`);
  return nodes;
}
