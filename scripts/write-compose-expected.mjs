// Writes what the projects of test/corpus/compose/spec become, to be looked at before it is committed:
// node --import tsx scripts/write-compose-expected.mjs
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { conversionOf, projectsIn } from "../test/support/compose-corpus.ts";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const folder = resolve(root, "test/corpus/compose/spec");
for (const project of projectsIn(folder))
  writeFileSync(resolve(folder, `${project.name}.expected.json`), await conversionOf(project, folder));
execFileSync("npx", ["biome", "format", "--write", folder], { stdio: "inherit" });
