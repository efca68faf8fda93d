/**
 * Transit arithmetic: from number to subnet and MAC, and back.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  isTransitAddress,
  NODE_NUMBER_MAX,
  nodeNumberOfMac,
  transitAddress,
  transitIpv6,
  transitSubnet,
  vtepMac,
} from "./transit.js";

test("a node number gives its subnet, addresses and MAC", () => {
  assert.equal(transitSubnet(1), "100.64.1.0/24");
  assert.equal(transitSubnet(256), "100.65.0.0/24");
  assert.equal(transitSubnet(NODE_NUMBER_MAX), "100.127.255.0/24");
  assert.equal(transitAddress(2, 7), "100.64.2.7");
  assert.equal(vtepMac(1), "02:99:00:00:00:01");
  assert.equal(vtepMac(0x1234), "02:99:00:00:12:34");
});

test("a MAC leads back to its number, a foreign one to none", () => {
  for (const number of [1, 255, 256, NODE_NUMBER_MAX]) assert.equal(nodeNumberOfMac(vtepMac(number)), number);
  assert.equal(nodeNumberOfMac("02:42:00:00:00:01"), undefined);
  assert.equal(nodeNumberOfMac("02:99:00:00:ff:ff"), undefined);
});

test("a number outside the range is refused", () => {
  for (const number of [0, NODE_NUMBER_MAX + 1, 1.5])
    assert.throws(() => transitSubnet(number), /node number/);
});

test("an address of the transit range is known in both families", () => {
  for (const number of [1, 300, NODE_NUMBER_MAX]) {
    assert.ok(isTransitAddress(transitAddress(number, 9)));
    assert.ok(isTransitAddress(transitIpv6(transitAddress(number, 9))));
  }
  for (const foreign of ["100.63.0.1", "100.128.0.1", "10.64.0.1", "fd53:6b65:696f::1", "fd00::1"])
    assert.ok(!isTransitAddress(foreign), foreign);
});
