/**
 * The header of the PROXY protocol, version 2, byte for byte as its specification lays it out.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { holds } from "../../test/fuzz/holds.js";
import { formatAddress } from "../ipam/cidr.js";
import { decodeProxyHeader, encodeProxyHeader } from "./proxy-header.js";

const SIGNATURE = "0d0a0d0a000d0a515549540a";

test("an IPv4 connection: signature, version and command, family, length, addresses, ports", () => {
  const header = {
    source: { address: "192.168.0.1", port: 56_324 },
    destination: { address: "192.168.0.11", port: 443 },
  };
  const bytes = encodeProxyHeader(header);
  assert.equal(
    bytes.toString("hex"),
    `${SIGNATURE}${"2111000c"}${"c0a80001"}${"c0a8000b"}${"dc04"}${"01bb"}`,
  );
  assert.deepEqual(decodeProxyHeader(bytes), { header, bytes: 28 });
});

test("an IPv6 connection", () => {
  const header = {
    source: { address: "2001:db8::1", port: 1 },
    destination: { address: "fd00::2", port: 65_535 },
  };
  const bytes = encodeProxyHeader(header);
  assert.equal(
    bytes.toString("hex"),
    `${SIGNATURE}21210024${"20010db8000000000000000000000001"}${"fd000000000000000000000000000002"}0001ffff`,
  );
  assert.deepEqual(decodeProxyHeader(bytes), { header, bytes: 52 });
});

test("ends of both families are told as IPv6", () => {
  const bytes = encodeProxyHeader({
    source: { address: "10.0.0.1", port: 5 },
    destination: { address: "fd00::2", port: 6 },
  });
  assert.equal(bytes.subarray(16, 32).toString("hex"), "00000000000000000000ffff0a000001");
});

test("what is not whole, no header, or says nothing of the ends is told apart", () => {
  const bytes = encodeProxyHeader({
    source: { address: "10.0.0.1", port: 5 },
    destination: { address: "10.0.0.2", port: 6 },
  });
  for (let length = 0; length < bytes.length; length += 1)
    assert.equal(decodeProxyHeader(bytes.subarray(0, length)), "more");
  assert.equal(decodeProxyHeader(Buffer.from("GET / HTTP/1.1\r\n")), "none");
  const local = Buffer.concat([Buffer.from(SIGNATURE, "hex"), Buffer.from("20000000", "hex")]);
  assert.deepEqual(decodeProxyHeader(local), { header: undefined, bytes: 16 });
});

test("any ends come back as they went", () => {
  const end = (family: 4 | 6) =>
    fc.record(
      {
        address: fc
          .bigInt({ min: family === 4 ? 0n : 1n << 40n, max: (1n << (family === 4 ? 32n : 128n)) - 1n })
          .filter((value) => family === 4 || value >> 32n !== 0xffffn)
          .map((value) => formatAddress(family, value)),
        port: fc.integer({ min: 0, max: 65_535 }),
      },
      { noNullPrototype: true },
    );
  for (const family of [4, 6] as const) {
    holds(
      fc.property(end(family), end(family), fc.uint8Array(), (source, destination, rest) => {
        const bytes = Buffer.concat([encodeProxyHeader({ source, destination }), rest]);
        const decoded = decodeProxyHeader(bytes);
        assert.deepEqual(decoded, {
          header: { source, destination },
          bytes: bytes.length - rest.length,
        });
      }),
    );
  }
});

test("fuzz: any bytes are read without an error", () => {
  const head = fc.constant(Buffer.from(SIGNATURE, "hex"));
  holds(
    fc.property(fc.tuple(head, fc.uint8Array()), ([begin, rest]) => {
      decodeProxyHeader(Buffer.concat([begin, rest]));
    }),
  );
});
