import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { InvalidArgumentError } from "../../../base/errors/errors.js";
import { holds } from "../../../test/fuzz/holds.js";
import { readDockerfile } from "./dockerfile-lines.js";
import { parseDockerfile, stagesUpTo } from "./dockerfile-stages.js";

const linesOf = (text: string) =>
  readDockerfile(text).lines.map(({ keyword, flags, rest, line }) => [line, keyword, ...flags, rest]);

test("lines go on after the escape character, over remarks, not after a doubled one", () => {
  assert.deepEqual(linesOf("FROM x\r\nRUN a \\\r\n# remark\n  b \\ \t\n c\nRUN d \\\\\nCMD e"), [
    [1, "FROM", "x"],
    [2, "RUN", "a   b  c"],
    [6, "RUN", "d \\\\"],
    [7, "CMD", "e"],
  ]);
});

test("directives count at the top only, once each, and in any case", () => {
  const { escapeWith, lines } = readDockerfile(
    "# Syntax = docker/dockerfile:1\n# ESCAPE=`\nRUN a `\n b\\\nRUN c",
  );
  assert.equal(escapeWith, "`");
  assert.deepEqual(
    lines.map(({ rest }) => rest),
    ["a  b\\", "c"],
  );
  assert.equal(readDockerfile("# a remark\n# escape=`\nRUN a").escapeWith, "\\");
  assert.equal(readDockerfile("# unknown=x\n# escape=`\nRUN a").escapeWith, "\\");
  assert.throws(() => readDockerfile("# escape=`\n# escape=`\nRUN a"), /only one escape parser directive/);
  assert.throws(() => readDockerfile("# escape=x\nRUN a"), /invalid escape token 'x'/);
});

test("flags stand before the rest, quotes taken away", () => {
  assert.deepEqual(linesOf("copy --from='a b' --chown=x\\ y --  --z w"), [
    [1, "COPY", "--from=a b", "--chown=x y", "--z w"],
  ]);
});

test("a file that begins with a byte order mark, and one without instructions", () => {
  assert.deepEqual(linesOf("\uFEFFFROM x"), [[1, "FROM", "x"]]);
  assert.throws(() => readDockerfile("# x\n\n"), /file with no instructions/);
});

test("heredocs: several, quoted, with tabs; only where an instruction takes them", () => {
  const { lines } = readDockerfile(
    "COPY <<A <<-'B' /x\n$a\nA\n\tb\n\tB\nRUN cat <<EOF > /x\nEOF\nENV A=<<X\nRUN echo \"<<no\" a<<no 1<<Y\nY\n",
  );
  assert.deepEqual(
    lines.map(({ keyword, heredocs }) => [keyword, heredocs]),
    [
      [
        "COPY",
        [
          { name: "A", expands: true, content: "$a\n" },
          { name: "B", expands: false, content: "b\n" },
        ],
      ],
      ["RUN", [{ name: "EOF", expands: true, content: "" }]],
      ["ENV", []],
      ["RUN", [{ name: "Y", expands: true, content: "" }]],
    ],
  );
  assert.throws(() => readDockerfile("FROM x\nRUN <<EOF\necho"), /line 2: unterminated heredoc/);
});

test("an empty line within a continued one is warned about", () => {
  assert.deepEqual(readDockerfile("RUN a \\\n\n b").warnings, [
    "[WARNING]: Empty continuation line found in:\n    RUN a  b",
  ]);
  assert.deepEqual(readDockerfile("RUN a \\\n").warnings, []);
});

test("stages end at the target, by name or number", () => {
  const { stages, globalArgs } = parseDockerfile("ARG A=1\nFROM a AS One\nRUN x\nFROM b\nFROM c AS two\n");
  assert.equal(globalArgs.length, 1);
  const upTo = (target: string) => stagesUpTo(stages, target).map(({ from }) => from.image);
  assert.deepEqual(upTo(""), ["a", "b", "c"]);
  assert.deepEqual(upTo("ONE"), ["a"]);
  assert.deepEqual(upTo("1"), ["a", "b"]);
  assert.throws(() => upTo("3"), /failed to reach build target 3/);
  assert.throws(() => parseDockerfile("RUN x\nFROM a"), /no build stage in current context/);
});

const PIECES = [
  "FROM a",
  "RUN ",
  "COPY ",
  "ADD ",
  "ENV ",
  "LABEL ",
  "ONBUILD ",
  "HEALTHCHECK ",
  "CMD ",
  "--from=",
  "--mount=",
  "--chown=",
  "<<EOF",
  "<<-'X'",
  "EOF",
  "X",
  "\\",
  "\n",
  "\\\n",
  "\r\n",
  "\t",
  " ",
  "#",
  "# escape=`\n",
  '"',
  "'",
  "[",
  '["a"]',
  "]",
  "${",
  "}",
  "$A",
  ":-",
  "=",
  "a",
  "`",
  "\0",
  "\uFEFF",
  "é",
  "\u2028",
];

test("fuzz: any text is read, or refused as an invalid argument", () => {
  holds(
    fc.property(fc.array(fc.constantFrom(...PIECES), { maxLength: 60 }), (pieces) => {
      const text = pieces.join("");
      try {
        const { stages } = parseDockerfile(text);
        for (const stage of stages) for (const step of stage.steps) assert.ok(step.line >= 1);
      } catch (error) {
        assert.ok(error instanceof InvalidArgumentError, String(error));
      }
    }),
    { numRuns: 3_000 },
  );
  holds(
    fc.property(fc.string({ unit: "binary", maxLength: 200 }), (text) => {
      try {
        parseDockerfile(`FROM x\n${text}`);
      } catch (error) {
        assert.ok(error instanceof InvalidArgumentError, String(error));
      }
    }),
    { numRuns: 1_000 },
  );
});

test("fuzz: what is read can be read again from its own text", () => {
  const word = fc.stringMatching(/^[a-z0-9=./-]{1,8}$/);
  const instruction = fc.tuple(
    fc.constantFrom("RUN", "ENV", "CMD", "USER"),
    fc.array(word, { minLength: 1, maxLength: 4 }),
  );
  holds(
    fc.property(fc.array(instruction, { minLength: 1, maxLength: 10 }), (instructions) => {
      const text = instructions
        .map(([keyword, words]) => `${keyword} ${words.join(" \\\n")}`)
        .join("\n# x\n");
      const { lines } = readDockerfile(text);
      assert.equal(lines.length, instructions.length);
      const again = readDockerfile(lines.map((line) => line.text).join("\n")).lines;
      assert.deepEqual(
        again.map(({ rest }) => rest),
        lines.map(({ rest }) => rest),
      );
    }),
    { numRuns: 500 },
  );
});
