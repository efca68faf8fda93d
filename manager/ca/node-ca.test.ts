import assert from "node:assert/strict";
import { sign, X509Certificate } from "node:crypto";
import { test } from "node:test";
import { Metadata, type ServerUnaryCall } from "@grpc/grpc-js";
import { ManualClock } from "../../base/clock/manual-clock.js";
import { fromGrpcError } from "../../base/grpc/grpc-errors.js";
import { markForwarded } from "../../base/grpc/peer-identity.js";
import { silentLogger } from "../../base/log/logger.js";
import { createKeyAndCsr } from "../../base/pki/x509-csr.js";
import {
  type IssueReply,
  IssueRequest,
  type RootCaReply,
  type RootCaRequest,
} from "../../proto/gen/skein/v1/ca.js";
import type { Node } from "../../proto/gen/skein/v1/objects.js";
import { ClusterSpec, NodeAvailability, NodeRole } from "../../proto/gen/skein/v1/types.js";
import { createTestStore, type TestStore } from "../../test/support/test-store.js";
import { type Bootstrap, bootstrapCluster, storeBootstrap } from "./bootstrap-cluster.js";
import { createNodeCaHandlers } from "./node-ca.js";
import { createRootCertificate, readNodeCertificate } from "./x509-certificates.js";

const HOUR_MS = 3_600_000;

interface World extends TestStore {
  readonly bootstrap: Bootstrap;
  /** Issues for a token (or renews without one), called by `subject`. */
  issue(
    request: Partial<IssueRequest>,
    subject?: Record<string, string>,
    validTo?: string,
    metadata?: Metadata,
  ): Promise<IssueReply>;
}

async function world(): Promise<World> {
  const base = createTestStore();
  const { store, clock, random } = base;
  const bootstrap = await bootstrapCluster({
    random,
    nowMs: clock.nowMs(),
    spec: ClusterSpec.fromPartial({}),
    availability: NodeAvailability.ACTIVE,
    advertiseIp: "10.1.0.1",
  });
  await store.update((tx) => storeBootstrap(tx, bootstrap));
  const handlers = createNodeCaHandlers({
    store,
    clock,
    random,
    log: silentLogger,
    managerAddresses: () => ["10.1.0.1:2377"],
  });
  return {
    ...base,
    bootstrap,
    issue: async (request, subject, validTo, metadata) => {
      const csrPem = request.csrPem ?? (await createKeyAndCsr()).csrPem;
      const issueRequest = IssueRequest.fromPartial({ ...request, csrPem });
      const call = fakeCall({ request: issueRequest, subject, validTo, metadata });
      return new Promise((resolve, reject) => {
        handlers.issue(call, (error, reply) =>
          reply ? resolve(reply) : reject(fromGrpcError(error as Error)),
        );
      });
    },
  };
}

/** The part of a server call that the handlers use. */
function fakeCall<Req, Res>(options: {
  request: Req;
  subject?: Record<string, string> | undefined;
  validTo?: string | undefined;
  metadata?: Metadata | undefined;
}): ServerUnaryCall<Req, Res> {
  const sslPeerCertificate =
    options.subject === undefined
      ? undefined
      : { subject: options.subject, valid_to: options.validTo ?? "Jan  1 00:00:00 2040 GMT" };
  const call = {
    request: options.request,
    metadata: options.metadata ?? new Metadata(),
    getAuthContext: () => ({ sslPeerCertificate }),
    getPeer: () => "10.1.0.9:1",
  };
  return call as unknown as ServerUnaryCall<Req, Res>; // a test's stand-in: the rest of the call is not used
}

const subjectOf = (w: World, nodeId: string, role = "swarm-worker"): Record<string, string> => ({
  O: w.bootstrap.cluster.id,
  OU: role,
  CN: nodeId,
});

