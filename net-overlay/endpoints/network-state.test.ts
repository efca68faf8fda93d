import assert from "node:assert/strict";
import { test } from "node:test";
import type { NodeResource } from "../../proto/gen/skein/v1/dispatcher.js";
import { EndpointState, ResourceKind } from "../../proto/gen/skein/v1/dispatcher.js";
import { endpoint, network, peer, service, stateOf } from "./network-fixtures.js";
import type { NetworkState, Touched } from "./network-state.js";

function change(state: NetworkState, ...upserts: NodeResource[]): Touched {
  return state.apply({ complete: false, upserts, removals: [] });
}

test("an endpoint that changes touches the networks it leaves and joins", () => {
  const state = stateOf(network(), network({ id: "net2", vni: 4098 }), service(), endpoint(21));
  const touched = change(
    state,
    endpoint(21, { attachments: [{ networkId: "net2", addresses: ["10.0.2.21/24"] }] }),
  );
  assert.deepEqual([...touched.networkIds].sort(), ["net1", "net2"]);
  assert.equal(touched.mesh, false);
  assert.deepEqual(state.endpointsOf("net1"), []);
  assert.equal(state.endpointsOf("net2").length, 1);
});

test("endpoints and services with published ports touch the mesh, others do not", () => {
  const ports = [{ targetPort: 80, publishedPort: 8080 }];
  const state = stateOf(network(), service({ ports }), service({ id: "svc2", name: "quiet" }));
  assert.equal(change(state, endpoint(21, { state: EndpointState.DRAINING })).mesh, true);
  assert.equal(change(state, endpoint(22, { serviceId: "svc2" })).mesh, false);
  assert.equal(change(state, service()).mesh, true);
});

test("a peer touches the mesh and every network", () => {
  const state = stateOf(network(), network({ id: "net2" }));
  const touched = change(state, peer(2));
  assert.deepEqual([...touched.networkIds], ["net1", "net2"]);
  assert.equal(touched.mesh, true);
});

test("a service's own change touches the networks of its endpoints, too", () => {
  const state = stateOf(network(), service({ virtualIps: [] }), endpoint(21));
  assert.deepEqual([...change(state, service({ virtualIps: [], name: "other" })).networkIds], ["net1"]);
  assert.deepEqual(
    state.servicesOf("net1").map(({ name }) => name),
    ["other"],
  );
});

test("a complete set removes what it does not name", () => {
  const state = stateOf(network(), service(), endpoint(21), endpoint(22), peer(2));
  const touched = state.apply({ complete: true, upserts: [network(), endpoint(22)], removals: [] });
  assert.ok(touched.networkIds.has("net1"));
  assert.deepEqual([...state.endpoints.keys()], ["task22"]);
  assert.equal(state.services.size + state.peers.size, 0);
});

test("removals of unknown things change nothing", () => {
  const state = stateOf(network());
  const removals = [ResourceKind.ENDPOINT, ResourceKind.SERVICE, ResourceKind.NETWORK].map((kind) => ({
    kind,
    id: "none",
  }));
  const touched = state.apply({ complete: false, upserts: [], removals });
  assert.deepEqual([...touched.networkIds], []);
  assert.equal(touched.mesh, false);
});
