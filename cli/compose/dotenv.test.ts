import assert from "node:assert/strict";
import { test } from "node:test";
import { parseDotenv, parsePlainEnv } from "./dotenv.js";

const options = { variables: { SHELL: "sh", EMPTY: "" }, file: "a.env" };
const parse = (text: string): Record<string, string | null> => Object.fromEntries(parseDotenv(text, options));

test("each form of a line has its value", () => {
  const cases: readonly (readonly [string, Record<string, string | null>])[] = [
    ["A=1", { A: "1" }],
    ["A = 1 ", { A: "1" }],
    ["  A=1", { A: "1" }],
    ["A:1", { A: "1" }],
    ["export A=1", { A: "1" }],
    ["export=1", { export: "1" }],
    ["# words\n\nA=1\n\t# more\nB=2", { A: "1", B: "2" }],
    ["A=VAL # comment", { A: "VAL" }],
    ["A=VAL# none", { A: "VAL# none" }],
    ["A= # comment", { A: "" }],
    ["A=", { A: "" }],
    ["SHELL", { SHELL: "sh" }],
    ["GONE", { GONE: null }],
    ['A="VAL # none"', { A: "VAL # none" }],
    ['A="VAL" # comment', { A: "VAL" }],
    ["A='$OTHER'", { A: "$OTHER" }],
    ["A='Let\\'s go!'", { A: "Let's go!" }],
    ['A="{\\"hello\\": \\"json\\"}"', { A: '{"hello": "json"}' }],
    ['A="some\\tvalue"', { A: "some\tvalue" }],
    ["A='some\\tvalue'", { A: "some\\tvalue" }],
    ["A=some\\tvalue", { A: "some\\tvalue" }],
    ['A="one\ntwo"\nB=3', { A: "one\ntwo", B: "3" }],
    ["A='one\ntwo'", { A: "one\ntwo" }],
    ["A=1\nB=$A-${A}", { A: "1", B: "1-1" }],
    ['A=${SHELL}\nB="${GONE:-d}"', { A: "sh", B: "d" }],
    ['A="\\$X" ', { A: "$X" }],
    ["A=$$X", { A: "$X" }],
    ["SHELL=own\nB=$SHELL", { SHELL: "own", B: "sh" }],
    ["A=a=b", { A: "a=b" }],
    ["\uFEFFA=1\r\nB=2\r\n", { A: "1", B: "2" }],
    ['A="\\0101"', { A: "A" }],
    ["a.b-c[0]=1", { "a.b-c[0]": "1" }],
    ["", {}],
  ];
  for (const [text, expected] of cases) assert.deepEqual(parse(text), expected, JSON.stringify(text));
});

test("what is no line is refused with file and line", () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ["A=1\nB C=2", /^a\.env:2: must be NAME=VALUE$/],
    ["=x", /^a\.env:1: must be NAME=VALUE/],
    ['A="open', /^a\.env:1: a closing " is missing$/],
    ["A='x' y", /^a\.env:1: has more behind the closing ':/],
    ["A=1\nB=${", /^a\.env:3: invalid interpolation|^a\.env:2: invalid interpolation/],
    ["A=${GONE:?say}", /required variable GONE is missing: say/],
  ];
  for (const [text, expected] of cases)
    assert.throws(
      () => parse(text),
      (error: Error) => expected.test(error.message),
      text,
    );
});

test("the plain grammar takes what stands there", () => {
  const text = "# words\nA='q' # no comment\nB=$X\nSHELL\nGONE\n\nC=\n  D=1 ";
  assert.deepEqual(Object.fromEntries(parsePlainEnv(text, options)), {
    A: "'q' # no comment",
    B: "$X",
    SHELL: "sh",
    C: "",
    D: "1 ",
  });
  assert.throws(() => parsePlainEnv("A=1\nB C=1", options), /a\.env:2: must be NAME=VALUE/);
});

test("a file of variables has a bound", () => {
  assert.throws(() => parse(`A=${"x".repeat(2 ** 20)}`), /is longer than 1048576 characters/);
});
