/** Paths in a root file system never leave it. */
import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { makeFolderInRoot, readTextInRoot, resolveInRoot } from "./fs-rootfs.js";

describe("root file system paths", () => {
  let base: string;
  let root: string;
  before(async () => {
    base = await mkdtemp(join(tmpdir(), "skr-"));
    root = join(base, "root");
    await mkdir(join(root, "etc/real"), { recursive: true });
    await writeFile(join(base, "outside"), "secret of the host");
    await writeFile(join(root, "etc/real/passwd"), "inside");
    await symlink("/etc/real/passwd", join(root, "etc/passwd"));
    await symlink("../../../../outside", join(root, "etc/up"));
    await symlink(join(base, "outside"), join(root, "etc/abs"));
    await symlink("/etc/real", join(root, "link"));
    await symlink("loop", join(root, "loop"));
  });
  after(() => rm(base, { recursive: true, force: true }));

  it("absolute links start at the root of the image", async () => {
    assert.equal(await readTextInRoot(root, "/etc/passwd"), "inside");
    assert.equal(await resolveInRoot(root, "/link/new/x"), join(root, "etc/real/new/x"));
  });

  it("links and dots that point out stay in", async () => {
    assert.equal(await readTextInRoot(root, "/etc/up"), "");
    assert.equal(await readTextInRoot(root, "/etc/abs"), "");
    assert.equal(await resolveInRoot(root, "/../../.."), root);
    assert.equal(await resolveInRoot(root, "etc/../../outside"), join(root, "outside"));
  });

  it("a loop of links is refused", async () => {
    await assert.rejects(resolveInRoot(root, "/loop/x"), /too many symbolic links/);
  });

  it("folders are made inside, a file in the way is named", async () => {
    await makeFolderInRoot(root, "/link/made/deep");
    assert.equal(await resolveInRoot(root, "/etc/real/made/deep"), join(root, "etc/real/made/deep"));
    await assert.rejects(makeFolderInRoot(root, "/etc/passwd/x"), /is not a directory/);
  });
});