test("bootstrap makes a cluster whose first node is a manager with a valid certificate", async () => {
  const { store, bootstrap, clock } = await world();
  const { cluster, node } = bootstrap;
  const read = readNodeCertificate({
    certPem: bootstrap.certificatePem,
    rootPem: bootstrap.caCertPem,
    nowMs: clock.nowMs(),
  });
  assert.deepEqual([read.clusterId, read.nodeId, read.role], [cluster.id, node.id, "swarm-manager"]);
  assert.deepEqual(cluster.defaultAddressPool, ["10.0.0.0/8"]);
  assert.equal(cluster.subnetSize, 24);
  assert.equal(cluster.vxlanUdpPort, 4789);
  assert.equal(cluster.unlockKey, "");
  assert.equal(node.status?.address, "10.1.0.1");
  const ingress = store.view((tx) => tx.list("network", { by: "name", name: "ingress" }))[0];
  assert.equal(ingress?.spec?.ingress, true);
});

test("default address pools that are none, too small or overlap are refused", async () => {
  const { random } = createTestStore();
  const founded = (addressPools: readonly string[]) =>
    bootstrapCluster({
      ...{ random, nowMs: new ManualClock().nowMs(), spec: ClusterSpec.fromPartial({}) },
      ...{ availability: NodeAvailability.ACTIVE, advertiseIp: "", addressPools, subnetSize: 24 },
      vxlanUdpPort: 0,
    });
  await assert.rejects(founded(["nonsense"]), /"nonsense" is not a subnet/);
  await assert.rejects(founded(["10.0.0.0/26"]), /subnet size must be a prefix length from that of the pool/);
  await assert.rejects(
    founded(["10.0.0.0/8", "10.9.0.0/16"]),
    /default address pools overlap: 10\.0\.0\.0\/8/,
  );
  const { cluster } = await founded(["10.0.0.0/8", "fd00:9::/48"]);
  assert.deepEqual(cluster.defaultAddressPool, ["10.0.0.0/8", "fd00:9::/48"]);
});

test("bootstrap with autolock has an unlock key", async () => {
  const { random } = createTestStore();
  const { cluster } = await bootstrapCluster({
    random,
    nowMs: new ManualClock().nowMs(),
    spec: ClusterSpec.fromPartial({ autoLockManagers: true }),
    availability: NodeAvailability.ACTIVE,
    advertiseIp: "",
    addressPools: ["10.20.0.0/16"],
    subnetSize: 26,
    vxlanUdpPort: 4790,
  });
  assert.match(cluster.unlockKey, /^SWMKEY-1-/);
  assert.deepEqual(cluster.defaultAddressPool, ["10.20.0.0/16"]);
  assert.deepEqual([cluster.subnetSize, cluster.vxlanUdpPort], [26, 4790]);
});

test("anyone gets the root certificate", async () => {
  const { store, clock, random, bootstrap } = await world();
  const handlers = createNodeCaHandlers({
    store,
    clock,
    random,
    log: silentLogger,
    managerAddresses: () => [],
  });
  handlers.getRootCa(fakeCall<RootCaRequest, RootCaReply>({ request: {} }), (error, reply) => {
    assert.equal(error, null);
    assert.equal(reply?.caCertPem, bootstrap.caCertPem);
  });
});

test("a worker token admits a worker, a manager token a manager", async () => {
  const w = await world();
  const { rootCa, id } = w.bootstrap.cluster;
  for (const [token, role, name] of [
    [rootCa?.workerToken, NodeRole.WORKER, "swarm-worker"],
    [rootCa?.managerToken, NodeRole.MANAGER, "swarm-manager"],
  ] as const) {
    const reply = await w.issue({
      token: token ?? "",
      availability: NodeAvailability.DRAIN,
      address: "10.1.0.2",
    });
    assert.equal(reply.role, role);
    assert.equal(reply.clusterId, id);
    assert.deepEqual(reply.managerAddresses, ["10.1.0.1:2377"]);
    assert.equal(
      new X509Certificate(reply.certificatePem).subject,
      `O=${id}\nOU=${name}\nCN=${reply.nodeId}`,
    );
    const node = w.store.view((tx) => tx.get("node", reply.nodeId));
    assert.deepEqual(
      [node?.role, node?.spec?.desiredRole, node?.spec?.availability, node?.status?.address],
      [role, role, NodeAvailability.DRAIN, "10.1.0.2"],
    );
  }
});

