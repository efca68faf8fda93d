/**
 * Carries out a parsed template over a value. Pure.
 * A field that a listing does not have is an error that names those it has; of an inspected object a field
 * may be absent, because the API leaves out what is empty: then a condition is false, and only printing it
 * from the top of the object is an error. Bound: 4 Mi characters of output.
 */
import { InvalidArgumentError } from "../../../base/errors/errors.js";
import { type Node, type Operand, type Pipe, parseTemplate } from "./parse-template.js";
import {
  HEADER_FUNCTIONS,
  hasMember,
  isTruthy,
  member,
  plain,
  TEMPLATE_FUNCTIONS,
  type TemplateFunction,
} from "./template-functions.js";

export interface TemplateOptions {
  /** Every field exists: naming another one is an error anywhere. @default false */
  readonly strict?: boolean;
  /** The value holds the headers of a table. @default false */
  readonly headers?: boolean;
}

const OUTPUT_LENGTH_MAX = 4 * 1024 * 1024;

class Jump {
  readonly kind: "break" | "continue";

  constructor(kind: "break" | "continue") {
    this.kind = kind;
  }
}

class Scope {
  readonly #values = new Map<string, unknown>();
  readonly #outer: Scope | undefined;

  constructor(outer?: Scope) {
    this.#outer = outer;
  }

  get(name: string): unknown {
    return this.#ownerOf(name).#values.get(name);
  }

  declare(name: string, value: unknown): void {
    this.#values.set(name, value);
  }

  assign(name: string, value: unknown): void {
    this.#ownerOf(name).#values.set(name, value);
  }

  #ownerOf(name: string): Scope {
    if (this.#values.has(name)) return this;
    if (this.#outer === undefined)
      throw new InvalidArgumentError(`template: the variable ${name} is unknown`);
    return this.#outer.#ownerOf(name);
  }
}

class Run {
  readonly #root: unknown;
  readonly #options: TemplateOptions;
  readonly #out: string[] = [];
  #length = 0;

  constructor(root: unknown, options: TemplateOptions) {
    this.#root = root;
    this.#options = options;
  }

  text(nodes: readonly Node[]): string {
    const scope = new Scope();
    scope.declare("$", this.#root);
    this.#nodes(nodes, this.#root, scope);
    return this.#out.join("");
  }

  #write(text: string): void {
    this.#length += text.length;
    if (this.#length > OUTPUT_LENGTH_MAX)
      throw new InvalidArgumentError(`template: more than ${OUTPUT_LENGTH_MAX} characters come of it`);
    this.#out.push(text);
  }

  #nodes(nodes: readonly Node[], dot: unknown, scope: Scope): Jump | undefined {
    for (const node of nodes) {
      const jump = this.#node(node, dot, scope);
      if (jump !== undefined) return jump;
    }
    return undefined;
  }

  #node(node: Node, dot: unknown, scope: Scope): Jump | undefined {
    switch (node.kind) {
      case "text":
        this.#write(node.text);
        return undefined;
      case "action": {
        const value = this.#pipe(node.pipe, dot, scope);
        if (node.pipe.variables.length > 0) return undefined;
        if (value === undefined) this.#refuseUnknown(node.pipe, dot);
        this.#write(plain(value));
        return undefined;
      }
      case "break":
      case "continue":
        return new Jump(node.kind);
      case "if":
      case "with": {
        const inner = new Scope(scope);
        const value = this.#pipe(node.pipe, dot, inner);
        const next = node.kind === "with" && isTruthy(value) ? value : dot;
        return this.#nodes(isTruthy(value) ? node.body : node.otherwise, next, inner);
      }
      default:
        return this.#range(node, dot, scope);
    }
  }

