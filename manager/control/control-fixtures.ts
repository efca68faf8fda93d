/**
 * A control API over a store of its own and a Raft that says what the test wants. For tests.
 * Pure.
 */
import assert from "node:assert/strict";
import { type handleUnaryCall, Metadata, type ServerUnaryCall } from "@grpc/grpc-js";
import { fromGrpcError } from "../../base/grpc/grpc-errors.js";
import { type ControlServer, UpdateServiceRequest } from "../../proto/gen/skein/v1/control.js";
import { Cluster, Config, Network, Node, Secret, type Service } from "../../proto/gen/skein/v1/objects.js";
import { NodeRole, NodeState, ServiceSpec } from "../../proto/gen/skein/v1/types.js";
import type { RaftMember } from "../../raft/core/types.js";
import type { Leadership, RaftStatus } from "../../raft/host/raft-node.js";
import { createTestStore, type TestStore } from "../../test/support/test-store.js";
import { createControlHandlers } from "./control-handlers.js";
import { findObject } from "./find-object.js";

/** Raft as a test sees it: members 1, 2, 3… of nodes m1, m2, m3…; the first leads and is this manager. */
export class FakeRaft {
  members: readonly RaftMember[];
  reachable = new Map<number, boolean>();
  leader = 1;
  readonly #membership = new Set<(members: readonly RaftMember[]) => void>();
  readonly #leadership = new Set<(leadership: Leadership) => void>();

  constructor(memberCount: number) {
    this.members = Array.from({ length: memberCount }, (_, i) => ({
      raftId: i + 1,
      nodeId: `m${i + 1}`,
      address: `10.1.0.${i + 1}:2377`,
      learner: false,
    }));
    for (const { raftId } of this.members) this.reachable.set(raftId, true);
  }

  status(): RaftStatus {
    return {
      id: 1,
      role: "leader",
      term: 1,
      leader: this.leader,
      commitIndex: 0,
      appliedIndex: 0,
      lastIndex: 0,
      membership: { members: this.members, removed: [] },
      isSettled: true,
      progress: [],
      leaderMember: this.members.find(({ raftId }) => raftId === this.leader),
      reachable: this.reachable,
    };
  }

  onMembership(listener: (members: readonly RaftMember[]) => void): () => void {
    this.#membership.add(listener);
    listener(this.members);
    return () => this.#membership.delete(listener);
  }

  onLeadership(listener: (leadership: Leadership) => void): () => void {
    this.#leadership.add(listener);
    listener({ isLeader: this.leader === 1, term: 1, leader: this.status().leaderMember });
    return () => this.#leadership.delete(listener);
  }

  drop(nodeId: string): void {
    this.members = this.members.filter((member) => member.nodeId !== nodeId);
    for (const listener of this.#membership) listener(this.members);
  }

  lead(raftId: number): void {
    this.leader = raftId;
    for (const listener of this.#leadership) {
      listener({ isLeader: raftId === 1, term: 2, leader: this.status().leaderMember });
    }
  }

  get listenerCount(): number {
    return this.#membership.size + this.#leadership.size;
  }
}

export interface TestControl extends TestStore {
  readonly raft: FakeRaft;
  readonly control: ControlServer;
  /**
   * Calls a unary handler, by the daemon beside this manager or with that node's certificate; rejects with
   * the error a client would see.
   */
  ask<Req, Res>(handler: handleUnaryCall<Req, Res>, request: Req, nodeId?: string): Promise<Res>;
}

export async function createTestControl(
  options: { managers?: number; delay?: () => Promise<void> } = {},
): Promise<TestControl> {
  const base = createTestStore(options.delay === undefined ? {} : { delay: options.delay });
  const raft = new FakeRaft(options.managers ?? 1);
  const control = createControlHandlers({ ...base, raft });
  await base.store.update((tx) => {
    const annotations = { name: "default" };
    tx.create(
      "cluster",
      Cluster.fromPartial({
        id: "c1",
        spec: { annotations },
        rootCa: { certDigest: "0".repeat(50), caKeyPem: "key" },
      }),
    );
    for (const { nodeId } of raft.members) tx.create("node", managerNode(nodeId));
    const ingress = { annotations: { name: "ingress" }, driver: "overlay", ingress: true };
    tx.create("network", Network.fromPartial({ id: "mesh", spec: ingress }));
  });
  return {
    ...base,
    raft,
    control,
    ask: (handler, request, nodeId) =>
      new Promise((resolve, reject) => {
        const subject = { O: "c1", OU: "swarm-manager", CN: nodeId };
        const sslPeerCertificate = nodeId === undefined ? undefined : { subject };
        const call = { request, metadata: new Metadata(), getAuthContext: () => ({ sslPeerCertificate }) };
        // The handlers use the request and who asks.
        handler(call as unknown as ServerUnaryCall<typeof request, never>, (error, reply) => {
          if (reply === undefined || reply === null) reject(fromGrpcError(error as Error));
          else resolve(reply);
        });
      }),
  };
}

function managerNode(id: string): Node {
  return Node.fromPartial({
    id,
    spec: { annotations: {}, desiredRole: NodeRole.MANAGER },
    description: { hostname: `host-${id}` },
    status: { state: NodeState.READY },
    role: NodeRole.MANAGER,
  });
}

/** A valid replicated service; `changes` says what the test is about. */
export function serviceSpec(
  name: string,
  changes: Parameters<typeof ServiceSpec.fromPartial>[0] = {},
): ServiceSpec {
  return ServiceSpec.fromPartial({
    annotations: { name },
    task: { container: { image: "busybox:latest" } },
    mode: { $case: "replicated", value: { replicas: 1 } },
    ...changes,
  });
}

/** A service's version, to make an update from. */
export function versionIn(store: TestStore["store"], service: string): number {
  return store.view((tx) => findObject(tx, "service", service)).meta?.version?.index ?? 0;
}

/** Creates a service through the API. */
export async function createService(t: TestControl, spec: ServiceSpec, registryAuth = ""): Promise<Service> {
  const { service } = await t.ask(t.control.createService, { spec, registryAuth });
  assert.ok(service);
  return service;
}

/** Updates a service through the API, from its newest version unless `changes` says otherwise. */
export async function updateService(
  t: TestControl,
  id: string,
  spec: ServiceSpec | undefined,
  changes: Partial<UpdateServiceRequest> = {},
) {
  const request = UpdateServiceRequest.fromPartial({ id, version: versionIn(t.store, id), ...changes });
  const { service } = await t.ask(t.control.updateService, { ...request, spec });
  assert.ok(service);
  return service;
}

/** Network `front`, secret `key` and config `page`, to refer to. */
export async function addReferences(t: TestControl): Promise<void> {
  await t.store.update((tx) => {
    tx.create(
      "network",
      Network.fromPartial({ id: "net1", spec: { annotations: { name: "front" }, driver: "overlay" } }),
    );
    tx.create("secret", Secret.fromPartial({ id: "sec1", annotations: { name: "key" } }));
    tx.create("config", Config.fromPartial({ id: "cfg1", annotations: { name: "page" } }));
  });
}
