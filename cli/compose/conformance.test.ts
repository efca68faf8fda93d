import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { InvalidArgumentError, messageOf } from "../../base/errors/errors.js";
import { CONFORMANCE, EXTRA_KEYS } from "./conformance.js";
import { INSTEAD, PROJECTS, READ_KEYS } from "./conformance-fixtures.js";
import { conformanceText } from "./conformance-text.js";
import { convertStack } from "./convert-project.js";
import { loadProject } from "./load-project.js";
import type { ComposeDoc } from "./model.js";

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = resolve(HERE, HERE.includes("/dist/") ? "../../.." : "../..");

const partsOf = (path: string): string[] => path.replaceAll("[]", ".[]").split(".");

interface Schema {
  readonly $ref?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly patternProperties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema | boolean;
  readonly items?: Schema;
  readonly oneOf?: readonly Schema[];
  readonly anyOf?: readonly Schema[];
  readonly definitions?: Readonly<Record<string, Schema>>;
}

/** Paths of all keys of the published schema. */
function schemaKeys(): Set<string> {
  const text = readFileSync(resolve(ROOT, "cli/compose/schema/compose-spec.json"), "utf8");
  const root = JSON.parse(text) as Schema;
  const keys = new Set<string>();
  const walk = (schema: Schema, path: string): void => {
    if (schema.$ref !== undefined) {
      walk(root.definitions?.[schema.$ref.split("/").at(-1) ?? ""] ?? {}, path);
      return;
    }
    for (const choice of [...(schema.oneOf ?? []), ...(schema.anyOf ?? [])]) walk(choice, path);
    for (const [key, inner] of Object.entries(schema.properties ?? {})) {
      const below = path === "" ? key : `${path}.${key}`;
      keys.add(below);
      walk(inner, below);
    }
    for (const [pattern, inner] of Object.entries(schema.patternProperties ?? {}))
      if (pattern !== "^x-") walk(inner, `${path}.*`);
    if (typeof schema.additionalProperties === "object") walk(schema.additionalProperties, `${path}.*`);
    if (schema.items !== undefined) walk(schema.items, `${path}[]`);
  };
  walk(root, "");
  return keys;
}

/** Every place of a project that a path of the table means. */
function places(value: unknown, parts: readonly string[]): (string | number)[][] {
  const [part, ...rest] = parts;
  if (part === undefined) return [[]];
  if (typeof value !== "object" || value === null) return [];
  const keys: (string | number)[] =
    part === "[]"
      ? Array.isArray(value)
        ? value.map((_, i) => i)
        : []
      : part === "*"
        ? Object.keys(value)
        : Object.hasOwn(value, part)
          ? [part]
          : [];
  return keys.flatMap((key) =>
    places((value as Record<string | number, unknown>)[key], rest).map((below) => [key, ...below]),
  );
}

/** The project without what stands there, or with something else instead. */
function changed(project: ComposeDoc, place: readonly (string | number)[], instead: unknown): ComposeDoc {
  const copy = structuredClone(project);
  let at = copy as unknown as Record<string | number, unknown>; // walked along keys that are there
  for (const part of place.slice(0, -1)) at = at[part] as Record<string | number, unknown>;
  const last = place.at(-1) ?? "";
  if (instead === undefined) delete at[last];
  else at[last] = instead;
  return copy;
}

/** Sections must stay, and be empty. */
const SECTIONS = ["networks", "volumes", "secrets", "configs"];

const became = (project: ComposeDoc): string => {
  const { definition, data, builds } = convertStack("s", project);
  return JSON.stringify({ definition, data, builds });
};

test("the table has exactly the keys of the published schema, and the few of version 3", () => {
  const wanted = [...schemaKeys(), ...EXTRA_KEYS].sort();
  assert.deepEqual(Object.keys(CONFORMANCE).sort(), wanted);
});

