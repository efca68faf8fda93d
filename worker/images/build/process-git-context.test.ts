/**
 * A git repository as a context: what of it is the context, whatever links it holds.
 */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { folderIn } from "./process-git-context.js";

const dir = mkdtempSync(join(tmpdir(), "skein-git-"));
after(() => rmSync(dir, { recursive: true }));

test("a folder of the repository is within it, whatever its links say", () => {
  const root = join(dir, "repository");
  mkdirSync(join(root, "app", "etc"), { recursive: true });
  mkdirSync(join(dir, "host"));
  writeFileSync(join(root, "file"), "");
  symlinkSync("/", join(root, "out"));
  symlinkSync("../host", join(root, "up"));
  symlinkSync("app", join(root, "alias"));
  assert.equal(folderIn(root, ""), root);
  assert.equal(folderIn(root, "app"), join(root, "app"));
  assert.equal(folderIn(root, "alias/etc"), join(root, "app", "etc"));
  assert.equal(folderIn(root, "out"), root, "an absolute link begins at the repository's root");
  for (const folder of ["up", "out/host", "file", "none"])
    assert.throws(() => folderIn(root, folder), { code: "invalid-argument" }, folder);
});
