import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fuzzSecondsPerFile, runFuzzPart } from "./fuzz-part.js";

test("a file that fails or dies fails the part and its words are told; the others are counted", async () => {
  const dir = mkdtempSync(join(tmpdir(), "skein-fuzz-part-"));
  try {
    const file = (name: string, text: string): string => {
      writeFileSync(join(dir, name), text);
      return join(dir, name);
    };
    const said: string[] = [];
    const totals = await runFuzzPart({
      files: [
        file(
          "good.mjs",
          'const round = process.env.SKEIN_FUZZ_PROPERTY_SECONDS === "4" ? 7 : 100;' +
            'console.log("fuzz-cases " + round); console.log("fuzz-cases 3");',
        ),
        file("bad.mjs", 'console.log("{ seed: 17 }"); process.exitCode = 1;'),
        file("dead.mjs", 'process.kill(process.pid, "SIGABRT");'),
        file("empty.mjs", ""),
      ],
      seconds: 8,
      concurrency: 2,
      say: (line) => said.push(line),
    });
    assert.deepEqual(totals, { pass: 1, fail: 3 });
    const words = said.join("\n");
    assert.match(words, /✔ .*good\.mjs: 113 cases of 2 properties, first seed \d+/);
    assert.match(words, /✖ .*bad\.mjs, first seed \d+: ended with 1\n\{ seed: 17 \}/);
    assert.match(words, /✖ .*dead\.mjs, first seed \d+: ended with SIGABRT/);
    assert.match(words, /✖ .*empty\.mjs, first seed \d+: has no property/);
  } finally {
    rmSync(dir, { recursive: true });
  }
});

test("seconds for a fuzz file: a minute, or what the environment says", () => {
  assert.equal(fuzzSecondsPerFile({}), 60);
  assert.equal(fuzzSecondsPerFile({ SKEIN_FUZZ_SECONDS: "0" }), 0);
  assert.equal(fuzzSecondsPerFile({ SKEIN_FUZZ_SECONDS: "2.5" }), 2.5);
  for (const wrong of ["-1", "a minute", "Infinity"])
    assert.throws(() => fuzzSecondsPerFile({ SKEIN_FUZZ_SECONDS: wrong }), /SKEIN_FUZZ_SECONDS/);
});
