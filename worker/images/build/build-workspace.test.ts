/**
 * What builds leave that were killed with the daemon.
 */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { InternalError } from "../../../base/errors/errors.js";
import { MemoryLogger } from "../../../base/log/logger.js";
import { SeededRandom } from "../../../base/random/seeded-random.js";
import { sweepBuilds, type WorkspaceParts } from "./build-workspace.js";

const dir = mkdtempSync(join(tmpdir(), "skein-sweep-"));
after(() => rmSync(dir, { recursive: true }));

test("a build that cannot be cleaned up keeps neither the others nor the daemon from it", async () => {
  for (const build of ["a", "b"]) {
    mkdirSync(join(dir, "running", build, "roots"), { recursive: true });
    writeFileSync(join(dir, "running", build, "roots", `root-of-${build}`), "");
  }
  const removed: string[] = [];
  let broken = true;
  const parts: WorkspaceParts = {
    dir,
    images: {
      mountRootfs: () => Promise.reject(new InternalError("not part of this test")),
      removeRootfs: async (id) => {
        if (broken && id === "root-of-a") throw new InternalError("device is busy");
        removed.push(id);
      },
    },
    containers: { list: () => [], remove: async () => undefined },
    random: new SeededRandom(1),
    log: new MemoryLogger(),
  };
  await sweepBuilds(parts);
  assert.deepEqual([removed, readdirSync(join(dir, "running"))], [["root-of-b"], ["a"]]);
  broken = false;
  await sweepBuilds(parts);
  assert.deepEqual([removed, readdirSync(join(dir, "running"))], [["root-of-b", "root-of-a"], []]);
});
