import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const SOURCE = import.meta.url.endsWith(".ts");
const MAIN = SOURCE ? "main.ts" : "main.js";
const LOADER = SOURCE ? ["--import", fileURLToPath(import.meta.resolve("tsx"))] : [];
const says = (who: string): string => `async (words) => console.log("${who}", ...words)`;

test("the packed file is used unless the modules were compiled after it", async () => {
  const folder = mkdtempSync(join(tmpdir(), "skein-packed-"));
  const path = (name: string): string => join(folder, "dist", name);
  const run = async (): Promise<string> => {
    const args = [...LOADER, path(`cli/${MAIN}`), "service", "ls"];
    return (await promisify(execFile)(process.execPath, args)).stdout.trim();
  };
  try {
    mkdirSync(path("cli"), { recursive: true });
    writeFileSync(join(folder, "package.json"), '{"type":"module"}');
    copyFileSync(fileURLToPath(new URL(MAIN, import.meta.url)), path(`cli/${MAIN}`));
    writeFileSync(path("cli/run-skein.js"), `export const runSkein = ${says("modules")};`);
    writeFileSync(path(".tsbuildinfo"), "{}");
    assert.equal(await run(), "modules service ls");
    const script = `(function (require, module) { module.exports = { runSkein: ${says("packed")} }; })`;
    writeFileSync(path("cli/skein.cjs"), script);
    assert.equal(await run(), "packed service ls");
    writeFileSync(path("cli/skein.cache"), "nothing that V8 has written");
    assert.equal(await run(), "packed service ls", "a cache that V8 refuses is no harm");
    utimesSync(path("cli/skein.cjs"), 1, 1);
    assert.equal(await run(), "modules service ls");
  } finally {
    rmSync(folder, { recursive: true });
  }
});
