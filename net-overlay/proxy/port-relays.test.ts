/**
 * Which ports have a relay, and which task a connection tries first.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { BalancePolicy, PortProtocol, PublishMode, SourceMode } from "../../proto/gen/skein/v1/types.js";
import { service, stateOf } from "../endpoints/network-fixtures.js";
import { orderOfTargets, relayedPorts } from "./port-relays.js";

const backends = ["100.64.1.2", "100.64.2.2", "100.64.2.3"].map((address) => ({ address, port: 80 }));
const order = (balance: BalancePolicy, turn: number, client = "10.0.0.9"): string[] =>
  orderOfTargets({ backends, balance }, { turn, client, nodeNumber: 2 }).map(({ address }) => address);

test("TCP ports of the mesh that ask for it have a relay", () => {
  const port = { targetPort: 80, publishedPort: 8080, sourceMode: SourceMode.PROXY };
  const ports = [
    port,
    { ...port, publishedPort: 8081, sourceMode: SourceMode.KEEP },
    { ...port, publishedPort: 8082, protocol: PortProtocol.UDP },
    { ...port, publishedPort: 8083, publishMode: PublishMode.HOST },
    { ...port, publishedPort: 80 },
  ];
  assert.deepEqual(relayedPorts(stateOf(service({ ports, idleTimeoutMs: 500 }))), [
    { publishedPort: 80, idleTimeoutMs: 500 },
    { publishedPort: 8080, idleTimeoutMs: 500 },
  ]);
});

test("connections go round; the others are tried after the first", () => {
  assert.deepEqual(order(BalancePolicy.ROUND_ROBIN, 0), ["100.64.1.2", "100.64.2.2", "100.64.2.3"]);
  assert.deepEqual(order(BalancePolicy.ROUND_ROBIN, 4), ["100.64.2.2", "100.64.2.3", "100.64.1.2"]);
});

test("one client gets one task, whatever the turn", () => {
  assert.deepEqual(order(BalancePolicy.SOURCE_HASH, 0), order(BalancePolicy.SOURCE_HASH, 2));
  const firsts = new Set(
    Array.from({ length: 50 }, (_, i) => order(BalancePolicy.SOURCE_HASH, 0, `10.0.0.${i}`)[0]),
  );
  assert.equal(firsts.size, backends.length);
});

test("tasks of this node come first where that is wanted", () => {
  assert.deepEqual(order(BalancePolicy.LOCAL_FIRST, 0), ["100.64.2.2", "100.64.2.3", "100.64.1.2"]);
  assert.deepEqual(order(BalancePolicy.LOCAL_FIRST, 1), ["100.64.2.3", "100.64.2.2", "100.64.1.2"]);
});

test("without tasks there is nowhere to go", () => {
  assert.deepEqual(orderOfTargets({ backends: [] }, { turn: 3, client: "::1", nodeNumber: 1 }), []);
});
