/**
 * `stack config` beside `docker stack config`, and what is sent beside what `docker stack deploy` sends, on the
 * corpus of test/corpus/compose/docker. Needs no daemon; asks the docker command if it is the recorded one.
 */
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { stringify } from "yaml";
import { clusterNetworkIn } from "../../api/convert/cluster-network-in.js";
import { Fields } from "../../api/convert/fields.js";
import { serviceSpecIn } from "../../api/convert/service-spec-in.js";
import { serviceSpecFaults } from "../../manager/control/service-validation.js";
import {
  type CorpusProject,
  DIFFERENCES,
  definitionOf,
  levelled,
  ourForm,
  projectsIn,
} from "../support/compose-corpus.js";
import { isDockerRecorded, type Recording, recordingNow, recordingOf } from "../support/docker-recordings.js";
import { BODY_DIFFERENCES, levelledBodies, ourBodies } from "../support/stack-recorder.js";

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

/** By project; where Docker's client is the recorded one, what it says now must be what it said. */
async function recordings(): Promise<ReadonlyMap<CorpusProject, Recording>> {
  const projects = projectsIn(FOLDER);
  const recorded = new Map(projects.map((project) => [project, recordingOf(project, FOLDER)]));
  if (!(await isDockerRecorded())) return recorded;
  const now = await inBatches(projects, recordingNow);
  for (const [i, project] of projects.entries())
    assert.deepEqual(now[i], recorded.get(project), `${project.name} is recorded otherwise`);
  return recorded;
}

const docker = recordings();

test("the normal form is Docker's for every file that Docker takes, but for differences with a reason", async () => {
  const projects = await docker;
  assert.ok(projects.size >= PROJECTS_MIN, `only ${projects.size} projects`);
  const used = new Set<string>();
  for (const [project, { config, uninterpolated }] of projects)
    for (const [form, interpolate] of [
      [config, true],
      [uninterpolated, false],
    ] as const) {
      if (form === undefined) continue;
      const both = levelled(await ourForm(project, { interpolate }), form, { interpolate });
      assert.deepEqual(
        both.ours,
        both.theirs,
        `${project.name}${interpolate ? "" : " without interpolation"}`,
      );
      for (const reason of both.used) used.add(reason);
    }
  const idle = DIFFERENCES.filter(({ reason }) => !used.has(reason)).map(({ reason }) => reason);
  assert.deepEqual(idle, [], "differences that are no more");
});

test("what is sent is what docker stack deploy sends, but for differences with a reason", async () => {
  const used = new Set<string>();
  for (const [project, { bodies }] of await docker) {
    const both = levelledBodies(await ourBodies(project), bodies);
    assert.deepEqual(both.ours, both.theirs, project.name);
    for (const reason of both.used) used.add(reason);
  }
  const idle = BODY_DIFFERENCES.filter(({ reason }) => !used.has(reason)).map(({ reason }) => reason);
  assert.deepEqual(idle, [], "differences that are no more");
});

/** What Docker's manager refuses, too, or asks of nodes that are not there. */
const REFUSED_BY_MANAGER: Readonly<Record<string, RegExp>> = {
  "cluster-volumes.db": /mount type cluster is not supported/,
  "deploy.everything": /invalid cpu value 0.0001/,
  "deploy.memory-units": /invalid memory value 524288/,
  "healthchecks.f": /Timeout in HealthConfig cannot be less than one millisecond/,
  "windows.iis": /mount type npipe is not supported/,
  "yaml-corners.a.b_c-d": /must be valid as a DNS name component/,
};

test("the API reads every body whole, and no rule of the manager refuses a service", async () => {
  const specifications = resolve(ROOT, "test/corpus/compose/spec");
  const projects = [...projectsIn(FOLDER), ...projectsIn(specifications)];
  for (const project of projects.filter(({ name }) => name !== "refused")) {
    const { definition } = await definitionOf(project);
    for (const { Key, Spec } of definition.Services) {
      const fields = Fields.of(Spec);
      const faults = serviceSpecFaults(serviceSpecIn(fields)).join();
      assert.deepEqual(fields.unread(), [], `${project.name}.${Key}`);
      const expected = REFUSED_BY_MANAGER[`${project.name}.${Key}`];
      if (expected === undefined) assert.equal(faults, "", `${project.name}.${Key}`);
      else assert.match(faults, expected);
    }
    for (const { Key, Spec, External } of definition.Networks ?? []) {
      if (External === true) continue;
      const fields = Fields.of(Spec);
      clusterNetworkIn(fields, () => assert.fail("no network has the settings of another"));
      assert.deepEqual(fields.unread(), [], `${project.name}.${Key}`);
    }
  }
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
