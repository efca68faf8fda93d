import assert from "node:assert/strict";
import { test } from "node:test";
import dnsPacket from "dns-packet";
import { decodeQuery, encodeAnswer, TTL_SECONDS } from "./dns-wire.js";

function query(name: string, options: { payloadBytes?: number } = {}): Buffer {
  const additionals: dnsPacket.Answer[] =
    options.payloadBytes === undefined
      ? []
      : [
          {
            type: "OPT",
            name: ".",
            udpPayloadSize: options.payloadBytes,
            extendedRcode: 0,
            ednsVersion: 0,
            flags: 0,
            flag_do: false,
            options: [],
          },
        ];
  return dnsPacket.encode({
    type: "query",
    id: 7,
    flags: dnsPacket.RECURSION_DESIRED,
    questions: [{ type: "A", name }],
    additionals,
  });
}

function answered(
  bytes: Buffer,
  transport: "udp" | "tcp",
  addresses: string[],
): dnsPacket.DecodedPacket & { size: number } {
  const decoded = decodeQuery(bytes);
  assert.ok(decoded);
  const answer = encodeAnswer(decoded, { kind: "addresses", type: "A", addresses }, transport);
  return { ...dnsPacket.decode(answer), size: answer.length };
}

const many = Array.from({ length: 100 }, (_, i) => `10.0.1.${i}`);

test("an answer repeats id and question and carries addresses with a short life", () => {
  const answer = answered(query("Web"), "udp", ["10.0.1.2"]);
  assert.equal(answer.id, 7);
  assert.equal(answer.questions?.[0]?.name, "Web");
  assert.deepEqual(
    answer.answers?.map((record) => (record.type === "A" ? [record.data, record.ttl] : [])),
    [["10.0.1.2", TTL_SECONDS]],
  );
  assert.equal(answer.flag_tc, false);
});

test("what does not fit by UDP is cut and marked; TCP carries it all (RFC 1035 4.2.1, RFC 6891)", () => {
  const plain = answered(query("tasks.web"), "udp", many);
  assert.ok(plain.flag_tc && plain.size <= 512);
  const extended = answered(query("tasks.web", { payloadBytes: 4096 }), "udp", many.slice(0, 40));
  assert.ok(!extended.flag_tc && extended.answers?.length === 40);
  const tcp = answered(query("tasks.web"), "tcp", many);
  assert.ok(!tcp.flag_tc && tcp.answers?.length === 100);
});

test("no such name, no data and failure differ in their code", () => {
  const decoded = decodeQuery(query("x"));
  assert.ok(decoded);
  const code = (kind: "no-such-name" | "no-data" | "failure"): number =>
    (encodeAnswer(decoded, { kind }, "udp")[3] ?? 0) & 15;
  assert.deepEqual([code("no-such-name"), code("no-data"), code("failure")], [3, 0, 2]);
});

test("what is no question is dropped", () => {
  assert.equal(decodeQuery(Buffer.from("rubbish")), undefined);
  assert.equal(decodeQuery(Buffer.alloc(0)), undefined);
  assert.equal(decodeQuery(dnsPacket.encode({ type: "response", id: 1 })), undefined);
});

test("types the wire library has no name for are answered, too", () => {
  for (const type of [64, 65, 255, 4711]) {
    const bytes = query("web");
    bytes.writeUInt16BE(type, bytes.length - 4);
    const decoded = decodeQuery(bytes);
    assert.ok(decoded);
    const answer = encodeAnswer(decoded, { kind: "no-data" }, "udp");
    assert.equal(answer.readUInt16BE(answer.length - 4), type);
  }
});
