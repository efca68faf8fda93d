/**
 * Who uses a network: services with their running tasks on all nodes.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Node, Service, Task } from "../../proto/gen/skein/v1/objects.js";
import { TaskState } from "../../proto/gen/skein/v1/types.js";
import { networkPeersOut, networkServicesOut, networkUseOf } from "./network-use-out.js";

test("services of the network alone, with tasks that run, and their nodes as peers", () => {
  const service = (id: string, networkId: string): Service =>
    Service.fromPartial({
      id,
      spec: { annotations: { name: id } },
      endpoint: {
        virtualIps: [
          { networkId, address: "10.0.1.2/24" },
          { networkId, address: "fd00::2/64" },
        ],
        ports: [{ targetPort: 80, publishedPort: 8080 }],
      },
    });
  const task = (id: string, state: TaskState, networkId: string): Task =>
    Task.fromPartial({
      ...{ id, serviceId: "web", slot: 1, nodeId: "node-of-fifteen" },
      status: { state },
      networks: [{ networkId, addresses: ["10.0.1.7/24"] }],
    });
  const use = networkUseOf({
    networkId: "net",
    services: [service("web", "net"), service("api", "other")],
    tasks: [
      task("t1", TaskState.RUNNING, "net"),
      task("t2", TaskState.FAILED, "net"),
      task("t3", TaskState.RUNNING, "other"),
    ],
    nodes: [Node.fromPartial({ id: "node-of-fifteen", status: { address: "192.0.2.1" } })],
  });
  assert.deepEqual(
    { ...networkServicesOut(use.services), ...networkPeersOut(use.peers) },
    {
      Services: {
        web: {
          VIP: "10.0.1.2",
          IPv6VIP: "fd00::2",
          Ports: ["Target: 80, Publish: 8080"],
          LocalLBIndex: 0,
          Tasks: [
            { Name: "web.1.t1", EndpointID: "", EndpointIP: "10.0.1.7", Info: { "Host IP": "192.0.2.1" } },
          ],
        },
      },
      Peers: [{ Name: "node-of-fift", IP: "192.0.2.1" }],
    },
  );
});
