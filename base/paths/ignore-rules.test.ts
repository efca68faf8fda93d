import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { holds } from "../../test/fuzz/holds.js";
import { InvalidArgumentError } from "../errors/errors.js";
import { matchesPath, readDockerignore, readPathPattern } from "./ignore-rules.js";

function excluded(ignore: string, paths: readonly string[]): string[] {
  const rules = readDockerignore(ignore);
  return paths.filter((path) => rules.excludes(path));
}

test("patterns exclude what they name, and all below", () => {
  const paths = ["a", "a/b", "a/b/c.txt", "x.txt", "d/x.txt", "d/e/x.txt", "ab", "temp1"];
  const cases: Readonly<Record<string, readonly string[]>> = {
    a: ["a", "a/b", "a/b/c.txt"],
    "/a/": ["a", "a/b", "a/b/c.txt"],
    "./a/../a/b": ["a/b", "a/b/c.txt"],
    "*.txt": ["x.txt"],
    "*/*.txt": ["d/x.txt"],
    "**/*.txt": ["a/b/c.txt", "x.txt", "d/x.txt", "d/e/x.txt"],
    "d/**": ["d/x.txt", "d/e/x.txt"],
    "d/**/x.txt": ["d/x.txt", "d/e/x.txt"],
    "temp?": ["temp1"],
    "[a-b]": ["a", "a/b", "a/b/c.txt"],
    "[^t]b": ["ab"],
    "a**b": ["a/b", "a/b/c.txt", "ab"],
    "# a\n\n  a/b  ": ["a/b", "a/b/c.txt"],
    "*": paths,
    ".": [],
  };
  for (const [ignore, wanted] of Object.entries(cases))
    assert.deepEqual(excluded(ignore, paths), wanted, ignore);
});

test("the last pattern that matches decides", () => {
  assert.deepEqual(excluded("*\n!a\na/b", ["a", "a/b", "a/c", "x"]), ["a/b", "x"]);
  assert.deepEqual(excluded("a\n! a/keep ", ["a/keep/x", "a/y"]), ["a/y"]);
});

test("what is no pattern is refused", () => {
  for (const pattern of ["!", "[", "[a", "[]a]", "[a-]", "a\\", "[-a]"])
    assert.throws(() => readDockerignore(pattern), InvalidArgumentError, pattern);
});

test("fuzz: any text is read in time, or refused", () => {
  const piece = fc.constantFrom(
    "*",
    "**",
    "/",
    "?",
    "[",
    "]",
    "a",
    "b",
    "-",
    "^",
    "\\",
    "!",
    "\n",
    ".",
    "..",
    "#",
    " ",
  );
  holds(
    fc.property(fc.array(piece, { maxLength: 80 }), fc.stringMatching(/^[ab/]{0,60}$/), (pieces, path) => {
      try {
        readDockerignore(pieces.join("")).excludes(path);
      } catch (error) {
        assert.ok(error instanceof InvalidArgumentError, String(error));
      }
    }),
    { numRuns: 3_000 },
  );
  const worst = readPathPattern(`${"**/a*".repeat(200)}b`);
  assert.equal(matchesPath(worst, "a/".repeat(1_000)), false);
});

test("fuzz: patterns match as their regular expression does", () => {
  const piece = fc.constantFrom("*", "**", "**/", "/", "?", "a", "b");
  const regexOf = (pattern: string): RegExp => {
    let text = "";
    for (let at = 0; at < pattern.length; at++) {
      if (pattern.startsWith("**", at)) {
        at += pattern[at + 2] === "/" ? 2 : 1;
        text += at + 1 >= pattern.length ? ".*" : "(.*/)?";
      } else if (pattern[at] === "*") text += "[^/]*";
      else text += pattern[at] === "?" ? "[^/]" : pattern[at];
    }
    return new RegExp(`^${text}$`);
  };
  holds(
    fc.property(fc.array(piece, { maxLength: 6 }), fc.stringMatching(/^[ab/]{0,8}$/), (pieces, path) => {
      const pattern = pieces.join("");
      assert.equal(
        matchesPath(readPathPattern(pattern), path),
        regexOf(pattern).test(path),
        `${pattern} ${path}`,
      );
    }),
    { numRuns: 3_000 },
  );
});
