/** Mounts of paths. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { mountOfPath } from "./linux-mountinfo.js";

const TEXT = `22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:25 / /mnt rw shared:7 master:3 - tmpfs none rw
31 30 0:26 / /mnt/a\\040b rw master:9 - tmpfs none rw
32 30 0:27 / /mnt rw - tmpfs top rw
`;

test("the longest point counts, of equal ones the last; blanks are written in octal", () => {
  assert.deepEqual(mountOfPath("/mn", TEXT), { point: "/", propagation: [] });
  assert.deepEqual(mountOfPath("/mnt/a b/c", TEXT), { point: "/mnt/a b", propagation: ["master:9"] });
  assert.deepEqual(mountOfPath("/mnt/x", TEXT), { point: "/mnt", propagation: [] });
  assert.deepEqual(mountOfPath("/x", ""), { point: "/", propagation: [] });
  assert.equal(mountOfPath("/").point, "/");
});
