/**
 * What Skein adds to the published schema. Pure (data and rules). The published schema allows text wherever a
 * variable may stand, so `replicas: many` passes it. Here each such place says what the text must look like
 * (`pattern`, in words: `words`) and what it becomes (`cast`).
 * Source: the Compose Specification's chapters; and what Docker's schema 3.13 has beyond it, read for facts.
 */
import { flattenSchema, type Schema, typesOf } from "./flatten-schema.js";

type Mutable = { [keyword: string]: unknown };

const DURATION = {
  pattern: "^(?:0|(?:\\d+(?:\\.\\d+)?(?:ns|us|µs|ms|s|m|h))+)$",
  words: "a duration such as 500ms, 10s or 1m30s",
};
const SIZE = {
  pattern: "^(?:-1|\\d+(?:\\.\\d+)?\\s*(?:[bkmgtBKMGT]?[iI]?[bB]?))$",
  words: "a size such as 64m or 1g",
};
const CPUS = { pattern: "^\\d*\\.?\\d+$", words: "a number of CPUs such as 0.5" };
const INTEGER = { pattern: "^-?\\d+$", words: "an integer" };
const NUMBER = { pattern: "^-?\\d*\\.?\\d+$", words: "a number" };
const BOOLEAN = {
  pattern: "^(?:[tT]rue|TRUE|[fF]alse|FALSE|[yY]es|YES|[nN]o|NO|[oO]n|ON|[oO]ff|OFF|[yYnN])$",
  words: "true or false",
};
const MODE = { pattern: "^(?:0o?)?[0-7]{1,4}$", words: "an octal mode such as 0440" };
const PUBLISHED = { pattern: "^\\d{0,5}(?:-\\d{1,5})?$", words: "a port of 0 to 65535, or a range" };
const COUNT = { pattern: "^(?:all|-?\\d+)$", words: "all or an integer" };
const CPU_TIME = {
  pattern: "^(?:-?\\d+|(?:\\d+(?:\\.\\d+)?(?:ns|us|µs|ms|s|m|h))+)$",
  words: "microseconds, or a duration such as 10ms",
};
const oneOf = (...words: readonly string[]): Schema => ({
  pattern: `^(?:${words.join("|")})$`,
  words: words.length === 1 ? words[0] : `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`,
});

/** Places where text is text, though numbers or truth values may stand, too: by the name of the key. */
const TEXTS = new Set([
  "user",
  "uid",
  "gid",
  "expose",
  "group_add",
  "driver_opts",
  "options",
  "provenance",
  "sbom",
  "list_or_dict",
]);
const SIZES = new Set([
  "shm_size",
  "mem_limit",
  "memswap_limit",
  "mem_reservation",
  "size",
  "rate",
  "memory",
]);
const DURATIONS = new Set([
  "delay",
  "monitor",
  "window",
  "interval",
  "timeout",
  "start_period",
  "start_interval",
  "stop_grace_period",
]);
const CPU_TIMES = new Set(["cpu_period", "cpu_quota", "cpu_rt_period", "cpu_rt_runtime"]);
const FRACTIONS = new Set(["max_failure_ratio", "cpu_percent", "priority", "gw_priority"]);
/** Never negative. */
const COUNTS = new Set([
  "replicas",
  "scale",
  "parallelism",
  "max_attempts",
  "max_replicas_per_node",
  "retries",
]);

/** Beyond the published schema, by place: definition, then the names of keys; `*` is an item of a list. */
const BY_PLACE: Readonly<Record<string, Schema>> = {
  "service.restart": {
    pattern: "^(?:no|always|unless-stopped|on-failure(?::\\d+)?)$",
    words: "no, always, unless-stopped, on-failure or on-failure:N",
  },
  "service.pull_policy": {
    pattern: "^(?:always|never|build|if_not_present|missing|refresh|daily|weekly|every_(?:[0-9]+[wdhms])+)$",
    words: "always, missing, never, build, daily, weekly or every_DURATION",
  },
  "service.container_name": { words: "a name of letters, digits, _, . and -" },
  "service.cgroup": oneOf("host", "private"),
  "service.ports.*.target": { minimum: 1, maximum: 65_535 },
  "service.ports.*.published": { minimum: 0, maximum: 65_535 },
  "service.ports.*.protocol": oneOf("tcp", "udp", "sctp"),
  "service.ports.*.mode": oneOf("ingress", "host"),
  "deployment.mode": oneOf("replicated", "global", "replicated-job", "global-job"),
  "deployment.endpoint_mode": oneOf("vip", "dnsrr"),
  "deployment.update_config.failure_action": oneOf("pause", "continue", "rollback"),
  "deployment.rollback_config.failure_action": oneOf("pause", "continue"),
  "deployment.update_config.max_failure_ratio": { minimum: 0, maximum: 1 },
  "deployment.rollback_config.max_failure_ratio": { minimum: 0, maximum: 1 },
  "deployment.restart_policy.condition": oneOf("none", "on-failure", "any"),
  "env_file.*.format": oneOf("raw"),
};

