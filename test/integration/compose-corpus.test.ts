/**
 * `stack config` beside `docker stack config`, and what is sent beside what `docker stack deploy` sends, on the
 * corpus of test/corpus/compose/docker. Needs the docker command, and no daemon.
 */
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { stringify } from "yaml";
import {
  type CorpusProject,
  DIFFERENCES,
  dockersForm,
  levelled,
  ourForm,
  projectsIn,
} from "../support/compose-corpus.js";
import { BODY_DIFFERENCES, dockersBodies, levelledBodies, ourBodies } from "../support/stack-recorder.js";

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = resolve(HERE, HERE.includes("/dist/") ? "../../.." : "../..");
const FOLDER = resolve(ROOT, "test/corpus/compose/docker");
const PROJECTS_MIN = 60;
/** Docker's client takes 50 ms of a core for each file. */
const AT_ONCE = 8;

async function inBatches<T>(
  projects: readonly CorpusProject[],
  make: (project: CorpusProject) => Promise<T>,
): Promise<T[]> {
  const results: T[] = [];
  for (let i = 0; i < projects.length; i += AT_ONCE)
    results.push(...(await Promise.all(projects.slice(i, i + AT_ONCE).map(make))));
  return results;
}

/** Docker wants a number where a variable stands. */
const NOT_WITHOUT_INTERPOLATION = ["interpolation"];

test("the normal form is Docker's for every file that Docker takes, but for differences with a reason", async () => {
  const projects = projectsIn(FOLDER);
  assert.ok(projects.length >= PROJECTS_MIN, `only ${projects.length} projects`);
  const used = new Set<string>();
  for (const interpolate of [true, false]) {
    const options = { interpolate };
    const taken = projects.filter(({ name }) => interpolate || !NOT_WITHOUT_INTERPOLATION.includes(name));
    const results = await inBatches(taken, async (project) => {
      const [ours, theirs] = await Promise.all([ourForm(project, options), dockersForm(project, options)]);
      return { name: project.name, ...levelled(ours, theirs, options) };
    });
    for (const { name, ours, theirs, used: own } of results) {
      assert.deepEqual(ours, theirs, `${name}${interpolate ? "" : " without interpolation"}`);
      for (const reason of own) used.add(reason);
    }
  }
  const idle = DIFFERENCES.filter(({ reason }) => !used.has(reason)).map(({ reason }) => reason);
  assert.deepEqual(idle, [], "differences that are no more");
});

test("what is sent is what docker stack deploy sends, but for differences with a reason", async () => {
  const used = new Set<string>();
  const results = await inBatches(projectsIn(FOLDER), async (project) => {
    const [ours, theirs] = await Promise.all([ourBodies(project), dockersBodies(project)]);
    return { name: project.name, ...levelledBodies(ours, theirs) };
  });
  for (const { name, ours, theirs, used: own } of results) {
    assert.deepEqual(ours, theirs, name);
    for (const reason of own) used.add(reason);
  }
  const idle = BODY_DIFFERENCES.filter(({ reason }) => !used.has(reason)).map(({ reason }) => reason);
  assert.deepEqual(idle, [], "differences that are no more");
});

test("the normal form is a compose file, whose normal form it is", async () => {
  const folder = await mkdtemp(join(tmpdir(), "skein-corpus-"));
  try {
    await inBatches(projectsIn(FOLDER), async (project) => {
      const first = await ourForm(project, { interpolate: true });
      const file = join(folder, `${project.name}.yml`);
      await writeFile(file, stringify(first, { version: "1.1" }));
      const second = await ourForm({ name: project.name, files: [file] }, { interpolate: true });
      assert.deepEqual(second, first, project.name);
    });
  } finally {
    await rm(folder, { recursive: true });
  }
});
