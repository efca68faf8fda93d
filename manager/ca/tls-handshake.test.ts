import assert from "node:assert/strict";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { connect, createServer, type PeerCertificate, type TLSSocket } from "node:tls";
import type { PeerRole } from "../../base/grpc/peer-identity.js";
import { createKeyAndCsr } from "../../base/pki/x509-csr.js";
import { systemRandom } from "../../base/random/system-random.js";
import { createRootCertificate, issueNodeCertificate, type RootKeyPair } from "./x509-certificates.js";

interface Identity {
  readonly key: string;
  readonly cert: string;
  readonly ca: string;
}

async function identity(root: RootKeyPair, role: PeerRole, expiryMs = 3_600_000): Promise<Identity> {
  const { keyPem, csrPem } = await createKeyAndCsr();
  const cert = issueNodeCertificate({
    root,
    csrPem,
    nodeId: "n1",
    role,
    clusterId: "c1",
    nowMs: Date.now(),
    expiryMs,
    random: systemRandom,
  });
  return { key: keyPem, cert, ca: root.certPem };
}

/** What the server makes of its client; the client verifies the server as a manager. */
async function handshake(
  server: Identity,
  client: Identity,
): Promise<{ authorized: boolean; reason: string; peer: PeerCertificate }> {
  const listener = createServer({
    ...server,
    requestCert: true,
    rejectUnauthorized: false,
    ALPNProtocols: ["h2"],
  });
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port } = listener.address() as AddressInfo;
  const accepted = once(listener, "secureConnection");
  const socket = connect({
    ...client,
    host: "127.0.0.1",
    port,
    servername: "swarm-manager",
    ALPNProtocols: ["h2"],
  });
  try {
    await once(socket, "secureConnect");
    const [side] = (await accepted) as [TLSSocket];
    const reason = String(side.authorizationError ?? "");
    const seen = { authorized: side.authorized, reason, peer: side.getPeerCertificate() };
    side.destroy();
    return seen;
  } finally {
    socket.destroy();
    listener.close();
  }
}

const root = await createRootCertificate({ nowMs: Date.now(), random: systemRandom });

test("a worker reaches a manager, who reads its cluster, role and id from the certificate", async () => {
  const seen = await handshake(await identity(root, "swarm-manager"), await identity(root, "swarm-worker"));
  assert.equal(seen.authorized, true, seen.reason);
  assert.deepEqual({ ...seen.peer.subject }, { O: "c1", OU: "swarm-worker", CN: "n1" });
});

test("a worker cannot pose as a manager to those who connect to it", async () => {
  const worker = await identity(root, "swarm-worker");
  await assert.rejects(handshake(worker, worker), /does not match certificate's altnames/);
});

test("a certificate of another root and an expired one are not authorized", async () => {
  const other = await createRootCertificate({ nowMs: Date.now(), random: systemRandom });
  const manager = await identity(root, "swarm-manager");
  const foreign = { ...(await identity(other, "swarm-manager")), ca: root.certPem };
  assert.equal((await handshake(manager, foreign)).authorized, false);
  const expired = await handshake(manager, await identity(root, "swarm-worker", -60_000));
  assert.deepEqual([expired.authorized, expired.reason], [false, "CERT_HAS_EXPIRED"]);
});
