// Makes cli/compose/schema/*.generated.ts. Run: npm run compose-schema
import { readFile, writeFile } from "node:fs/promises";
import { register } from "tsx/esm/api";

register();
const folder = new URL("../cli/compose/schema/", import.meta.url);
const { generatedSchema, generatedValidator } = await import(new URL("generate-validator.ts", folder).href);
const published = JSON.parse(await readFile(new URL("compose-spec.json", folder), "utf8"));
await writeFile(new URL("schema.generated.ts", folder), generatedSchema(published));
await writeFile(new URL("validator.generated.ts", folder), generatedValidator(published));
