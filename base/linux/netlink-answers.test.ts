import assert from "node:assert/strict";
import { test } from "node:test";
import { readNetlinkAnswers, readNetlinkRefusals } from "./netlink-answers.js";

const [ERROR, DONE, ROW, MULTI, INTERRUPTED] = [2, 3, 16, 2, 0x10];

function message(options: { type: number; flags?: number; sequence?: number; payload?: Uint8Array }): Buffer {
  const { type, flags = 0, sequence = 7, payload = new Uint8Array() } = options;
  const bytes = Buffer.alloc((16 + payload.length + 3) & ~3);
  bytes.writeUInt32LE(16 + payload.length, 0);
  bytes.writeUInt16LE(type, 4);
  bytes.writeUInt16LE(flags, 6);
  bytes.writeUInt32LE(sequence, 8);
  bytes.set(payload, 16);
  return bytes;
}

function result(errno: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(-errno);
  return bytes;
}

const row = (...bytes: number[]): Buffer =>
  message({ type: ROW, flags: MULTI, payload: Uint8Array.from(bytes) });

test("a dump goes on until its end comes, odd lengths padded", () => {
  const first = readNetlinkAnswers(Buffer.concat([row(1), row(2, 3)]), 7);
  assert.deepEqual(first, {
    payloads: [Uint8Array.of(1), Uint8Array.of(2, 3)],
    interrupted: false,
    end: { kind: "more" },
  });
  const last = readNetlinkAnswers(
    Buffer.concat([row(4), message({ type: DONE, flags: MULTI, payload: result(0) })]),
    7,
  );
  assert.deepEqual(last.end, { kind: "done" });
  assert.deepEqual(readNetlinkAnswers(message({ type: DONE }), 7).end, { kind: "done" });
});

test("an answer without the multi flag waits for its acknowledgement", () => {
  assert.deepEqual(readNetlinkAnswers(message({ type: ROW }), 7).end, { kind: "more" });
  assert.deepEqual(readNetlinkAnswers(message({ type: ERROR, payload: result(0) }), 7).end, { kind: "done" });
});

test("a refusal may come as an error or as the end of a dump", () => {
  for (const type of [ERROR, DONE]) {
    const { end } = readNetlinkAnswers(message({ type, payload: result(16) }), 7);
    assert.deepEqual(end, { kind: "refused", errno: 16 });
  }
});

test("late answers to another request are passed over", () => {
  const late = message({ type: ERROR, sequence: 6, payload: result(1) });
  assert.deepEqual(readNetlinkAnswers(Buffer.concat([late, row(1)]), 7), {
    payloads: [Uint8Array.of(1)],
    interrupted: false,
    end: { kind: "more" },
  });
});

test("a table that changed while it was read is told, in a row or at the end", () => {
  assert.equal(readNetlinkAnswers(message({ type: ROW, flags: MULTI | INTERRUPTED }), 7).interrupted, true);
  assert.equal(readNetlinkAnswers(message({ type: DONE, flags: INTERRUPTED }), 7).interrupted, true);
});

test("lengths that do not fit are refused", () => {
  for (const length of [0, 15, 17, 0xffff_ffff]) {
    const bytes = message({ type: ROW });
    bytes.writeUInt32LE(length, 0);
    assert.throws(() => readNetlinkAnswers(bytes, 7), /must have 16 to 16 bytes/);
  }
});

test("of what was sent at once, only refusals are read, by number", () => {
  const ack = message({ type: ERROR, sequence: 5, payload: result(0) });
  const refused = message({ type: ERROR, sequence: 6, payload: result(2) });
  assert.deepEqual(readNetlinkRefusals(Buffer.concat([ack, row(1), refused])), [{ sequence: 6, errno: 2 }]);
  assert.deepEqual(readNetlinkRefusals(refused.subarray(0, 18)), []);
});
