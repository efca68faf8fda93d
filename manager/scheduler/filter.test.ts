/**
 * Filters that look at plugins, devices and ports of the mesh, and the strategy of a placement.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Node, Service, Task } from "../../proto/gen/skein/v1/objects.js";
import {
  type NodeDescription,
  NodeState,
  PlacementStrategy,
  PublishMode,
  TaskState,
} from "../../proto/gen/skein/v1/types.js";
import { ingressPortsOf } from "./network-driver.js";
import { NodeSet } from "./node-set.js";
import { placeTasks } from "./placement.js";

type PartialOf<T> = T extends { fromPartial(object: infer P): unknown } ? P : never;

function aNode(id: string, description: Partial<NodeDescription> = {}): Node {
  return Node.fromPartial({
    id,
    status: { state: NodeState.READY },
    description: { hostname: id, resources: { nanoCpus: 4e9, memoryBytes: 100 }, ...description },
  });
}

function aTask(id: string, changes: PartialOf<typeof Task>): Task {
  return Task.fromPartial({
    id,
    serviceId: "web",
    allocated: true,
    desiredState: TaskState.RUNNING,
    status: { state: TaskState.PENDING },
    ...changes,
  });
}

test("plugins, volume drivers and devices are asked for where nodes tell which they have", () => {
  const plugins = [
    { type: "Volume", name: "local" },
    { type: "Volume", name: "vendor/nfs:latest" },
    { type: "Network", name: "overlay" },
    { type: "Log", name: "gelf" },
  ];
  const tells = aNode("a", { plugins, devices: ["acme.com/gpu=0"] });
  const bare = aNode("b", {
    plugins: [
      { type: "Volume", name: "local" },
      { type: "Log", name: "json-file" },
    ],
  });
  const mount = (driverName: string): PartialOf<typeof Task> => ({
    spec: { container: { mounts: [{ type: "volume", target: "/v", volumeOptions: { driverName } }] } },
  });
  const cases: readonly (readonly [PartialOf<typeof Task>, string])[] = [
    [mount("vendor/nfs"), "a"],
    [mount("local"), "a"],
    [mount("ceph"), "volume: no suitable node (2 nodes lack the volume driver ceph)"],
    [{ spec: { logDriver: { name: "gelf" } } }, "a"],
    [
      { spec: { logDriver: { name: "splunk" } } },
      "plugin: no suitable node (2 nodes lack the plugin splunk)",
    ],
    [{ networks: [{ networkId: "own" }] }, "b"], // b does not tell about network drivers
    [{ spec: { container: { devices: ["acme.com/gpu=0"] } } }, "a"],
    [
      {
        spec: {
          container: {
            host: { deviceRequests: [{ driver: "cdi", deviceIds: ["acme.com/gpu=0"] }, { count: 1 }] },
          },
        },
      },
      "a",
    ],
    [
      { spec: { container: { devices: ["acme.com/gpu=1"] } } },
      "device: no suitable node (2 nodes lack the device acme.com/gpu=1)",
    ],
  ];
  for (const [changes, expected] of cases) {
    const set = NodeSet.from([tells, bare], []);
    const networkDriver = (): string => "vendor/net";
    const { placed, unplaced } = placeTasks(set, [aTask("t", changes)], { networkDriver });
    const refused = unplaced[0];
    const found =
      refused === undefined ? placed[0]?.nodeId : `${refused.refusals[0]?.filter}: ${refused.reason}`;
    assert.equal(found, expected);
  }
});

test("an encrypted network wants nodes whose kernel has WireGuard", () => {
  const nodes = [aNode("a"), aNode("b", { wireguardPublicKey: "key" }), aNode("c")];
  const encryptedNetwork = (id: string): string | undefined => (id === "n1" ? "vault" : undefined);
  const place = (networkId: string, from: readonly Node[]) =>
    placeTasks(NodeSet.from(from, []), [aTask("t", { networks: [{ networkId }] })], { encryptedNetwork });
  assert.equal(place("n1", nodes).placed[0]?.nodeId, "b");
  assert.equal(place("n2", nodes).placed[0]?.nodeId, "a");
  assert.deepEqual(
    place(
      "n1",
      nodes.filter(({ id }) => id !== "b"),
    ).unplaced.map(({ reason, refusals }) => [reason, refusals]),
    [
      [
        "no suitable node (2 nodes have no WireGuard in the kernel for the encrypted network vault)",
        [
          {
            filter: "encryption",
            nodes: 2,
            detail: "have no WireGuard in the kernel for the encrypted network vault",
          },
        ],
      ],
    ],
  );
});

test("a host port that the routing mesh takes is taken on every node, and free again with its service", () => {
  const mesh = Service.fromPartial({
    id: "mesh",
    endpoint: { ports: [{ publishMode: PublishMode.INGRESS, publishedPort: 8080 }] },
  });
  const ports = [{ publishMode: PublishMode.HOST, publishedPort: 8080 }];
  const task = aTask("t", { endpoint: { spec: { ports } } });
  const set = NodeSet.from([aNode("a"), aNode("b")], []);
  set.setIngressPorts(ingressPortsOf([mesh]));
  const refused = placeTasks(set, [task]).unplaced[0];
  assert.equal(refused?.reason, "no suitable node (host port 8080 already in use on 2 nodes)");
  assert.deepEqual(refused?.refusals, [
    { filter: "host-port", nodes: 2, detail: "host port 8080 already in use" },
  ]);
  set.setIngressPorts(ingressPortsOf([]));
  assert.equal(placeTasks(set, [task]).placed.length, 1);
});

test("bin-pack fills the fullest node that has room; a service's own choice counts before the cluster's", () => {
  const strategyOf = (strategy: PlacementStrategy, memoryBytes: number): PartialOf<typeof Task> => ({
    spec: { placement: { strategy }, resources: { reservations: { memoryBytes } } },
  });
  const place = (strategy: PlacementStrategy, cluster: PlacementStrategy): readonly string[] => {
    const held = aTask("held", { serviceId: "db", nodeId: "b", ...strategyOf(strategy, 40) });
    const running = { ...held, status: held.status && { ...held.status, state: TaskState.RUNNING } };
    const set = NodeSet.from([aNode("a"), aNode("b"), aNode("c")], [running]);
    const tasks = [1, 2, 3].map((slot) => aTask(`t${slot}`, { slot, ...strategyOf(strategy, 30) }));
    return placeTasks(set, tasks, { strategy: cluster }).placed.map(({ nodeId }) => nodeId);
  };
  const { BIN_PACK, DEFAULT, SPREAD } = PlacementStrategy;
  assert.deepEqual(place(BIN_PACK, DEFAULT), ["b", "b", "a"]);
  assert.deepEqual(place(DEFAULT, BIN_PACK), ["b", "b", "a"]);
  assert.deepEqual(place(SPREAD, BIN_PACK), ["a", "c", "b"]);
  assert.deepEqual(place(DEFAULT, DEFAULT), ["a", "c", "b"]);
});