  #range(node: Extract<Node, { pipe: Pipe; body: unknown }>, dot: unknown, scope: Scope): Jump | undefined {
    const { variables } = node.pipe;
    const value = this.#commands(node.pipe, dot, scope);
    const entries = entriesOf(value);
    if (entries.length === 0) return this.#nodes(node.otherwise, dot, new Scope(scope));
    for (const [key, item] of entries) {
      const inner = new Scope(scope);
      const [first, second] = variables;
      if (second !== undefined) {
        inner.declare(first ?? "", key);
        inner.declare(second, item);
      } else if (first !== undefined) inner.declare(first, item);
      const jump = this.#nodes(node.body, item, inner);
      if (jump?.kind === "break") break;
    }
    return undefined;
  }

  #pipe(pipe: Pipe, dot: unknown, scope: Scope): unknown {
    const value = this.#commands(pipe, dot, scope);
    for (const name of pipe.variables)
      if (pipe.declares) scope.declare(name, value);
      else scope.assign(name, value);
    return value;
  }

  #commands(pipe: Pipe, dot: unknown, scope: Scope): unknown {
    let piped: unknown[] = [];
    for (const command of pipe.commands) piped = [this.#command(command, piped, dot, scope)];
    return piped[0];
  }

  #command(command: readonly Operand[], piped: readonly unknown[], dot: unknown, scope: Scope): unknown {
    const [first, ...rest] = command;
    if (first === undefined) return undefined;
    const args = [...rest.map((operand) => this.#operand(operand, dot, scope)), ...piped];
    if (first.kind === "function") return this.#call(first.name, args);
    const value = this.#operand(first, dot, scope, true);
    if (typeof value === "function") return (value as TemplateFunction)(...args); // rows hold such alone
    if (args.length > 0)
      throw new InvalidArgumentError(`template: ${nameOf(first)} is no function and takes no arguments`);
    return value;
  }

  #call(name: string, args: readonly unknown[]): unknown {
    if (this.#options.headers === true && HEADER_FUNCTIONS.has(name))
      return args.find((each) => typeof each === "string");
    const known = TEMPLATE_FUNCTIONS.get(name);
    if (known === undefined)
      throw new InvalidArgumentError(
        `template: the function ${name} is unknown; there are ${[...TEMPLATE_FUNCTIONS.keys()].join(" ")}`,
      );
    return known(...args);
  }

  #operand(operand: Operand, dot: unknown, scope: Scope, callable = false): unknown {
    switch (operand.kind) {
      case "literal":
        return operand.value;
      case "field":
        return this.#path(dot, operand.path, callable);
      case "variable":
        return this.#path(scope.get(operand.name), operand.path, callable);
      case "pipe":
        return this.#path(this.#pipe(operand.pipe, dot, scope), operand.path, callable);
      default:
        return this.#call(operand.name, []);
    }
  }

  #path(start: unknown, path: readonly string[], callable: boolean): unknown {
    let current = start;
    for (const name of path) {
      const found = member(current, name);
      if (found === undefined && current === this.#root && !hasMember(current, name)) {
        if (this.#options.headers === true) return name.toUpperCase();
        if (this.#options.strict === true) unknownField(name, this.#root);
      }
      current = found;
    }
    return typeof current === "function" && !callable ? (current as TemplateFunction)() : current; // as above
  }

  /** A field of the top that nothing is known of is rather a mistake than empty. */
  #refuseUnknown(pipe: Pipe, dot: unknown): void {
    const [operand, ...more] = pipe.commands[0] ?? [];
    if (pipe.commands.length > 1 || more.length > 0 || operand?.kind !== "field" || dot !== this.#root)
      return;
    const [name] = operand.path;
    if (name !== undefined && !hasMember(this.#root, name)) unknownField(name, this.#root);
  }
}

function unknownField(name: string, root: unknown): never {
  const names = typeof root === "object" && root !== null ? Object.keys(root) : [];
  throw new InvalidArgumentError(
    `template field .${name} is unknown; there are ${names.map((each) => `.${each}`).join(" ")}`,
  );
}

function nameOf(operand: Operand): string {
  if (operand.kind === "field") return `.${operand.path.join(".")}`;
  return operand.kind === "variable" ? [operand.name, ...operand.path].join(".") : operand.kind;
}

/** Lists by index, maps by sorted key, a number as that many. */
function entriesOf(value: unknown): (readonly [unknown, unknown])[] {
  if (Array.isArray(value)) return value.map((item, i) => [i, item] as const);
  if (typeof value === "number")
    return Array.from({ length: Math.min(Math.max(0, value), 10_000) }, (_, i) => [i, i] as const);
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
}

export type Template = (value: unknown, options?: TemplateOptions) => string;

/** @throws {InvalidArgumentError} what is not understood; when it runs, an unknown field or function. */
export function compileTemplate(template: string): Template {
  // a shell hands over "\t" in single quotes as it is
  const nodes = parseTemplate(template.replaceAll("\\t", "\t").replaceAll("\\n", "\n"));
  return (value, options = {}) => new Run(value, options).text(nodes);
}
