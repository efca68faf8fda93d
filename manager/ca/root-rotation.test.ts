import assert from "node:assert/strict";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { connect, createServer } from "node:tls";
import { createKeyAndCsr } from "../../base/pki/x509-csr.js";
import { issuerKeyHash, publicKeyHash, splitCertificates, textHash } from "../../base/pki/x509-parts.js";
import { systemRandom } from "../../base/random/system-random.js";
import { Node, RootCa } from "../../proto/gen/skein/v1/objects.js";
import { NO_EXTERNAL_CA } from "./external-ca.js";
import { createJoinToken } from "./join-token.js";
import {
  hasChangedOver,
  type RootWish,
  rotationGoal,
  withRootWish,
  withRotationDone,
} from "./root-rotation.js";
import { signingRoot, trustBundle, withChain } from "./trust.js";
import { certificateDigest, createRootCertificate, issueNodeCertificate } from "./x509-certificates.js";

const nowMs = Date.now();
const parts = { externalCas: [], external: NO_EXTERNAL_CA, nowMs, random: systemRandom };
const newRoot = () => createRootCertificate({ nowMs, random: systemRandom });
const wish = (given: Partial<RootWish>): RootWish => ({ certPem: "", keyPem: "", forceRotate: 0, ...given });

async function rootCa(): Promise<RootCa> {
  const { certPem, keyPem } = await newRoot();
  const certDigest = certificateDigest(certPem);
  const token = createJoinToken(certDigest, systemRandom);
  return RootCa.fromPartial({
    caCertPem: certPem,
    caKeyPem: keyPem,
    certDigest,
    workerToken: token,
    managerToken: token,
  });
}

interface Identity {
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
}

/** As the cluster hands it out; `ca`: whom the node trusts. */
async function identity(of: RootCa, ca = trustBundle(of)): Promise<Identity> {
  const { keyPem, csrPem } = await createKeyAndCsr();
  const root = signingRoot(of);
  const names = { nodeId: "n1", role: "swarm-manager", clusterId: "c1" } as const;
  const leaf = issueNodeCertificate({
    root,
    csrPem,
    ...names,
    nowMs,
    expiryMs: 3_600_000,
    random: systemRandom,
  });
  return { cert: withChain(of, leaf), key: keyPem, ca };
}

/** Both sides verify each other. @throws when the client refuses; else whether the server accepts. */
async function meet(server: Identity, client: Identity): Promise<boolean> {
  const listener = createServer({ ...server, requestCert: true, rejectUnauthorized: false });
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  const accepted = once(listener, "secureConnection");
  const { port } = listener.address() as AddressInfo;
  const socket = connect({ ...client, host: "127.0.0.1", port, servername: "swarm-manager" });
  try {
    await once(socket, "secureConnect");
    const [side] = (await accepted) as [{ authorized: boolean; destroy(): void }];
    side.destroy();
    return side.authorized;
  } finally {
    socket.destroy();
    listener.close();
  }
}

test("during a rotation everybody trusts everybody, whoever has heard of what", async () => {
  const before = await rootCa();
  const during = await withRootWish(before, wish({ forceRotate: 1 }), parts);
  const after = withRotationDone(during, systemRandom);
  const told = [
    await identity(before), // has not heard of it
    await identity(before, trustBundle(during)), // has heard, and has no new certificate yet
    await identity(during, before.caCertPem), // has one, and its trust is the one of before
    await identity(during), // has changed over
  ];
  for (const server of told) for (const client of told) assert.equal(await meet(server, client), true);
  const done = [await identity(during), await identity(during, after.caCertPem), await identity(after)];
  for (const server of done) for (const client of done) assert.equal(await meet(server, client), true);
  await assert.rejects(meet(await identity(before), await identity(after)), /self-signed|unable to/);
});

test("a rotation that overtakes another keeps the certificates of the overtaken one good", async () => {
  const before = await rootCa();
  const second = await withRootWish(before, wish({ forceRotate: 1 }), parts);
  const third = await withRootWish(second, wish({ forceRotate: 2 }), parts);
  assert.notEqual(signingRoot(third).certPem, signingRoot(second).certPem);
  assert.equal(third.caCertPem, before.caCertPem);
  const told = [await identity(before), await identity(second), await identity(third)];
  for (const server of told) for (const client of told) assert.equal(await meet(server, client), true);
});

