/**
 * Checks a compose file against the schema and says what is wrong in words, with file and line. Pure.
 * Text that came out of a variable takes the type the schema wants, as in `replicas: ${COUNT}`.
 */
import { Ajv, type ErrorObject, type ValidateFunction } from "ajv";
import { ComposeError, type Finding, type Path, pathText } from "./compose-error.js";
import { FILE_SCHEMA, NAME_PATTERN, NAMED_SECTIONS } from "./file-schema.js";
import { nearest } from "./nearest.js";
import type { Schema } from "./schema-parts.js";
import { DEPLOY_SCHEMA } from "./service-schema.js";
import { pathKey, type YamlTree } from "./yaml-tree.js";

const FORMATS: Readonly<
  Record<string, { readonly test: (value: string | number) => boolean; readonly words: string }>
> = {
  duration: {
    test: (value) => value === "0" || /^(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+$/.test(String(value)),
    words: "a duration such as 500ms, 10s or 1m30s",
  },
  bytes: {
    test: (value) => /^\d+(\.\d+)?\s*([bkmgt]?i?b?)$/i.test(String(value)),
    words: "a size such as 64m or 1g",
  },
  cpus: { test: (value) => /^\d*\.?\d+$/.test(String(value)), words: "a number of CPUs such as 0.5" },
  port: {
    test: (value) => /^\d{1,5}$/.test(String(value)) && Number(value) <= 65_535,
    words: "a port of 0 to 65535",
  },
  id: { test: (value) => /^\d+$/.test(String(value)), words: "a number" },
  mode: { test: (value) => /^[0-7]{1,4}$/.test(String(value)), words: "an octal mode such as 0440" },
};

let compiled: ValidateFunction | undefined;

function validator(): ValidateFunction {
  if (compiled !== undefined) return compiled;
  const ajv = new Ajv({
    allErrors: true,
    verbose: true,
    strict: false,
    allowUnionTypes: true,
    validateSchema: false,
  });
  for (const [name, { test }] of Object.entries(FORMATS))
    ajv.addFormat(name, { type: "string", validate: test });
  ajv.addKeyword({ keyword: "ignored" });
  ajv.addKeyword({ keyword: "refused", validate: (_reason: unknown, _value: unknown) => false });
  compiled = ajv.compile(FILE_SCHEMA);
  return compiled;
}

/**
 * @returns warnings for keys that have no effect.
 * @throws {ComposeError} everything that breaks the schema.
 */
export function validate(tree: YamlTree): Finding[] {
  const check = validator();
  for (let round = 0; !check(tree.value) && round < 2; round++) {
    if (round > 0 || !coerce(tree, check.errors ?? []))
      throw new ComposeError(findingsOf(tree, check.errors ?? []));
  }
  const names = badNames(tree);
  if (names.length > 0) throw new ComposeError(names);
  return ignoredKeys(FILE_SCHEMA, tree.value, []).map(({ path, reason }) => ({
    position: tree.positionOf(path),
    key: pathText(path),
    rule: `has no effect: ${reason}`,
  }));
}

/** Gives interpolated text the type that was missed. @returns whether anything changed. */
function coerce(tree: YamlTree, errors: readonly ErrorObject[]): boolean {
  let changed = false;
  for (const error of errors.filter(({ keyword }) => keyword === "type")) {
    const path = pathOf(tree.value, error.instancePath);
    const text = error.data;
    if (typeof text !== "string" || !tree.interpolated.has(pathKey(path))) continue;
    const value = cast(text, typesOf(error));
    if (value === undefined) continue;
    set(tree.value, path, value);
    changed = true;
  }
  return changed;
}

function cast(text: string, types: readonly string[]): number | boolean | undefined {
  if (types.includes("boolean") && (text === "true" || text === "false")) return text === "true";
  if (types.includes("integer") && /^-?\d+$/.test(text)) return Number(text);
  if (types.includes("number") && /^-?\d*\.?\d+$/.test(text)) return Number(text);
  return undefined;
}

function set(root: unknown, path: Path, value: unknown): void {
  const parent = path
    .slice(0, -1)
    .reduce((at: unknown, part) => (at as Record<string | number, unknown>)[part], root);
  // the path comes from this very tree
  (parent as Record<string | number, unknown>)[path.at(-1) ?? ""] = value;
}

/** "/services/web/ports/0" as a path; numbers where the value is a list. */
function pathOf(root: unknown, pointer: string): (string | number)[] {
  let at = root;
  return pointer
    .split("/")
    .slice(1)
    .map((part) => {
      const key = part.replaceAll("~1", "/").replaceAll("~0", "~");
      const own = Array.isArray(at) ? Number(key) : key;
      at = (at as Record<string | number, unknown> | undefined)?.[own];
      return own;
    });
}

function findingsOf(tree: YamlTree, errors: readonly ErrorObject[]): Finding[] {
  const findings = errors.map((error): Finding => {
    const path: (string | number)[] = pathOf(tree.value, error.instancePath);
    if (error.keyword === "additionalProperties") path.push(String(error.params["additionalProperty"]));
    return { position: tree.positionOf(path), key: pathText(path), rule: ruleOf(error, path) };
  });
  const first = new Map(findings.map((finding) => [finding.key, finding] as const).reverse());
  return [...first.values()].sort((a, b) => a.position.line - b.position.line);
}

const TYPE_WORDS: Readonly<Record<string, string>> = {
  string: "a string",
  integer: "an integer",
  number: "a number",
  boolean: "true or false",
  array: "a list",
  object: "a map",
  null: "empty",
};

// ajv's parameter of "type"
const typesOf = (error: ErrorObject): string[] => [error.params["type"] as string | string[]].flat();

function ruleOf(error: ErrorObject, path: Path): string {
  const found = shortened(error.data);
  switch (error.keyword) {
    case "type":
      return `must be ${alternatives(typesOf(error).map((type) => TYPE_WORDS[type] ?? type))}, got ${found}`;
    case "enum":
      // ajv's parameter of "enum"
      return `must be ${alternatives((error.params["allowedValues"] as unknown[]).map(String))}, got ${found}`;
    case "additionalProperties":
      return unknownKey(error, path);
    case "required":
      return `needs the key ${String(error.params["missingProperty"])}`;
    case "minimum":
      return `must be at least ${String(error.params["limit"])}, got ${found}`;
    case "maximum":
      return `must be at most ${String(error.params["limit"])}, got ${found}`;
    case "format":
      return `must be ${FORMATS[String(error.params["format"])]?.words ?? "well-formed"}, got ${found}`;
    case "pattern":
      return path.at(-1) === "restart"
        ? `must be no, always, unless-stopped, on-failure or on-failure:N, got ${found}`
        : `has the wrong form, got ${found}`;
    case "refused":
      return String(error.schema);
    default:
      return error.message ?? "is wrong";
  }
}

/** Keys that are often written one level too high. */
const UNDER_DEPLOY = Object.keys(DEPLOY_SCHEMA["properties"] as object); // object() always has properties

function unknownKey(error: ErrorObject, path: Path): string {
  const word = String(error.params["additionalProperty"]);
  // a JSON Schema's properties are an object
  const properties = (error.parentSchema?.["properties"] ?? {}) as object;
  const suggestion = nearest(word, Object.keys(properties));
  const isService = path.length === 3 && path[0] === "services";
  const deeper =
    isService && (UNDER_DEPLOY.includes(word) || suggestion === undefined)
      ? nearest(word, UNDER_DEPLOY)
      : undefined;
  const hint = deeper !== undefined ? `deploy.${deeper}` : suggestion;
  return `unknown key${hint === undefined ? "" : `: did you mean ${hint}?`}`;
}

function alternatives(words: readonly string[]): string {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;
}

const FOUND_LENGTH_MAX = 60;

function shortened(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > FOUND_LENGTH_MAX ? `${text.slice(0, FOUND_LENGTH_MAX)}…` : text;
}

function badNames(tree: YamlTree): Finding[] {
  const file = tree.value as Readonly<Record<string, unknown>>; // the schema wants an object
  return NAMED_SECTIONS.flatMap((section) =>
    Object.keys((file[section] ?? {}) as object)
      .filter((name) => !NAME_PATTERN.test(name))
      .map((name) => ({
        position: tree.positionOf([section, name]),
        key: pathText([section, name]),
        rule: "must begin with a letter or digit and hold only letters, digits, ., _ and -",
      })),
  );
}

/** Walks values along the schema to what it marks as ignored. */
function ignoredKeys(schema: Schema, value: unknown, path: Path): { path: Path; reason: string }[] {
  if (schema["ignored"] !== undefined)
    return value === null || value === undefined ? [] : [{ path, reason: String(schema["ignored"]) }];
  if (Array.isArray(value)) {
    const items = schema["items"] as Schema | undefined; // the keywords hold schemas
    return items === undefined ? [] : value.flatMap((item, i) => ignoredKeys(items, item, [...path, i]));
  }
  if (typeof value !== "object" || value === null) return [];
  const properties = (schema["properties"] ?? {}) as Readonly<Record<string, Schema>>;
  const others = schema["additionalProperties"];
  return Object.entries(value).flatMap(([key, inner]) => {
    const below = Object.hasOwn(properties, key)
      ? properties[key]
      : typeof others === "object" && others !== null
        ? (others as Schema)
        : undefined;
    return below === undefined ? [] : ignoredKeys(below, inner, [...path, key]);
  });
}
