import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { conversionOf, projectsIn } from "../../test/support/compose-corpus.js";

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = resolve(HERE, HERE.includes("/dist/") ? "../../.." : "../..");
const FOLDER = join(ROOT, "test/corpus/compose/spec");

// scripts/write-compose-expected.mjs writes the files anew
for (const project of projectsIn(FOLDER))
  test(`${project.name} becomes what its expected file says`, async () => {
    const expected = readFileSync(join(FOLDER, `${project.name}.expected.json`), "utf8");
    assert.deepEqual(JSON.parse(await conversionOf(project, FOLDER)), JSON.parse(expected));
  });
