import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { findingText } from "./compose-error.js";
import { type ReadProjectOptions, readFileObject, readProject } from "./file-project.js";

const folder = mkdtempSync(join(tmpdir(), "skein-project-"));
after(() => rmSync(folder, { recursive: true, force: true }));

function write(name: string, text: string): string {
  const path = join(folder, name);
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(path, text);
  return path;
}

const COMPOSE = write("compose.yml", "services: {web: {image: '$A-$B-$C', env_file: own.env}}\n");
const OLD = write("old.yml", "version: '3.8'\nservices:\n  web: {image: 'i:$A'}\n");
write(".env", "A=dot\nB=dot\nC=dot\n");
write("own.env", "X=$A\n");
const ONE = write("one.env", "A=one\nB=one\nC=one\n");
const TWO = write("two.env", "B=two\n");

const imageOf = async (file: string, options: ReadProjectOptions = {}): Promise<string | undefined> =>
  (await readProject([file], { variables: { C: "shell" }, ...options })).doc.services["web"]?.image;

test("the shell comes before the last --env-file, that before the first; .env is read without them", async () => {
  assert.equal(await imageOf(COMPOSE), "dot-dot-shell");
  assert.equal(await imageOf(COMPOSE, { envFiles: [ONE, TWO] }), "one-two-shell");
});

test("the name that the last file gives is COMPOSE_PROJECT_NAME, unless the caller says another", async () => {
  const image = "services: {web: {image: '$COMPOSE_PROJECT_NAME'}}";
  const files = [write("n1.yml", `name: one\n${image}\n`), write("n2.yml", 'name: "two" # words\n')];
  const named = async (variables: Record<string, string>): Promise<unknown> =>
    (await readProject(files, { variables })).doc.services["web"]?.image;
  assert.equal(await named({}), "two");
  assert.equal(await named({ COMPOSE_PROJECT_NAME: "other" }), "other");
});

test("files with version 3 are read without .env, and told so", async () => {
  const { doc, warnings } = await readProject([OLD], { variables: {} });
  assert.equal(doc.services["web"]?.image, "i:");
  assert.match(findingText(warnings[0] as (typeof warnings)[number]), /variable A is not set.*\.env has it/);
  assert.equal(await imageOf(OLD, { envFiles: [join(folder, ".env")] }), "i:dot");
});

test("paths begin at the first file's folder, or at the one that is given", async () => {
  const { doc } = await readProject([COMPOSE], { variables: {} });
  assert.deepEqual(doc.services["web"]?.environment, { X: "dot" });
  await assert.rejects(
    readProject([COMPOSE], { variables: {}, projectDirectory: join(folder, "none") }),
    /cannot read .*none\/own\.env: there is no such file/,
  );
});

test("a file that is missing, or too large, is refused unread", async () => {
  await assert.rejects(
    readProject([join(folder, "gone.yml")]),
    /cannot read .*gone\.yml: there is no such file/,
  );
  const large = write("large.yml", "#".repeat(9 * 2 ** 20));
  await assert.rejects(readProject([large]), /is larger than 8388608 bytes/);
  await assert.rejects(readProject(["/dev/zero"]), /\/dev\/zero is larger than 8388608 bytes/);
});

test("profiles come from the flag and from COMPOSE_PROFILES", async () => {
  const file = write(
    "p/compose.yml",
    "services: {a: {image: i, profiles: [x]}, b: {image: i, profiles: [y]}}",
  );
  const { doc } = await readProject([file], { profiles: ["x"], variables: { COMPOSE_PROFILES: "y, z" } });
  assert.deepEqual(Object.keys(doc.services), ["a", "b"]);
});

test("secrets and configs have bytes from content, a variable or a file", async () => {
  const path = write("secret.txt", "s");
  const text = async (doc: Parameters<typeof readFileObject>[1]): Promise<string | undefined> =>
    (await readFileObject("key", doc, { V: "v" }))?.toString();
  assert.equal(await text({ content: "c" }), "c");
  assert.equal(await text({ environment: "V" }), "v");
  assert.equal(await text({ file: path }), "s");
  assert.equal(await text({ external: true, name: "n" }), undefined);
  await assert.rejects(text({ file: "/dev/zero" }), /is larger than 8388608 bytes/);
  await assert.rejects(
    text({ environment: "GONE" }),
    /key takes its data from the variable GONE, which is not set/,
  );
});
