/**
 * Attachments on a store with the control loops of a leader: what is given, refused, taken back, and that
 * nothing leaks.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { AttachRequest } from "../../proto/gen/skein/v1/attachments.js";
import { EndpointState } from "../../proto/gen/skein/v1/dispatcher.js";
import type { Task } from "../../proto/gen/skein/v1/objects.js";
import { Network } from "../../proto/gen/skein/v1/objects.js";
import { NodeAvailability } from "../../proto/gen/skein/v1/types.js";
import { ControlLab } from "../../test/support/control-lab.js";
import { nodeResources } from "../dispatcher/node-resources.js";
import { createAttachmentReaper } from "./attachment-reaper.js";
import { ALLOCATION_WAIT_MS, Attachments } from "./attachments.js";

const BOX = "b0".repeat(32);
const OTHER = "0e".repeat(32);

function request(fields: Parameters<typeof AttachRequest.fromPartial>[0] = {}): AttachRequest {
  return AttachRequest.fromPartial({
    container: { id: BOX, name: "box", hostname: "boxhost" },
    network: "mesh",
    ...fields,
  });
}

interface World {
  readonly lab: ControlLab;
  readonly attachments: Attachments;
  /** All attachments in the store. */
  readonly stored: () => readonly Task[];
  /** Bare addresses in use on the network `mesh`, as the store says. */
  readonly leased: () => readonly string[];
}

async function world(): Promise<World> {
  const lab = new ControlLab();
  await lab.addNodes("n1", "n2");
  await lab.test.store.update((tx) => {
    const spec = { driver: "overlay", ipamConfigs: [{ subnet: "10.9.0.0/29" }] };
    tx.create(
      "network",
      Network.fromPartial({ id: "net1", spec: { ...spec, annotations: { name: "mesh" }, attachable: true } }),
    );
    tx.create(
      "network",
      Network.fromPartial({ id: "net2", spec: { driver: "overlay", annotations: { name: "closed" } } }),
    );
  });
  await lab.loops.idle();
  const stored = (): readonly Task[] =>
    lab.test.store.view((tx) => tx.list("task")).filter(({ attached }) => attached !== undefined);
  return {
    lab,
    attachments: new Attachments(lab.test),
    stored,
    leased: () => stored().flatMap(({ networks }) => networks.flatMap(({ addresses }) => addresses)),
  };
}

test("an attachment gets an address, and its endpoint is told to every node on the network", async () => {
  const { lab, attachments } = await world();
  const reply = await attachments.attach("n1", request({ aliases: ["db"] }));
  assert.deepEqual(
    { ...reply, attachmentId: "" },
    {
      attachmentId: "",
      networkId: "net1",
      networkName: "mesh",
      internal: false,
      addresses: ["10.9.0.2/29"],
    },
  );
  await attachments.attach("n2", request({ container: { id: OTHER, name: "other", hostname: "" } }));
  const told = lab.test.store
    .view((tx) => nodeResources(tx, "n2"))
    .flatMap(({ resource }) => (resource?.$case === "endpoint" ? [resource.value] : []));
  const box = told.find(({ taskName }) => taskName === "box");
  assert.deepEqual(
    { nodeId: box?.nodeId, state: box?.state, hostname: box?.hostname, attachments: box?.attachments },
    {
      nodeId: "n1",
      state: EndpointState.READY,
      hostname: "boxhost",
      attachments: [{ networkId: "net1", addresses: ["10.9.0.2/29"], aliases: ["db", BOX.slice(0, 12)] }],
    },
  );
  await lab.close();
});

test("asked for again, a container has the same attachment and its newest names", async () => {
  const { lab, attachments, stored } = await world();
  const first = await attachments.attach("n1", request());
  const container = { id: BOX, name: "renamed", hostname: "boxhost" };
  const again = await attachments.attach("n1", request({ container, network: "net1", aliases: ["db"] }));
  assert.deepEqual(again, first);
  assert.deepEqual(
    stored().map(({ attached, networks }) => [attached?.name, networks[0]?.aliases]),
    [["renamed", ["db", BOX.slice(0, 12)]]],
  );
  await lab.close();
});

