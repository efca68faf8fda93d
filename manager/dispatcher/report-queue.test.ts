import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../../base/clock/manual-clock.js";
import { CancelledError, UnavailableError } from "../../base/errors/errors.js";
import { silentLogger } from "../../base/log/logger.js";
import { SeededRandom } from "../../base/random/seeded-random.js";
import type { NodeReport } from "../../proto/gen/skein/v1/dispatcher.js";
import { DELIVERIES_MAX, ReportQueue } from "./report-queue.js";

function report(nodeId: string): NodeReport {
  return {
    nodeId,
    sessionId: "s",
    alive: true,
    goodbye: false,
    leaving: false,
    began: false,
    lost: false,
    silentMs: 0,
    description: undefined,
    address: "",
    updates: [],
    appliedRevision: 0,
  };
}

async function turn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

function setUp(deliver: (reports: readonly NodeReport[]) => Promise<void>) {
  const clock = new ManualClock();
  const queue = new ReportQueue({ deliver, clock, random: new SeededRandom(1), log: silentLogger });
  return { clock, queue };
}

test("reports of one turn travel together, later ones without waiting for them", async () => {
  const delivered: string[] = [];
  const finish: (() => void)[] = [];
  const { queue } = setUp((reports) => {
    delivered.push(reports.map((one) => one.nodeId).join("+"));
    return new Promise((resolve) => finish.push(resolve));
  });
  const all = [queue.send([report("a")]), queue.send([report("b")])];
  await turn();
  for (const id of ["c", "d", "e", "f", "g"]) {
    all.push(queue.send([report(id)]));
    await turn();
  }
  assert.deepEqual(delivered, ["a+b", "c", "d", "e"]);
  assert.equal(delivered.length, DELIVERIES_MAX);
  for (let at = 0; at < finish.length || at < 5; at++) {
    finish[at]?.();
    await turn();
  }
  await Promise.all(all);
  assert.deepEqual(delivered.slice(4), ["f+g"]);
});

test("a failed delivery is repeated until it succeeds, at once when the leader changes", async () => {
  let tries = 0;
  const { queue, clock } = setUp(() => {
    tries += 1;
    return tries < 4 ? Promise.reject(new UnavailableError("no leader")) : Promise.resolve();
  });
  const sent = queue.send([report("a")]);
  await turn();
  assert.equal(tries, 1);
  assert.notEqual(queue.failingSinceMs, undefined);
  clock.advance(20);
  await turn();
  assert.equal(tries, 2);
  queue.leaderChanged();
  await turn();
  assert.equal(tries, 3);
  queue.leaderChanged();
  await sent;
  assert.equal(queue.failingSinceMs, undefined);
});

test("closing refuses what is left, so that agents keep it", async () => {
  const { queue } = setUp(() => Promise.reject(new UnavailableError("no leader")));
  const sent = assert.rejects(queue.send([report("a")]), CancelledError);
  await turn();
  queue.close();
  await sent;
  await assert.rejects(queue.send([report("b")]), CancelledError);
});
