import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { composeFilesOf, readStackProject } from "./fs-stack-project.js";

function folder(t: { after(done: () => void): void }, files: Readonly<Record<string, string>>): string {
  const path = mkdtempSync(join(tmpdir(), "skein-project-"));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(path, name), text);
  return path;
}

test("without -c the folder's file counts, best name first, with its override", async (t) => {
  const path = folder(t, {
    "compose.yml": "",
    "docker-compose.yml": "",
    "compose.override.yaml": "",
    "compose.override.yml": "",
  });
  assert.deepEqual(await composeFilesOf({ projectDirectory: path }), [
    join(path, "compose.yml"),
    join(path, "compose.override.yaml"),
  ]);
  assert.deepEqual(await composeFilesOf({ composeFile: ["a", "-"], projectDirectory: path }), ["a", "-"]);
});

test("COMPOSE_FILE names files where no flag does", async (t) => {
  process.env["COMPOSE_FILE"] = "a.yml:b.yml";
  t.after(() => delete process.env["COMPOSE_FILE"]);
  assert.deepEqual(await composeFilesOf({}), ["a.yml", "b.yml"]);
});

test("variables of --env-file, profiles, the stack's name and data of files reach the definition", async (t) => {
  const path = folder(t, {
    "compose.yaml":
      "services:\n  web:\n    image: nginx:$TAG\n    environment: [STACK=$COMPOSE_PROJECT_NAME]\n" +
      "    secrets: [key, inline]\n" +
      "  debug:\n    image: x\n    profiles: [debug]\n  more:\n    image: x\n    profiles: [no]\n" +
      "secrets:\n  key:\n    file: ./key\n  inline:\n    content: tag $TAG for $$5\n",
    vars: "TAG=7\n",
    key: "hush",
  });
  const { definition, stack } = await readStackProject("shop", {
    composeFile: [join(path, "compose.yaml")],
    envFile: [join(path, "vars")],
    profile: ["debug"],
  });
  assert.equal(stack, "shop");
  assert.deepEqual(
    definition.Services.map(({ Key }) => Key),
    ["web", "debug"],
  );
  const text = JSON.stringify(definition.Services[0]);
  assert.match(text, /"Image":"nginx:7"/);
  assert.match(text, /"STACK=shop"/);
  assert.deepEqual(
    definition.Secrets?.map(({ Key, Spec }) => [Key, Spec["Name"], Spec["Data"]]),
    [
      ["key", "shop_key", Buffer.from("hush").toString("base64")],
      ["inline", "shop_inline", Buffer.from("tag 7 for $5").toString("base64")],
    ],
  );
});

test("a secret whose file is not there is refused with both names", async (t) => {
  const path = folder(t, {
    "compose.yaml":
      "name: shop\nservices:\n  web:\n    image: x\n    secrets: [key]\nsecrets:\n  key:\n    file: ./none\n",
  });
  await assert.rejects(
    readStackProject(undefined, { projectDirectory: path }),
    /compose\S*:8: secrets\.key: cannot read .*none for secret key: there is no such file/,
  );
});

test("warnings stand in the order of the file, whoever gives them", async (t) => {
  const path = folder(t, {
    "compose.yaml":
      "name: shop\nservices:\n  web:\n    image: x:$GONE\n    attach: false\n    expose: [80]\n" +
      "    network_mode: bridge\n    environment: {A: $AWAY}\n",
  });
  const { warnings } = await readStackProject(undefined, { projectDirectory: path });
  assert.deepEqual(
    warnings.map((text) => /:(\d+):/.exec(text)?.[1]),
    ["4", "5", "6", "7", "8"],
  );
});
