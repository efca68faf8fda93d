import assert from "node:assert/strict";
import { test } from "node:test";
import { movedAddresses } from "./moved-addresses.js";
import type { SwarmState } from "./swarm-files.js";

const STATE: SwarmState = {
  nodeId: "n1",
  clusterId: "c1",
  role: "manager",
  listenAddress: "0.0.0.0:2377",
  advertiseAddress: "10.0.0.1:2377",
  advertiseInterface: "eth0",
  dataPathAddress: "10.0.0.1",
  managers: ["10.0.0.1:2377", "10.0.0.2:2377"],
};
const at = (address: string) => [
  { name: "eth0", address },
  { name: "eth1", address: "192.168.7.7" },
];

test("a node whose address is still there has not moved", () => {
  assert.equal(movedAddresses(STATE, at("10.0.0.1"), undefined), STATE);
  assert.equal(movedAddresses(STATE, at("10.0.0.1"), "10.0.0.1"), STATE);
});

test("a node follows the interface that held its address, and so do data path and manager list", () => {
  const listenAddress = "10.0.0.1:2377";
  const moved = movedAddresses({ ...STATE, listenAddress }, at("10.0.0.9"), undefined);
  assert.deepEqual(moved, {
    ...STATE,
    listenAddress: "10.0.0.9:2377",
    advertiseAddress: "10.0.0.9:2377",
    dataPathAddress: "10.0.0.9",
    managers: ["10.0.0.9:2377", "10.0.0.2:2377"],
  });
});

test("a data path of its own, and an address that no interface held, stay", () => {
  const moved = movedAddresses({ ...STATE, dataPathAddress: "192.168.7.7" }, at("10.0.0.9"), undefined);
  assert.equal(moved.dataPathAddress, "192.168.7.7");
  const outside = { ...STATE, advertiseAddress: "203.0.113.5:2377", advertiseInterface: "" };
  assert.equal(movedAddresses(outside, at("10.0.0.9"), undefined), outside);
  const gone = { ...STATE, advertiseInterface: "eth9" };
  assert.equal(movedAddresses(gone, at("10.0.0.9"), undefined), gone);
});

test("what the operator says counts, with the port of before unless another is given", () => {
  assert.equal(movedAddresses(STATE, at("10.0.0.1"), "192.168.7.7").advertiseAddress, "192.168.7.7:2377");
  assert.equal(movedAddresses(STATE, at("10.0.0.1"), "192.168.7.7").advertiseInterface, "eth1");
  assert.equal(movedAddresses(STATE, at("10.0.0.1"), "192.168.7.7:99").advertiseAddress, "192.168.7.7:99");
});
