import assert from "node:assert/strict";
import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { ManualClock } from "../../base/clock/manual-clock.js";
import { NotFoundError } from "../../base/errors/errors.js";
import { silentLogger } from "../../base/log/logger.js";
import { systemRandom } from "../../base/random/system-random.js";
import { openRaftNode } from "../host/host.js";
import type { RaftNode } from "../host/raft-node.js";
import { MemoryNetwork } from "../transport/memory-transport.js";
import { type DumpWords, dumpText } from "./dump-text.js";
import { dumpRaft } from "./raft-dump.js";

const words: DumpWords = {
  entry: (data) => Buffer.from(data).toString(),
  state: (pairs) => pairs.map(({ key }) => key),
};

async function inFolder(run: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "skein-dump-"));
  try {
    await run(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function member(folder: string): Promise<RaftNode> {
  const clock = new ManualClock();
  return openRaftNode({
    dir: folder,
    clusterId: "c1",
    nodeId: "n1",
    address: "10.0.0.1:2377",
    start: { kind: "bootstrap" },
    transport: new MemoryNetwork().createTransport(),
    stateMachine: {
      apply: ({ index, data }) => [{ key: `k${index}`, value: data }],
      restore: async () => undefined,
    },
    clock,
    random: systemRandom,
    log: silentLogger,
  });
}

async function contents(folder: string): Promise<Map<string, string>> {
  const names = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = names.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return new Map(
    await Promise.all(files.map(async (file) => [file, await readFile(file, "latin1")] as const)),
  );
}

test("a folder without a member is said to hold none", () =>
  inFolder(async (folder) => {
    await assert.rejects(dumpRaft({ folder, random: systemRandom }), NotFoundError);
  }));

test("a stopped member's log, state and membership are shown, and nothing in its folder changes", () =>
  inFolder(async (folder) => {
    const node = await member(folder);
    await node.propose(Buffer.from("first words"));
    await node.propose(Buffer.from("second words"));
    await node.close();
    const before = await contents(folder);
    const text = dumpText(await dumpRaft({ folder, random: systemRandom }), { entriesMax: 2, words });
    assert.deepEqual(await contents(folder), before);
    assert.match(text, /voter {3}\d+ node n1 at 10\.0\.0\.1:2377 \(this one\)/);
    assert.match(
      text,
      /… 2 older entries\n {2}3 term \d+ 11 bytes: first words\n {2}4 term \d+ 12 bytes: second/,
    );
    assert.match(text, /at entry 4 .*2 objects\n {2}k3\n {2}k4$/);
  }));

test("a note of a repair that was cut short is passed over, and left to the next start", () =>
  inFolder(async (folder) => {
    const node = await member(folder);
    await node.propose(Buffer.from("words"));
    await node.close();
    await writeFile(join(folder, "wal-repair"), "1 65536");
    const before = await contents(folder);
    const dump = await dumpRaft({ folder, random: systemRandom });
    assert.deepEqual([dump.entries.at(-1)?.index, dump.state?.meta.index, dump.tornBytes], [3, 3, 0]);
    assert.deepEqual(await contents(folder), before);
  }));

test("a member is shown while it runs", () =>
  inFolder(async (folder) => {
    const node = await member(folder);
    try {
      await node.propose(Buffer.from("words"));
      const dump = await dumpRaft({ folder, random: systemRandom });
      assert.equal(dump.entries.at(-1)?.index, 3);
      assert.equal(dump.membership.members.length, 1);
    } finally {
      await node.close();
    }
  }));

test("the copy that a killed look left behind is removed by a later one", () =>
  inFolder(async (folder) => {
    const node = await member(folder);
    await node.close();
    const left = join(folder, ".inspect-killed");
    await mkdir(left);
    await utimes(left, 0, 0);
    await dumpRaft({ folder, random: systemRandom });
    assert.deepEqual(
      (await readdir(folder)).filter((name) => name.startsWith(".inspect-")),
      [],
    );
  }));

test("a state that cannot be read leaves the log to be shown, with the reason", () =>
  inFolder(async (folder) => {
    const node = await member(folder);
    await node.propose(Buffer.from("words"));
    await node.close();
    await writeFile(join(folder, "state"), "nonsense");
    const dump = await dumpRaft({ folder, random: systemRandom });
    assert.equal(dump.state, undefined);
    assert.match(dumpText(dump, { entriesMax: 9, words }), /State\n {2}not readable: .+ damaged/);
  }));
