/**
 * What Docker's client 28.2.2 makes of the corpus, recorded: machines with another one compare with the
 * recordings. Edge: to files and the docker command.
 */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { type CorpusProject, dockersForm } from "./compose-corpus.js";
import { type Bodies, dockersBodies } from "./stack-recorder.js";

export interface Recording {
  readonly config: Record<string, unknown>;
  /** Absent: Docker refuses to leave this one's variables in place. */
  readonly uninterpolated?: Record<string, unknown>;
  readonly bodies: Bodies;
}

export const RECORDED_WITH = "28.2.2";

/** Docker wants a number where a variable stands. */
const NOT_WITHOUT_INTERPOLATION = ["interpolation"];

export async function isDockerRecorded(): Promise<boolean> {
  try {
    const { stdout } = await promisify(execFile)("docker", ["--version"]);
    return stdout.includes(`version ${RECORDED_WITH},`);
  } catch {
    return false; // there is none here
  }
}

export async function recordingNow(project: CorpusProject): Promise<Recording> {
  const [config, bodies] = await Promise.all([
    dockersForm(project, { interpolate: true }),
    dockersBodies(project),
  ]);
  if (NOT_WITHOUT_INTERPOLATION.includes(project.name)) return { config, bodies };
  return { config, uninterpolated: await dockersForm(project, { interpolate: false }), bodies };
}

/** Paths of this machine, as they stand in recordings. */
export function portableText(recording: Recording, folder: string): string {
  return JSON.stringify(recording, undefined, 2)
    .replaceAll(folder, "$FOLDER")
    .replaceAll(dirname(folder), "$PARENT");
}

export function recordingOf({ name }: CorpusProject, folder: string): Recording {
  const text = readFileSync(join(folder, "recorded", `${name}.json`), "utf8");
  const here = text.replaceAll("$FOLDER", folder).replaceAll("$PARENT", dirname(folder));
  return JSON.parse(here) as Recording; // written by scripts/record-docker-stack.mjs
}
