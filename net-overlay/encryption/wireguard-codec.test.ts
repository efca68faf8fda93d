/**
 * WireGuard's messages: what is asked, byte for byte where the kernel is strict, and what is read.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeAttributes, encodeAttributes, nested } from "../dataplane/rtnetlink-codec.js";
import {
  decodeFamily,
  decodeWireguard,
  dumpWireguard,
  getWireguardFamily,
  setWireguard,
} from "./wireguard-codec.js";

const HEADERS_BYTES = 16 + 4;
const KEY = new Uint8Array(32).fill(3);

function attributesOf(message: Uint8Array): Map<number, Buffer> {
  return decodeAttributes(Buffer.from(message).subarray(HEADERS_BYTES));
}

function bytes64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(value);
  return bytes;
}

function answer(attributes: Parameters<typeof encodeAttributes>[0]): Uint8Array {
  return Buffer.concat([Uint8Array.of(0, 1, 0, 0), encodeAttributes(attributes)]);
}

test("the family is asked for by name and read as a number", () => {
  const message = Buffer.from(getWireguardFamily());
  assert.equal(message.readUInt16LE(4), 16);
  assert.equal(message[16], 3);
  assert.equal(attributesOf(message).get(2)?.toString(), "wireguard\0");
  assert.equal(decodeFamily(answer([{ type: 1, value: Uint8Array.of(30, 0) }])), 30);
  assert.equal(decodeFamily(answer([])), undefined);
});

test("a dump names the device", () => {
  const message = Buffer.from(dumpWireguard(30, "skein-wg"));
  assert.equal(message.readUInt16LE(4), 30);
  assert.equal(message.readUInt16LE(6) & 0x300, 0x300);
  assert.equal(attributesOf(message).get(2)?.toString(), "skein-wg\0");
});

test("a device gets key, port and peers; nested attributes say that they are", () => {
  const message = Buffer.from(
    setWireguard(30, {
      name: "w",
      privateKey: KEY,
      listenPort: 4790,
      peers: [
        {
          publicKey: KEY,
          presharedKey: new Uint8Array(32).fill(4),
          endpoint: { address: "10.0.0.2", port: 4790 },
          insideAddress: "169.254.0.2",
        },
        { publicKey: KEY, remove: true },
        { publicKey: KEY, updateOnly: true, endpoint: { address: "fd00::2", port: 1 } },
      ],
    }),
  );
  const device = attributesOf(message);
  assert.equal(device.get(6)?.readUInt16LE(0), 4790);
  assert.deepEqual(new Uint8Array(device.get(3) ?? []), KEY);
  const read = decodeWireguard([message.subarray(16)]);
  // the kernel's answers have the same shape; equal public keys in a row are one peer
  assert.deepEqual(read.peers[0]?.endpoint, { address: "10.0.0.2", port: 4790 });
  assert.deepEqual(read.peers[0]?.insideAddresses, ["169.254.0.2"]);
  assert.deepEqual(read.peers[0]?.presharedKey, new Uint8Array(32).fill(4));
  const raw = message.toString("hex");
  const peersAt = message.indexOf(Buffer.from([0x08, 0x80]));
  assert.ok(peersAt > 0 && raw.includes("0080"), "peers and each of them are marked as nested");
  const items = device.get(8) ?? Buffer.alloc(0);
  const flags: number[] = [];
  for (let at = 0; at < items.length; at += (items.readUInt16LE(at) + 3) & ~3) {
    assert.equal(items.readUInt16LE(at + 2), 0x8000);
    const peer = decodeAttributes(items.subarray(at + 4, at + items.readUInt16LE(at)));
    flags.push(peer.get(3)?.readUInt32LE(0) ?? -1);
  }
  assert.deepEqual(flags, [2, 1, 4]);
});

test("a device of many messages is one; handshakes are milliseconds, or never were", () => {
  const peer = (key: number, more: Parameters<typeof encodeAttributes>[0]) =>
    nested(0, [{ type: 1, value: new Uint8Array(32).fill(key) }, ...more]);
  const allowed = (address: number[]) =>
    nested(9, [nested(0, [{ type: 2, value: Uint8Array.from(address) }])]);
  const first = answer([
    { type: 3, value: KEY },
    { type: 6, value: Uint8Array.of(0xb6, 0x12) },
    nested(8, [
      peer(1, [
        { type: 6, value: Buffer.concat([bytes64(1_700_000_000n), bytes64(5_000_000n)]) },
        { type: 7, value: bytes64(148n) },
        { type: 8, value: bytes64(92n) },
        allowed([169, 254, 0, 1]),
      ]),
    ]),
  ]);
  const second = answer([
    nested(8, [peer(1, [allowed([169, 254, 0, 9])]), peer(2, [{ type: 6, value: Buffer.alloc(16) }])]),
  ]);
  const device = decodeWireguard([first, second]);
  assert.deepEqual(device.privateKey, KEY);
  assert.equal(device.listenPort, 0x12b6);
  assert.deepEqual(
    device.peers.map(({ lastHandshakeMs, receivedBytes, sentBytes, insideAddresses }) => ({
      lastHandshakeMs,
      receivedBytes,
      sentBytes,
      insideAddresses,
    })),
    [
      {
        lastHandshakeMs: 1_700_000_000_005,
        receivedBytes: 148,
        sentBytes: 92,
        insideAddresses: ["169.254.0.1", "169.254.0.9"],
      },
      { lastHandshakeMs: undefined, receivedBytes: 0, sentBytes: 0, insideAddresses: [] },
    ],
  );
});

test("an IPv6 end point survives", () => {
  const message = setWireguard(30, {
    name: "w",
    peers: [{ publicKey: KEY, endpoint: { address: "fd00::10:2", port: 65_535 } }],
  });
  const { peers } = decodeWireguard([Buffer.from(message).subarray(16)]);
  assert.deepEqual(peers[0]?.endpoint, { address: "fd00::10:2", port: 65_535 });
});
