import assert from "node:assert/strict";
import { test } from "node:test";
import dnsPacket from "dns-packet";
import type { Transport } from "./dns-answer.js";
import {
  answerBadVersion,
  answerEmpty,
  answerMalformed,
  answerPointer,
  answerRecords,
  encodeName,
  fitted,
  RCODE,
} from "./dns-answer.js";
import type { DnsQuestion } from "./dns-question.js";
import { readQuestion } from "./dns-question.js";
import { NameRecords, TTL_SECONDS } from "./name-records.js";
import { codeOf, query } from "./question-fixtures.js";

function asked(message: Buffer): DnsQuestion {
  const question = readQuestion(message);
  assert.ok(typeof question === "object");
  return question;
}

function answered(
  message: Buffer,
  addresses: readonly string[],
  options: { transport?: Transport; family?: 4 | 6; turn?: number } = {},
): dnsPacket.DecodedPacket & { size: number; addresses: string[] } {
  const { transport = "udp", family = 4, turn = 0 } = options;
  const answer = answerRecords(asked(message), new NameRecords(addresses), { family, turn, transport });
  const decoded = dnsPacket.decode(answer);
  const told = (decoded.answers ?? []).map((record) =>
    record.type === "A" || record.type === "AAAA" ? record.data : "",
  );
  return { ...decoded, size: answer.length, addresses: told };
}

const many = Array.from({ length: 300 }, (_, i) => `10.0.${i >> 8}.${i & 255}`);

test("an answer repeats id, question and its spelling, and carries addresses with a short life", () => {
  const answer = answered(query("Web"), ["10.0.1.2"]);
  assert.equal(answer.id, 7);
  assert.equal(answer.questions?.[0]?.name, "Web");
  assert.deepEqual(
    answer.answers?.map((record) => (record.type === "A" ? [record.name, record.data, record.ttl] : [])),
    [["Web", "10.0.1.2", TTL_SECONDS]],
  );
  assert.deepEqual(
    [answer.flag_tc, answer.flag_rd, answer.flag_ra, answer.flag_aa],
    [false, true, true, true],
  );
});

test("each family is in an answer of its own", () => {
  const addresses = ["10.0.1.2", "fd53::1:2", "10.0.1.3"];
  assert.deepEqual(answered(query("web"), addresses).addresses, ["10.0.1.2", "10.0.1.3"]);
  assert.deepEqual(answered(query("web", { type: "AAAA" }), addresses, { family: 6 }).addresses, [
    "fd53::1:2",
  ]);
});

test("addresses are turned round, so that each comes first", () => {
  const turned = [0, 1, 2, 3].map((turn) =>
    answered(query("web"), ["10.0.0.1", "10.0.0.2", "10.0.0.3"], { turn }),
  );
  assert.deepEqual(
    turned.map(({ addresses }) => addresses.map((address) => address.slice(-1)).join("")),
    ["123", "231", "312", "123"],
  );
});

test("what does not fit by UDP is cut at a record and marked; TCP carries it all (RFC 1035 4.2.1, RFC 6891)", () => {
  const plain = answered(query("tasks.web"), many, { turn: 295 });
  assert.ok(plain.flag_tc && plain.size <= 512 && plain.size > 496, String(plain.size));
  assert.equal(plain.addresses[0], many[295]);
  assert.equal(plain.addresses[5], many[0], "the rest comes from the beginning");
  const extended = answered(query("tasks.web", { payloadBytes: 1_232 }), many);
  assert.ok(extended.flag_tc && extended.size <= 1_232 && extended.size > 1_216);
  assert.equal(extended.additionals?.[0]?.type, "OPT");
  assert.ok(answered(query("tasks.web", { payloadBytes: 65_000 }), many).size <= 4_096, "our own bound");
  assert.ok(answered(query("tasks.web", { payloadBytes: 1 }), many).size > 496, "512 are everybody's");
  const tcp = answered(query("tasks.web"), many, { transport: "tcp" });
  assert.ok(!tcp.flag_tc && tcp.addresses.length === 300);
});

test("more addresses than a message holds are cut by TCP, too", () => {
  const all = Array.from({ length: 5_000 }, (_, i) => `10.0.${i >> 8}.${i & 255}`);
  const tcp = answered(query("tasks.web"), all, { transport: "tcp" });
  assert.ok(tcp.size <= 65_535 && tcp.addresses.length >= 4_000);
});

test("a pointer names what has the address", () => {
  const answer = dnsPacket.decode(
    answerPointer(asked(query("2.1.0.10.in-addr.arpa", { type: "PTR" })), "web.front"),
  );
  const [record] = answer.answers ?? [];
  assert.ok(record?.type === "PTR");
  assert.equal(record.data, "web.front");
});

test("no such name, no data and failure differ in their code", () => {
  const codes = [RCODE.noSuchName, RCODE.noError, RCODE.serverFailure];
  const told = codes.map((code) => codeOf(answerEmpty(asked(query("x")), code)));
  assert.deepEqual(told, ["NXDOMAIN", "NOERROR", "SERVFAIL"]);
});

test("an unknown version of EDNS is refused with ours (RFC 6891 6.1.3)", () => {
  const message = query("web", { payloadBytes: 1_232 });
  message[message.length - 5] = 1;
  const question = asked(message);
  assert.equal(question.edns?.version, 1);
  const answer = answerBadVersion(question);
  const [edns] = dnsPacket.decode(answer).additionals ?? [];
  assert.ok(edns?.type === "OPT");
  assert.deepEqual([edns.extendedRcode, edns.ednsVersion, (answer[3] ?? 0) & 15], [1, 0, 0]);
});

test("a broken question gets the header alone", () => {
  const answer = answerMalformed(query("web").subarray(0, 14));
  const { id, questions } = dnsPacket.decode(answer);
  assert.deepEqual([id, codeOf(answer), questions?.length], [7, "FORMERR", 0]);
});

test("an answer from outside that the asker cannot take is cut to the question", () => {
  const question = asked(query("web"));
  const long = answerRecords(question, new NameRecords(many), { family: 4, turn: 0, transport: "tcp" });
  const cut = dnsPacket.decode(fitted(question, long, "udp"));
  assert.ok(cut.flag_tc && cut.answers?.length === 0);
  assert.equal(fitted(question, long, "tcp"), long);
});

test("a name that no message carries is not encoded", () => {
  assert.equal(encodeName("a".repeat(64)), undefined);
  assert.equal(encodeName(Array.from({ length: 90 }, () => "abc").join(".")), undefined);
  assert.deepEqual(encodeName("a.b."), Buffer.from([1, 97, 1, 98, 0]));
});
