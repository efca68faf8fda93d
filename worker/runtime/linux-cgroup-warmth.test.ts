import assert from "node:assert/strict";
import { test } from "node:test";
import { ownGroupFile } from "./linux-cgroup-warmth.js";

test("the own group is found in either hierarchy, and rubbish is none", () => {
  assert.equal(ownGroupFile("0::/system.slice/skein\n"), "/sys/fs/cgroup/system.slice/skein/cgroup.procs");
  assert.equal(ownGroupFile("9:cpu:/a\n6:freezer:/b\n0::/\n"), "/sys/fs/cgroup/freezer/b/cgroup.procs");
  assert.equal(ownGroupFile("9:cpu:/a\n0::/\n"), undefined);
  assert.equal(ownGroupFile("rubbish"), undefined);
});
