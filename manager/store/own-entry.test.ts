/**
 * An entry that its proposer applies without decoding leaves the state that everybody else decodes from it.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Node, Secret, Service, Task } from "../../proto/gen/skein/v1/objects.js";
import { NodeState, TaskState } from "../../proto/gen/skein/v1/types.js";
import { createTestStore } from "../../test/support/test-store.js";
import { TABLE_NAMES } from "./tables.js";

test("the proposer's state is the one that a replica decodes, and shares what it was given", async () => {
  const { store, proposer } = createTestStore();
  const replica = createTestStore();
  const spec = { container: { image: "app", env: ["A=1"], labels: { a: "b" } } };
  const service = Service.fromPartial({ id: "s", spec: { annotations: { name: "web" }, task: spec } });
  await store.update((tx) => {
    tx.create("service", service);
    tx.create("node", Node.fromPartial({ id: "n", status: { state: NodeState.READY } }));
    tx.create("secret", Secret.fromPartial({ id: "x", data: new Uint8Array([1, 2, 3]) }));
  });
  const tasks = Array.from({ length: 300 }, (_, slot) => ({
    ...Task.fromPartial({ id: `t${slot}`, serviceId: "s", slot, status: { state: TaskState.PENDING } }),
    spec: service.spec?.task,
  }));
  await store.batch(tasks, (tx, task) => tx.create("task", task));
  await store.batch(tasks, (tx, { id, slot }) => {
    const task = tx.get("task", id);
    if (task === undefined) return;
    if (slot % 7 === 0) tx.remove("task", id);
    else tx.update("task", { ...task, nodeId: "n" });
  });
  for (const entry of proposer.entries) {
    replica.store.apply({ ...entry, data: new Uint8Array(entry.data) }); // other bytes: decoded
  }
  const plain = (value: unknown): unknown =>
    JSON.parse(JSON.stringify(value, (_, part: unknown) => (part instanceof Uint8Array ? [...part] : part)));
  for (const table of TABLE_NAMES) {
    const [own, decoded] = [store, replica.store].map((one) => one.view((tx) => tx.list(table)));
    assert.deepEqual(plain(own), plain(decoded), table);
  }
  const [first, second] = store.view((tx) => tx.list("task"));
  assert.ok(first?.spec !== undefined && first.spec === second?.spec, "tasks share their specification");
});

test("bytes for the disk are those of the object, made when they are asked for, the same each time", async () => {
  const { store, proposer } = createTestStore();
  await store.update((tx) => tx.create("node", Node.fromPartial({ id: "n" })));
  const data = proposer.entries[0]?.data;
  assert.ok(data !== undefined);
  const [change] = createTestStore().store.apply({ index: 1, term: 1, data });
  assert.ok(change !== undefined && change.bytesAbout > 0);
  assert.equal(change.value, change.value);
  assert.deepEqual(Buffer.from(change.value ?? []), Buffer.from(proposer.state.get("node/n") ?? []));
});
