import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { InvalidArgumentError } from "../../../base/errors/errors.js";
import { holds } from "../../../test/fuzz/holds.js";
import { expandWord, expandWords, splitWords } from "./shell-words.js";

const ENV: Readonly<Record<string, string>> = { A: "val", E: "", P: "a/b/c.tar.gz", S: "x y", _u1: "u" };
const expansion = { escapeWith: "\\" as const, lookup: (name: string) => ENV[name] };
const expand = (word: string): string => expandWord(word, expansion);

test("variables, quotes and escapes give what the reference says", () => {
  const cases: Readonly<Record<string, string>> = {
    $A: "val",
    "${A}b": "valb",
    "a$A/$N.": "aval/.",
    $_u1$: "u$",
    "'$A\\'": "$A\\",
    '"$A \\"\\$A\\" \\x"': 'val "$A" \\x',
    "\\$A": "$A",
    "a\\": "a",
    $10: "0".slice(1),
    "${A:-x}${N:-x}${E:-x}": "valxx",
    "${A-x}${N-x}${E-x}": "valx",
    "${A:+x}${N:+x}${E:+x}": "x",
    "${A+x}${N+x}${E+x}": "xx",
    "${N:-${A:+in'n er'}}": "inn er",
    "${P#*/}|${P##*/}|${P%.*}|${P%%.*}": "b/c.tar.gz|c.tar.gz|a/b/c.tar|a/b/c",
    "${P#nothing}|${P#?}|${P%\\*}": "a/b/c.tar.gz|/b/c.tar.gz|a/b/c.tar.gz",
    "${P/\\//-}|${P//[/]/-}|${P//\\//-}": "a-b/c.tar.gz|a/b/c.tar.gz|a-b-c.tar.gz",
    "${A:?no}": "val",
    "[1,2]{x}(y)": "[1,2]{x}(y)",
  };
  for (const [word, wanted] of Object.entries(cases)) assert.equal(expand(word), wanted, word);
});

test("words come apart at blanks that no quote holds", () => {
  assert.deepEqual(expandWords('$S "$S" a\\ b "" c', expansion), ["x", "y", "x y", "a b", "", "c"]);
  assert.deepEqual(splitWords(`a "b c" d\\ e 'f "g' h`), ["a", '"b c"', "d\\ e", `'f "g'`, "h"]);
});

test("content of a heredoc keeps its quotes", () => {
  assert.equal(expandWord(`"$A" '$A' \\$A \\x`, { ...expansion, rawQuotes: true }), `"val" 'val' $A \\x`);
});

test("what is no word is refused, with the word", () => {
  for (const word of ["${A", "${}", "${A:x}", "'a", '"a', "${A!x}", "${N:?gone}", "${A:-${B", "${:-x}"])
    assert.throws(
      () => expand(word),
      (error: unknown) => {
        assert.ok(error instanceof InvalidArgumentError);
        assert.ok(error.message.includes(JSON.stringify(word)), error.message);
        return true;
      },
    );
});

test("nesting and growth are bounded", () => {
  assert.throws(() => expand("${N:-".repeat(100) + "}".repeat(100)), /nested too deep/);
  const big = { ...expansion, lookup: () => "x".repeat(1 << 20) };
  assert.throws(() => expandWord("$A".repeat(20), big), /more than/);
});

test("fuzz: any word expands, or is refused; a text made literal comes out as it was", () => {
  const piece = fc.constantFrom(
    "$",
    "{",
    "}",
    "A",
    ":",
    "-",
    "+",
    "?",
    "#",
    "%",
    "/",
    "*",
    "\\",
    "'",
    '"',
    " ",
    "é",
    "[",
  );
  holds(
    fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
      const word = pieces.join("");
      try {
        expand(word);
        expandWords(word, expansion);
      } catch (error) {
        assert.ok(error instanceof InvalidArgumentError, String(error));
      }
    }),
    { numRuns: 5_000 },
  );
  holds(
    fc.property(fc.string({ unit: "binary", maxLength: 50 }), (text) => {
      assert.equal(expand(text.replace(/["'\\$`\s]/g, "\\$&")), text);
    }),
    { numRuns: 2_000 },
  );
});

test("fuzz: prefixes and suffixes are cut as a simple matcher cuts them", () => {
  const text = fc.stringMatching(/^[ab/]{0,8}$/);
  const pattern = fc.stringMatching(/^[ab*?]{0,5}$/);
  const regexOf = (glob: string): RegExp =>
    new RegExp(`^${glob.replaceAll("*", "[^]*").replaceAll("?", "[^]")}$`);
  holds(
    fc.property(text, pattern, (value, glob) => {
      const lookup = (): string => value;
      const cut = (word: string): string => expandWord(word, { ...expansion, lookup });
      const ends = Array.from({ length: value.length + 1 }, (_, at) => at);
      const heads = ends.filter((at) => regexOf(glob).test(value.slice(0, at)));
      const tails = ends.filter((at) => regexOf(glob).test(value.slice(at)));
      assert.equal(cut(`\${V#${glob}}`), value.slice(heads[0] ?? 0));
      assert.equal(cut(`\${V##${glob}}`), glob === "" ? value : value.slice(heads.at(-1) ?? 0));
      assert.equal(cut(`\${V%${glob}}`), value.slice(0, tails.at(-1) ?? value.length));
      assert.equal(cut(`\${V%%${glob}}`), value.slice(0, tails[0] ?? value.length));
    }),
    { numRuns: 2_000 },
  );
});
