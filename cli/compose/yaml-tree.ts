/**
 * A compose file as plain values, with the line of every key and with variables filled in. Pure.
 * Invariant: `positionOf` answers for every path, by its nearest known ancestor. Anchors, aliases and merge
 * keys are resolved here.
 */
import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
  type ScalarTag,
} from "yaml";
import { messageOf } from "../../base/errors/errors.js";
import { ComposeError, type Finding, type Path, type Position, pathText } from "./compose-error.js";
import { interpolate, type Variables } from "./interpolate.js";

export interface YamlTree {
  readonly value: unknown;
  /** Paths, as `pathKey`, whose text came out of a variable: their type is what the schema wants. */
  readonly interpolated: ReadonlySet<string>;
  /** Variables that are not set and have no default, and where each was first met. */
  readonly unset: ReadonlyMap<string, Path>;
  positionOf(path: Path): Position;
  /** How many parts of the path are known here. */
  knownDepth(path: Path): number;
}

/** A file that unfolds to more values than this is refused: aliases of aliases grow without bound. */
const VALUES_MAX = 200_000;
/** Below these keys a number is text as it was written: 1.10 is not 1.1. */
const TEXT_MAPS = new Set(["environment", "labels", "options", "driver_opts", "sysctls", "args"]);

/**
 * A value of such a map; at depth 3 the parent is the name of a service, network …, whatever it is called.
 */
const isTextPlace = (path: Path): boolean => path.length !== 3 && TEXT_MAPS.has(String(path.at(-2)));

export const pathKey = (path: Path): string => JSON.stringify(path);

/** YAML 1.1's octal numbers, which file modes are written in. */
const OCTAL: ScalarTag = {
  tag: "tag:yaml.org,2002:int",
  default: true,
  test: /^0[0-7]+$/,
  resolve: (text) => Number.parseInt(text, 8),
  identify: () => false,
};

/** @throws {ComposeError} text that is not YAML, or a variable that is wrong. */
export function readYaml(
  text: string,
  options: { readonly file: string; readonly variables: Variables },
): YamlTree {
  const lines = new LineCounter();
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    merge: true,
    customTags: (tags) => [OCTAL, ...tags],
  });
  const findings = document.errors.map((error): Finding => {
    const line = lines.linePos(error.pos[0]).line;
    return {
      position: { file: options.file, line: Math.max(1, line) },
      key: "",
      rule: `is not YAML: ${error.message}`,
    };
  });
  if (findings.length > 0) throw new ComposeError(findings);
  const walk = new Walk(document, lines, options);
  const value = walk.read(document.contents, []);
  if (walk.findings.length > 0) throw new ComposeError(walk.findings);
  const knownDepth = (path: Path): number => walk.knownDepth(path);
  const positionOf = (path: Path): Position => ({ file: options.file, line: walk.lineOf(path) });
  return { value, interpolated: walk.interpolated, unset: walk.unset, positionOf, knownDepth };
}

class Walk {
  readonly interpolated = new Set<string>();
  readonly unset = new Map<string, Path>();
  readonly findings: Finding[] = [];
  readonly #lineByPath = new Map<string, number>();
  readonly #document: Document;
  readonly #lines: LineCounter;
  readonly #options: { readonly file: string; readonly variables: Variables };
  #values = 0;

  constructor(
    document: Document,
    lines: LineCounter,
    options: { readonly file: string; readonly variables: Variables },
  ) {
    this.#document = document;
    this.#lines = lines;
    this.#options = options;
  }

  read(node: unknown, path: Path): unknown {
    this.#values += 1;
    if (this.#values > VALUES_MAX)
      throw new ComposeError([this.#finding(path, `the file unfolds to more than ${VALUES_MAX} values`)]);
    if (isAlias(node)) {
      const target = node.resolve(this.#document);
      if (target === undefined || path.length > 100)
        throw new ComposeError([this.#finding(path, `alias *${node.source} cannot be resolved`)]);
      return this.read(target, path);
    }
    if (isMap(node)) return Object.fromEntries(this.#entries(node.items, path));
    if (isSeq(node)) {
      return node.items.map((item, i) => {
        this.#locate(item, [...path, i]);
        return this.read(item, [...path, i]);
      });
    }
    return isScalar(node) ? this.#scalar(node, path) : null;
  }

  #entries(items: readonly { key: unknown; value: unknown }[], path: Path): Map<string, unknown> {
    const own = new Map<string, unknown>();
    const merged = new Map<string, unknown>();
    for (const { key, value } of items) {
      const name = isScalar(key) ? key.value : key;
      if (typeof name === "symbol") {
        for (const [inner, mergedValue] of this.#mergeSources(value, path))
          if (!merged.has(inner)) merged.set(inner, mergedValue);
        continue;
      }
      const child = [...path, String(name)];
      this.#locate(key, child);
      own.set(String(name), this.read(value, child));
    }
    return new Map([...merged].filter(([name]) => !own.has(name)).concat([...own]));
  }

  #mergeSources(node: unknown, path: Path): [string, unknown][] {
    const target = isAlias(node) ? node.resolve(this.#document) : node;
    const sources = isSeq(target) ? target.items : [target];
    return sources.flatMap((source) => Object.entries((this.read(source, path) ?? {}) as object));
  }

  #scalar(node: { value: unknown; source?: string }, path: Path): unknown {
    const { value } = node;
    if (typeof value === "number" && isTextPlace(path)) return node.source ?? String(value);
    if (typeof value !== "string") return typeof value === "bigint" ? Number(value) : value;
    try {
      const { text, changed, unset } = interpolate(value, this.#options.variables);
      if (changed) this.interpolated.add(pathKey(path));
      for (const name of unset) if (!this.unset.has(name)) this.unset.set(name, path);
      return text;
    } catch (error) {
      this.findings.push(this.#finding(path, messageOf(error)));
      return value;
    }
  }

  #locate(node: unknown, path: Path): void {
    const start = (node as Node | null | undefined)?.range?.[0]; // parsed nodes have a range
    const key = pathKey(path);
    if (start !== undefined && !this.#lineByPath.has(key))
      this.#lineByPath.set(key, this.#lines.linePos(start).line);
  }

  #finding(path: Path, rule: string): Finding {
    return { position: { file: this.#options.file, line: this.lineOf(path) }, key: pathText(path), rule };
  }

  knownDepth(path: Path): number {
    let length = path.length;
    while (length > 0 && !this.#lineByPath.has(pathKey(path.slice(0, length)))) length -= 1;
    return length;
  }

  /** The line of the path, or of its nearest known ancestor. */
  lineOf(path: Path): number {
    return this.#lineByPath.get(pathKey(path.slice(0, this.knownDepth(path)))) ?? 1;
  }
}
