import assert from "node:assert/strict";
import { test } from "node:test";
import type { NodeResource } from "../../proto/gen/skein/v1/dispatcher.js";
import { EndpointState, PeerResource } from "../../proto/gen/skein/v1/dispatcher.js";
import { PortConfig, PortProtocol, PublishMode } from "../../proto/gen/skein/v1/types.js";
import { planMesh } from "./mesh-plan.js";
import { endpoint, identity, network, peer, service, stateOf } from "./network-fixtures.js";
import type { Sandbox } from "./sandbox.js";

const ports = [{ targetPort: 80, publishedPort: 8080 }];

function sandbox(fields: Partial<Sandbox> = {}): Sandbox {
  return {
    taskId: "task11",
    serviceId: "svc1",
    hostname: "",
    overlays: [],
    gatewayAddress: "100.64.1.2",
    hostPorts: [],
    nameservers: [],
    resolvConf: "",
    etcHosts: "",
    ...fields,
  };
}

test("a published port leads to ready tasks everywhere; what is here is exposed in any state", () => {
  const joining = endpoint(11, { state: EndpointState.JOINING, gatewayAddress: "" });
  const state = stateOf(network(), service({ ports }), peer(1), peer(2), joining, endpoint(21));
  const plan = planMesh(state, { identity, sandboxes: new Map([["task11", sandbox()]]) });
  assert.deepEqual(plan.ports, [
    { protocol: "tcp", publishedPort: 8080, backends: [{ address: "100.64.2.21", port: 80 }] },
  ]);
  assert.deepEqual(plan.exposed, [{ address: "100.64.1.2", protocol: "tcp", port: 80 }]);
  assert.deepEqual(plan.localTasks, ["100.64.1.2"]);
  assert.deepEqual([...plan.peers], [[2, "10.99.0.2"]], "oneself is no peer");
});

test("a host-mode port leads to the task here alone", () => {
  const hostPorts = [
    PortConfig.fromPartial({
      protocol: PortProtocol.UDP,
      targetPort: 53,
      publishedPort: 5353,
      publishMode: PublishMode.HOST,
    }),
  ];
  const plan = planMesh(stateOf(), { identity, sandboxes: new Map([["task11", sandbox({ hostPorts })]]) });
  assert.deepEqual(plan.ports, [
    {
      protocol: "udp",
      publishedPort: 5353,
      backends: [{ address: "100.64.1.2", port: 53 }],
      isNodeOnly: true,
    },
  ]);
  assert.deepEqual(plan.exposed, [{ address: "100.64.1.2", protocol: "udp", port: 53 }]);
});

test("a task without a gateway is no part of the mesh", () => {
  const { gatewayAddress: _none, ...inside } = sandbox();
  const plan = planMesh(stateOf(service({ ports })), { identity, sandboxes: new Map([["task11", inside]]) });
  assert.deepEqual([plan.localTasks, plan.exposed], [[], []]);
});

test("a node speaks for its own transit subnet alone: other addresses, and texts that are none, are left out", () => {
  const told = ["100.64.3.5", "8.8.8.8", "100.64.2.5 }; flush ruleset", "", "100.64.2.7"];
  const endpoints = told.map((gatewayAddress, at) => endpoint(21 + at, { nodeId: "node2", gatewayAddress }));
  const value = PeerResource.fromPartial({
    nodeId: "node4",
    number: 4,
    dataPathAddress: "10.99.0.4 }; flush ruleset",
  });
  const liar: NodeResource = { resource: { $case: "peer", value } };
  const state = stateOf(service({ ports }), peer(2), liar, ...endpoints);
  const plan = planMesh(state, { identity, sandboxes: new Map() });
  assert.deepEqual(plan.ports[0]?.backends, [{ address: "100.64.2.7", port: 80 }]);
  assert.deepEqual([...plan.peers], [[2, "10.99.0.2"]]);
});

test("a task has IPv6 where its node has; nodes are known by all their addresses that mean something", () => {
  const twofold = PeerResource.fromPartial({
    nodeId: "node2",
    number: 2,
    dataPathAddress: "10.99.0.2",
    nodeAddresses: ["10.99.0.2", "fd99::2", "fe80::2", "127.0.0.1", "::1 }; flush ruleset"],
  });
  const state = stateOf(
    service({ ports }),
    { resource: { $case: "peer", value: twofold } },
    peer(3),
    endpoint(21),
    endpoint(31),
  );
  const plan = planMesh(state, { identity, sandboxes: new Map(), ownAddresses: ["10.99.0.1", "fd99::1"] });
  assert.deepEqual(plan.ports[0]?.backends, [
    { address: "100.64.2.21", port: 80, hasIpv6: true },
    { address: "100.64.3.31", port: 80 },
  ]);
  assert.deepEqual(plan.nodeAddresses, ["10.99.0.1", "10.99.0.2", "10.99.0.3", "fd99::1", "fd99::2"]);
  assert.equal(plan.hasIpv6, true);
});
