// Records what Docker's client makes of test/corpus/compose/docker: node --import tsx scripts/record-docker-stack.mjs
import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { projectsIn } from "../test/support/compose-corpus.ts";
import {
  isDockerRecorded,
  portableText,
  RECORDED_WITH,
  recordingNow,
} from "../test/support/docker-recordings.ts";

if (!(await isDockerRecorded())) throw new Error(`needs the docker command ${RECORDED_WITH}`);
const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const folder = resolve(root, "test/corpus/compose/docker");
const recorded = resolve(folder, "recorded");
rmSync(recorded, { recursive: true, force: true });
mkdirSync(recorded);
for (const project of projectsIn(folder))
  writeFileSync(resolve(recorded, `${project.name}.json`), portableText(await recordingNow(project), folder));
execFileSync("npx", ["biome", "format", "--write", recorded], { stdio: "inherit" });
