/**
 * No flag without a row: flags.txt against the tables, and against what the stock command says it has.
 */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { skipWithoutDocker } from "../support/lab/docker-cli.js";
import { BEHAVIOUR } from "./behaviour-rows.js";
import { CONNECTING, ELSEWHERE, LOOKING, PREPARING, ROTATING } from "./command-rows.js";
import { serviceBatches } from "./service-rows.js";

const HERE = dirname(fileURLToPath(import.meta.url));
const PROJECT = resolve(HERE, HERE.includes("/dist/") ? "../../.." : "../..");
const LISTED = readFileSync(join(PROJECT, "test/matrix/flags.txt"), "utf8").trimEnd().split("\n");

const inRows = new Set([
  ...serviceBatches({ bound: "/", envFile: "/" }).flatMap(({ create, update = [] }) =>
    [...create, ...update].map(({ flag }) => flag),
  ),
  ...[...PREPARING, ...LOOKING, ...CONNECTING, ...ROTATING].flatMap(({ flags }) => flags),
  ...ELSEWHERE.flatMap(({ command, flags }) => flags.map((flag) => `${command} --${flag}`)),
]);

test("every flag that flags.txt lists has a row, and no row is of another", () => {
  assert.deepEqual(
    LISTED.filter((flag) => !inRows.has(flag)),
    [],
    "flags without a row",
  );
  assert.deepEqual(
    [...inRows].filter((flag) => !LISTED.includes(flag)),
    [],
    "rows of flags that are not listed",
  );
});

test("what is tested elsewhere is named there", () => {
  for (const { command, flags, file } of ELSEWHERE) {
    const text = readFileSync(join(PROJECT, file), "utf8");
    const missing = flags.filter((flag) => !new RegExp(`--${flag}["= ]|"-${flag[0]}"`).test(text));
    const words = command.split(" ").map((word) => `"${word}"`);
    assert.match(text, new RegExp(`${words.join(",\\s*")}|force-new-cluster|follow`), file);
    assert.deepEqual(missing, [], `${command} in ${file}`);
  }
});

test("what a flag does, where no running task shows it, is tested where its row says", () => {
  for (const { flags, field, file } of BEHAVIOUR) {
    assert.match(readFileSync(join(PROJECT, file), "utf8"), new RegExp(field, "i"), `${field} in ${file}`);
    for (const flag of flags) assert.ok(LISTED.includes(`service create --${flag}`), flag);
  }
});

test("flags.txt has every flag of the stock command", { skip: skipWithoutDocker }, async () => {
  const commands = [...new Set(LISTED.map((line) => line.replace(/ --.*/, "")))];
  const helps = await Promise.all(
    commands.map(async (command) => {
      const { stdout } = await promisify(execFile)("docker", [...command.split(" "), "--help"]);
      const flags = [...stdout.matchAll(/^ +(?:-[a-zA-Z], )?(--[a-z0-9-]+)/gm)];
      return flags.map(([, flag = ""]) => `${command} ${flag}`);
    }),
  );
  assert.deepEqual(
    helps.flat().filter((flag) => !LISTED.includes(flag)),
    [],
  );
});
