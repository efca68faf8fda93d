/**
 * Raft streams under mutual TLS: who is served as which member, by certificate.
 */
import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { credentials, Server, ServerCredentials } from "@grpc/grpc-js";
import { systemClock } from "../../base/clock/system-clock.js";
import { silentLogger } from "../../base/log/logger.js";
import { createKeyAndCsr } from "../../base/pki/x509-csr.js";
import { systemRandom } from "../../base/random/system-random.js";
import {
  createRootCertificate,
  issueNodeCertificate,
  type RootKeyPair,
} from "../../manager/ca/x509-certificates.js";
import { RaftService } from "../../proto/gen/skein/v1/raft.js";
import { MessageKind, makeMessage } from "../../raft/core/message.js";
import type { RaftId, RaftMember } from "../../raft/core/types.js";
import { RAFT_SERVER_OPTIONS } from "../../raft/transport/grpc-options.js";
import { createRaftHandlers, GrpcTransport } from "../../raft/transport/grpc-transport.js";

const closers: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

interface Manager {
  readonly member: RaftMember;
  readonly transport: GrpcTransport;
  readonly heard: RaftId[];
}

/** A manager with a certificate for `nodeId` that speaks as member `raftId`. */
async function manager(root: RootKeyPair, raftId: RaftId, nodeId: string): Promise<Manager> {
  const { keyPem, csrPem } = await createKeyAndCsr();
  const nowMs = Date.now();
  const request = { root, csrPem, nodeId, role: "swarm-manager", clusterId: "c", nowMs } as const;
  const certificatePem = issueNodeCertificate({ ...request, expiryMs: 3_600_000, random: systemRandom });
  const ca = Buffer.from(root.certPem);
  const [key, certificate] = [Buffer.from(keyPem), Buffer.from(certificatePem)];
  const transport = new GrpcTransport({
    dial: () => ({
      credentials: credentials.createSsl(ca, key, certificate),
      options: { "grpc.ssl_target_name_override": "swarm-manager" },
    }),
    clock: systemClock,
    random: systemRandom,
    log: silentLogger,
  });
  const server = new Server(RAFT_SERVER_OPTIONS);
  server.addService(RaftService, createRaftHandlers(transport));
  const pairs = [{ private_key: key, cert_chain: certificate }];
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createSsl(ca, pairs, true), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  closers.push(async () => {
    await transport.close();
    server.forceShutdown();
  });
  const heard: RaftId[] = [];
  const address = `127.0.0.1:${port}`;
  transport.start(
    { raftId, clusterId: "c", address },
    {
      receive: (messages) => heard.push(...messages.map(({ from }) => from)),
      connectionLost: () => undefined,
      unreachable: () => undefined,
      refused: () => undefined,
      receiveSnapshot: () => Promise.resolve(),
    },
  );
  return { member: { raftId, nodeId, address, learner: false }, transport, heard };
}

async function until(what: string, condition: () => boolean): Promise<void> {
  const endMs = systemClock.monotonicMs() + 5_000;
  while (!condition()) {
    if (systemClock.monotonicMs() > endMs) throw new Error(`${what}: not within 5 s`);
    await systemClock.sleep(5);
  }
}

/** Says something to a member, again and again, until it is heard or some tries are through. */
async function speak(from: Manager, to: Manager, tries = 60): Promise<boolean> {
  const { raftId } = from.member;
  for (let i = 0; i < tries && !to.heard.includes(raftId); i++) {
    const address = { from: raftId, to: to.member.raftId, term: 1 };
    from.transport.send([makeMessage(MessageKind.HEARTBEAT, address)]);
    await systemClock.sleep(20);
  }
  return to.heard.includes(raftId);
}

test("members are served under their own node's certificate, nobody else under any id", async () => {
  const root = await createRootCertificate({ nowMs: Date.now(), random: systemRandom });
  const [a, b] = [await manager(root, 1, "node-a"), await manager(root, 2, "node-b")];
  const members = [a.member, b.member];
  for (const { transport } of [a, b]) transport.setPeers(members, []);
  assert.equal(await speak(a, b), true);
  assert.equal(await speak(b, a), true);
  // A demoted manager, whose certificate is still valid: as b, and as somebody new.
  for (const raftId of [2, 77]) {
    const demoted = await manager(root, raftId, "node-demoted");
    demoted.transport.setPeers([a.member], []);
    const before = a.heard.length;
    await speak(demoted, a, 15);
    assert.equal(a.heard.length, before);
    assert.equal(demoted.transport.isReachable(1), false);
  }
  assert.equal(await speak(b, a), true);
});

test("a member that is behind serves a leader that it does not know once another member vouches for it", async () => {
  const root = await createRootCertificate({ nowMs: Date.now(), random: systemRandom });
  const [a, b, d] = [
    await manager(root, 1, "node-a"),
    await manager(root, 2, "node-b"),
    await manager(root, 4, "node-d"),
  ];
  for (const { transport } of [a, d]) transport.setPeers([a.member, b.member, d.member], []);
  b.transport.setPeers([a.member, b.member], []); // it was away when d joined
  assert.equal(await speak(d, b), true);
  // What a learns later reaches b, too: d is removed, and b, still behind, serves it no more.
  a.transport.setPeers([a.member, b.member], [4]);
  await until("d is refused", () => !a.transport.isReachable(4));
  const again = await manager(root, 4, "node-d");
  again.transport.setPeers([b.member], []);
  b.heard.length = 0;
  await d.transport.close();
  assert.equal(await speak(again, b, 15), false);
});