/** What reading does with a key: both files, of which the first has it. */
const READINGS: Readonly<Record<string, readonly [string, string]>> = {
  version: [
    "version: '3'\nservices: {a: {image: i, privileged: true}}",
    "services: {a: {image: i, privileged: true}}",
  ],
  name: ["name: n\nservices: {a: {image: i}}", "services: {a: {image: i}}"],
  include: ["include: [more.yml]\nservices: {a: {image: i}}", "services: {a: {image: i}}"],
  "include[].path": ["include: [{path: more.yml}]", "include: [{path: other.yml}]"],
  "include[].env_file": [
    "include: [{path: more.yml, env_file: vars.env}]",
    "include: [{path: more.yml, env_file: other.env}]",
  ],
  "include[].project_directory": [
    "include: [{path: mounts.yml, project_directory: /x}]",
    "include: [{path: mounts.yml}]",
  ],
  "services.*.env_file": ["services: {a: {image: i, env_file: vars.env}}", "services: {a: {image: i}}"],
  "services.*.env_file[].path": [
    "services: {a: {image: i, env_file: [{path: vars.env}]}}",
    "services: {a: {image: i, env_file: [{path: other.env}]}}",
  ],
  "services.*.env_file[].format": [
    "services: {a: {image: i, env_file: [{path: quotes.env, format: raw}]}}",
    "services: {a: {image: i, env_file: [{path: quotes.env}]}}",
  ],
  "services.*.env_file[].required": [
    "services: {a: {image: i, env_file: [{path: absent.env, required: false}]}}",
    "services: {a: {image: i, env_file: [{path: absent.env}]}}",
  ],
  "services.*.label_file": ["services: {a: {image: i, label_file: vars.env}}", "services: {a: {image: i}}"],
  "services.*.profiles": [
    "services: {a: {image: i}, b: {image: i, profiles: [x]}}",
    "services: {a: {image: i}, b: {image: i}}",
  ],
  "services.*.extends": [
    "services: {a: {extends: b}, b: {image: j, init: true}}",
    "services: {a: {image: j}, b: {image: j, init: true}}",
  ],
  "services.*.extends.service": [
    "services: {a: {extends: {service: b}}, b: {image: j}, c: {image: k}}",
    "services: {a: {extends: {service: c}}, b: {image: j}, c: {image: k}}",
  ],
  "services.*.extends.file": [
    "services: {a: {extends: {service: b, file: more.yml}}, b: {image: j}}",
    "services: {a: {extends: {service: b}}, b: {image: j}}",
  ],
  ...Object.fromEntries(
    ["networks", "volumes", "secrets", "configs"].map((kind) => {
      const use = kind === "volumes" ? "volumes: ['xx:/x']" : `${kind}: [x]`;
      const file = (name: string): string =>
        `services: {a: {image: i, ${use}}}\n${kind}: {${kind === "volumes" ? "xx" : "x"}: {external: {name: ${name}}}}`;
      return [`${kind}.*.external.name`, [file("one"), file("two")]];
    }),
  ),
};

const FILES: Readonly<Record<string, string>> = {
  "/p/more.yml": "services: {b: {image: '${B:-more}'}}",
  "/p/other.yml": "services: {c: {image: other}}",
  "/p/mounts.yml": "services: {b: {image: i, volumes: ['./a:/a']}}",
  "/p/vars.env": "B=1\n",
  "/p/other.env": "B=2\n",
  "/p/quotes.env": "B='1'\n",
};

async function readAs(text: string): Promise<string> {
  const readOptional = async (path: string): Promise<string | undefined> => FILES[path];
  const readText = async (path: string): Promise<string> => {
    const found = FILES[path];
    if (found === undefined) throw new InvalidArgumentError(`no ${path}`);
    return found;
  };
  try {
    const surroundings = { folder: "/p", home: "/h", variables: {}, readText, readOptional };
    const { doc } = await loadProject([{ name: "compose.yml", text }], surroundings);
    return `${doc.name} ${became(doc)}`;
  } catch (error) {
    return messageOf(error);
  }
}

test("every key that reading takes care of changes what a file becomes", async () => {
  assert.deepEqual(Object.keys(READINGS).sort(), [...READ_KEYS].sort());
  for (const [key, [one, other]] of Object.entries(READINGS)) {
    const [first, second] = [await readAs(one), await readAs(other)];
    assert.match(first, /"definition"/, `${key}: ${first}`);
    assert.notEqual(first, second, key);
  }
});

test("the projects of the fixtures are converted without a fault", () => {
  for (const project of PROJECTS) assert.deepEqual(convertStack("s", project).faults, []);
});

test("every key that is honoured changes what a project becomes", () => {
  const dead: string[] = [];
  const services = (project: ComposeDoc): number => convertStack("s", project).definition.Services.length;
  for (const [key, { fate }] of Object.entries(CONFORMANCE)) {
    if (fate !== "honoured" || READ_KEYS.includes(key)) continue;
    const instead = INSTEAD[key] ?? (SECTIONS.includes(key) ? {} : undefined);
    const moved = PROJECTS.some((project) =>
      places(project, partsOf(key)).some((place) => {
        const other = changed(project, place, instead);
        // a service that fell out because of a fault is no effect of the key
        const whole =
          ["services", "services.*.pre_start"].includes(key) || services(other) === services(project);
        return whole && became(other) !== became(project);
      }),
    );
    if (!moved) dead.push(key);
  }
  assert.deepEqual(dead, []);
});

test("what Docker leaves out of a file with a version changes nothing there, and is warned about", () => {
  const wrong: string[] = [];
  for (const [key, fate] of Object.entries(CONFORMANCE)) {
    if (fate.fate !== "honoured" || fate.ignoredWithVersion !== true) continue;
    const found = PROJECTS.flatMap((project) =>
      places(project, partsOf(key)).map((place) => ({ project: { ...project, version: "3.8" }, place })),
    );
    if (found.length === 0) wrong.push(`${key} is in no project`);
    for (const { project, place } of found) {
      const warned = (one: ComposeDoc): number => convertStack("s", one).warnings.length;
      const without = changed(project, place, undefined);
      if (became(without) !== became(project)) wrong.push(`${key} has an effect`);
      if (warned(without) >= warned(project)) wrong.push(`${key} is not warned about`);
    }
  }
  assert.deepEqual(wrong, []);
});

test("docs/compose.md is the table: node --import tsx scripts/write-compose-doc.mjs writes it", () => {
  assert.equal(readFileSync(resolve(ROOT, "docs/compose.md"), "utf8"), conformanceText());
});
