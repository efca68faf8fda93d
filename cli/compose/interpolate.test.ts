import assert from "node:assert/strict";
import { test } from "node:test";
import { interpolate } from "./interpolate.js";

const variables = { SET: "x", EMPTY: "" };
const expand = (text: string): string => interpolate(text, variables).text;

test("each form takes the variable, its default or its replacement", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["$SET", "x"],
    ["${SET}y$SET.z", "xyx.z"],
    ["${SET:-d}", "x"],
    ["${EMPTY:-d}", "d"],
    ["${EMPTY-d}", ""],
    ["${UNSET-d}", "d"],
    ["${UNSET:-d}", "d"],
    ["${SET:+o}", "o"],
    ["${EMPTY:+o}", ""],
    ["${EMPTY+o}", "o"],
    ["${UNSET+o}", ""],
    ["${SET?e}", "x"],
    ["${EMPTY?e}", ""],
    ["$$SET $$", "$SET $"],
    ["${UNSET:-${EMPTY:-${SET}}}", "x"],
    ["${UNSET:-a:b-c}", "a:b-c"],
    ["no variable", "no variable"],
    ["a $ b", "a $ b"],
    ["$1", "$1"],
    ["${constructor:-d}$toString", "d"],
    ["^a$", "^a$"],
  ];
  for (const [text, expected] of cases) assert.equal(expand(text), expected, text);
});

test("a required variable that is missing is an error with its own words", () => {
  assert.throws(() => expand("${UNSET?give one}"), /required variable UNSET is missing: give one/);
  assert.throws(() => expand("${EMPTY:?}"), /required variable EMPTY is missing$/);
});

test("an unset variable without default is empty, and named", () => {
  assert.deepEqual(interpolate("${UNSET} $SET", variables), { text: " x", changed: true, unset: ["UNSET"] });
});

test("what is no form is refused", () => {
  for (const text of ["${", "${SET", "${-d}", "${SET!x}"])
    assert.throws(() => expand(text), /invalid interpolation/, text);
});

test("nesting has a bound", () => {
  const deep = `${"${U:-".repeat(40)}x${"}".repeat(40)}`;
  assert.throws(() => expand(deep), /nested deeper than 16/);
});
