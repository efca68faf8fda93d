import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SkeinError } from "../../base/errors/errors.js";
import { holds } from "../../test/fuzz/holds.js";
import { ComposeError } from "./compose-error.js";
import { parseDotenv, parsePlainEnv } from "./dotenv.js";
import type { ComposeProject } from "./load-project.js";
import { loadMemory, type MemoryProject } from "./reading-fixtures.js";
import { type Schema, typesOf } from "./schema/flatten-schema.js";
import { FILE_SCHEMA } from "./schema/schema.generated.js";
import { shellWords } from "./shell-words.js";

/** Runs of each property; an hour's worth is had by FUZZ_RUNS. */
const RUNS = Number(process.env["FUZZ_RUNS"] ?? 150);

/** Foreign input is understood or refused with a place, never anything else. */
async function readsOrRefuses(project: MemoryProject): Promise<ComposeProject | undefined> {
  try {
    return await loadMemory(project);
  } catch (error) {
    assert.ok(error instanceof ComposeError, String((error as Error).stack));
    for (const { position } of error.findings) assert.ok(position.line >= 1 && position.file !== "");
    return undefined;
  }
}

const piece = fc.constantFrom(
  "services:",
  "\n",
  "  ",
  "    ",
  "web:",
  "image: i",
  "- ",
  "a",
  ": ",
  "&x ",
  "*x",
  "<<: ",
  "{",
  "}",
  "[",
  "]",
  ",",
  '"',
  "'",
  "|\n",
  ">-\n",
  "!reset ",
  "!override ",
  "!!str ",
  "$",
  "${A:-",
  "}",
  "#",
  "---\n",
  "? ",
  "\t",
  "0440",
  "~",
  "extends: web",
  "ports: ['80:80']",
  "environment:",
  "version: '3'",
  "include: [a.yml]",
  "x-a: ",
  "%YAML 1.1\n",
  "\r\n",
);

test("fuzz: pieces of YAML are read or refused", () => {
  const text = fc.array(piece, { maxLength: 40 }).map((pieces) => pieces.join(""));
  return holds(
    fc.asyncProperty(text, fc.boolean(), async (file, interpolate) => {
      await readsOrRefuses({ files: [file], interpolate, others: { "/project/a.yml": file } });
    }),
    { numRuns: RUNS },
  );
});

const word = fc.constantFrom(
  "a",
  "b",
  "/x",
  "./y:/z:ro",
  "80",
  "1-3:4-6",
  "a=b",
  "k:v",
  "$V",
  "${V:-d}",
  "$$",
  "service:a",
  "~/h",
  "",
  "host",
  "no",
);
const DEFINITIONS = FILE_SCHEMA["definitions"] as Readonly<Record<string, Schema>>; // the generated schema's

/** Values the schema allows, mostly. */
function valuesOf(given: Schema, depth: number): fc.Arbitrary<unknown> {
  const ref = given["$ref"] as string | undefined; // JSON Schema's keyword
  const schema = ref === undefined ? given : (DEFINITIONS[ref.slice("#/definitions/".length)] ?? {});
  const pattern = schema["pattern"] as string | undefined;
  const byType: Readonly<Record<string, () => fc.Arbitrary<unknown>>> = {
    string: () => (pattern === undefined ? word : fc.stringMatching(new RegExp(pattern), { maxLength: 12 })),
    integer: () => fc.integer({ min: 1, max: 100 }),
    number: () => fc.constantFrom(0, 1, 0.5, 80),
    boolean: () => fc.boolean(),
    null: () => fc.constant(null),
    array: () => fc.array(valuesOf((schema["items"] ?? {}) as Schema, depth + 1), { maxLength: 2 }),
    object: () => mapOf(schema, depth + 1),
  };
  const values = schema["enum"] as unknown[] | undefined;
  if (values !== undefined) return fc.constantFrom(...values);
  const some = typesOf(schema).flatMap((type) => (byType[type] === undefined ? [] : [byType[type]()]));
  return some.length === 0 ? word : fc.oneof(...some);
}

function mapOf(schema: Schema, depth: number): fc.Arbitrary<unknown> {
  const properties = (schema["properties"] ?? {}) as Readonly<Record<string, Schema>>;
  const required = (schema["required"] ?? []) as readonly string[];
  const patterns = Object.entries((schema["patternProperties"] ?? {}) as Readonly<Record<string, Schema>>);
  const other = patterns.find(([pattern]) => pattern !== "^x-")?.[1];
  if (depth > 8) return fc.constant({});
  const names = Object.keys(properties).filter((name) => !required.includes(name));
  const own =
    names.length === 0
      ? fc.constant({})
      : fc
          .uniqueArray(fc.constantFrom(...names), { maxLength: 3 })
          .chain((keys) => fc.record(recordOf([...required, ...keys], properties, depth)));
  if (other === undefined) return own;
  return fc
    .tuple(own, fc.dictionary(fc.constantFrom("a", "b", "web"), valuesOf(other, depth), { maxKeys: 2 }))
    .map(([one, two]) => ({ ...one, ...two }));
}

const recordOf = (
  keys: readonly string[],
  properties: Readonly<Record<string, Schema>>,
  depth: number,
): Record<string, fc.Arbitrary<unknown>> =>
  Object.fromEntries(keys.map((key) => [key, valuesOf(properties[key] ?? {}, depth)]));

test("fuzz: what the schema allows is read or refused, and nothing is left empty", () => {
  const service = valuesOf({ $ref: "#/definitions/service" }, 3).map((value) => ({
    image: "i",
    ...(value as object), // a map
  }));
  const project = fc.record({
    services: fc.record({ web: service, a: fc.constant({ image: "i" }), b: fc.constant({ image: "i" }) }),
    networks: fc.constant({ a: null, b: {}, web: {} }),
    volumes: fc.record({
      a: valuesOf({ $ref: "#/definitions/volume" }, 3),
      b: fc.constant(null),
      k: fc.constant({}),
    }),
    secrets: fc.constant({ a: { file: "a" }, b: { environment: "b" } }),
    configs: fc.constant({ a: { content: "$$" }, b: { external: true } }),
    models: fc.constant({ a: { model: "m" }, b: { model: "m" }, web: { model: "m" } }),
  });
  return holds(
    fc.asyncProperty(project, async (value) => {
      const first = await readsOrRefuses({ files: [JSON.stringify(value)], variables: { V: "v" } });
      if (first === undefined) return;
      assert.ok(!JSON.stringify({ ...first.doc, services: {} }).includes("null"));
    }),
    { numRuns: RUNS },
  );
});

test("fuzz: files of variables and command lines are read or refused", () => {
  const text = fc.array(fc.oneof(word, fc.constantFrom("\n", '"', "'", "\\", "=", " #", "export ", "\\n")), {
    maxLength: 20,
  });
  return holds(
    fc.property(text, (pieces) => {
      for (const read of [parseDotenv, parsePlainEnv])
        refusesOrReads(() => read(pieces.join(""), { variables: { V: "v" }, file: "f" }));
      refusesOrReads(() => shellWords(pieces.join("")));
    }),
    { numRuns: RUNS },
  );
});

function refusesOrReads(read: () => void): void {
  try {
    read();
  } catch (error) {
    assert.ok(error instanceof SkeinError, String((error as Error).stack));
  }
}
