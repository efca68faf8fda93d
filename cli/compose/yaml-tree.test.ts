import assert from "node:assert/strict";
import { test } from "node:test";
import { ComposeError, findingText } from "./compose-error.js";
import { Sources } from "./sources.js";
import { FILE_LENGTH_MAX, readYaml } from "./yaml-tree.js";

const read = (text: string): unknown =>
  readYaml({ name: "f.yml", text }, { sources: new Sources(), variables: {} }).value;

function faults(text: string): string[] {
  try {
    read(text);
  } catch (error) {
    assert.ok(error instanceof ComposeError, String(error));
    return error.findings.map(findingText);
  }
  throw new Error("the text was accepted");
}

test("anchors, aliases and merge keys: own keys first, then the first of several maps", () => {
  const text = `one: &one {a: 1, b: 1}
two: &two {b: 2, c: 2}
all: {<<: [*one, *two], c: 3}
alone: {<<: *one}
inline: {<<: {a: 9}, b: 8}
list: [*one, *two]
scalar: &s text
again: *s
`;
  assert.deepEqual(read(text), {
    one: { a: 1, b: 1 },
    two: { b: 2, c: 2 },
    all: { a: 1, b: 1, c: 3 },
    alone: { a: 1, b: 1 },
    inline: { a: 9, b: 8 },
    list: [
      { a: 1, b: 1 },
      { b: 2, c: 2 },
    ],
    scalar: "text",
    again: "text",
  });
});

test("an anchor that is given anew means the last one above", () => {
  assert.deepEqual(read("a: &x 1\nb: *x\nc: &x 2\nd: *x\n"), { a: 1, b: 1, c: 2, d: 2 });
});

test("numbers, words and octal modes are read as YAML 1.2 with Docker's octal numbers", () => {
  assert.deepEqual(read("[0440, 0o17, 12, 1.5, yes, on, true, ~, null, 22:22, 2020-01-01]"), [
    0o440,
    0o17,
    12,
    1.5,
    "yes",
    "on",
    true,
    null,
    null,
    "22:22",
    "2020-01-01",
  ]);
});

test("what is no compose file's YAML is refused with line and reason", () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ["a: [1\nb: 2\n", /^f\.yml:[12]: is not YAML: /],
    ["a: 1\nb: 2\na: 3\n", /^f\.yml:3: a: stands twice in the same map: first in line 1$/],
    ["x:\n  <<: {a: 1}\n  <<: {b: 1}\n", /^f\.yml:3: x: << stands twice: write <<: \[\*one, \*other\]$/],
    ["x: {<<: 5}\n", /^f\.yml:1: x: << must be a map, or a list of maps$/],
    ["a: *gone\n", /^f\.yml:1: a: there is no anchor &gone above \*gone$/],
    ["a: &a [*a]\n", /^f\.yml:1: a\[0\]: \*a stands within its own anchor$/],
    ["a: !other 1\n", /^f\.yml:1: a: has the unknown tag !other: known are !reset and !override$/],
    ["a: 1\n---\nb: 1\n", /^f\.yml:2: holds a second document: a compose file is one$/],
    ["? [a, b]\n: 1\n", /^f\.yml:1: has a key that is no text$/],
    ["__proto__: {a: 1}\n", /^f\.yml:1: __proto__: is no name$/],
    ["a: ${X:?give it}\n", /^f\.yml:1: a: required variable X is missing: give it$/],
  ];
  for (const [text, expected] of cases) assert.match(faults(text)[0] ?? "", expected, text);
});

test("a hostile text is refused in bounded time, with the rule in words", () => {
  const bomb = [
    "x0: &a0 [x, x]",
    ...Array.from({ length: 60 }, (_, i) => `x${i + 1}: &a${i + 1} [${Array(10).fill(`*a${i}`).join(", ")}]`),
  ];
  const mergeChain = [
    "x0: &x0 {a: 1}",
    ...Array.from({ length: 3_000 }, (_, i) => `x${i + 1}: &x${i + 1}\n  <<: *x${i}\n  k${i}: 1`),
  ];
  const cases: readonly (readonly [string, RegExp])[] = [
    [bomb.join("\n"), /the file unfolds to more than 200000 values$/],
    [mergeChain.join("\n"), /merge keys bring more than 100000 keys$/],
    [`a: ${"[".repeat(100_000)}`, /maps and lists are nested deeper than 100$/],
    [`a: ${"{a: ".repeat(100_000)}`, /maps and lists are nested deeper than 100$/],
    ["- ".repeat(100_000), /maps and lists are nested deeper than 100$/],
    [Array.from({ length: 500 }, (_, i) => `${" ".repeat(i)}a:`).join("\n"), /nested deeper than 100$/],
    ["- a\n".repeat(200_000), /has more than 100000 values and comments$/],
    ["a: b\n".repeat(2_000_000), new RegExp(`is longer than ${FILE_LENGTH_MAX} characters$`)],
    [`a: "${"x".repeat(FILE_LENGTH_MAX)}"`, /is longer than/],
  ];
  for (const [text, expected] of cases) {
    const before = process.cpuUsage();
    assert.match(faults(text)[0] ?? "", expected);
    const { user, system } = process.cpuUsage(before);
    assert.ok(user + system < 20_000_000, `${(user + system) / 1e6} s for ${expected}`);
  }
});

test("an alias that stands often costs what it says", () => {
  const text = `x: &x {a: [1, 2, 3]}\n${Array.from({ length: 5_000 }, (_, i) => `k${i}: *x`).join("\n")}\n`;
  const value = read(text) as Record<string, unknown>; // the text is a map
  assert.equal(Object.keys(value).length, 5_001);
  assert.equal(value["k0"], value["k4999"]);
});
