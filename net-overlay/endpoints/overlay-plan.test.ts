import assert from "node:assert/strict";
import { test } from "node:test";
import { EndpointState } from "../../proto/gen/skein/v1/dispatcher.js";
import { EndpointMode } from "../../proto/gen/skein/v1/types.js";
import { endpoint, identity, network, peer, service, stateOf } from "./network-fixtures.js";
import type { OverlayPlan } from "./overlay-plan.js";
import { planOverlay } from "./overlay-plan.js";

function planOf(...resources: Parameters<typeof stateOf>): OverlayPlan {
  const plan = planOverlay(stateOf(...resources), { networkId: "net1", identity, sandboxes: [] });
  assert.ok(plan);
  return plan;
}

test("tasks elsewhere get routes whatever their state, only ready ones get traffic", () => {
  const plan = planOf(
    network(),
    service(),
    peer(2),
    peer(3),
    endpoint(11),
    endpoint(21),
    endpoint(31, { state: EndpointState.JOINING }),
    endpoint(32, { state: EndpointState.DRAINING }),
  );
  assert.deepEqual(plan.services, [{ id: "svc1", vips: ["10.0.1.2"], backends: ["10.0.1.11", "10.0.1.21"] }]);
  assert.deepEqual(
    [...plan.remoteTasks],
    [
      ["10.0.1.21", 2],
      ["10.0.1.31", 3],
      ["10.0.1.32", 3],
    ],
  );
  assert.deepEqual(
    [...plan.remoteNodes],
    [
      [2, "10.99.0.2"],
      [3, "10.99.0.3"],
    ],
  );
});

test("a task on a node that nobody told about has no route yet", () => {
  assert.equal(planOf(network(), endpoint(21)).remoteTasks.size, 0);
});

test("a service answered by DNS alone is not balanced", () => {
  assert.deepEqual(planOf(network(), service({ mode: EndpointMode.DNSRR }), endpoint(21)).services, []);
});

test("the gateway is the network's, or its first address", () => {
  assert.equal(
    planOf(network({ ipam: [{ subnet: "10.0.5.0/24", gateway: "10.0.5.254/24" }] })).gateway,
    "10.0.5.254",
  );
  assert.equal(planOf(network({ ipam: [{ subnet: "10.0.5.0/24" }] })).gateway, "10.0.5.1");
});

test("a network without a VNI has no plan", () => {
  const state = stateOf(network({ vni: 0 }));
  assert.equal(planOverlay(state, { networkId: "net1", identity, sandboxes: [] }), undefined);
  assert.equal(planOverlay(state, { networkId: "none", identity, sandboxes: [] }), undefined);
});
