import assert from "node:assert/strict";
import { test } from "node:test";
import { SeededRandom } from "../../base/random/seeded-random.js";
import type { NodeResource, ResourceKey } from "../../proto/gen/skein/v1/dispatcher.js";
import { EndpointState, PeerResource, ResourceKind } from "../../proto/gen/skein/v1/dispatcher.js";
import { BalancePolicy, EndpointMode } from "../../proto/gen/skein/v1/types.js";
import { atOnce } from "../slices.js";
import { endpoint, identity, network, peer, service, stateOf } from "./network-fixtures.js";
import type { OverlayPlan } from "./overlay-plan.js";
import { planOverlay } from "./overlay-plan.js";
import { OverlayPlanner } from "./overlay-planner.js";

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
  assert.deepEqual(
    [...plan.services.values()],
    [{ id: "svc1", vips: ["10.0.1.2"], backends: ["10.0.1.11", "10.0.1.21"] }],
  );
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
  assert.equal(planOf(network(), service({ mode: EndpointMode.DNSRR }), endpoint(21)).services.size, 0);
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

test("both families are planned, each with its gateway, as the kernel writes addresses", () => {
  const ipam = [
    { subnet: "10.0.1.0/24", gateway: "10.0.1.1" },
    { subnet: "fd00:0:0:7::/64", gateway: "" },
    { subnet: "10.0.2.0/24", gateway: "" },
  ];
  const attachments = [{ networkId: "net1", addresses: ["10.0.1.21/24", "fd00:0:0:7:0::15/64"] }];
  const plan = planOf(
    network({ ipam }),
    service({ virtualIps: [{ networkId: "net1", address: "fd00:0:0:7:0:0:0:2/64" }] }),
    peer(2),
    endpoint(21, { attachments }),
  );
  assert.deepEqual(plan.gateways, ["10.0.1.1", "fd00:0:0:7::1", "10.0.2.1"]);
  assert.deepEqual([plan.gateway, plan.gateway6], ["10.0.1.1", "fd00:0:0:7::1"]);
  assert.deepEqual([...plan.remoteTasks.keys()], ["10.0.1.21", "fd00:0:0:7::15"]);
  assert.deepEqual(plan.services.get("svc1")?.vips, ["fd00:0:0:7::2"]);
});

test("local first names the ready tasks of this node; the others ask for none", () => {
  const of = (balance: BalancePolicy): OverlayPlan =>
    planOf(network(), service({ balance }), peer(2), endpoint(11), endpoint(21));
  assert.deepEqual(of(BalancePolicy.LOCAL_FIRST).services.get("svc1")?.local, ["10.0.1.11"]);
  assert.equal(of(BalancePolicy.SOURCE_HASH).services.get("svc1")?.local, undefined);
});

test("nodes whose data path is of the other family are named, and get no way", () => {
  const value = PeerResource.fromPartial({
    nodeId: "node2",
    hostname: "two",
    number: 2,
    dataPathAddress: "fd99::2",
  });
  const plan = planOf(network(), { resource: { $case: "peer", value } }, endpoint(21));
  assert.deepEqual([plan.unreachable, plan.remoteTasks.size], [["two"], 0]);
});

test("the least measured path of the network's nodes counts", () => {
  const measured = (number: number, pathMtuBytes: number): NodeResource => {
    const fields = { nodeId: `node${number}`, number, dataPathAddress: `10.99.0.${number}`, pathMtuBytes };
    return { resource: { $case: "peer", value: PeerResource.fromPartial(fields) } };
  };
  const peers = [measured(1, 1_500), measured(2, 1_400), measured(3, 1_300)];
  assert.equal(planOf(network(), ...peers, endpoint(21)).pathMtuBytes, 1_400, "node 3 has no task there");
});

const STEPS = 400;

