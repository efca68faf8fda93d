import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import dnsPacket from "dns-packet";
import { ManualClock } from "../../base/clock/manual-clock.js";
import { ANSWER_BYTES_MAX, AnswerCache, SANDBOX_BYTES_MAX } from "./answer-cache.js";
import type { Transport } from "./dns-answer.js";
import type { DnsQuestion } from "./dns-question.js";
import { readQuestion } from "./dns-question.js";
import { Forwarder } from "./forwarder.js";
import { FORWARDS_BURST, FORWARDS_MAX, FORWARDS_PER_SECOND } from "./question-budget.js";
import { answerTo, codeOf, query } from "./question-fixtures.js";

function read(message: Buffer): DnsQuestion {
  const question = readQuestion(message);
  assert.ok(typeof question === "object");
  return question;
}

class World {
  readonly clock = new ManualClock();
  /** Questions that reached a resolver. */
  readonly outside: { query: Buffer; answer: (bytes: Buffer | undefined) => void }[] = [];
  readonly forwarder = new Forwarder({
    clock: this.clock,
    upstream: { ask: (asked) => new Promise((answer) => this.outside.push({ query: asked, answer })) },
  });

  ask(sandboxId: string, message: Buffer, transport: Transport = "udp"): Buffer[] {
    const answers: Buffer[] = [];
    const asked = { question: read(message), transport, resolvers: ["192.0.2.53"] };
    this.forwarder.forward(sandboxId, asked, (answer) => answers.push(answer));
    return answers;
  }

  async say(parts: Parameters<typeof answerTo>[1]): Promise<void> {
    const next = this.outside.at(-1);
    next?.answer(answerTo(next.query, parts));
    await nextTurn();
  }
}

test("an answer is told again while it lives, with less life, the new id and the new spelling", async () => {
  const world = new World();
  const first = world.ask("box", query("Example.org"));
  await world.say({ addresses: ["192.0.2.1"], ttl: 60 });
  assert.equal(dnsPacket.decode(first[0] ?? Buffer.alloc(0)).questions?.[0]?.name, "Example.org");
  world.clock.advance(20_000);
  const [again] = world.ask("box", query("example.ORG", { id: 99 }));
  assert.ok(again !== undefined && world.outside.length === 1);
  const decoded = dnsPacket.decode(again);
  const [record] = decoded.answers ?? [];
  assert.deepEqual([decoded.id, decoded.questions?.[0]?.name], [99, "example.ORG"]);
  assert.ok(record?.type === "A" && record.ttl === 40);
  world.clock.advance(40_000);
  world.ask("box", query("example.org"));
  assert.equal(world.outside.length, 2);
});

test("what one sandbox was told, another does not hear", async () => {
  const world = new World();
  world.ask("evil", query("example.org"));
  await world.say({ addresses: ["203.0.113.66"] });
  assert.deepEqual(world.ask("box", query("example.org")), []);
  assert.equal(world.outside.length, 2);
});

test("a missing name is remembered as long as its SOA says, thirty seconds at most (RFC 2308)", async () => {
  const world = new World();
  world.ask("box", query("missing.org"));
  await world.say({ rcode: 3, negativeTtl: 3_600 });
  world.clock.advance(29_000);
  assert.equal(codeOf(world.ask("box", query("missing.org"))[0]), "NXDOMAIN");
  world.clock.advance(1_000);
  world.ask("box", query("missing.org"));
  assert.equal(world.outside.length, 2);
});

test("failures, cut answers and answers without a life are not remembered", async () => {
  const world = new World();
  for (const parts of [
    { rcode: 2 },
    { addresses: ["192.0.2.1"], ttl: 0 },
    { addresses: ["192.0.2.1"], flags: dnsPacket.TRUNCATED_RESPONSE },
    { rcode: 3 },
  ]) {
    const asked = world.outside.length;
    world.ask("box", query("example.org"));
    assert.equal(world.outside.length, asked + 1, JSON.stringify(parts));
    await world.say(parts);
  }
});

test("equal questions are asked once, each asker gets its own id", async () => {
  const world = new World();
  const answers = [1, 2, 3].map((id) => world.ask("box", query("example.org", { id })));
  assert.equal(world.outside.length, 1);
  await world.say({ addresses: ["192.0.2.1"], ttl: 0 });
  assert.deepEqual(
    answers.map(([answer]) => dnsPacket.decode(answer ?? Buffer.alloc(12)).id),
    [1, 2, 3],
  );
});

test("a sandbox has so many questions outside at a time; others are not touched", () => {
  const world = new World();
  for (let i = 0; i < FORWARDS_MAX; i += 1) world.ask("box", query(`n${i}.org`));
  assert.equal(codeOf(world.ask("box", query("more.org"))[0]), "SERVFAIL");
  assert.deepEqual(world.ask("other", query("more.org")), []);
});

test("and so many a second", async () => {
  const world = new World();
  let asked = 0;
  const burst = async (): Promise<number> => {
    for (let count = 0; ; count += 1) {
      asked += 1;
      if (world.ask("box", query(`n${asked}.org`)).length > 0) return count;
      await world.say({ rcode: 2 });
    }
  };
  assert.equal(await burst(), FORWARDS_BURST);
  world.clock.advance(100);
  assert.equal(await burst(), FORWARDS_PER_SECOND / 10);
});

test("nobody is answered after the sandbox is gone, and nothing of it is kept", async () => {
  const world = new World();
  const answers = world.ask("box", query("example.org"));
  world.forwarder.forget("box");
  await world.say({ addresses: ["192.0.2.1"] });
  assert.deepEqual(answers, []);
  world.ask("box", query("example.org"));
  assert.equal(world.outside.length, 2);
});

test("nobody who answers in time is a failure", async () => {
  const world = new World();
  const answers = world.ask("box", query("example.org"));
  world.outside[0]?.answer(undefined);
  await nextTurn();
  assert.equal(codeOf(answers[0]), "SERVFAIL");
});

test("the cache is bounded: a greedy sandbox loses its own oldest answers", () => {
  const cache = new AnswerCache(new ManualClock());
  const keep = (sandbox: string, name: string): void => {
    const message = query(name);
    const answer = answerTo(message, { addresses: Array.from({ length: 60 }, () => "192.0.2.1") });
    cache.keep(sandbox, name, answer, read(message).endOffset);
  };
  keep("modest", "example.org");
  for (let box = 0; box < 40; box += 1) for (let i = 0; i < 200; i += 1) keep(`box${box}`, `n${i}.org`);
  assert.ok(cache.bytes <= ANSWER_BYTES_MAX && cache.bytes > ANSWER_BYTES_MAX - 2 * SANDBOX_BYTES_MAX);
  assert.ok(cache.find("modest", "example.org", read(query("example.org"))) !== undefined);
  assert.equal(cache.find("box0", "n0.org", read(query("n0.org"))), undefined);
});