const PRE_START: Schema = {
  type: "object",
  properties: {
    command: { $ref: "#/definitions/command" },
    image: { type: "string" },
    user: { type: "string" },
    privileged: { type: ["boolean", "string"] },
    working_dir: { type: "string" },
    environment: { $ref: "#/definitions/list_or_dict" },
    per_replica: { type: ["boolean", "string"] },
  },
  additionalProperties: false,
  patternProperties: { "^x-": {} },
};

/**
 * Keys the published file lacks: those of newer chapters (`pre_start`, `no_cache_filter`), one of Docker's
 * version 3, and forms Docker reads (`version: 3.8` without quotes).
 */
function withMore(published: Schema): Schema {
  const root = structuredClone(published) as Mutable;
  const at = (object: unknown, ...keys: readonly string[]): Mutable =>
    keys.reduce((inner, key) => inner[key] as Mutable, object as Mutable); // the published file has them
  const service = at(root, "definitions", "service", "properties");
  service["pre_start"] = { type: "array", items: { $ref: "#/definitions/pre_start_hook" } };
  service["cgroupns_mode"] = { type: "string" };
  // as configs have it
  at(root, "definitions", "secret", "properties")["content"] = { type: "string" };
  at(root, "definitions")["pre_start_hook"] = PRE_START;
  const [, build] = at(service, "build")["oneOf"] as Mutable[];
  at(build, "properties")["no_cache_filter"] = { $ref: "#/definitions/string_or_list" };
  at(root, "properties", "version")["type"] = ["string", "number"];
  // ids without quotes
  at(service, "user")["type"] = ["string", "integer"];
  const [, fileRef] = at(root, "definitions", "service_config_or_secret", "items")["oneOf"] as Mutable[];
  for (const id of ["uid", "gid"]) at(fileRef, "properties", id)["type"] = ["string", "integer"];
  // `networks:` and the like with nothing below, and services of which `extends` says everything
  for (const section of ["services", "networks", "volumes", "secrets", "configs", "models", "include"]) {
    const schema = at(root, "properties", section);
    schema["type"] = [schema["type"], "null"];
  }
  return root;
}

/** What the validator is made of. */
export function fileSchema(published: Schema): Schema {
  const flat = flattenSchema(withMore(published));
  return walk(flat, [], "") as Schema; // a schema stays one
}

/** @param place names of keys below the definition; @param name the key whose value this describes. */
function walk(schema: Schema, place: readonly string[], name: string): Schema {
  const own: Mutable = { ...schema };
  for (const keyword of ["properties", "patternProperties", "definitions"] as const) {
    const map = schema[keyword] as Readonly<Record<string, Schema>> | undefined; // JSON Schema's keywords
    if (map === undefined) continue;
    own[keyword] = Object.fromEntries(
      Object.entries(map).map(([key, inner]) => {
        if (keyword === "definitions") return [key, walk(inner, [key], key)];
        // what any name may stand for is called as the map is
        const isNamed = keyword === "properties";
        return [key, walk(inner, isNamed ? [...place, key] : place, isNamed ? key : name)];
      }),
    );
  }
  const { items } = schema;
  if (typeof items === "object" && items !== null)
    own["items"] = walk(items as Schema, [...place, "*"], name);
  return { ...typed(own, name), ...BY_PLACE[place.join(".")] };
}

function typed(schema: Mutable, name: string): Mutable {
  const types = typesOf(schema);
  const has = (...some: readonly string[]): boolean => some.some((type) => types.includes(type));
  const isText = has("string");
  if (isText && DURATIONS.has(name)) return { ...schema, ...DURATION };
  if (isText && SIZES.has(name)) return { ...schema, type: ["string", "integer"], minimum: -1, ...SIZE };
  if (has("array") || TEXTS.has(name)) return schema;
  const more = COUNTS.has(name) ? { minimum: 0 } : {};
  if (has("boolean")) {
    const all = [...new Set([...types, "string"])];
    return has("integer", "number") ? schema : { ...schema, type: all, cast: "boolean", ...BOOLEAN };
  }
  if (!has("integer", "number")) return schema;
  if (name === "version" || name === "ports") return schema;
  if (name === "cpus") return { ...schema, ...CPUS, minimum: 0 };
  if (name === "mode") return { ...schema, minimum: 0, maximum: 0o7777, ...MODE };
  if (name === "published") return { ...schema, ...PUBLISHED };
  if (name === "count") return { ...schema, cast: "integer", ...COUNT };
  if (CPU_TIMES.has(name)) return { ...schema, cast: "integer", ...CPU_TIME };
  const others = types.filter((type) => !["string", "integer", "number"].includes(type));
  if (FRACTIONS.has(name))
    return { ...schema, type: ["number", "string", ...others], cast: "number", ...NUMBER };
  return { ...schema, type: ["integer", "string", ...others], cast: "integer", ...INTEGER, ...more };
}
