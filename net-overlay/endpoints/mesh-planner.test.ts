import assert from "node:assert/strict";
import { test } from "node:test";
import { SeededRandom } from "../../base/random/seeded-random.js";
import type { NodeResource, ResourceKey } from "../../proto/gen/skein/v1/dispatcher.js";
import { EndpointState, PeerResource, ResourceKind } from "../../proto/gen/skein/v1/dispatcher.js";
import { BalancePolicy, PortConfig, PublishMode, SourceMode } from "../../proto/gen/skein/v1/types.js";
import { atOnce } from "../slices.js";
import type { MeshOptions } from "./mesh-plan.js";
import { planMesh } from "./mesh-plan.js";
import { MeshPlanner } from "./mesh-planner.js";
import { endpoint, identity, peer, service, stateOf } from "./network-fixtures.js";
import type { NetworkState, Touched } from "./network-state.js";
import type { Sandbox } from "./sandbox.js";

const STEPS = 400;

function sandbox(taskId: string, fields: Partial<Sandbox> = {}): Sandbox {
  const nothing = {
    hostname: "",
    overlays: [],
    hostPorts: [],
    nameservers: [],
    resolvConf: "",
    etcHosts: "",
  };
  return { taskId, serviceId: "svc1", ...nothing, ...fields };
}

function tell(planner: MeshPlanner, touched: Touched): void {
  for (const id of touched.meshServiceIds) planner.touchService(id);
  for (const id of touched.peerNodeIds) planner.touchNode(id);
}

function randomChange(random: SeededRandom): { upserts: NodeResource[]; removals: ResourceKey[] } {
  const kind = random.int(0, 7);
  const id = `svc${random.int(1, 5)}`;
  const number = random.int(1, 4);
  const task = number * 10 + random.int(1, 4);
  const none = { upserts: [], removals: [] };
  const remove = (key: ResourceKey): ReturnType<typeof randomChange> => ({ ...none, removals: [key] });
  if (kind === 0) return remove({ kind: ResourceKind.SERVICE, id });
  if (kind === 1) return remove({ kind: ResourceKind.ENDPOINT, id: `task${task}` });
  if (kind === 2) return remove({ kind: ResourceKind.PEER, id: `node${number}` });
  if (kind === 3) {
    const ports = Array.from({ length: random.int(0, 3) }, () => ({
      targetPort: 80,
      publishedPort: 8080 + random.int(0, 4),
      allowedSources: random.float() < 0.3 ? ["10.0.0.0/8", "nonsense }"] : [],
      hostAddresses: random.float() < 0.3 ? ["eth1", "10.99.0.1"] : [],
      sourceMode: random.float() < 0.3 ? SourceMode.SNAT : SourceMode.KEEP,
    }));
    const balance = random.float() < 0.3 ? BalancePolicy.LOCAL_FIRST : BalancePolicy.ROUND_ROBIN;
    return { ...none, upserts: [service({ id, ports, balance })] };
  }
  if (kind === 4) {
    const value = PeerResource.fromPartial({
      nodeId: `node${number}`,
      number: random.float() < 0.8 ? number : number + 1,
      dataPathAddress: `10.99.${random.int(0, 2)}.${number}`,
      nodeAddresses: random.float() < 0.5 ? [] : [`fd99::${number}`, "no address", "fe80::1"],
    });
    return { ...none, upserts: [{ resource: { $case: "peer", value } }] };
  }
  const states = [EndpointState.READY, EndpointState.JOINING, EndpointState.DRAINING];
  const state = states[random.int(0, 3)] ?? EndpointState.READY;
  const gateway = random.float() < 0.2 ? { gatewayAddress: "" } : {};
  return { ...none, upserts: [endpoint(task, { serviceId: id, state, ...gateway })] };
}