function randomChange(random: SeededRandom): { upserts: NodeResource[]; removals: ResourceKey[] } {
  const kind = random.int(0, 7);
  const number = random.int(1, 4);
  const task = number * 10 + random.int(1, 4);
  const networkId = `net${random.int(1, 2)}`;
  const serviceId = `svc${random.int(1, 3)}`;
  const remove = (key: ResourceKey): ReturnType<typeof randomChange> => ({ upserts: [], removals: [key] });
  const set = (...upserts: NodeResource[]): ReturnType<typeof randomChange> => ({ upserts, removals: [] });
  if (kind === 0) return remove({ kind: ResourceKind.SERVICE, id: serviceId });
  if (kind === 1) return remove({ kind: ResourceKind.ENDPOINT, id: `task${task}` });
  if (kind === 2) return remove({ kind: ResourceKind.PEER, id: `node${number}` });
  if (kind === 3) {
    if (random.float() < 0.3) return remove({ kind: ResourceKind.NETWORK, id: networkId });
    return set(network({ id: networkId, ipam: [{ subnet: `10.0.${random.int(1, 2)}.0/24` }] }));
  }
  if (kind === 4) {
    const balance = random.float() < 0.5 ? BalancePolicy.LOCAL_FIRST : BalancePolicy.ROUND_ROBIN;
    const virtualIps = [{ networkId, address: `10.0.1.${random.int(2, 4)}/24` }];
    return set(service({ id: serviceId, balance, virtualIps }));
  }
  if (kind === 5) {
    const fields = {
      nodeId: `node${number}`,
      number: random.float() < 0.7 ? number : number + 10,
      dataPathAddress: random.float() < 0.2 ? `fd99::${number}` : `10.99.${random.int(0, 1)}.${number}`,
      pathMtuBytes: random.int(0, 2) * 100,
    };
    return set({ resource: { $case: "peer", value: PeerResource.fromPartial(fields) } });
  }
  const state = random.float() < 0.7 ? EndpointState.READY : EndpointState.DRAINING;
  // addresses are few, so that tasks come to claim the same
  const addresses = [`10.0.1.${random.int(10, 16)}/24`, `fd00::${random.int(1, 4)}/64`];
  const attachments = [{ networkId, addresses: random.float() < 0.5 ? addresses : addresses.slice(0, 1) }];
  return set(endpoint(task, { state, serviceId, attachments, nodeId: `node${number}` }));
}

test("a plan kept step by step equals one made anew, and its changes lead from one to the next", () => {
  for (const seed of [1, 2, 3]) {
    const random = new SeededRandom(seed);
    const state = stateOf(network(), peer(1), peer(2), peer(3));
    const planner = new OverlayPlanner("net1");
    const options = { networkId: "net1", identity, sandboxes: [] };
    let last:
      | { services: Map<string, unknown>; tasks: Map<string, number>; nodes: Map<number, string> }
      | undefined;
    for (let step = 0; step < STEPS; step += 1) {
      const touched = state.apply({ complete: false, ...randomChange(random) });
      const overlay = touched.overlays.get("net1");
      if (overlay !== undefined) planner.touch(overlay);
      for (const nodeId of touched.peerNodeIds) planner.touchNode(nodeId);
      if (random.float() < 0.3) continue; // several changes, one step
      const planned = atOnce(planner.step(state, options));
      const anew = planOverlay(state, options);
      if (planned === undefined || anew === undefined) {
        assert.equal(planned, anew);
        last = undefined;
        continue;
      }
      assert.deepEqual(planned.plan, anew, `seed ${seed}, step ${step}`);
      const { changes } = planned;
      for (const [name, before, kept] of [
        ["services", changes.services, last?.services],
        ["remoteTasks", changes.remoteTasks, last?.tasks],
        ["remoteNodes", changes.remoteNodes, last?.nodes],
      ] as const) {
        if (kept === undefined) continue;
        const next = new Map<unknown, unknown>(kept);
        for (const [key, value] of before) {
          assert.deepEqual(next.get(key), value, `seed ${seed}, step ${step}: ${name} ${key} before`);
          const after: unknown = (anew[name] as ReadonlyMap<unknown, unknown>).get(key);
          if (after === undefined) next.delete(key);
          else next.set(key, after);
        }
        assert.deepEqual(next, new Map(anew[name] as ReadonlyMap<unknown, unknown>));
      }
      last = {
        services: new Map(anew.services),
        tasks: new Map(anew.remoteTasks),
        nodes: new Map(anew.remoteNodes),
      };
    }
  }
});
