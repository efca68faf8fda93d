/**
 * Checks one compose file against the schema and says what is wrong in words, with file and line. Pure.
 * The validator is ajv's, compiled ahead of time; the schema itself is loaded when something is wrong.
 */
import type { ErrorObject } from "ajv";
import { ComposeError, type Finding, type Path, pathText } from "./compose-error.js";
import { nearest } from "./nearest.js";
import type { Schema } from "./schema/flatten-schema.js";
import { validate as generated } from "./schema/validator.generated.js";
import type { Sources } from "./sources.js";
import type { YamlTree } from "./yaml-tree.js";

interface Validator {
  (value: unknown): boolean;
  errors?: readonly ErrorObject[] | null;
}
// the generated code has no types
const check = generated as unknown as Validator;

/** No more findings than this are told. */
const FINDINGS_MAX = 50;

export interface ValidateOptions {
  readonly sources: Sources;
  /** Variables are filled in; else text that has some passes for any value. @default true */
  readonly interpolated?: boolean;
  /** Keys that Docker's version 3 leaves unread become warnings. */
  readonly isVersion3: boolean;
}

/** @returns warnings. @throws {ComposeError} what breaks the schema. */
export async function validate(tree: YamlTree, options: ValidateOptions): Promise<Finding[]> {
  if (check(tree.value)) return [];
  const errors = check.errors ?? [];
  const { FILE_SCHEMA } = await import("./schema/schema.generated.js");
  const found = new Map<string, Finding>();
  const warnings: Finding[] = [];
  for (const error of errors) {
    if (found.size >= FINDINGS_MAX) break;
    const { path, value } = at(tree.value, error.instancePath);
    if (options.interpolated === false && typeof value === "string" && value.includes("$")) continue;
    const isKey = error.keyword === "additionalProperties";
    const full = isKey ? [...path, String(error.params["additionalProperty"])] : path;
    const key = pathText(full);
    if (found.has(key)) continue;
    const position = options.sources.locate(tree.value, full, tree.mark);
    if (isKey && options.isVersion3 && isUnreadByDocker(path)) {
      warnings.push({ position, key, rule: "unknown key: it is left out" });
      continue;
    }
    found.set(key, { position, key, rule: ruleOf(error, { path: full, value, root: FILE_SCHEMA }) });
  }
  if (found.size === 0) return warnings;
  throw new ComposeError([...found.values()]);
}

/** Docker's schema 3.13 lets these maps hold anything. */
function isUnreadByDocker(path: Path): boolean {
  const [section, , key, , option] = path;
  if (section !== "services") return false;
  if (key === "build" || key === "configs" || key === "secrets") return path.length >= 3;
  return key === "volumes" && ["bind", "volume", "tmpfs"].includes(String(option));
}

/** "/services/web/ports/0" as a path, and what stands there; numbers where the value is a list. */
function at(root: unknown, pointer: string): { path: (string | number)[]; value: unknown } {
  let value = root;
  const path = pointer
    .split("/")
    .slice(1)
    .map((part) => {
      const key = part.replaceAll("~1", "/").replaceAll("~0", "~");
      const own = Array.isArray(value) ? Number(key) : key;
      value = (value as Record<string | number, unknown> | undefined)?.[own];
      return own;
    });
  return { path, value };
}

interface Wrong {
  readonly path: Path;
  readonly value: unknown;
  readonly root: Schema;
}