test("a plan made step by step equals one made anew", () => {
  for (const seed of [1, 2, 3]) {
    const random = new SeededRandom(seed);
    const state = stateOf();
    const sandboxes = new Map<string, Sandbox>();
    const planner = new MeshPlanner();
    let ownAddresses: readonly string[] = [];
    for (let step = 0; step < STEPS; step += 1) {
      if (random.float() < 0.15) {
        const taskId = `task1${random.int(1, 4)}`;
        const known = sandboxes.get(taskId);
        const made = sandbox(taskId, {
          serviceId: state.endpoints.get(taskId)?.serviceId ?? "svc1",
          gatewayAddress: `100.64.1.${taskId.slice(4)}`,
          hostPorts:
            random.float() < 0.5
              ? []
              : [PortConfig.fromPartial({ publishedPort: 8081, publishMode: PublishMode.HOST })],
        });
        if (known === undefined) sandboxes.set(taskId, made);
        else sandboxes.delete(taskId);
        for (const serviceId of [(known ?? made).serviceId, state.endpoints.get(taskId)?.serviceId])
          if (serviceId !== undefined) planner.touchService(serviceId);
      } else tell(planner, state.apply({ complete: false, ...randomChange(random) }));
      if (random.float() < 0.05) {
        ownAddresses = ownAddresses.length === 0 ? ["10.99.0.1", "fd99::1"] : [];
        planner.touchAll();
      }
      const options: MeshOptions = { identity, sandboxes, ownAddresses };
      assert.deepEqual(
        atOnce(planner.plan(state, options)),
        planMesh(state, options),
        `seed ${seed}, step ${step}`,
      );
    }
  }
});

/** A thousand published services, ten tasks each, on a thousand nodes. */
function bigState(): NetworkState {
  const resources: NodeResource[] = [];
  for (let n = 1; n <= 1_000; n += 1) {
    const value = PeerResource.fromPartial({
      nodeId: `n${n}`,
      number: n,
      dataPathAddress: `10.98.${n >> 8}.${n & 255}`,
    });
    resources.push({ resource: { $case: "peer", value } });
    const id = `s${n}`;
    resources.push(service({ id, ports: [{ targetPort: 80, publishedPort: 10_000 + n }] }));
    for (let i = 0; i < 10; i += 1) {
      const at = ((n + i * 97) % 1_000) + 1;
      resources.push(
        endpoint(21, {
          taskId: `t${n}.${i}`,
          serviceId: id,
          nodeId: `n${at}`,
          gatewayAddress: `100.${64 + (at >> 8)}.${at & 255}.${i + 2}`,
        }),
      );
    }
  }
  return stateOf(...resources);
}

test("one changed endpoint leaves the other services' ports the objects they were", () => {
  const state = bigState();
  const planner = new MeshPlanner();
  const options: MeshOptions = { identity: { ...identity, number: 5_000 }, sandboxes: new Map() };
  const before = atOnce(planner.plan(state, options));
  assert.equal(before.ports.length, 1_000);
  const changed = endpoint(21, {
    taskId: "t7.3",
    serviceId: "s7",
    nodeId: "n9",
    state: EndpointState.DRAINING,
  });
  tell(planner, state.apply({ complete: false, upserts: [changed], removals: [] }));
  const after = atOnce(planner.plan(state, options));
  assert.deepEqual(
    after.ports.filter((port, at) => port !== before.ports[at]).map(({ publishedPort }) => publishedPort),
    [10_007],
  );
  assert.equal(after.peers, before.peers);
});

test("a node that says something new of itself, but keeps number and address, changes no port", () => {
  const state = bigState();
  const planner = new MeshPlanner();
  const options: MeshOptions = { identity: { ...identity, number: 5_000 }, sandboxes: new Map() };
  const before = atOnce(planner.plan(state, options));
  const same = state.peers.get("n2");
  assert.ok(same);
  const upserts: NodeResource[] = [{ resource: { $case: "peer", value: { ...same, pathMtuBytes: 1_400 } } }];
  tell(planner, state.apply({ complete: false, upserts, removals: [] }));
  const after = atOnce(planner.plan(state, options));
  assert.equal(after.peers, before.peers);
  assert.ok(after.ports.every((port, at) => port === before.ports[at]));
  tell(planner, state.apply({ complete: false, upserts: [peer(2)], removals: [] }));
  assert.notEqual(atOnce(planner.plan(state, options)).peers, before.peers);
});
