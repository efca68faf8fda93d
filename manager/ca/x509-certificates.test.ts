import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { createKeyAndCsr } from "../../base/pki/x509-csr.js";
import { SeededRandom } from "../../base/random/seeded-random.js";
import {
  certificateDigest,
  createRootCertificate,
  issueNodeCertificate,
  type NodeCertificateRequest,
  readNodeCertificate,
} from "./x509-certificates.js";

const NOW = Date.UTC(2026, 5, 1);
const DAY_MS = 86_400_000;
const random = new SeededRandom("certificates");

async function issue(
  changes: Partial<NodeCertificateRequest> = {},
): Promise<{ certPem: string; rootPem: string }> {
  const root = changes.root ?? (await createRootCertificate({ nowMs: NOW, random }));
  const { csrPem } = await createKeyAndCsr();
  const certPem = issueNodeCertificate({
    root,
    csrPem,
    nodeId: "node1",
    role: "swarm-manager",
    clusterId: "cluster1",
    nowMs: NOW,
    expiryMs: 90 * DAY_MS,
    random,
    ...changes,
  });
  return { certPem, rootPem: root.certPem };
}

test("a root certificate is a CA that signed itself, for 20 years", async () => {
  const { certPem } = await createRootCertificate({ nowMs: NOW, random });
  const root = new X509Certificate(certPem);
  assert.equal(root.ca, true);
  assert.equal(root.verify(root.publicKey), true);
  assert.equal(root.subject, "CN=swarm-ca");
  assert.equal(new Date(root.validTo).getUTCFullYear(), 2046);
});

test("a node certificate carries cluster, role and node, and the names to verify it by", async () => {
  const { certPem, rootPem } = await issue();
  const certificate = new X509Certificate(certPem);
  assert.equal(certificate.subject, "O=cluster1\nOU=swarm-manager\nCN=node1");
  assert.equal(certificate.subjectAltName, "DNS:swarm-manager, DNS:node1, DNS:swarm-ca");
  assert.equal(certificate.ca, false);
  assert.equal(certificate.checkHost("swarm-manager"), "swarm-manager");
  assert.deepEqual(readNodeCertificate({ certPem, rootPem, nowMs: NOW }), {
    nodeId: "node1",
    role: "swarm-manager",
    clusterId: "cluster1",
    notAfterMs: NOW + 90 * DAY_MS,
  });
});

test("a worker's certificate cannot pass for a manager's", async () => {
  const certificate = new X509Certificate((await issue({ role: "swarm-worker" })).certPem);
  assert.equal(certificate.subjectAltName, "DNS:swarm-worker, DNS:node1");
  assert.equal(certificate.checkHost("swarm-manager"), undefined);
});

test("a certificate of another root, an expired and a future one are told apart", async () => {
  const { certPem, rootPem } = await issue();
  const other = await createRootCertificate({ nowMs: NOW, random });
  const read = (rootCert: string, nowMs: number) => () =>
    readNodeCertificate({ certPem, rootPem: rootCert, nowMs });
  assert.throws(read(other.certPem, NOW), /not issued by this cluster's root CA/);
  assert.throws(read(rootPem, NOW + 91 * DAY_MS), /expired at/);
  assert.throws(read(rootPem, NOW - DAY_MS), /counts from/);
  assert.throws(() => readNodeCertificate({ certPem: "x", rootPem, nowMs: NOW }), /unreadable certificate/);
});

test("a node certificate does not outlive its root", async () => {
  const { certPem, rootPem } = await issue({ expiryMs: 50 * 365 * DAY_MS });
  assert.equal(new X509Certificate(certPem).validTo, new X509Certificate(rootPem).validTo);
});

test("the digest is 50 characters of base 36", async () => {
  const { certPem } = await createRootCertificate({ nowMs: NOW, random });
  assert.match(certificateDigest(certPem), /^[0-9a-z]{50}$/);
});

test("openssl verifies the chain for server and client use", async () => {
  const { certPem, rootPem } = await issue();
  const folder = mkdtempSync(join(tmpdir(), "skein-ca-"));
  try {
    writeFileSync(join(folder, "root.pem"), rootPem);
    writeFileSync(join(folder, "node.pem"), certPem);
    for (const purpose of ["sslserver", "sslclient"]) {
      const said = execFileSync(
        "openssl",
        [
          "verify",
          "-x509_strict",
          "-purpose",
          purpose,
          "-attime",
          String(NOW / 1000),
          "-CAfile",
          join(folder, "root.pem"),
          join(folder, "node.pem"),
        ],
        { stdio: "pipe" },
      );
      assert.match(said.toString(), /OK/);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});
