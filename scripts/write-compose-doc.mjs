// Writes docs/compose.md from the conformance table: node --import tsx scripts/write-compose-doc.mjs
import { writeFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { conformanceText } from "../cli/compose/conformance-text.ts";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");
writeFileSync(resolve(root, "docs/compose.md"), conformanceText());