/** What the schema says at a path of the file. */
function schemaAt(root: Schema, path: Path): Schema {
  // the generated schema has them
  const definitions = root["definitions"] as Readonly<Record<string, Schema>>;
  const resolved = (schema: Schema): Schema => {
    const ref = schema["$ref"] as string | undefined; // JSON Schema's keyword
    return ref === undefined ? schema : (definitions[ref.slice("#/definitions/".length)] ?? {});
  };
  return path.reduce<Schema>((schema, key) => {
    if (typeof key === "number") return resolved((schema["items"] ?? {}) as Schema);
    const properties = (schema["properties"] ?? {}) as Readonly<Record<string, Schema>>;
    if (Object.hasOwn(properties, key)) return resolved(properties[key] ?? {});
    const patterns = Object.entries((schema["patternProperties"] ?? {}) as Readonly<Record<string, Schema>>);
    const found = patterns.find(([pattern]) => new RegExp(pattern).test(key));
    return resolved(found?.[1] ?? {});
  }, root);
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

function ruleOf(error: ErrorObject, wrong: Wrong): string {
  const isKey = error.keyword === "additionalProperties";
  const schema = schemaAt(wrong.root, isKey ? wrong.path.slice(0, -1) : wrong.path);
  const found = shortened(wrong.value);
  const words = schema["words"];
  switch (error.keyword) {
    case "type":
      return `must be ${typeWords(error, schema)}, got ${found}${quoteHint(error, schema, wrong.value)}`;
    case "enum":
      // ajv's parameter of "enum"
      return `must be ${alternatives((error.params["allowedValues"] as unknown[]).map(String))}, got ${found}`;
    case "pattern":
      return words === undefined
        ? `has the wrong form, got ${found}`
        : `must be ${String(words)}, got ${found}`;
    case "additionalProperties":
      return unknownKey(String(error.params["additionalProperty"]), schema, wrong);
    case "required":
      return `needs the key ${String(error.params["missingProperty"])}`;
    case "minimum":
      return `must be at least ${String(error.params["limit"])}, got ${found}`;
    case "maximum":
      return `must be at most ${String(error.params["limit"])}, got ${found}`;
    default:
      return `is wrong (${error.keyword}), got ${found}`;
  }
}

/** Text that is cast counts as what it becomes. */
function typeWords(error: ErrorObject, schema: Schema): string {
  const types = [error.params["type"] as string | string[]].flat(); // ajv's parameter of "type"
  const { words, cast } = schema;
  const isCast = cast !== undefined || (words !== undefined && types.includes("string"));
  const others = types.filter((type) => !["string", "integer", "number", "boolean"].includes(type));
  if (isCast) return alternatives([String(words), ...others.map((type) => TYPE_WORDS[type] ?? type)]);
  return alternatives(types.map((type) => TYPE_WORDS[type] ?? type));
}

/** Of text with a form of its own nobody means the number alone. */
function quoteHint(error: ErrorObject, schema: Schema, value: unknown): string {
  if (schema["words"] !== undefined) return "";
  const types = [error.params["type"] as string | string[]].flat(); // ajv's parameter of "type"
  const isScalar = typeof value === "number" || typeof value === "boolean";
  return isScalar && types.includes("string") ? `: write "${String(value)}"` : "";
}

/** Keys of older files, and what stands for them now. */
const FORMER: Readonly<Record<string, string>> = {
  volume_driver: "name the driver under the top-level volumes",
  log_driver: "use logging.driver",
  log_opt: "use logging.options",
  net: "use network_mode or networks",
  dockerfile: "use build.dockerfile",
  memory: "use deploy.resources.limits.memory",
  constraints: "use deploy.placement.constraints",
  limits: "use deploy.resources.limits",
  reservations: "use deploy.resources.reservations",
};

function unknownKey(word: string, schema: Schema, { path, root }: Wrong): string {
  const [section] = path;
  const isName = path.length === 2 && schema["properties"] === undefined;
  if (isName) return "must begin with a letter or digit and hold only letters, digits, ., _ and -";
  // JSON Schema's properties are an object
  const known = Object.keys((schema["properties"] ?? {}) as object);
  const near = nearest(word, known);
  const isService = section === "services" && path.length === 3;
  if (isService) {
    const deploy = propertiesOf(root, "deployment");
    if (deploy.includes(word)) return `unknown key: it belongs under deploy: deploy.${word}`;
    const former = Object.hasOwn(FORMER, word) ? FORMER[word] : undefined;
    if (former !== undefined) return `unknown key: ${former}`;
    const deeper = near === undefined ? nearest(word, deploy) : undefined;
    if (deeper !== undefined) return `unknown key: did you mean deploy.${deeper}?`;
    if (near === undefined && TOP.includes(word)) return `unknown key: ${word} stands at the top of the file`;
  }
  if (section === "services" && path[2] === "deploy" && path.length === 4 && near === undefined) {
    const service = propertiesOf(root, "service");
    if (service.includes(word)) return `unknown key: it belongs to the service, not under deploy`;
  }
  if (path.length === 1 && near === undefined && propertiesOf(root, "service").includes(word))
    return `unknown key: it belongs to a service: services.NAME.${word}`;
  return `unknown key${near === undefined ? "" : `: did you mean ${near}?`}`;
}

const TOP = ["services", "include", "name", "version"];

function propertiesOf(root: Schema, definition: string): string[] {
  // the generated schema has them
  const definitions = root["definitions"] as Readonly<Record<string, Schema>>;
  return Object.keys((definitions[definition]?.["properties"] ?? {}) as object);
}

function alternatives(words: readonly string[]): string {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;
}

const FOUND_LENGTH_MAX = 60;

export function shortened(value: unknown): string {
  if (value === null || value === undefined) return "nothing";
  if (Array.isArray(value) && value.length > 3) return `a list of ${value.length}`;
  const text = JSON.stringify(value) ?? String(value);
  return text.length > FOUND_LENGTH_MAX ? `${text.slice(0, FOUND_LENGTH_MAX)}…` : text;
}
