/**
 * Leaving through the other managers, against RPC hosts that serve as managers, under mutual TLS.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, test } from "node:test";
import type { ServerUnaryCall, sendUnaryData, UntypedHandleCall } from "@grpc/grpc-js";
import { PermissionDeniedError, UnavailableError } from "../base/errors/errors.js";
import { toGrpcStatus } from "../base/grpc/grpc-errors.js";
import { type PeerRole, peerOf } from "../base/grpc/peer-identity.js";
import { MemoryLogger, silentLogger } from "../base/log/logger.js";
import { createKeyAndCsr } from "../base/pki/x509-csr.js";
import { systemRandom } from "../base/random/system-random.js";
import {
  createRootCertificate,
  issueNodeCertificate,
  type RootKeyPair,
} from "../manager/ca/x509-certificates.js";
import { ControlService, type LeaveClusterRequest } from "../proto/gen/skein/v1/control.js";
import { leaveAsSaved, leaveThroughOthers } from "./leave-through-others.js";
import { RpcHost, type TlsIdentity } from "./rpc-host.js";
import type { SavedMember, SwarmState } from "./swarm-files.js";

const dir = mkdtempSync(join(tmpdir(), "skein-others-"));
const { leaveCluster } = ControlService;
const OWN = "127.0.0.1:1";
let root: RootKeyPair;
let own: TlsIdentity;
/** Takes connections and says nothing. */
let mute: Server;
const sockets: Socket[] = [];
let asked: string[] = [];
const hosts: RpcHost[] = [];

async function identity(nodeId: string, role: PeerRole): Promise<TlsIdentity> {
  const { keyPem, csrPem } = await createKeyAndCsr();
  const request = { root, csrPem, nodeId, role, clusterId: "c1", nowMs: Date.now(), expiryMs: 3_600_000 };
  const certificatePem = issueNodeCertificate({ ...request, random: systemRandom });
  return { keyPem, certificatePem, rootCaPem: root.certPem };
}

/** @returns its address. It notes who asks for whom. */
async function serve(role: PeerRole, answer?: Error): Promise<string> {
  const handler = (
    call: ServerUnaryCall<LeaveClusterRequest, unknown>,
    callback: sendUnaryData<Record<string, never>>,
  ): void => {
    const { nodeId, force } = call.request;
    asked.push(`${peerOf(call)?.nodeId} for ${nodeId}${force ? " by force" : ""}`);
    if (answer === undefined) callback(null, {});
    else callback(toGrpcStatus(answer));
  };
  const host = await RpcHost.open({
    // grpc-js types handlers by shape
    services: [
      { definition: { leaveCluster }, handlers: { leaveCluster: handler as unknown as UntypedHandleCall } },
    ],
    guard: (_path, guarded) => guarded,
    identity: await identity("other", role),
    listen: { host: "127.0.0.1", port: 0 },
    socketPath: join(dir, `${hosts.length}.sock`),
    log: silentLogger,
  });
  hosts.push(host);
  return `127.0.0.1:${host.port}`;
}

const stateOf = (...managers: string[]): SwarmState => ({
  nodeId: "n1",
  clusterId: "c1",
  role: "manager",
  listenAddress: OWN,
  advertiseAddress: OWN,
  advertiseInterface: "",
  dataPathAddress: "127.0.0.1",
  managers: [OWN, ...managers],
});

before(async () => {
  root = await createRootCertificate({ nowMs: Date.now(), random: systemRandom });
  own = await identity("n1", "swarm-manager");
  mute = createServer((socket) => {
    sockets.push(socket);
  });
  await new Promise<void>((resolve) => mute.listen(0, "127.0.0.1", resolve));
});
after(async () => {
  for (const host of hosts) await host.close();
  for (const socket of sockets) socket.destroy();
  mute.close();
  rmSync(dir, { recursive: true });
});
beforeEach(() => {
  asked = [];
});

function mutePort(): string {
  const address = mute.address();
  assert.ok(typeof address === "object" && address !== null);
  return `127.0.0.1:${address.port}`;
}

test("one that answers is enough: neither a dead manager nor a mute one keeps it", async () => {
  const startedMs = performance.now();
  await leaveThroughOthers(stateOf("127.0.0.1:2", mutePort(), await serve("swarm-manager")), own);
  assert.deepEqual(asked, ["n1 for n1 by force"]);
  assert.ok(performance.now() - startedMs < 4_000);
});

test("nobody consents: what says most is told, and it takes seconds at most", async () => {
  const refusing = await serve("swarm-manager", new PermissionDeniedError("the certificate is void"));
  const leaderless = await serve("swarm-manager", new UnavailableError("no leader"));
  await assert.rejects(leaveThroughOthers(stateOf(leaderless, refusing), own), { message: /is void/ });
  await assert.rejects(leaveThroughOthers(stateOf(leaderless), own), { message: /no leader/ });
  await assert.rejects(leaveThroughOthers(stateOf(), own), { message: /no other manager is known/ });
  const startedMs = performance.now();
  await assert.rejects(leaveThroughOthers(stateOf(mutePort()), own), { code: "deadline-exceeded" });
  assert.ok(performance.now() - startedMs < 8_000);
});

test("only managers ask, and only managers are asked", async () => {
  const worker = await serve("swarm-worker");
  await assert.rejects(leaveThroughOthers(stateOf(worker), own), { code: "unavailable" });
  const wrong = leaveThroughOthers(
    stateOf(await serve("swarm-manager")),
    await identity("n1", "swarm-worker"),
  );
  await assert.rejects(wrong, { code: "failed-precondition" });
  assert.deepEqual(asked, []);
});

test("a manager that did not come up asks with what is saved; a locked one cannot, and says so", async () => {
  const state = stateOf(await serve("swarm-manager"));
  const log = new MemoryLogger();
  const leave = (saved: SavedMember | undefined) => leaveAsSaved({ load: () => saved }, log);
  const open = { identity: own, lock: { unlockKey: "", former: [] } };
  await leave({ state, identity: open });
  assert.deepEqual(asked, ["n1 for n1 by force"]);
  assert.deepEqual(log.lines, []);
  await leave({ state: { ...state, role: "worker" }, identity: open });
  await leave(undefined);
  assert.deepEqual(log.lines, []);
  const { certificatePem, rootCaPem } = own;
  await leave({ state, identity: { locked: "AAAA", certificatePem, rootCaPem } });
  assert.match(JSON.stringify(log.lines), /without the cluster's consent.*key is locked.*demote and remove/);
  log.lines.length = 0;
  await leaveAsSaved(
    {
      load: () => {
        throw new UnavailableError("identity.json is lost");
      },
    },
    log,
  );
  assert.match(JSON.stringify(log.lines), /without the cluster's consent.*is lost/);
  assert.equal(asked.length, 1);
});
