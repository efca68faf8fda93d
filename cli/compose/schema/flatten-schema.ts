/**
 * The published schema in a form that gives one clear error for one mistake: branches of `oneOf` that differ
 * by type become one schema. Pure.
 * "A string, or a map with these keys" as `oneOf` fails with an error per branch; as one schema with two
 * types it says which key of the map is wrong. The meaning is the same: keywords of JSON Schema are about one
 * type each, and branches whose types overlap are refused here. Descriptions are left out.
 */

export type Schema = { readonly [keyword: string]: unknown };
type Mutable = { [keyword: string]: unknown };

const PROSE = new Set(["description", "title", "default", "deprecated", "$schema", "$id"]);
/** Keywords that hold a map of schemas, and those that hold one. */
const MAPS = new Set(["properties", "patternProperties", "definitions"]);
const SINGLE = new Set(["items", "additionalProperties"]);

const isSchema = (value: unknown): value is Schema =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** @throws {Error} a schema of a shape that is not foreseen: a new edition has to be looked at. */
export function flattenSchema(root: Schema): Schema {
  const definitions = (root["definitions"] ?? {}) as Readonly<Record<string, Schema>>; // the file has it
  const flatten = (schema: Schema): Schema => {
    const flat: Mutable = {};
    for (const [keyword, value] of Object.entries(schema)) {
      if (PROSE.has(keyword)) continue;
      // uniqueItems costs the square of the length; `unique` is checked by typed-values.ts
      if (keyword === "uniqueItems") {
        if (value === true) flat["unique"] = true;
      } else if (keyword === "oneOf") Object.assign(flat, merged((value as Schema[]).map(inlined)));
      else if (MAPS.has(keyword)) flat[keyword] = eachOf(value as Readonly<Record<string, Schema>>, flatten);
      else if (SINGLE.has(keyword) && isSchema(value)) flat[keyword] = flatten(value);
      else flat[keyword] = value;
    }
    return flat;
  };
  const inlined = (schema: Schema): Schema => {
    const ref = schema["$ref"];
    if (typeof ref !== "string") return flatten(schema);
    const found = definitions[ref.replace("#/definitions/", "")];
    if (found === undefined) throw new Error(`the schema refers to ${ref}, which it does not have`);
    return flatten(found);
  };
  return flatten(root);
}

function eachOf(
  schemas: Readonly<Record<string, Schema>>,
  make: (schema: Schema) => Schema,
): Record<string, Schema> {
  return Object.fromEntries(Object.entries(schemas).map(([key, schema]) => [key, make(schema)]));
}

export const typesOf = (schema: Schema): string[] => {
  const type = schema["type"] as string | string[] | undefined; // JSON Schema's keyword
  return type === undefined ? [] : [type].flat();
};

/** An enum of strings, in a schema that allows other types, too. */
const oneOf = (words: readonly string[]): Schema => ({
  pattern: `^(?:${words.join("|")})$`,
  words: words.join(" or "),
});

function merged(branches: readonly Schema[]): Schema {
  const all: Mutable = {};
  const types: string[] = [];
  for (const branch of branches) {
    const own = typesOf(branch);
    if (own.length === 0 || own.some((type) => types.includes(type)))
      throw new Error(`branches of oneOf overlap: ${JSON.stringify(branches)}`);
    types.push(...own);
    for (const [keyword, value] of Object.entries(branch)) {
      if (keyword === "type") continue;
      // an enum speaks of every type, a pattern of strings alone
      if (keyword === "enum") Object.assign(all, oneOf(value as string[]));
      else if (keyword in all) throw new Error(`branches of oneOf both have ${keyword}`);
      else all[keyword] = value;
    }
  }
  return { type: types, ...all };
}
