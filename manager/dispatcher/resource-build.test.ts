import assert from "node:assert/strict";
import { test } from "node:test";
import { Node, Task } from "../../proto/gen/skein/v1/objects.js";
import { TaskState } from "../../proto/gen/skein/v1/types.js";
import { endpointOf } from "./resource-build.js";

const NODE = Node.fromPartial({
  id: "n1",
  description: { hostname: "alpha", platform: { os: "linux", architecture: "x86_64" } },
});

function hostnameOf(hostname: string): string | undefined {
  const task = Task.fromPartial({
    id: "abcdefghijklmnopqrstuvwxy",
    nodeId: "n1",
    slot: 3,
    allocated: true,
    status: { state: TaskState.RUNNING },
    desiredState: TaskState.RUNNING,
    serviceAnnotations: { name: "db" },
    spec: { container: { hostname } },
  });
  return endpointOf(task, NODE)?.hostname;
}

test("a hostname is told as the node fills it in, so that each task of a service has a name of its own", () => {
  assert.equal(hostnameOf("db-{{.Task.Slot}}"), "db-3");
  assert.equal(hostnameOf("{{.Service.Name}}-{{ .Node.Hostname }}-{{.Node.Platform.OS}}"), "db-alpha-linux");
  assert.equal(hostnameOf("plain"), "plain");
  assert.equal(hostnameOf(""), "abcdefghijkl");
});

test("a hostname whose template the node refuses is no name", () => {
  assert.equal(hostnameOf("db-{{.Service.Color}}"), "");
  assert.equal(hostnameOf('{{env "X"}}'), "");
});
