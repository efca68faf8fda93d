/**
 * A node's places on overlays, over managers in memory: what is asked for, given back, lost and found again.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../../base/clock/manual-clock.js";
import { PermissionDeniedError, UnavailableError } from "../../base/errors/errors.js";
import { MemoryLogger } from "../../base/log/logger.js";
import type { AttachReply, AttachRequest } from "../../proto/gen/skein/v1/attachments.js";
import { NO_SETTINGS } from "../local/local-sandbox.js";
import type { OverlayRequest } from "../local/overlay-networks.js";
import type { AssignedAttachment, ManagerAttachments } from "./manager-attachments.js";
import { AGENT_WAIT_MS, NodeAttachments } from "./node-attachments.js";

/** Managers with one network, "mesh", whose id is net1. */
class MemoryManagers implements ManagerAttachments {
  readonly attachments = new Map<string, AttachRequest>();
  readonly detached: string[] = [];
  /** Thrown by the next calls, one each. */
  failures: Error[] = [];
  #last = 0;

  async attach(request: AttachRequest): Promise<AttachReply> {
    await this.#turn();
    if (request.network === "closed")
      throw new PermissionDeniedError("network closed not manually attachable");
    let id = [...this.attachments].find(([, { container }]) => container?.id === request.container?.id)?.[0];
    if (id === undefined) {
      this.#last += 1;
      id = `task${this.#last}`;
    }
    this.attachments.set(id, request);
    const addresses = [`${request.addresses[0] ?? `10.9.0.${this.#last + 1}`}/24`];
    return { attachmentId: id, networkId: "net1", networkName: "mesh", internal: false, addresses };
  }

  async detach(attachmentId: string): Promise<void> {
    await this.#turn();
    this.detached.push(attachmentId);
    this.attachments.delete(attachmentId);
  }

  assigned(): AssignedAttachment[] {
    return [...this.attachments].map(([id, { container }]) => ({
      id,
      containerId: container?.id ?? "",
      networkId: "net1",
    }));
  }

  async #turn(): Promise<void> {
    await Promise.resolve();
    const failure = this.failures.shift();
    if (failure !== undefined) throw failure;
  }
}

function world(fields: { isMember?: boolean } = {}) {
  const clock = new ManualClock();
  const managers = new MemoryManagers();
  const isMember = (): boolean => fields.isMember ?? true;
  const node = new NodeAttachments({ plugs: () => undefined, isMember, clock, log: new MemoryLogger() });
  return { clock, managers, node };
}

function request(name: string, network = "mesh"): OverlayRequest {
  const containerId = Buffer.from(name.padEnd(32, "-")).toString("hex");
  return { containerId, containerName: name, hostname: name, network, settings: NO_SETTINGS };
}

async function settle(): Promise<void> {
  for (let turn = 0; turn < 50; turn += 1) await Promise.resolve();
}

test("a place is asked for, and given back when its container has ended", async () => {
  const { managers, node } = world();
  node.connect(managers);
  const lease = await node.lease(request("box"));
  assert.deepEqual([lease.networkName, lease.addresses], ["mesh", ["10.9.0.2/24"]]);
  await node.release(lease.id, { live: false });
  await node.release(lease.id, { live: false });
  assert.deepEqual(managers.detached, [lease.id]);
});

test("a refusal quotes the managers; in no cluster there is no such network", async () => {
  const { managers, node } = world();
  node.connect(managers);
  await assert.rejects(node.lease(request("box", "closed")), {
    code: "internal",
    message:
      "Could not attach to network closed: rpc error: code = PermissionDenied desc = " +
      "network closed not manually attachable",
  });
  const alone = world({ isMember: false });
  await assert.rejects(alone.node.lease(request("box")), {
    code: "not-found",
    message: "network mesh not found",
  });
});

test("a member's containers wait for its agent, for a while", async () => {
  const { clock, managers, node } = world();
  const early = node.lease(request("box"));
  await settle();
  node.connect(managers);
  assert.equal((await early).networkName, "mesh");
  const locked = world();
  const late = assert.rejects(locked.node.lease(request("box")), { code: "not-found" });
  await settle();
  locked.clock.advance(AGENT_WAIT_MS);
  await late;
  clock.advance(0);
});

test("giving back is tried until it was heard", async () => {
  const { clock, managers, node } = world();
  node.connect(managers);
  const lease = await node.lease(request("box"));
  managers.failures = [new UnavailableError("away"), new UnavailableError("away")];
  await node.release(lease.id, { live: false });
  assert.deepEqual(managers.detached, []);
  for (let retry = 0; retry < 4; retry += 1) {
    clock.advance(5_000);
    await settle();
  }
  assert.deepEqual(managers.detached, [lease.id]);
});

test("what the managers count as ours and nobody here has is given back, but not what is being asked for", async () => {
  const { managers, node } = world();
  node.connect(managers);
  const lease = await node.lease(request("box"));
  await managers.attach({ ...requestOf("stray"), addresses: [] });
  const asking = node.lease(request("coming"));
  node.assigned({ complete: true, upserts: managers.assigned(), removals: [] });
  const coming = await asking;
  node.assigned({ complete: true, upserts: managers.assigned(), removals: [] });
  await settle();
  assert.deepEqual([...managers.attachments.keys()].sort(), [lease.id, coming.id].sort());
});

test("what the managers have lost is asked for again, with the same address and the newest names", async () => {
  const { managers, node } = world();
  node.connect(managers);
  const lease = await node.lease(request("box"));
  node.assigned({ complete: true, upserts: managers.assigned(), removals: [] });
  managers.attachments.clear();
  node.assigned({ complete: true, upserts: [], removals: [] });
  await settle();
  const [[found, asked] = []] = [...managers.attachments];
  assert.notEqual(found, lease.id);
  assert.deepEqual(asked?.addresses, ["10.9.0.2"]);
  node.assigned({ complete: true, upserts: managers.assigned(), removals: [] });
  node.rename({ ...request("box"), containerName: "renamed", network: "net1" });
  await settle();
  assert.equal(managers.attachments.get(found ?? "")?.container?.name, "renamed");
  assert.deepEqual(managers.detached, []);
  await node.release(lease.id, { live: true });
  assert.deepEqual(managers.detached, [found]);
});

test("after a restart, what was taken over is kept, and what has ended is given back", async () => {
  const { managers, node } = world();
  const kept = await managers.attach(requestOf("box"));
  const ended = await managers.attach(requestOf("gone"));
  const end = { netnsPath: "/run/box", linkName: "eth0", linkIndex: 2, mac: "" };
  const { attachmentId: id, networkId, networkName, addresses } = kept;
  node.adopt(request("box", "net1"), { id, networkId, networkName, isInternal: false, addresses }, end);
  node.connect(managers);
  node.assigned({ complete: true, upserts: managers.assigned(), removals: [] });
  await settle();
  assert.deepEqual(managers.detached, [ended.attachmentId]);
  assert.deepEqual([...managers.attachments.keys()], [id]);
});

function requestOf(name: string): AttachRequest {
  const { containerId, hostname } = request(name);
  return { container: { id: containerId, name, hostname }, network: "mesh", aliases: [], addresses: [] };
}
