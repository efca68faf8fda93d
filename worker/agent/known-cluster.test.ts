/** What a node tells of the cluster, from what it was told. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  EndpointResource,
  EndpointState,
  type NodeResource,
  PeerResource,
  ServiceResource,
} from "../../proto/gen/skein/v1/dispatcher.js";
import { Network, Task } from "../../proto/gen/skein/v1/objects.js";
import { AssignmentBook } from "./assignment-book.js";
import { knownCluster } from "./known-cluster.js";

const endpoint = (
  taskId: string,
  nodeId: string,
  networkId: string,
  state: EndpointState = EndpointState.READY,
): NodeResource => ({
  resource: {
    $case: "endpoint",
    value: EndpointResource.fromPartial({
      ...{ taskId, taskName: `web.1.${taskId}`, serviceId: "web", nodeId, state },
      attachments: [{ networkId, addresses: ["10.0.1.7/24", "fd00::7/64"] }],
    }),
  },
});

test("networks, own tasks, and who is on a network", () => {
  const book = new AssignmentBook();
  const upserts: NodeResource[] = [
    { resource: { $case: "networkObject", value: Network.fromPartial({ id: "net" }) } },
    { resource: { $case: "task", value: Task.fromPartial({ id: "t1" }) } },
    {
      resource: {
        $case: "peer",
        value: PeerResource.fromPartial({ nodeId: "n2", dataPathAddress: "192.0.2.2" }),
      },
    },
    {
      resource: {
        $case: "service",
        value: ServiceResource.fromPartial({
          ...{ id: "web", name: "web", virtualIps: [{ networkId: "net", address: "10.0.1.2/24" }] },
          ports: [{ targetPort: 80, publishedPort: 8080 }],
        }),
      },
    },
    { resource: { $case: "service", value: ServiceResource.fromPartial({ id: "api", name: "api" }) } },
    endpoint("t1", "n1", "net"),
    endpoint("t2", "n2", "net"),
    endpoint("t3", "n2", "net", EndpointState.JOINING),
    endpoint("t4", "n3", "other"),
  ];
  const known = knownCluster(book, () => ({ nodeId: "n1", address: "192.0.2.1" }));
  assert.deepEqual([known.networks(), known.task("t1"), known.peers("net")], [[], undefined, []]);
  book.accept({ complete: true, baseRevision: 0, revision: 1, upserts, removals: [], more: false });
  assert.deepEqual(
    known.networks().map(({ id }) => id),
    ["net"],
  );
  assert.deepEqual([...known.used()], ["net", "other"]);
  assert.equal(known.task("t1")?.id, "t1");
  assert.equal(known.task("t2"), undefined, "of another node");
  assert.deepEqual(known.peers("net"), [
    { nodeId: "n1", address: "192.0.2.1" },
    { nodeId: "n2", address: "192.0.2.2" },
  ]);
  const [web, ...others] = known.services("net");
  assert.deepEqual(others, []);
  assert.deepEqual(
    [web?.name, web?.virtualIps, web?.tasks.map(({ name, hostAddress }) => [name, hostAddress])],
    [
      "web",
      ["10.0.1.2/24"],
      [
        ["web.1.t1", "192.0.2.1"],
        ["web.1.t2", "192.0.2.2"],
      ],
    ],
  );
});