test("a wrong token, and a request with a bad signature, admit nobody", async () => {
  const w = await world();
  await assert.rejects(w.issue({ token: "SWMTKN-1-x-y" }), { code: "invalid-argument" });
  await assert.rejects(w.issue({ token: `SWMTKN-1-${"0".repeat(50)}-${"0".repeat(25)}` }), {
    code: "unauthenticated",
  });
  const token = w.bootstrap.cluster.rootCa?.workerToken ?? "";
  await assert.rejects(w.issue({ token, csrPem: "nonsense" }), { code: "invalid-argument" });
  assert.equal(w.store.view((tx) => tx.list("node")).length, 1);
});

test("renewal gives the node's desired role: promotion and demotion", async () => {
  const w = await world();
  const { nodeId } = await w.issue({ token: w.bootstrap.cluster.rootCa?.workerToken ?? "" });
  const wish = (desiredRole: NodeRole): Promise<void> =>
    w.store.update((tx) => {
      const node = tx.get("node", nodeId);
      assert.ok(node?.spec);
      tx.update("node", { ...node, spec: { ...node.spec, desiredRole } });
    });
  await wish(NodeRole.MANAGER);
  const promoted = await w.issue({}, subjectOf(w, nodeId));
  assert.equal(promoted.nodeId, nodeId);
  assert.match(new X509Certificate(promoted.certificatePem).subject, /OU=swarm-manager/);
  assert.equal(w.store.view((tx) => tx.get("node", nodeId))?.role, NodeRole.MANAGER);
  await wish(NodeRole.WORKER);
  const demoted = await w.issue({}, subjectOf(w, nodeId, "swarm-manager"));
  assert.equal(demoted.role, NodeRole.WORKER);
  assert.equal(w.store.view((tx) => tx.get("node", nodeId))?.role, NodeRole.WORKER);
});

test("renewal is refused without a certificate, with a foreign or expired one, and to a removed node", async () => {
  const w = await world();
  const { nodeId } = await w.issue({ token: w.bootstrap.cluster.rootCa?.workerToken ?? "" });
  await assert.rejects(w.issue({}), { code: "unauthenticated" });
  await assert.rejects(w.issue({}, { O: "other", OU: "swarm-worker", CN: nodeId }), {
    code: "permission-denied",
    message: /another cluster/,
  });
  const hourAgo = new Date(w.clock.nowMs() - HOUR_MS).toUTCString();
  await assert.rejects(w.issue({}, subjectOf(w, nodeId), hourAgo), { code: "unauthenticated" });
  await w.store.update((tx) => tx.remove("node", nodeId));
  await assert.rejects(w.issue({}, subjectOf(w, nodeId)), {
    code: "permission-denied",
    message: /was removed/,
  });
});

test("an expired node that claims to be forwarded is refused all the same", async () => {
  const w = await world();
  const { nodeId } = await w.issue({ token: w.bootstrap.cluster.rootCa?.workerToken ?? "" });
  const metadata = new Metadata();
  markForwarded(metadata, { nodeId, role: "swarm-worker", clusterId: w.bootstrap.cluster.id });
  const expired = "Jan  1 00:00:00 2001 GMT";
  await assert.rejects(w.issue({}, subjectOf(w, nodeId), expired, metadata), { code: "unauthenticated" });
});

test("a demoted manager gets its worker certificate once it is out of Raft, and not before", async () => {
  const w = await world();
  const { nodeId } = await w.issue({ token: w.bootstrap.cluster.rootCa?.managerToken ?? "" });
  const change = (changes: Partial<Node>): Promise<void> =>
    w.store.update((tx) => {
      const node = tx.get("node", nodeId);
      assert.ok(node);
      tx.update("node", { ...node, ...changes });
    });
  await change({
    managerStatus: { raftId: 2, address: "10.1.0.2:2377", leader: false, reachability: "" },
    spec: {
      annotations: undefined,
      desiredRole: NodeRole.WORKER,
      availability: NodeAvailability.ACTIVE,
      drainDeadlineMs: 0,
    },
  });
  const subject = subjectOf(w, nodeId, "swarm-manager");
  const { csrPem } = await createKeyAndCsr(); // made before, so that the call begins at once
  const late = w.issue({ csrPem }, subject);
  w.clock.advance(8_000);
  await assert.rejects(late, { code: "unavailable", message: /still a Raft member/ });
  const renewal = w.issue({ csrPem }, subject);
  await change({ managerStatus: undefined });
  assert.equal((await renewal).role, NodeRole.WORKER);
});

