import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../../base/clock/manual-clock.js";
import { silentLogger } from "../../base/log/logger.js";
import { DRAIN_ROUNDS_MAX, DRAIN_WAIT_MS, DrainRounds } from "./drain-rounds.js";
import { SessionDrains } from "./session-drains.js";

function setUp() {
  const clock = new ManualClock();
  const told: number[] = [];
  const answers: ((drained: boolean) => void)[] = [];
  const rounds = new DrainRounds({
    tell: (revision) => {
      told.push(revision);
      return new Promise((resolve) => answers.push(resolve));
    },
    clock,
    log: silentLogger,
  });
  const released: string[] = [];
  const session = (name: string): SessionDrains =>
    new SessionDrains(rounds, (revision) => released.push(`${name} ${revision}`));
  return { clock, told, answers, rounds, released, session };
}

async function turn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

test("the leader is told when all agents have applied their sets; who waits is released", async () => {
  const { told, answers, rounds, released, session } = setUp();
  const [a, b] = [session("a"), session("b")];
  const round = rounds.begin(5);
  a.postpone(round);
  a.sent(6, true);
  b.postpone(round);
  b.sent(6, false);
  a.applied(6);
  b.applied(5);
  assert.deepEqual(told, []);
  b.applied(8);
  assert.deepEqual(told, [5]);
  assert.deepEqual(released, []);
  answers[0]?.(true);
  await turn();
  assert.deepEqual(released, ["a 6"]);
  assert.deepEqual(rounds.pending, []);
});

test("a round that concerns no session is told at once; a session that ends owes nothing", async () => {
  const { told, rounds, session } = setUp();
  rounds.begin(5);
  rounds.advance();
  assert.deepEqual(told, [5]);
  const a = session("a");
  a.postpone(rounds.begin(6));
  rounds.begin(7);
  rounds.advance();
  assert.deepEqual(told, [5]); // 6 comes first
  a.end();
  assert.deepEqual(told, [5, 7]);
});

test("a session that begins meanwhile has to take it out, too: the leader is told again", async () => {
  const { told, rounds, session } = setUp();
  rounds.begin(5);
  rounds.advance();
  const a = session("a");
  a.joinAll();
  assert.equal(a.isOwing, true);
  a.sent(9, false);
  rounds.advance();
  assert.deepEqual(told, [5]);
  a.applied(9);
  assert.deepEqual(told, [5, 5]);
});

test("a question that failed is repeated, also for a new leader, until the time is over", async () => {
  const { clock, told, answers, rounds } = setUp();
  rounds.begin(5);
  rounds.advance();
  rounds.repeat();
  assert.deepEqual(told, [5, 5]);
  answers[0]?.(false);
  answers[1]?.(false);
  await turn();
  clock.advance(50);
  assert.deepEqual(told.slice(2), [5, 5]);
  clock.advance(DRAIN_WAIT_MS);
  answers[2]?.(false);
  answers[3]?.(false);
  await turn();
  clock.advance(1_000);
  assert.equal(told.length, 4);
  assert.deepEqual(rounds.pending, []);
});

test("what agents never confirm does not pile up", () => {
  const { clock, rounds, session } = setUp();
  const a = session("a");
  for (let revision = 1; revision <= 3 * DRAIN_ROUNDS_MAX; revision++) {
    a.postpone(rounds.begin(revision));
    a.sent(revision, false);
  }
  assert.equal(rounds.pending.length, DRAIN_ROUNDS_MAX);
  assert.ok(a.kept <= DRAIN_ROUNDS_MAX + 1);
  clock.advance(DRAIN_WAIT_MS);
  a.postpone(rounds.begin(9_999));
  a.sent(9_999, false);
  assert.equal(a.kept, 1);
});
