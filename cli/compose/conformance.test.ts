import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { CONFORMANCE } from "./conformance.js";
import { INSTEAD, PROJECTS, READ_KEYS } from "./conformance-fixtures.js";
import { conformanceText } from "./conformance-text.js";
import { convertStack } from "./convert-project.js";
import type { ComposeDoc } from "./model.js";

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = resolve(HERE, HERE.includes("/dist/") ? "../../.." : "../..");

const partsOf = (path: string): string[] => path.replaceAll("[]", ".[]").split(".");

/** Every place of a project that a path of the table means. */
function places(value: unknown, parts: readonly string[]): (string | number)[][] {
  const [part, ...rest] = parts;
  if (part === undefined) return [[]];
  if (typeof value !== "object" || value === null) return [];
  const keys: (string | number)[] =
    part === "[]"
      ? Array.isArray(value)
        ? value.map((_, i) => i)
        : []
      : part === "*"
        ? Object.keys(value)
        : Object.hasOwn(value, part)
          ? [part]
          : [];
  return keys.flatMap((key) =>
    places((value as Record<string | number, unknown>)[key], rest).map((below) => [key, ...below]),
  );
}

/** The project without what stands there, or with something else instead. */
function changed(project: ComposeDoc, place: readonly (string | number)[], instead: unknown): ComposeDoc {
  const copy = structuredClone(project);
  let at = copy as unknown as Record<string | number, unknown>; // walked along keys that are there
  for (const part of place.slice(0, -1)) at = at[part] as Record<string | number, unknown>;
  const last = place.at(-1) ?? "";
  if (instead === undefined) delete at[last];
  else at[last] = instead;
  return copy;
}

/** Sections must stay, and be empty. */
const SECTIONS = ["networks", "volumes", "secrets", "configs"];

const became = (project: ComposeDoc): string => {
  const { definition, data, builds } = convertStack("s", project);
  return JSON.stringify({ definition, data, builds });
};

test("the projects of the fixtures are converted without a fault", () => {
  for (const project of PROJECTS) assert.deepEqual(convertStack("s", project).faults, []);
});

test("every key that is honoured changes what a project becomes", () => {
  const dead: string[] = [];
  const services = (project: ComposeDoc): number => convertStack("s", project).definition.Services.length;
  for (const [key, { fate }] of Object.entries(CONFORMANCE)) {
    if (fate !== "honoured" || READ_KEYS.includes(key)) continue;
    const instead = INSTEAD[key] ?? (SECTIONS.includes(key) ? {} : undefined);
    const moved = PROJECTS.some((project) =>
      places(project, partsOf(key)).some((place) => {
        const other = changed(project, place, instead);
        // a service that fell out because of a fault is no effect of the key
        const whole = key === "services" || services(other) === services(project);
        return whole && became(other) !== became(project);
      }),
    );
    if (!moved) dead.push(key);
  }
  assert.deepEqual(dead, []);
});

test("what Docker leaves out of a file with a version changes nothing there, and is warned about", () => {
  const wrong: string[] = [];
  for (const [key, fate] of Object.entries(CONFORMANCE)) {
    if (fate.fate !== "honoured" || fate.ignoredWithVersion !== true) continue;
    const found = PROJECTS.flatMap((project) =>
      places(project, partsOf(key)).map((place) => ({ project: { ...project, version: "3.8" }, place })),
    );
    if (found.length === 0) wrong.push(`${key} is in no project`);
    for (const { project, place } of found) {
      const warned = (one: ComposeDoc): number => convertStack("s", one).warnings.length;
      const without = changed(project, place, undefined);
      if (became(without) !== became(project)) wrong.push(`${key} has an effect`);
      if (warned(without) >= warned(project)) wrong.push(`${key} is not warned about`);
    }
  }
  assert.deepEqual(wrong, []);
});

test("docs/compose.md is the table: node --import tsx scripts/write-compose-doc.mjs writes it", () => {
  assert.equal(readFileSync(resolve(ROOT, "docs/compose.md"), "utf8"), conformanceText());
});
