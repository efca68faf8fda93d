import assert from "node:assert/strict";
import { test } from "node:test";
import dnsPacket from "dns-packet";
import fc from "fast-check";
import { ManualClock } from "../../base/clock/manual-clock.js";
import { holds } from "../../test/fuzz/holds.js";
import { readLife, retold } from "./answer-life.js";
import { ClusterNames } from "./cluster-names.js";
import { answerRecords } from "./dns-answer.js";
import { DnsDesk } from "./dns-desk.js";
import type { DnsQuestion } from "./dns-question.js";
import { readQuestion, skipName, TYPE } from "./dns-question.js";
import { NameRecords } from "./name-records.js";
import { query } from "./question-fixtures.js";

function read(message: Buffer): DnsQuestion {
  const question = readQuestion(message);
  assert.ok(typeof question === "object", String(question));
  return question;
}

test("name, type and class are read; case does not matter, the spelling stays in the message", () => {
  const { name, type, dnsClass, edns, opcode } = read(query("Tasks.WEB", { type: "AAAA" }));
  assert.deepEqual(
    { name, type, dnsClass, edns, opcode },
    { name: "tasks.web", type: TYPE.aaaa, dnsClass: 1, edns: undefined, opcode: 0 },
  );
  assert.equal(read(query("")).name, "");
});

test("EDNS is found behind the question (RFC 6891 6.1.2)", () => {
  assert.deepEqual(read(query("web", { payloadBytes: 4_096 })).edns, {
    payloadBytes: 4_096,
    version: 0,
    hasOptions: false,
    dnssecOk: false,
  });
});

test("a dot within a label is not the dot between labels", () => {
  const message = query("aXb.c");
  message[14] = 0x2e; // "a.b" is one label
  assert.equal(read(message).name, "a\\.b.c");
});

test("labels in UTF-8 are read as such", () => {
  assert.equal(read(query("Bücher")).name, "bücher");
});

test("what is no question is dropped; what is a broken one is told so", () => {
  assert.equal(readQuestion(Buffer.alloc(0)), "dropped");
  assert.equal(readQuestion(Buffer.alloc(11)), "dropped");
  assert.equal(readQuestion(dnsPacket.encode({ type: "response", id: 1 })), "dropped");
  assert.equal(readQuestion(dnsPacket.encode({ type: "query", id: 1 })), "malformed", "no question");
  const whole = query("web.front", { payloadBytes: 1_232 });
  for (let length = 12; length < whole.length; length += 1)
    assert.equal(readQuestion(whole.subarray(0, length)), "malformed", `${length} bytes`);
  const pointing = query("web");
  pointing[12] = 0xc0;
  assert.equal(readQuestion(pointing), "malformed", "compression where none can be");
});

test("a name of 255 bytes is read, a longer one is not (RFC 1035 2.3.4)", () => {
  const label = "a".repeat(49);
  const name = [label, label, label, label, "b".repeat(53)].join(".");
  assert.equal(name.length + 2, 255);
  assert.equal(read(query(name)).name, name);
  assert.equal(readQuestion(query(`${name}c`)), "malformed");
});

const bytes = fc.uint8Array({ maxLength: 600 }).map((array) => Buffer.from(array));
const labels = fc.array(fc.stringMatching(/^[A-Za-z0-9_-]{1,20}$/), { minLength: 1, maxLength: 8 });
/** A true question of which some bytes are changed and some cut off. */
const broken = fc
  .tuple(
    labels,
    fc.array(fc.tuple(fc.nat({ max: 200 }), fc.nat({ max: 255 })), { maxLength: 6 }),
    fc.nat({ max: 40 }),
    fc.boolean(),
  )
  .map(([parts, changes, cut, hasEdns]) => {
    const message = query(parts.join("."), hasEdns ? { payloadBytes: 1_232 } : {});
    for (const [at, value] of changes) if (at < message.length) message[at] = value;
    return message.subarray(0, Math.max(0, message.length - (cut > 20 ? 0 : cut)));
  });

test("fuzz: whatever comes is read, refused or dropped, within its bytes", () => {
  holds(
    fc.property(fc.oneof(bytes, broken), (message) => {
      const question = readQuestion(message);
      if (typeof question === "string") return;
      assert.ok(question.endOffset <= message.length);
      assert.ok((skipName(message, 12) ?? Number.POSITIVE_INFINITY) + 4 === question.endOffset);
    }),
  );
});

test("fuzz: names are read as a packet library wrote them", () => {
  holds(
    fc.property(labels, fc.nat({ max: 65_535 }), (parts, type) => {
      const message = query(parts.join("."));
      message.writeUInt16BE(type, message.length - 4);
      const question = read(message);
      assert.equal(question.name, parts.join(".").toLowerCase());
      assert.equal(question.type, type);
    }),
  );
});

test("fuzz: the desk answers at most once, with the question's id, within the asker's payload", () => {
  const names = new ClusterNames();
  const desk = new DnsDesk({
    viewOf: () => ({
      networks: [{ name: "front", names: names.of("net1") }],
      forwards: false,
      nameservers: [],
    }),
    upstream: { ask: () => Promise.resolve(undefined) },
    nodeResolvers: () => [],
    sandboxPath: () => "",
    clock: new ManualClock(),
  });
  holds(
    fc.property(fc.oneof(bytes, broken), (message) => {
      const answers: Buffer[] = [];
      desk.answer("box", { message, transport: "udp" }, (answer) => answers.push(answer));
      assert.ok(answers.length <= 1);
      for (const answer of answers) {
        assert.ok(answer.length <= 4_096 && answer.length >= 12);
        assert.equal(answer.readUInt16BE(0), message.readUInt16BE(0));
        assert.ok((answer[2] ?? 0) >= 0x80);
        if (((answer[3] ?? 0) & 15) !== 1) dnsPacket.decode(answer);
      }
    }),
  );
});

test("fuzz: an answer from outside is kept only when it can be read, and told again in its length", () => {
  const question = read(query("web.example.org"));
  const records = new NameRecords(["10.0.0.1", "10.0.0.2"]);
  const good = answerRecords(question, records, { family: 4, turn: 0, transport: "udp" });
  const changed = fc
    .array(fc.tuple(fc.nat({ max: good.length - 1 }), fc.nat({ max: 255 })), { maxLength: 6 })
    .map((changes) => {
      const answer = Buffer.from(good);
      for (const [at, value] of changes) answer[at] = value;
      return answer;
    });
  holds(
    fc.property(fc.oneof(bytes, changed), (answer) => {
      const kept = readLife(answer, question.endOffset);
      if (kept === undefined) return;
      assert.ok(kept.lifeSeconds > 0 && kept.lifeSeconds <= 300);
      if (answer.length >= question.endOffset) assert.equal(retold(kept, question, 1).length, answer.length);
    }),
  );
});