test("the root of before, given without its key, takes a rotation back", async () => {
  const before = await rootCa();
  const during = await withRootWish(before, wish({ forceRotate: 1 }), parts);
  const back = await withRootWish(during, wish({ certPem: before.caCertPem, forceRotate: 1 }), parts);
  assert.deepEqual(signingRoot(back), signingRoot(before));
  assert.equal(trustBundle(back), before.caCertPem);
  assert.equal(await meet(await identity(during), await identity(back)), true);
  const done = withRotationDone(back, systemRandom);
  assert.deepEqual([done.caKeyPem, done.rotation], [before.caKeyPem, undefined]);
  assert.equal(done.workerToken, before.workerToken, "the tokens still name this root");
});

test("when it is done the tokens name the new root and the old ones are void", async () => {
  const before = await rootCa();
  const during = await withRootWish(before, wish({ forceRotate: 7 }), parts);
  assert.equal(during.workerToken, before.workerToken);
  const after = withRotationDone(during, systemRandom);
  assert.equal(after.certDigest, certificateDigest(after.caCertPem));
  assert.ok(after.workerToken.startsWith(`SWMTKN-1-${after.certDigest}-`));
  assert.notEqual(after.workerToken, after.managerToken);
  assert.equal(after.lastForcedRotation, 7);
  assert.equal(await withRootWish(after, wish({ forceRotate: 7 }), parts), after);
});

test("a node has changed over when it has a certificate of the new root and trusts it", async () => {
  const during = await withRootWish(await rootCa(), wish({ forceRotate: 1 }), parts);
  const goal = rotationGoal(during);
  const { cert, ca } = await identity(during);
  const node = (description: object): Node => Node.fromPartial({ id: "n1", description });
  const issuer = issuerKeyHash(cert, ca);
  assert.equal(issuer, publicKeyHash(signingRoot(during).certPem));
  assert.equal(issuerKeyHash(cert, during.caCertPem), issuer, "told by the chain alone");
  assert.equal(hasChangedOver(node({}), goal), false);
  assert.equal(hasChangedOver(node({ tlsIssuerPublicKeySha256: issuer }), goal), false);
  const done = { tlsIssuerPublicKeySha256: issuer, tlsTrustRootSha256: textHash(ca) };
  assert.equal(hasChangedOver(node(done), goal), true);
  assert.equal(splitCertificates(ca).length, 2);
});

test("roots that users give: any ECDSA or RSA key, a name of its own; what does not fit is refused", async () => {
  const before = await rootCa();
  const [mine, other] = [await newRoot(), await newRoot()];
  const given = await withRootWish(
    before,
    wish({ certPem: `\n${mine.certPem}\n`, keyPem: mine.keyPem }),
    parts,
  );
  assert.equal(given.rotation?.caCertPem, mine.certPem);
  const refusals: readonly [Partial<RootWish>, RegExp][] = [
    [{ keyPem: mine.keyPem }, /signing CA cert must also be provided/],
    [{ certPem: "no certificate", keyPem: mine.keyPem }, /could not parse/],
    [{ certPem: mine.certPem + other.certPem, keyPem: mine.keyPem }, /cannot contain multiple certificates/],
    [{ certPem: mine.certPem, keyPem: other.keyPem }, /does not match/],
    [{ certPem: mine.certPem, keyPem: "no key" }, /could not parse the desired CA key/],
    [{ certPem: mine.certPem }, /at least one valid, reachable external CA/],
    [{ certPem: (await identity(before)).cert, keyPem: mine.keyPem }, /self-signed certificate of a CA/],
  ];
  for (const [bad, words] of refusals)
    await assert.rejects(withRootWish(before, wish(bad), parts), {
      code: "invalid-argument",
      message: words,
    });
  const late = { ...parts, nowMs: nowMs + 20 * 365 * 86_400_000 };
  await assert.rejects(
    withRootWish(before, wish({ certPem: mine.certPem, keyPem: mine.keyPem }), late),
    /expires too soon/,
  );
});