test("a chosen address is given, refused when it is taken, and moved to when it is chosen later", async () => {
  const { lab, attachments, leased } = await world();
  await attachments.attach("n1", request({ addresses: ["10.9.0.5"] }));
  assert.deepEqual(leased(), ["10.9.0.5/29"]);
  const other = { id: OTHER, name: "other", hostname: "" };
  await assert.rejects(attachments.attach("n2", request({ container: other, addresses: ["10.9.0.5"] })), {
    code: "failed-precondition",
    message: /attaching to network failed.*10\.9\.0\.5/,
  });
  assert.deepEqual(leased(), ["10.9.0.5/29"], "what was refused left nothing");
  const moved = await attachments.attach("n1", request({ addresses: ["10.9.0.6"] }));
  assert.deepEqual([moved.addresses, leased()], [["10.9.0.6/29"], ["10.9.0.6/29"]]);
  await lab.close();
});

test("a network that is not attachable, or not there, and a node at rest are refused", async () => {
  const { lab, attachments, stored } = await world();
  await assert.rejects(attachments.attach("n1", request({ network: "closed" })), {
    code: "permission-denied",
    message: "network closed not manually attachable",
  });
  await assert.rejects(attachments.attach("n1", request({ network: "nosuch" })), {
    code: "not-found",
    message: "network nosuch not found",
  });
  await assert.rejects(attachments.attach("stranger", request()), { code: "permission-denied" });
  await assert.rejects(attachments.attach("n1", request({ container: undefined })), {
    code: "invalid-argument",
  });
  await lab.test.store.update((tx) => {
    const node = tx.get("node", "n1");
    if (node?.spec === undefined) return;
    tx.update("node", { ...node, spec: { ...node.spec, availability: NodeAvailability.PAUSE } });
  });
  await assert.rejects(attachments.attach("n1", request()), {
    code: "failed-precondition",
    message: /attaching to network failed.*paused/,
  });
  assert.deepEqual(stored(), []);
  await lab.close();
});

test("a full network says so, and an address given back is free again", async () => {
  const { lab, attachments, leased } = await world();
  const containerOf = (at: number) => ({ id: String(at).repeat(64), name: `c${at}`, hostname: "" });
  const replies = [];
  for (let at = 0; at < 5; at += 1) {
    replies.push(await attachments.attach("n1", request({ container: containerOf(at) })));
  }
  assert.equal(leased().length, 5);
  await assert.rejects(attachments.attach("n1", request({ container: containerOf(5) })), {
    message: /no free address in 10\.9\.0\.0\/29/,
  });
  const [first] = replies;
  await assert.rejects(attachments.detach("n2", { attachmentId: first?.attachmentId ?? "" }), {
    code: "permission-denied",
  });
  await attachments.detach("n1", { attachmentId: first?.attachmentId ?? "" });
  await attachments.detach("n1", { attachmentId: first?.attachmentId ?? "" }); // a missing one is fine
  await lab.loops.idle();
  const again = await attachments.attach("n1", request({ container: containerOf(5) }));
  assert.deepEqual(again.addresses, first?.addresses);
  await lab.close();
});

test("a new leader keeps addresses; one that allocates nothing is not waited for beyond the bound", async () => {
  const { lab, attachments, leased, stored } = await world();
  const first = await attachments.attach("n1", request());
  await lab.changeLeader();
  const other = { id: OTHER, name: "other", hostname: "" };
  const second = await attachments.attach("n2", request({ container: other }));
  assert.notDeepEqual(first.addresses, second.addresses);
  assert.deepEqual([...leased()].sort(), [...first.addresses, ...second.addresses].sort());
  await lab.loops.close();
  const late = attachments.attach(
    "n1",
    request({ container: { id: "1".repeat(64), name: "l", hostname: "" } }),
  );
  const refused = assert.rejects(late, { code: "deadline-exceeded", message: /context deadline exceeded/ });
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
  lab.test.clock.advance(ALLOCATION_WAIT_MS);
  await refused;
  assert.equal(stored().length, 2, "it left nothing");
});

test("attachments go with their node; those of a node that is only down stay", async () => {
  const { lab, attachments, stored } = await world();
  const { store, clock, random, log } = lab.test;
  await attachments.attach("n1", request());
  await attachments.attach("n2", request({ container: { id: OTHER, name: "other", hostname: "" } }));
  await lab.nodeDown("n1");
  const reaper = createAttachmentReaper({ store, clock, random, log });
  reaper.start();
  await reaper.idle();
  assert.equal(stored().length, 2);
  await store.update((tx) => tx.remove("node", "n2"));
  await reaper.idle();
  assert.deepEqual(
    stored().map(({ nodeId }) => nodeId),
    ["n1"],
  );
  await reaper.close();
  await store.update((tx) => tx.remove("node", "n1"));
  const next = createAttachmentReaper({ store, clock, random, log });
  next.start();
  await next.idle();
  assert.deepEqual(stored(), [], "a new leader looks at all");
  await next.close();
  await lab.close();
});
