import assert from "node:assert/strict";
import { test } from "node:test";
import {
  decodeAttributes,
  encodeAttributes,
  encodeMessage,
  ipv4,
  mac,
  nested,
  text,
  u32,
} from "./rtnetlink-codec.js";
import {
  addRule,
  decodeAddress,
  decodeLink,
  decodeNeighbour,
  decodeRoute,
  decodeRule,
  newVxlan,
  setAddress,
  setForwarding,
  setNeighbour,
  setRoute,
} from "./rtnetlink-messages.js";

const payload = (message: Uint8Array): Uint8Array => message.subarray(16);

test("a message carries its length, type and flags, and is padded to four bytes", () => {
  const message = Buffer.from(
    encodeMessage({ type: 16, flags: 4, fixed: Uint8Array.of(1, 2), attributes: [text(3, "ab")] }),
  );
  assert.equal(
    message.toString("hex"),
    `1c000000${"1000"}${"0500"}${"0000000000000000"}${"01020000"}${"0700030061620000"}`,
  );
});

test("attributes come back as they went, nested ones with their flag bits off", () => {
  const bytes = Buffer.from(
    encodeAttributes([nested(0x8001, [u32(2, 7)]), ipv4(5, "10.1.2.3"), mac(6, "02:99:00:00:01:2c")]),
  );
  const attributes = decodeAttributes(bytes);
  assert.deepEqual([...attributes.keys()], [1, 5, 6]);
  assert.equal(
    decodeAttributes(attributes.get(1) ?? Buffer.alloc(0))
      .get(2)
      ?.readUInt32LE(0),
    7,
  );
  assert.deepEqual([...(attributes.get(5) ?? [])], [10, 1, 2, 3]);
});

test("damaged attributes end the reading, they do not loop", () => {
  assert.equal(decodeAttributes(Buffer.from([0, 0, 1, 0, 9, 9, 9, 9])).size, 0);
  assert.equal(decodeAttributes(Buffer.from([200, 0, 1, 0])).size, 0);
});

test("what we send is what we would read", () => {
  const vxlan = {
    name: "vx0",
    vni: 4097,
    localAddress: "10.99.0.1",
    udpPort: 4789,
    mac: "02:99:00:00:00:01",
    mtuBytes: 1450,
  };
  assert.deepEqual(decodeLink(payload(newVxlan(vxlan))), {
    index: 0,
    name: "vx0",
    mtuBytes: 1450,
    mac: vxlan.mac,
    vxlan: { vni: 4097, localAddress: "10.99.0.1", udpPort: 4789 },
  });
  const address = { index: 3, address: "10.0.1.2", prefixLength: 24 };
  assert.deepEqual(decodeAddress(payload(setAddress(address))), address);
  const neighbour = { linkIndex: 4, address: "10.99.0.2", mac: "02:99:00:00:00:02" };
  assert.deepEqual(decodeNeighbour(payload(setForwarding(neighbour))), neighbour);
  const route = { destination: "0.0.0.0/0", table: 1_016_383, linkIndex: 5, gateway: "100.64.2.1" };
  assert.deepEqual(decodeRoute(payload(setRoute({ ...route, onlink: true }))), {
    ...route,
    isOurs: true,
    isUnreachable: false,
  });
  const rule = {
    priority: 2201,
    match: { mark: 0x4002_0000, mask: 0x7fff_0000, inverted: false },
    action: { kind: "table" as const, table: 1_000_002 },
  };
  assert.deepEqual(decodeRule(payload(addRule(rule))), { priority: 2201, isOurs: true, rule });
});

test("addresses, routes, neighbours and tunnels of IPv6 come back as they went", () => {
  const address = { index: 3, address: "fd00:0:0:1::2", prefixLength: 64 };
  assert.deepEqual(decodeAddress(payload(setAddress({ ...address, withoutRoute: true }))), {
    ...address,
    address: "fd00:0:0:1::2",
  });
  const neighbour = { linkIndex: 4, address: "fe80::2", mac: "02:99:00:00:00:02" };
  assert.deepEqual(decodeNeighbour(payload(setNeighbour(neighbour))), neighbour);
  const forwarding = { ...neighbour, address: "2001:db8::2" };
  assert.deepEqual(decodeNeighbour(payload(setForwarding(forwarding))), forwarding);
  for (const destination of ["fd00::5/128", "::/0"]) {
    const route = { destination, table: 254, linkIndex: 5, gateway: "fe80::2" };
    assert.deepEqual(decodeRoute(payload(setRoute({ ...route, onlink: true }))), {
      ...route,
      isOurs: true,
      isUnreachable: false,
    });
  }
  const link = decodeLink(
    payload(
      newVxlan({
        name: "vx0",
        vni: 4097,
        localAddress: "2001:db8::1",
        udpPort: 4789,
        mac: neighbour.mac,
        mtuBytes: 1430,
      }),
    ),
  );
  assert.equal(link.vxlan?.localAddress, "2001:db8::1");
});