test("certificates live as long as the cluster spec says", async () => {
  const w = await world();
  await w.store.update((tx) => {
    const [cluster] = tx.list("cluster");
    assert.ok(cluster?.spec);
    tx.update("cluster", { ...cluster, spec: { ...cluster.spec, nodeCertExpiryMs: 2 * HOUR_MS } });
  });
  const { certificatePem } = await w.issue({ token: w.bootstrap.cluster.rootCa?.workerToken ?? "" });
  assert.equal(Date.parse(new X509Certificate(certificatePem).validTo), w.clock.nowMs() + 2 * HOUR_MS);
});

test("labels given at the join are the new node's; what is no label is refused", async () => {
  const w = await world();
  const token = w.bootstrap.cluster.rootCa?.workerToken ?? "";
  const { nodeId } = await w.issue({ token, labels: { rack: "r1" } });
  const node = w.store.view((tx) => tx.get("node", nodeId));
  assert.deepEqual(node?.spec?.annotations?.labels, { rack: "r1" });
  await assert.rejects(w.issue({ token, labels: { "": "x" } }), { code: "invalid-argument" });
});

test("an expired certificate's key renews for its own node, and only what it has signed", async () => {
  const w = await world();
  const token = w.bootstrap.cluster.rootCa?.workerToken ?? "";
  const { keyPem, csrPem } = await createKeyAndCsr();
  const joined = await w.issue({ token, csrPem });
  const next = await createKeyAndCsr();
  const proof = (text: string, key = keyPem) => ({
    csrPem: next.csrPem,
    formerCertificatePem: joined.certificatePem,
    formerKeySignature: new Uint8Array(sign("sha256", Buffer.from(text), key)),
  });
  await assert.rejects(w.issue(proof(csrPem)), { code: "unauthenticated" });
  await assert.rejects(w.issue(proof(next.csrPem, next.keyPem)), { code: "unauthenticated" });
  await assert.rejects(w.issue({ ...proof(next.csrPem), formerCertificatePem: w.bootstrap.certificatePem }), {
    code: "unauthenticated",
  });
  const renewed = await w.issue(proof(next.csrPem));
  assert.equal(renewed.nodeId, joined.nodeId);
  await w.store.update((tx) => tx.remove("node", joined.nodeId));
  await assert.rejects(w.issue(proof(next.csrPem)), { code: "unauthenticated" });
});

test("without a key of the root and without an external CA nothing is issued, and it says so", async () => {
  const w = await world();
  const [cluster] = w.store.view((tx) => tx.list("cluster"));
  assert.ok(cluster?.rootCa);
  const rootCa = { ...cluster.rootCa, caKeyPem: "" };
  await w.store.update((tx) => tx.update("cluster", { ...cluster, rootCa }));
  await assert.rejects(w.issue({ token: rootCa.workerToken }), {
    code: "unavailable",
    message: /no key of its root CA, and no external CA/,
  });
});

test("a swarm is founded on a given root, whose key is in its CA alone; settings are checked", async () => {
  const { random, clock } = createTestStore();
  const found = (spec: Parameters<typeof ClusterSpec.fromPartial>[0]) =>
    bootstrapCluster({
      random,
      nowMs: clock.nowMs(),
      spec: ClusterSpec.fromPartial(spec),
      availability: NodeAvailability.ACTIVE,
      advertiseIp: "10.1.0.1",
    });
  const root = await createRootCertificate({ nowMs: clock.nowMs(), random });
  const { cluster, certificatePem } = await found({ signingCaCert: root.certPem, signingCaKey: root.keyPem });
  assert.deepEqual([cluster.rootCa?.caCertPem, cluster.rootCa?.caKeyPem], [root.certPem, root.keyPem]);
  assert.deepEqual([cluster.spec?.signingCaCert, cluster.spec?.signingCaKey], [root.certPem, ""]);
  readNodeCertificate({ certPem: certificatePem, rootPem: root.certPem, nowMs: clock.nowMs() });
  await assert.rejects(found({ signingCaCert: root.certPem }), /only with its certificate and its key/);
  await assert.rejects(found({ nodeCertExpiryMs: 60_000 }), /minimum certificate expiry time is 1h0m0s/);
});
