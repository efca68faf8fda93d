import assert from "node:assert/strict";
import { test } from "node:test";
import type { SwarmInitRequest } from "../api/ports.js";
import type { SwarmState } from "./swarm-files.js";
import { forcedAddresses } from "./swarm-recovering.js";

const BEFORE: SwarmState = {
  nodeId: "n1",
  clusterId: "c1",
  role: "manager",
  listenAddress: "0.0.0.0:7000",
  advertiseAddress: "10.0.0.1:7000",
  advertiseInterface: "",
  dataPathAddress: "10.1.0.1",
  managers: [],
};
const asked = (fields: Partial<SwarmInitRequest>): SwarmInitRequest => {
  const nothing = { listenAddr: "", advertiseAddr: "", dataPathAddr: "" };
  return { ...nothing, ...fields } as SwarmInitRequest; // the addresses are all that is read
};

test("a survivor keeps its addresses unless told otherwise; the stock CLI's default says nothing", () => {
  for (const listenAddr of ["", "0.0.0.0:2377"]) {
    const { listenAddress, advertiseAddress, dataPathAddress } = forcedAddresses(
      asked({ listenAddr }),
      BEFORE,
    );
    assert.deepEqual(
      [listenAddress, advertiseAddress, dataPathAddress],
      ["0.0.0.0:7000", "10.0.0.1:7000", "10.1.0.1"],
    );
  }
});

test("a new address keeps the port, and carries the data path unless that is named, too", () => {
  const moved = forcedAddresses(asked({ advertiseAddr: "10.0.0.9" }), BEFORE);
  assert.deepEqual([moved.advertiseAddress, moved.dataPathAddress], ["10.0.0.9:7000", "10.0.0.9"]);
  const both = forcedAddresses(asked({ advertiseAddr: "10.0.0.9:99", dataPathAddr: "10.1.0.9" }), BEFORE);
  assert.deepEqual([both.advertiseAddress, both.dataPathAddress], ["10.0.0.9:99", "10.1.0.9"]);
});
