/**
 * A compose file as plain values, with variables filled in and with the place of every key. Pure. Anchors,
 * aliases and merge keys are resolved here; an alias shares the value it stands for, so a file of aliases of
 * aliases costs what it says and not what it unfolds to. Bounds are checked while the text is read: length,
 * depth, number of values, unfolded size.
 */
import {
  Composer,
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  Lexer,
  type Node,
  Parser,
  type ScalarTag,
} from "yaml";
import { messageOf } from "../../base/errors/errors.js";
import { ComposeError, type Finding, type Path, pathText } from "./compose-error.js";
import { interpolate, type Variables } from "./interpolate.js";
import { isContainer, type Key, type Mark, Marks, type Sources, type Tag } from "./sources.js";

/** A compose file may be that long, in characters. */
export const FILE_LENGTH_MAX = 2 * 1024 * 1024;
/** Maps and lists within maps and lists. */
export const DEPTH_MAX = 100;
/** Keys, items and values as the file has them. */
export const VALUES_MAX = 100_000;
/** The same with every alias unfolded. */
export const UNFOLDED_MAX = 200_000;
/** Keys that merge keys bring, over the whole file. */
export const MERGED_MAX = 100_000;
/** Text with variables filled in, over the whole file, in characters. */
const FILLED_MAX = 16 * 1024 * 1024;
/** After so many faults reading ends. */
const FINDINGS_MAX = 100;

export interface YamlFile {
  readonly name: string;
  readonly text: string;
}

export interface YamlOptions {
  readonly sources: Sources;
  /** undefined: text stays as it is written. */
  readonly variables: Variables | undefined;
}

export interface YamlTree {
  readonly value: unknown;
  /** Of the file's first character. */
  readonly mark: Mark;
  /** Variables that are not set and have no default, and where each was first met. */
  readonly unset: ReadonlyMap<string, { readonly path: Path; readonly mark: Mark }>;
}

/** YAML 1.1's octal numbers, which file modes are written in. */
const OCTAL: ScalarTag = {
  tag: "tag:yaml.org,2002:int",
  default: true,
  test: /^0[0-7]+$/,
  resolve: (text) => Number.parseInt(text, 8),
  identify: () => false,
};
const PLAIN_TAG = /^tag:yaml\.org,2002:(?:str|int|float|bool|null|map|seq)$/;
const TAGS: Readonly<Record<string, Tag>> = { "!reset": "reset", "!override": "override" };

/** @throws {ComposeError} text that is no YAML, is beyond a bound, or has a variable that is wrong. */
export function readYaml({ name, text }: YamlFile, options: YamlOptions): YamlTree {
  const { sources } = options;
  const file = sources.addFile(name, text.length > FILE_LENGTH_MAX ? "" : text);
  const fail = (offset: number, rule: string, cause?: unknown): never => {
    const position = sources.positionOf(sources.mark(file, offset));
    throw new ComposeError([{ position, key: "", rule }], { cause });
  };
  if (text.length > FILE_LENGTH_MAX) fail(0, `is longer than ${FILE_LENGTH_MAX} characters`);
  const document = parse(text, fail);
  if (document === undefined) return { value: null, mark: sources.mark(file, 0), unset: new Map() };
  const [error] = document.errors;
  if (error !== undefined) fail(error.pos[0], `is not YAML: ${error.message}`, error);
  const reader = new Reader(file, options);
  const value = reader.read(document.contents).value;
  if (reader.findings.length > 0) throw new ComposeError(reader.findings);
  return { value, mark: sources.mark(file, 0), unset: reader.unset };
}

/** Reads token by token, so that depth and number are known before anything grows with them. */
function parse(
  text: string,
  fail: (offset: number, rule: string, cause?: unknown) => never,
): Document.Parsed | undefined {
  const parser = new Parser();
  const composer = new Composer({
    merge: true,
    // found by the reader, with both lines
    uniqueKeys: false,
    customTags: (tags) => [OCTAL, ...tags],
  });
  let lexemes = 0;
  function* tokens(): ReturnType<Parser["parse"]> {
    for (const lexeme of new Lexer().lex(text)) {
      yield* parser.next(lexeme);
      lexemes += 1;
      // a level is two entries on the parser's stack at most
      if (parser.stack.length > DEPTH_MAX * 2)
        fail(parser.offset, `maps and lists are nested deeper than ${DEPTH_MAX}`);
      // about three lexemes for a value
      if (lexemes > VALUES_MAX * 4) fail(parser.offset, `has more than ${VALUES_MAX} values and comments`);
    }
    yield* parser.end();
  }
  let first: Document.Parsed | undefined;
  for (const document of composer.compose(tokens(), true, text.length)) {
    // composed documents of a parsed text
    if (first === undefined) first = document as Document.Parsed;
    else fail(document.range[0], "holds a second document: a compose file is one");
  }
  return first;
}

