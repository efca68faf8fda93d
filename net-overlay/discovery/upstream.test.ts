import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { ManualClock } from "../../base/clock/manual-clock.js";
import { answerTo, query } from "./question-fixtures.js";
import type { AskOne } from "./upstream.js";
import { createUpstreamOf } from "./upstream.js";

const question = query("example.org");
const good = answerTo(question, { addresses: ["192.0.2.1"] });
const servfail = answerTo(question, { rcode: 2 });
const refused = answerTo(question, { rcode: 5 });

interface Said {
  readonly resolver: string;
  readonly signal: AbortSignal;
  readonly say: (answer: Buffer | undefined) => void;
}

function world(): {
  clock: ManualClock;
  said: Said[];
  ask: (...resolvers: string[]) => Promise<Buffer | undefined>;
} {
  const clock = new ManualClock();
  const said: Said[] = [];
  const askOne: AskOne = (_query, resolver, { signal }) =>
    new Promise((say) => said.push({ resolver, signal, say }));
  const upstream = createUpstreamOf({ clock, askOne });
  return { clock, said, ask: (...resolvers) => upstream.ask(question, { resolvers, transport: "udp" }) };
}

const asked = (said: readonly Said[]): string => said.map(({ resolver }) => resolver).join(" ");

test("the first resolver's answer ends the question", async () => {
  const { said, ask } = world();
  const answer = ask("a", "b");
  said[0]?.say(good);
  assert.equal(await answer, good);
  assert.equal(asked(said), "a");
  assert.ok(said[0]?.signal.aborted, "whoever still listens stops");
});

test("a resolver that says nothing is joined by the next after a second, and may still answer", async () => {
  const { clock, said, ask } = world();
  const answer = ask("a", "b");
  clock.advance(999);
  assert.equal(asked(said), "a");
  clock.advance(1);
  assert.equal(asked(said), "a b");
  said[0]?.say(good);
  assert.equal(await answer, good);
});

test("a resolver that cannot answer is followed by the next at once", async () => {
  const { said, ask } = world();
  const answer = ask("a", "b");
  said[0]?.say(servfail);
  await nextTurn();
  assert.equal(asked(said), "a b");
  said[1]?.say(good);
  assert.equal(await answer, good);
});

test("when each says that it cannot, the first one's word is told", async () => {
  const { said, ask } = world();
  const answer = ask("a", "b");
  said[0]?.say(servfail);
  await nextTurn();
  said[1]?.say(refused);
  assert.equal(await answer, servfail);
});

test("a resolver that failed is asked last for ten seconds", async () => {
  const { clock, said, ask } = world();
  const first = ask("a", "b");
  said[0]?.say(undefined);
  await nextTurn();
  said[1]?.say(good);
  await first;
  const second = ask("a", "b");
  assert.equal(asked(said), "a b b");
  said[2]?.say(good);
  await second;
  clock.advance(10_000);
  void ask("a", "b");
  assert.equal(asked(said), "a b b a");
});

test("a question ends before its asker asks again, after a bounded number of attempts", async () => {
  const { clock, said, ask } = world();
  const started = clock.monotonicMs();
  const answer = ask("a");
  for (let ms = 0; ms < 4_500; ms += 100) clock.advance(100);
  assert.equal(await answer, undefined);
  assert.equal(asked(said), "a a a");
  assert.ok(clock.monotonicMs() - started < 5_000);
  const many = ask("a", "b", "c", "d", "e");
  for (let ms = 0; ms < 4_500; ms += 100) clock.advance(100);
  assert.equal(await many, undefined);
  assert.ok(said.length - 3 <= 6);
});

test("without a resolver nobody is asked", async () => {
  const { said, ask } = world();
  assert.equal(await ask(), undefined);
  assert.equal(said.length, 0);
});
