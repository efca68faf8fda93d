import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { holds } from "../../test/fuzz/holds.js";
import { secondsLeftOf } from "../dataplane/conntrack-messages.js";
import { decodeSocket, destroySocket, dumpEstablished } from "./sock-diag-messages.js";

/** As the kernel writes it: a connection from 10.0.1.50:40000 to 10.0.1.2:80. */
function answer(options: { isMapped?: boolean; times?: readonly [number, number, number] } = {}): Buffer {
  const bytes = Buffer.alloc(72 + 4 + 104);
  bytes[0] = options.isMapped === true ? 10 : 2;
  bytes[1] = 1;
  bytes.writeUInt16BE(40_000, 4);
  bytes.writeUInt16BE(80, 6);
  const [from, to] = [Buffer.from([10, 0, 1, 50]), Buffer.from([10, 0, 1, 2])];
  const prefix = options.isMapped === true ? 12 : 0;
  if (prefix > 0) for (const at of [8, 24]) bytes.fill(0xff, at + 10, at + 12);
  from.copy(bytes, 8 + prefix);
  to.copy(bytes, 24 + prefix);
  bytes.writeUInt32LE(4_711, 44); // cookie
  bytes.writeUInt16LE(4 + 104, 72);
  bytes.writeUInt16LE(2, 74);
  const [sent, received, acked] = options.times ?? [5_000, 4_000, 3_000];
  bytes.writeUInt32LE(sent, 76 + 44);
  bytes.writeUInt32LE(received, 76 + 52);
  bytes.writeUInt32LE(acked, 76 + 56);
  return bytes;
}

test("a socket is read with both ends and its last sign of life", () => {
  for (const isMapped of [false, true]) {
    const socket = decodeSocket(answer({ isMapped }));
    assert.deepEqual(socket?.local, { address: "10.0.1.50", port: 40_000 });
    assert.deepEqual(socket?.remote, { address: "10.0.1.2", port: 80 });
    assert.equal(socket?.idleMs, 3_000);
  }
});

test("closing names the socket by all that identifies it", () => {
  const bytes = answer();
  const socket = decodeSocket(bytes);
  assert.ok(socket);
  const request = Buffer.from(destroySocket(socket));
  assert.equal(request.readUInt16LE(4), 21);
  assert.deepEqual(request.subarray(24, 72), bytes.subarray(4, 52));
});

test("established sockets of one family are asked for, with their counters", () => {
  const request = Buffer.from(dumpEstablished(6));
  assert.deepEqual([...request.subarray(16, 24)], [10, 6, 2, 0, 2, 0, 0, 0]);
  assert.equal(request.length, 16 + 56);
});

test("fuzz: whatever bytes come, they are read or passed over", () => {
  const changes = fc.array(fc.tuple(fc.nat({ max: 179 }), fc.nat({ max: 255 })), { maxLength: 8 });
  holds(
    fc.property(changes, fc.nat({ max: 180 }), (all, length) => {
      const bytes = answer();
      for (const [at, value] of all) bytes[at] = value;
      const socket = decodeSocket(bytes.subarray(0, length));
      if (socket !== undefined) assert.ok(socket.idleMs >= 0);
      secondsLeftOf(bytes.subarray(0, length));
    }),
  );
});
