import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { connect, type TLSSocket } from "node:tls";
import { credentials, type ServerUnaryCall, type sendUnaryData, type UntypedHandleCall } from "@grpc/grpc-js";
import { callUnary } from "../base/grpc/grpc-call.js";
import { toGrpcStatus } from "../base/grpc/grpc-errors.js";
import { type PeerRole, peerOf } from "../base/grpc/peer-identity.js";
import { silentLogger } from "../base/log/logger.js";
import { createKeyAndCsr } from "../base/pki/x509-csr.js";
import { systemRandom } from "../base/random/system-random.js";
import { authorize } from "../manager/ca/rpc-roles.js";
import {
  createRootCertificate,
  issueNodeCertificate,
  type RootKeyPair,
} from "../manager/ca/x509-certificates.js";
import { LeaderReportsClient, LeaderReportsService } from "../proto/gen/skein/v1/dispatcher.js";
import { CHANNEL_OPTIONS } from "./manager-channels.js";
import { RpcHost, type TlsIdentity } from "./rpc-host.js";

const HOUR_MS = 3_600_000;

interface Wish {
  readonly role?: PeerRole;
  readonly clusterId?: string;
  readonly madeMs?: number;
}

async function identity(root: RootKeyPair, wish: Wish = {}): Promise<TlsIdentity> {
  const { keyPem, csrPem } = await createKeyAndCsr();
  const { role = "swarm-manager", clusterId = "c1", madeMs = Date.now() } = wish;
  const request = { root, csrPem, nodeId: "n1", role, clusterId, nowMs: madeMs, expiryMs: HOUR_MS };
  const certificatePem = issueNodeCertificate({ ...request, random: systemRandom });
  return { keyPem, certificatePem, rootCaPem: root.certPem };
}

type Answer = sendUnaryData<Record<string, never>>;

test("a caller's certificate counts when this root signed it for this cluster and it has not expired", async () => {
  const dir = mkdtempSync(join(tmpdir(), "skein-rpc-"));
  const root = await createRootCertificate({ nowMs: Date.now(), random: systemRandom });
  const other = await createRootCertificate({ nowMs: Date.now(), random: systemRandom });
  const report = (_call: unknown, callback: Answer): void => callback(null, {});
  const host = await RpcHost.open({
    services: [{ definition: LeaderReportsService, handlers: { report: report as UntypedHandleCall } }],
    guard: (path, handler) => {
      const guarded = (call: ServerUnaryCall<unknown, unknown>, callback: Answer): void => {
        try {
          authorize(path, peerOf(call), "c1");
        } catch (error) {
          callback(toGrpcStatus(error));
          return;
        }
        (handler as (call: unknown, callback: Answer) => void)(call, callback); // `report` above
      };
      return guarded as UntypedHandleCall; // grpc-js types handlers by shape
    },
    identity: await identity(root),
    listen: { host: "127.0.0.1", port: 0 },
    socketPath: join(dir, "m.sock"),
    log: silentLogger,
  });
  const codeFor = async (shown: TlsIdentity | undefined): Promise<string> => {
    const key = shown && Buffer.from(shown.keyPem);
    const secure = credentials.createSsl(
      Buffer.from(root.certPem),
      key,
      shown && Buffer.from(shown.certificatePem),
    );
    const client = new LeaderReportsClient(`127.0.0.1:${host.port}`, secure, CHANNEL_OPTIONS);
    try {
      await callUnary(client.report.bind(client), { managerNodeId: "m", reports: [], word: undefined });
      return "ok";
    } catch (error) {
      return (error as { code: string }).code; // callUnary throws SkeinErrors
    } finally {
      client.close();
    }
  };
  try {
    assert.equal(await codeFor(await identity(root)), "ok");
    assert.equal(await codeFor(undefined), "unauthenticated");
    assert.equal(await codeFor(await identity(other)), "unauthenticated", "foreign");
    const expired = await identity(root, { madeMs: Date.now() - 3 * HOUR_MS });
    assert.equal(await codeFor(expired), "unauthenticated", "expired");
    const early = await identity(root, { madeMs: Date.now() + 3 * HOUR_MS });
    assert.equal(await codeFor(early), "unauthenticated", "of the future");
    assert.equal(await codeFor(await identity(root, { role: "swarm-worker" })), "permission-denied");
    assert.equal(await codeFor(await identity(root, { clusterId: "c2" })), "permission-denied");
  } finally {
    await host.close();
    rmSync(dir, { recursive: true, force: true });
  }
});

const newRoot = (): Promise<RootKeyPair> =>
  createRootCertificate({ nowMs: Date.now(), random: systemRandom });

test("closing answers what is being answered first", async () => {
  const dir = mkdtempSync(join(tmpdir(), "skein-rpc-"));
  const root = await createRootCertificate({ nowMs: Date.now(), random: systemRandom });
  let answer: Answer | undefined;
  const report = (_call: unknown, callback: Answer): void => {
    answer = callback;
  };
  const socketPath = join(dir, "m.sock");
  const host = await RpcHost.open({
    services: [{ definition: LeaderReportsService, handlers: { report: report as UntypedHandleCall } }],
    guard: (_path, handler) => handler,
    identity: await identity(root),
    listen: { host: "127.0.0.1", port: 0 },
    socketPath,
    log: silentLogger,
  });
  const client = new LeaderReportsClient(`unix:${socketPath}`, credentials.createInsecure());
  const asked = callUnary(client.report.bind(client), { managerNodeId: "m", reports: [], word: undefined });
  while (answer === undefined) await new Promise((resolve) => setImmediate(resolve));
  const closed = host.close();
  answer(null, {});
  await asked;
  await closed;
  client.close();
  rmSync(dir, { recursive: true });
});

test("where a root is dropped, connections that only it vouches for end, and no others", async () => {
  const dir = mkdtempSync(join(tmpdir(), "skein-rpc-"));
  const [before, after] = [await newRoot(), await newRoot()];
  const both = `${before.certPem}${after.certPem}`;
  const host = await RpcHost.open({
    services: [],
    guard: (_path, handler) => handler,
    identity: { ...(await identity(after)), rootCaPem: both },
    listen: { host: "127.0.0.1", port: 0 },
    socketPath: join(dir, "m.sock"),
    log: silentLogger,
    droppedRootGraceMs: 1,
  });
  const connected = async (root: RootKeyPair): Promise<TLSSocket> => {
    const { keyPem: key, certificatePem: cert } = await identity(root);
    const options = { port: host.port, host: "127.0.0.1", ca: both, key, cert, ALPNProtocols: ["h2"] };
    const socket = connect({ ...options, servername: "swarm-manager" });
    await once(socket, "data"); // HTTP/2 has begun
    return socket.resume();
  };
  const old = await Promise.all(Array.from({ length: 10 }, () => connected(before)));
  const young = await Promise.all(Array.from({ length: 10 }, () => connected(after)));
  host.exchangeIdentity(await identity(after));
  await Promise.all(old.map((socket) => once(socket, "close")));
  for (let turns = 0; turns < 20; turns++) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(new Set(young.map(({ closed }) => closed)), new Set([false]));
  await Promise.all([...young.map((socket) => once(socket, "close")), host.close()]);
  rmSync(dir, { recursive: true });
});
