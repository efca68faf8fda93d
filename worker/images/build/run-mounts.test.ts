/**
 * Caches of RUN --mount: who waits for whom, what is taken away, and what a machine that went down left.
 */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { ManualClock } from "../../../base/clock/manual-clock.js";
import type { RunInstruction } from "./dockerfile-instructions.js";
import { RootedTree } from "./fs-rooted-tree.js";
import { readRunMount } from "./run-mount.js";
import { type MountSources, RunMounts } from "./run-mounts.js";

const folders: string[] = [];

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "skein-mounts-"));
  folders.push(folder);
  return folder;
}

after(() => {
  for (const folder of folders) rmSync(folder, { recursive: true });
});

const sources = (signal = new AbortController().signal): MountSources => ({
  context: new RootedTree(newFolder()),
  roots: new Map(),
  imageIds: new Map(),
  expansion: { escapeWith: "\\", lookup: () => undefined },
  workingDir: "/",
  signal,
});

const run = (...mounts: string[]): RunInstruction => ({
  kind: "run",
  command: { kind: "shell", text: "true" } as unknown as RunInstruction["command"], // is not looked at
  heredocs: [],
  network: "default",
  mounts: mounts.map(readRunMount),
});

const open = (dir: string): Promise<RunMounts> => RunMounts.open({ dir, clock: new ManualClock() });

test("one cache twice in one RUN does not wait for itself, and two in either order do not for each other", async () => {
  const mounts = await open(newFolder());
  const [a, b] = ["type=cache,target=/a,id=a,sharing=locked", "type=cache,target=/b,id=b,sharing=locked"];
  using twice = await mounts.open(run(a, "type=cache,target=/x,id=a,sharing=locked"), sources());
  assert.equal(twice.mounts[0]?.kind, "bind");
  twice[Symbol.dispose]();
  const ends: string[] = [];
  const hold = async (name: string, ...texts: string[]): Promise<void> => {
    using _held = await mounts.open(run(...texts), sources());
    ends.push(name);
  };
  await Promise.all([hold("ab", a, b), hold("ba", b, a), hold("ab", a, b), hold("ba", b, a)]);
  assert.equal(ends.length, 4);
});

test("a cache that a build has taken meanwhile is not removed", async () => {
  const dir = newFolder();
  const mounts = await open(dir);
  const held = await mounts.open(run("type=cache,target=/a"), sources());
  const [record] = mounts.usage();
  assert.equal(await mounts.remove(record?.id ?? ""), false);
  assert.ok(existsSync(join(dir, record?.id ?? "", "data")));
  held[Symbol.dispose]();
  const removal = mounts.remove(record?.id ?? "");
  using again = await mounts.open(run("type=cache,target=/a"), sources());
  assert.equal(await removal, true);
  const [mount] = again.mounts;
  assert.ok(mount?.kind === "bind" && existsSync(mount.source), "the one who comes then has a folder");
  assert.equal(await mounts.remove("no such"), false);
});

test("a cache whose record was not written whole is made anew, and keeps nobody from starting", async () => {
  const dir = newFolder();
  const [torn, none] = ["0".repeat(32), "1".repeat(32)];
  for (const name of [torn, none, `removed-${torn}-1`])
    mkdirSync(join(dir, name, "data"), { recursive: true });
  writeFileSync(join(dir, torn, "cache.json"), '{"description":"ca');
  const mounts = await open(dir);
  assert.deepEqual([mounts.usage(), readdirSync(dir)], [[], []]);
});
