/**
 * Takes from an answer what differs between two runs of the same daemon: ids, times, addresses, paths.
 * Pure.
 */

type Replacement = string | ((match: string) => string);

/** Addresses that mean themselves. */
const KEPT_ADDRESSES = new Set(["0.0.0.0", "127.0.0.1", "127.0.0.11", "8.8.8.8", "1.2.3.4", "10.77.0.5"]);

const RULES: readonly (readonly [RegExp, Replacement])[] = [
  [/\/tmp\/sk[\w-]+\/(?:h1|dockerd)\/[\w./-]*/g, "<PATH>"],
  [/\b[0-9a-f]{64}\b/g, "<ID64>"],
  [/\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?(?: ?[+-]\d{4})?(?: UTC)?/g, "<TIME>"],
  [/\b(?:Less than a second|About an? \w+|\d+ (?:second|minute|hour|day)s?)( ago)?\b/g, "<AGE>$1"],
  [/\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b/g, "<MAC>"],
  [/\b[0-9a-f]{12}\b/g, "<ID12>"],
  [/\b(?:\d{1,3}\.){3}\d{1,3}\b/g, (address) => (KEPT_ADDRESSES.has(address) ? address : "<IP>")],
  [/<IP>\/(?:16|20)\b/g, "<IP>/<POOL>"],
  [/ {2,}/g, " "],
];
/** One colour after its own end: where what a build step says was cut into messages. */
const CUT = "\u001b[0m\u001b[91m";
/** What the CLI says or not, as its own threads race. */
const CHANCE = /^time="[^"]*" level=error msg="Can't .*read\/write on closed pipe"\n?/gm;
/** What passes too quickly to be told every time. */
const PASSING = /Verifying Checksum/;

export function normaliseText(text: string): string {
  let result = text.replace(CHANCE, "").replaceAll(CUT, "");
  for (const [pattern, replacement] of RULES) {
    result =
      typeof replacement === "string"
        ? result.replace(pattern, replacement)
        : result.replace(pattern, replacement);
  }
  return result.trimEnd();
}

/** Keys whose numbers say how fast or how big this run was. */
const VOLATILE_KEY =
  /^(?:Pid|pid|Created|CreatedAt|time|timeNano|Size|SizeRw|SizeRootFs|VirtualSize|SharedSize)$/;

type Flat = Map<string, string>;

function flatten(value: unknown, path: string, into: Flat): void {
  if (Array.isArray(value)) {
    if (value.length === 0) into.set(path, "[]");
    for (const [i, item] of value.entries()) flatten(item, `${path}[${i}]`, into);
    return;
  }
  if (typeof value === "object" && value !== null) {
    const entries = Object.entries(value);
    if (entries.length === 0) into.set(path, "{}");
    for (const [key, inner] of entries) {
      const name = normaliseText(key);
      if (VOLATILE_KEY.test(key) && typeof inner !== "object")
        into.set(`${path}.${name}`, `<${typeof inner}>`);
      else flatten(inner, `${path}.${name}`, into);
    }
    return;
  }
  into.set(path, typeof value === "string" ? JSON.stringify(normaliseText(value)) : String(value));
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Lines of standard error; blank ones come and go with how far the CLI's progress of a copy came. */
export function factsOfErrors(output: string): readonly string[] {
  return factsOf(output).filter((line) => line !== "");
}

/** The facts of an answer: a JSON value as its paths, anything else as its lines. */
export function factsOf(output: string): readonly string[] {
  const text = output.trim();
  const status = /\n(\d{3})$/.exec(text)?.[1];
  const body = status === undefined ? text : text.slice(0, -4).trim();
  const tail = status === undefined ? [] : [`status ${status}`];
  const whole = /^[[{]/.test(body) ? parse(body) : undefined;
  if (whole !== undefined) return [...factsOfJson(whole), ...tail];
  return [
    ...body.split("\n").flatMap((line) => {
      if (PASSING.test(line)) return [];
      const value = line.startsWith("{") ? parse(line) : undefined;
      return value === undefined ? [normaliseText(line)] : [JSON.stringify(factsOfJson(value))];
    }),
    ...tail,
  ];
}

function factsOfJson(value: unknown): string[] {
  const flat: Flat = new Map();
  flatten(value, "", flat);
  return [...flat].map(([path, text]) => `${path} = ${text}`).sort();
}
