/** What a node says of itself reaches the kernels of all others: what is none of its kind is refused. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { NodeDescription } from "../../proto/gen/skein/v1/types.js";
import { checkDescription } from "./report-bounds.js";

const KEY = Buffer.alloc(32, 7).toString("base64");

test("a node's keys, ports, sizes and addresses are what they say they are", () => {
  const check = (fields: Parameters<typeof NodeDescription.fromPartial>[0]): void =>
    checkDescription(NodeDescription.fromPartial(fields));
  checkDescription(undefined);
  check({});
  check({
    wireguardPublicKey: KEY,
    wireguardUdpPort: 4_790,
    pathMtuBytes: 1_500,
    dataPathAddress: "fd00::1",
  });
  check({ pathMtuBytes: 65_536, nodeAddresses: ["192.0.2.1", "fd00::1"] });
  assert.throws(() => check({ wireguardPublicKey: `${KEY}A` }), /must be 32 bytes in base64/);
  assert.throws(() => check({ wireguardUdpPort: 65_536 }), /must be a UDP port, got 65536/);
  assert.throws(() => check({ pathMtuBytes: 60 }), /must be at least 118 bytes, got 60/);
  assert.throws(() => check({ dataPathAddress: "192.0.2.1;" }), /IPv4 or IPv6 address/);
  assert.throws(() => check({ nodeAddresses: Array(17).fill("192.0.2.1") }), /may have 16 addresses, got 17/);
});
