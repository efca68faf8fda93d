import assert from "node:assert/strict";
import { test } from "node:test";
import { swarmAddresses } from "./swarm-addresses.js";

const flags = { listenAddr: "", advertiseAddr: "10.0.0.1", dataPathAddr: "" };

test("the data path goes by the advertised address unless told otherwise", () => {
  assert.deepEqual(swarmAddresses(flags), {
    listenAddress: "0.0.0.0:2377",
    advertiseAddress: "10.0.0.1:2377",
    advertiseInterface: "",
    dataPathAddress: "10.0.0.1",
  });
  assert.equal(swarmAddresses({ ...flags, dataPathAddr: "10.1.0.1" }).dataPathAddress, "10.1.0.1");
});

test("a data path by IPv6 is refused, because the overlay's tunnel is IPv4", () => {
  const wrong = { ...flags, advertiseAddr: "[fd00::1]" };
  assert.throws(
    () => swarmAddresses(wrong),
    /--data-path-addr must be an IPv4 address of this host, got fd00/,
  );
  assert.equal(swarmAddresses({ ...wrong, dataPathAddr: "10.1.0.1" }).advertiseAddress, "[fd00::1]:2377");
});
