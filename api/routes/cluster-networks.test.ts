/** The cluster's networks on a node: asked of the managers, or as the node was told. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { NotFoundError, UnavailableError } from "../../base/errors/errors.js";
import type { UpdateNetworkRequest } from "../../proto/gen/skein/v1/control.js";
import { Network } from "../../proto/gen/skein/v1/objects.js";
import { TASK_LABEL } from "../convert/container-network-out.js";
import { Fields } from "../convert/fields.js";
import type { KnownCluster } from "../engine-ports.js";
import type { ManagerClients } from "../manager-clients.js";
import { type ClusterNetworkParts, ClusterNetworks } from "./cluster-networks.js";

const NET = Network.fromPartial({
  id: "net1net1",
  vni: 4097,
  spec: { annotations: { name: "front" } },
  ipam: [{ subnet: "10.0.1.0/24", gateway: "10.0.1.1" }],
});
const KNOWN: KnownCluster = {
  networks: () => [NET],
  used: () => new Set([NET.id]),
  peers: () => [{ nodeId: "n1n1n1n1n1n1n1", address: "192.0.2.1" }],
  services: () => [{ name: "web", virtualIps: ["10.0.1.2/24"], ports: [], tasks: [] }],
};

function networksOf(
  answer: (request: unknown) => Promise<unknown>,
  changes: Partial<ClusterNetworkParts> = {},
): ClusterNetworks {
  const clients = {
    call: (_pick: unknown, request: unknown) => answer(request),
  } as unknown as ManagerClients;
  const container = {
    ...{ id: "c1", name: "web.1.t1", state: "running" },
    specification: { labels: { [TASK_LABEL]: "t1" } },
  };
  return new ClusterNetworks(clients, {
    isManager: () => true,
    known: () => KNOWN,
    containers: { list: () => [container] } as unknown as ClusterNetworkParts["containers"], // what is read
    networksOfTask: () => [
      { networkId: NET.id, name: "front", address: "10.0.1.7", prefixLength: 24, ipv6Address: "fd00::7/64" },
    ],
    ...changes,
  });
}

test("a manager shows what the cluster says, with this node's containers and how full it is", async () => {
  const subnets = [{ subnet: "10.0.1.0/24", inUse: 5, available: 251 }];
  const shown = await networksOf(() => Promise.resolve({ network: NET, subnets })).inspect("front", {
    verbose: false,
  });
  assert.deepEqual(shown["Status"], {
    IPAM: { Subnets: { "10.0.1.0/24": { IPsInUse: 5, DynamicIPsAvailable: 251 } } },
  });
  assert.deepEqual(shown["Containers"], {
    c1: {
      ...{ Name: "web.1.t1", EndpointID: "", MacAddress: "" },
      ...{ IPv4Address: "10.0.1.7/24", IPv6Address: "fd00::7/64" },
    },
  });
  assert.deepEqual(shown["Peers"], [{ Name: "n1n1n1n1n1n1", IP: "192.0.2.1" }]);
  assert.equal(shown["Services"], undefined);
});

test("a worker, and a manager without a leader, show what the node was told", async () => {
  const silent = () => Promise.reject(new UnavailableError("the swarm does not have a leader"));
  for (const isManager of [() => true, () => false]) {
    const networks = networksOf(silent, { isManager });
    assert.deepEqual(await networks.list(), [NET]);
    for (const id of ["front", "net1net1", "net1"]) {
      const shown = await networks.inspect(id, { verbose: true });
      assert.deepEqual(Object.keys(shown["Services"] as object), ["web"]);
      assert.equal(shown["Status"], undefined);
    }
    await assert.rejects(networks.inspect("back", { verbose: false }), NotFoundError);
  }
  const worker = networksOf(silent, { isManager: () => false });
  await assert.rejects(worker.remove("back"), NotFoundError);
  await assert.rejects(worker.remove("front"), UnavailableError, "the managers' to say");
});

test("what is asked of a live network, and nothing else", async () => {
  const asked: UpdateNetworkRequest[] = [];
  const networks = networksOf((request) => {
    asked.push(request as UpdateNetworkRequest); // of the one call
    return Promise.resolve({});
  });
  await networks.update(
    "front",
    Fields.of({
      Subnets: [{ Subnet: "10.0.2.0/24", Gateway: "10.0.2.9", AuxiliaryAddresses: { a: "10.0.2.3" } }],
      ...{ LabelsAdd: { a: "b" }, LabelsRemove: ["c"], Version: 7 },
    }),
  );
  assert.deepEqual(asked, [
    {
      ...{ id: "front", version: 7, labelsSet: { a: "b" }, labelsRemoved: ["c"] },
      subnetsAdded: [{ subnet: "10.0.2.0/24", range: "", gateway: "10.0.2.9", reserved: { a: "10.0.2.3" } }],
    },
  ]);
  await assert.rejects(networks.update("front", Fields.of({ Internal: true })), /Internal cannot be changed/);
});

test("a network that a service, a node here, or a container elsewhere is on does not dangle", async () => {
  const services = [{ spec: { task: { networks: [{ target: "net2" }] } } }];
  const tasks = [{ networks: [{ networkId: "net3", addresses: [], aliases: [] }] }];
  const networks = networksOf(() => Promise.resolve({ services, tasks }));
  assert.deepEqual([...(await networks.used())], [NET.id, "net2", "net3"]);
  const worker = networksOf(() => Promise.reject(new UnavailableError("no")), { isManager: () => false });
  assert.deepEqual([...(await worker.used())], [NET.id]);
});