interface Read {
  readonly value: unknown;
  /** With aliases unfolded. */
  readonly size: number;
}

class Reader {
  readonly unset = new Map<string, { path: Path; mark: Mark }>();
  readonly findings: Finding[] = [];
  readonly #file: number;
  readonly #options: YamlOptions;
  readonly #anchors = new Map<string, Node>();
  readonly #done = new Map<unknown, Read>();
  readonly #open = new Set<unknown>();
  /** Where the reader is. */
  readonly #path: Key[] = [];
  #mergedKeys = 0;
  #filledLength = 0;

  constructor(file: number, options: YamlOptions) {
    this.#file = file;
    this.#options = options;
  }

  read(node: unknown): Read {
    if (isAlias(node)) return this.#alias(node);
    if (isScalar(node)) {
      if (node.anchor !== undefined) this.#anchors.set(node.anchor, node as Node);
      const read = { value: this.#scalar(node), size: 1 };
      if (node.anchor !== undefined) this.#done.set(node, read);
      return read;
    }
    if (!isMap(node) && !isSeq(node)) return { value: null, size: 1 };
    if (node.anchor !== undefined) this.#anchors.set(node.anchor, node as Node);
    this.#checkTag(node);
    this.#open.add(node);
    const read = isMap(node) ? this.#map(node.items) : this.#list(node.items);
    this.#open.delete(node);
    if (read.size > UNFOLDED_MAX) this.#stop(node, `the file unfolds to more than ${UNFOLDED_MAX} values`);
    this.#done.set(node, read);
    return read;
  }

  #alias(node: { source: string }): Read {
    const target = this.#anchors.get(node.source);
    if (target === undefined)
      return this.#stop(node, `there is no anchor &${node.source} above *${node.source}`);
    if (this.#open.has(target)) return this.#stop(node, `*${node.source} stands within its own anchor`);
    return this.#done.get(target) ?? this.read(target);
  }

  #list(items: readonly unknown[]): Read {
    const marks = new Marks();
    const written = new Map<Key, string>();
    const list: unknown[] = [];
    let size = 1;
    for (const item of items) {
      this.#path.push(list.length);
      const isReset = tagOf(item) === "reset";
      const read = isReset ? undefined : this.read(item);
      this.#path.pop();
      if (read === undefined) continue;
      const source = writtenNumber(item);
      if (source !== undefined) written.set(list.length, source);
      marks.set(list.length, this.#mark(item));
      list.push(read.value);
      size += read.size;
    }
    this.#options.sources.set(list, { marks, ...(written.size > 0 ? { written } : {}) });
    return { value: list, size };
  }

  #map(items: readonly { key: unknown; value: unknown }[]): Read {
    const marks = new Marks();
    const tags = new Map<Key, Tag>();
    const written = new Map<Key, string>();
    const own: [string, unknown][] = [];
    let mergeValue: { node: unknown } | undefined;
    let size = 1;
    for (const { key, value } of items) {
      const name = isScalar(key) ? key.value : undefined;
      if (typeof name === "symbol" || name === "<<") {
        if (mergeValue !== undefined) this.#found(key, "<< stands twice: write <<: [*one, *other]");
        mergeValue = { node: value };
        continue;
      }
      if (!isScalar(key) || name === null || name === undefined) {
        this.#found(key ?? value, "has a key that is no text");
        continue;
      }
      const word = typeof name === "string" ? name : (key.source ?? String(name));
      this.#path.push(word);
      const before = marks.get(word);
      if (before !== undefined) {
        const { line } = this.#options.sources.positionOf(before);
        this.#found(key, `stands twice in the same map: first in line ${line}`);
      } else {
        if (word === "__proto__") this.#found(key, "is no name");
        marks.set(word, this.#mark(key));
        const tag = tagOf(value);
        if (tag !== undefined) tags.set(word, tag);
        if (tag !== "reset") {
          const source = writtenNumber(value);
          if (source !== undefined) written.set(word, source);
          const read = this.read(value);
          own.push([word, read.value]);
          size += read.size;
        }
      }
      this.#path.pop();
    }
    let entries = own;
    if (mergeValue !== undefined) {
      const merged = this.#merged(mergeValue.node, marks, tags, written);
      entries = [...merged.entries, ...own];
      size += merged.size;
    }
    const { sources } = this.#options;
    const map = sources.set(Object.fromEntries(entries), {
      marks,
      ...(tags.size > 0 ? { tags } : {}),
      ...(written.size > 0 ? { written } : {}),
    });
    return { value: map, size };
  }

  /** What `<<` brings, without the map's own keys. The first of several maps that has a key says its value. */
  #merged(
    node: unknown,
    marks: Marks,
    tags: Map<Key, Tag>,
    written: Map<Key, string>,
  ): { entries: [string, unknown][]; size: number } {
    const { value, size } = this.read(node);
    const entries: [string, unknown][] = [];
    for (const source of Array.isArray(value) ? value : [value]) {
      if (!isContainer(source) || Array.isArray(source)) {
        if (source !== null) this.#found(node, "<< must be a map, or a list of maps");
        continue;
      }
      const origin = this.#options.sources.of(source);
      for (const [word, tag] of origin.tags ?? []) if (!marks.has(String(word))) tags.set(word, tag);
      for (const [word, inner] of Object.entries(source)) {
        if (marks.has(word)) continue;
        this.#mergedKeys += 1;
        if (this.#mergedKeys > MERGED_MAX) this.#stop(node, `merge keys bring more than ${MERGED_MAX} keys`);
        const mark = origin.marks.get(word);
        if (mark !== undefined) marks.set(word, mark);
        const text = origin.written?.get(word);
        if (text !== undefined) written.set(word, text);
        entries.push([word, inner]);
      }
    }
    return { entries, size };
  }

  #scalar(node: { value: unknown; source?: string; tag?: string }): unknown {
    this.#checkTag(node);
    const tag = tagOf(node);
    const { value } = node;
    if (tag === "override" && /^(?:null|~|)$/i.test(node.source ?? "")) return null;
    if (typeof value === "bigint") return Number(value);
    const { variables } = this.#options;
    if (typeof value !== "string" || variables === undefined || !value.includes("$")) return value;
    try {
      const { text, unset } = interpolate(value, variables);
      this.#filledLength += text.length;
      if (this.#filledLength > FILLED_MAX)
        this.#stop(node, `the file has more than ${FILLED_MAX} characters with its variables`);
      for (const name of unset)
        if (!this.unset.has(name)) this.unset.set(name, { path: [...this.#path], mark: this.#mark(node) });
      return text;
    } catch (error) {
      if (error instanceof ComposeError) throw error;
      this.#found(node, messageOf(error));
      return value;
    }
  }

  #checkTag(node: unknown): void {
    const { tag } = node as { tag?: string }; // a node of the library
    if (tag === undefined || Object.hasOwn(TAGS, tag) || PLAIN_TAG.test(tag)) return;
    this.#found(node, `has the unknown tag ${tag}: known are !reset and !override`);
  }

  #mark(node: unknown): Mark {
    const offset = (node as Node | null | undefined)?.range?.[0] ?? 0; // parsed nodes have a range
    return this.#options.sources.mark(this.#file, offset);
  }

  #finding(node: unknown, rule: string): Finding {
    const position = this.#options.sources.positionOf(this.#mark(node));
    return { position, key: pathText(this.#path), rule };
  }

  #found(node: unknown, rule: string): void {
    this.findings.push(this.#finding(node, rule));
    if (this.findings.length >= FINDINGS_MAX) throw new ComposeError(this.findings);
  }

  #stop(node: unknown, rule: string): never {
    throw new ComposeError([...this.findings, this.#finding(node, rule)]);
  }
}

function tagOf(node: unknown): Tag | undefined {
  const tag = (node as { tag?: string } | null)?.tag; // a node of the library
  return tag !== undefined && !isAlias(node) && Object.hasOwn(TAGS, tag) ? TAGS[tag] : undefined;
}

/** The source of a number that is not printed as it is written. */
function writtenNumber(node: unknown): string | undefined {
  if (!isScalar(node) || (typeof node.value !== "number" && typeof node.value !== "bigint")) return undefined;
  return node.source === undefined || node.source === String(node.value) ? undefined : node.source;
}
