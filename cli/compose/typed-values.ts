/**
 * Gives text the type its key wants: "3" and ${COUNT} become 3 where a number belongs; and refuses items of
 * a list that stand twice. Pure. After validation: what is to be cast has the form already.
 * Copies only what changes, so that shared values stay shared.
 */
import { type Finding, type Path, pathText } from "./compose-error.js";
import type { Schema } from "./schema/flatten-schema.js";
import { FILE_SCHEMA } from "./schema/schema.generated.js";
import { isContainer, type Key, type Sources } from "./sources.js";
import { shortened } from "./validate.js";
import type { YamlTree } from "./yaml-tree.js";

type Map_ = Readonly<Record<string, unknown>>;

export function typedValues(tree: YamlTree, sources: Sources, findings: Finding[]): unknown {
  const caster = new Caster(tree, sources, findings);
  return caster.value(tree.value, FILE_SCHEMA);
}

const DEFINITIONS = FILE_SCHEMA["definitions"] as Readonly<Record<string, Schema>>; // the generated schema's
const TRUE = /^(?:true|yes|on|y)$/i;

class Caster {
  readonly #tree: YamlTree;
  readonly #sources: Sources;
  readonly #findings: Finding[];
  /** By value, then by schema: what stands at several places is cast once. */
  readonly #path: Key[] = [];
  readonly #done = new Map<object, Map<Schema, unknown>>();

  constructor(tree: YamlTree, sources: Sources, findings: Finding[]) {
    this.#tree = tree;
    this.#sources = sources;
    this.#findings = findings;
  }

  value(value: unknown, given: Schema): unknown {
    const ref = given["$ref"] as string | undefined; // JSON Schema's keyword
    const schema = ref === undefined ? given : (DEFINITIONS[ref.slice("#/definitions/".length)] ?? given);
    if (typeof value === "string") return this.#cast(value, schema);
    if (!isContainer(value)) return this.#exact(value, schema);
    const known = this.#done.get(value)?.get(schema);
    if (known !== undefined) return known;
    // a container is one of the two
    const made = Array.isArray(value) ? this.#list(value, schema) : this.#map(value as Map_, schema);
    const bySchema = this.#done.get(value) ?? new Map<Schema, unknown>();
    bySchema.set(schema, made);
    this.#done.set(value, bySchema);
    return made;
  }

  #list(list: readonly unknown[], schema: Schema): readonly unknown[] {
    if (schema["unique"] === true) this.#checkUnique(list);
    const items = schema["items"] as Schema | undefined; // JSON Schema's keyword
    if (items === undefined) return list;
    const made = list.map((item, i) => {
      this.#path.push(i);
      const value = this.value(item, items);
      this.#path.pop();
      return value;
    });
    if (made.every((item, i) => item === list[i])) return list;
    return this.#sources.set(made, this.#sources.of(list));
  }

  #map(map: Map_, schema: Schema): Map_ {
    const properties = (schema["properties"] ?? {}) as Readonly<Record<string, Schema>>;
    const others = patternOf(schema);
    const isExtended = "^x-" in ((schema["patternProperties"] ?? {}) as object);
    let changed = false;
    const made = Object.entries(map).map(([key, inner]): [string, unknown] => {
      const below = Object.hasOwn(properties, key)
        ? properties[key]
        : isExtended && key.startsWith("x-")
          ? undefined
          : others;
      if (below === undefined) return [key, inner];
      this.#path.push(key);
      const value = this.value(inner, below);
      this.#path.pop();
      if (value !== inner) changed = true;
      return [key, value];
    });
    return changed ? this.#sources.set(Object.fromEntries(made), this.#sources.of(map)) : map;
  }

  /** Text has passed the validator whatever number it is: its bounds are looked at here. */
  #cast(text: string, schema: Schema): unknown {
    const value = this.#exact(cast(text, schema["cast"]), schema);
    if (typeof value !== "number") return value;
    const { minimum, maximum } = schema;
    if (typeof minimum === "number" && value < minimum)
      this.#found(this.#path, `must be at least ${minimum}, got ${shortened(text)}`);
    if (typeof maximum === "number" && value > maximum)
      this.#found(this.#path, `must be at most ${maximum}, got ${shortened(text)}`);
    return value;
  }

  /** An integer beyond 2^53 would be another one. */
  #exact(value: unknown, schema: Schema): unknown {
    if (typeof value === "number" && schema["cast"] === "integer" && !Number.isSafeInteger(value))
      this.#found(this.#path, `must be an integer below 2^53, got ${value}`);
    return value;
  }

  #found(path: Path, rule: string): void {
    const position = this.#sources.locate(this.#tree.value, path, this.#tree.mark);
    this.#findings.push({ position, key: pathText(path), rule });
  }

  #checkUnique(list: readonly unknown[]): void {
    const seen = new Set<string>();
    for (const [i, item] of list.entries()) {
      const text = JSON.stringify(item);
      if (seen.has(text)) {
        this.#found([...this.#path, i], `stands twice in the list: ${shortened(item)}`);
      }
      seen.add(text);
    }
  }
}

/** What stands for every name that is no key: the schema has one pattern at most beside `^x-`. */
function patternOf(schema: Schema): Schema | undefined {
  const patterns = schema["patternProperties"] as Readonly<Record<string, Schema>> | undefined;
  for (const pattern in patterns) if (pattern !== "^x-") return patterns[pattern];
  return undefined;
}

function cast(text: string, kind: unknown): unknown {
  switch (kind) {
    case "boolean":
      return text.includes("$") ? text : TRUE.test(text);
    case "integer":
    case "number":
      return /^-?\d*\.?\d+$/.test(text) ? Number(text) : text;
    default:
      return text;
  }
}
