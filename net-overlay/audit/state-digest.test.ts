import assert from "node:assert/strict";
import { test } from "node:test";
import { endpoint, network, peer, service, stateOf } from "../endpoints/network-fixtures.js";
import { MESH_SCOPE, stateDigests } from "./state-digest.js";

const digests = (...resources: Parameters<typeof stateOf>) =>
  stateDigests(stateOf(...resources), () => Promise.resolve());
const PORTS = { ports: [{ targetPort: 80, publishedPort: 8080 }] };

test("nodes that were told the same have the same marks, in whatever order it came", async () => {
  const told = [network(), service(PORTS), peer(1), peer(2), endpoint(21), endpoint(22)];
  const marks = await digests(...told);
  assert.deepEqual(Object.keys(marks).sort(), ["network net1", "node node1", "node node2", MESH_SCOPE]);
  assert.deepEqual(await digests(...told.toReversed()), marks);
});

test("one endpoint more, or another peer, is another mark of its scope", async () => {
  const told = [network(), service(PORTS), peer(1), endpoint(21)];
  const marks = await digests(...told);
  const more = await digests(...told, endpoint(22));
  assert.notEqual(more["network net1"], marks["network net1"]);
  assert.notEqual(more[MESH_SCOPE], marks[MESH_SCOPE]);
  const others = await digests(...told, peer(2));
  assert.equal(others["network net1"], marks["network net1"]);
  assert.equal(others[MESH_SCOPE], marks[MESH_SCOPE]);
  assert.deepEqual([others["node node1"], marks["node node2"]], [marks["node node1"], undefined]);
});
