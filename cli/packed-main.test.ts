import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const SOURCE = import.meta.url.endsWith(".ts");
const MAIN = SOURCE ? "main.ts" : "main.js";
const LOADER = SOURCE ? ["--import", fileURLToPath(import.meta.resolve("tsx"))] : [];
const says = (who: string): string => `async (words) => console.log("${who}", ...words)`;
const module = (who: string): string => `export const runSkein = ${says(who)};`;

test("the packed file is used unless a module is another one than when it was packed", async () => {
  const folder = mkdtempSync(join(tmpdir(), "skein-packed-"));
  const path = (name: string): string => join(folder, "dist/cli", name);
  const run = async (): Promise<string> => {
    const args = [...LOADER, path(MAIN), "service", "ls"];
    return (await promisify(execFile)(process.execPath, args)).stdout.trim();
  };
  const pack = (): void => {
    const text = module("modules");
    const { mtimeMs } = statSync(path("run-skein.js"));
    const hash = createHash("sha256").update(text).digest("hex");
    const files = [
      ["run-skein.js", text.length, mtimeMs, hash],
      ["gone.js", 1, 1, hash],
    ];
    const script = `(function (require, module) { module.exports = { runSkein: ${says("packed")} }; })`;
    writeFileSync(path("skein.cjs"), `//${JSON.stringify({ id: "abcd", files })}\n${script}`);
  };
  try {
    mkdirSync(path("."), { recursive: true });
    writeFileSync(join(folder, "package.json"), '{"type":"module"}');
    copyFileSync(fileURLToPath(new URL(MAIN, import.meta.url)), path(MAIN));
    writeFileSync(path("run-skein.js"), module("modules"));
    assert.equal(await run(), "modules service ls");
    pack();
    assert.equal(await run(), "packed service ls");
    for (const cache of ["abcdnothing that V8 has written", "of another file"]) {
      writeFileSync(path("skein.cache"), cache);
      assert.equal(await run(), "packed service ls", "a cache that is refused is no harm");
    }
    utimesSync(path("run-skein.js"), 1, 1);
    assert.equal(await run(), "packed service ls", "copied: another time, the same content");
    for (const newer of ["changed", "changed more"]) {
      writeFileSync(path("run-skein.js"), module(newer)); // the first one is as long as before
      utimesSync(path("run-skein.js"), 1, 1);
      assert.equal(await run(), `${newer} service ls`, "older by the clock, and yet another one");
    }
    for (const broken of ["", "(function (require, module) {})", "//{}\n"]) {
      writeFileSync(path("skein.cjs"), broken);
      assert.equal(await run(), "changed more service ls", "a packed file that is none");
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});
