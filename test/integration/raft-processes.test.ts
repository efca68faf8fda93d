import assert from "node:assert/strict";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { RaftStart } from "../../raft/host/host.js";
import { RaftProcess } from "../support/raft-processes.js";

/**
 * Generous for a busy machine; about 100 ms when it is idle. The election timeout alone would be 1 to 2 s.
 */
const FAILOVER_MS_MAX = 900;

function words(from: number, count: number): string[] {
  return Array.from({ length: count }, (_, i) => `w${from + i}`);
}

/** The first segment of a log goes when a compaction makes it superfluous. */
async function untilCompacted(dir: string): Promise<void> {
  while ((await readdir(dir)).includes("wal-000000000001.log")) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

test("three processes over gRPC: kill -9 of the leader, of a follower, and of all, lose nothing acknowledged", {
  timeout: 90_000,
}, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "skein-raft-"));
  const all: RaftProcess[] = [];
  const open = (name: string, start: RaftStart, port = 0): Promise<RaftProcess> => {
    const member = new RaftProcess({ name, dir: join(folder, name), port, start });
    all.push(member);
    return member.ready();
  };
  try {
    const a = await open("a", { kind: "bootstrap" });
    await a.until(() => a.isLeader);
    const joined = await Promise.all(
      ["b", "c"].map(async (name, i) => {
        // The port must be known before the member exists: it is taken, given back and taken again.
        const port = 20_000 + (process.pid % 10_000) * 2 + i;
        const reply = (await a.ask({ kind: "add", name, address: `127.0.0.1:${port}` })) as object;
        return open(
          name,
          { kind: "join", ...(reply as Omit<Extract<RaftStart, { kind: "join" }>, "kind">) },
          port,
        );
      }),
    );
    await a.until(() => a.voters === 3);
    const [b, c] = joined;
    assert.ok(b && c);

    const latenciesMs = ((await a.ask({ kind: "propose", words: words(0, 300) })) as number[]).sort(
      (x, y) => x - y,
    );
    t.diagnostic(
      `sequential durable propose: p50 ${latenciesMs[150]?.toFixed(2)} ms, ` +
        `p99 ${latenciesMs[297]?.toFixed(2)} ms`,
    );

    const startMs = performance.now();
    const killed = a.kill();
    const next = await Promise.race([
      b.until(() => b.isLeader).then(() => b),
      c.until(() => c.isLeader).then(() => c),
    ]);
    const failoverMs = performance.now() - startMs;
    await killed;
    t.diagnostic(`a survivor led ${failoverMs.toFixed(0)} ms after kill -9 of the leader`);
    assert.ok(failoverMs < FAILOVER_MS_MAX, `${failoverMs} ms`);
    await next.ask({ kind: "propose", words: words(300, 50) });
    assert.deepEqual(await next.ask({ kind: "words" }), words(0, 350));

    const back = await open("a", { kind: "restart" }, a.port);
    assert.deepEqual(await back.ask({ kind: "words" }), words(0, 350));

    const other = next === b ? c : b;
    await other.kill();
    // beyond what the log keeps: it will need a snapshot
    await next.ask({ kind: "burst", words: words(350, 1_500) });
    await untilCompacted(next.dir);
    const lagging = await open(other.name, { kind: "restart" }, other.port);
    assert.deepEqual(await lagging.ask({ kind: "words" }), words(0, 1_850));
    await lagging.kill();
    await next.ask({ kind: "propose", words: words(1_850, 50) });
    await Promise.all([next.kill(), back.kill()]);

    const again = await Promise.all(
      [back, b, c].map(({ name, port }) => open(name, { kind: "restart" }, port)),
    );
    for (const member of again) assert.deepEqual(await member.ask({ kind: "words" }), words(0, 1_900));
    const leader = again.find((member) => member.isLeader);
    assert.ok(leader);
    await leader.ask({ kind: "close" });
    const survivor = again.find((member) => member !== leader);
    assert.ok(survivor);
    await survivor.until(() => survivor.leader !== leader.raftId && survivor.leader !== 0);
  } finally {
    await Promise.all(all.map((member) => member.kill()));
    await rm(folder, { recursive: true });
  }
});
