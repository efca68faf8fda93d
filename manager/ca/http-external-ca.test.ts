import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { TLSSocket } from "node:tls";
import { createKeyAndCsr } from "../../base/pki/x509-csr.js";
import { splitCertificates } from "../../base/pki/x509-parts.js";
import { systemRandom } from "../../base/random/system-random.js";
import { ExternalCa } from "../../proto/gen/skein/v1/types.js";
import { type ExternalNodeRequest, externalCasOf, reaches } from "./external-ca.js";
import { createHttpExternalSigner } from "./http-external-ca.js";
import {
  createRootCertificate,
  crossSign,
  issueNodeCertificate,
  readNodeCertificate,
} from "./x509-certificates.js";

/** What the fake CA was asked, and what it is to do. */
interface Asked {
  readonly hosts: readonly string[];
  readonly certificate_request: string;
  readonly subject?: {
    readonly CN: string;
    readonly names: readonly { readonly O: string; readonly OU: string }[];
  };
  readonly profile?: string;
}

const nowMs = Date.now();
const common = { nowMs, expiryMs: 3_600_000, random: systemRandom };
const root = await createRootCertificate({ nowMs, random: systemRandom });
const stranger = await createRootCertificate({ nowMs, random: systemRandom });
const manager = await createKeyAndCsr();
const names = { role: "swarm-manager", clusterId: "c1" } as const;
const managerCertificate = issueNodeCertificate({
  ...common,
  ...names,
  root,
  csrPem: manager.csrPem,
  nodeId: "m1",
});
const signer = createHttpExternalSigner(() => ({
  certificatePem: managerCertificate,
  keyPem: manager.keyPem,
}));

let server: Server;
let url: string;
let answer: (asked: Asked, peer: string) => { status?: number; body: unknown };

before(async () => {
  const own = await createKeyAndCsr();
  // it is called by a name that its certificate has
  const certificate = issueNodeCertificate({
    ...common,
    ...names,
    root,
    csrPem: own.csrPem,
    nodeId: "localhost",
  });
  server = createServer(
    { key: own.keyPem, cert: certificate, ca: root.certPem, requestCert: true },
    (request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        const CN = String((request.socket as TLSSocket).getPeerCertificate().subject["CN"]);
        const asked = JSON.parse(Buffer.concat(chunks).toString()) as Asked; // this test's own client
        const { status = 200, body } = answer(asked, CN);
        response.writeHead(status).end(typeof body === "string" ? body : JSON.stringify(body));
      });
    },
  );
  server.listen(0, "localhost");
  await once(server, "listening");
  url = `https://localhost:${(server.address() as AddressInfo).port}/api/v1/cfssl/sign`;
});

after(() => {
  server.closeAllConnections();
  server.close();
});

const ca = (given: Partial<ExternalCa> = {}): ExternalCa =>
  ExternalCa.fromPartial({ protocol: "cfssl", url, ...given });
const success = (certificate: string): unknown => ({ success: true, result: { certificate }, errors: [] });

async function request(): Promise<ExternalNodeRequest> {
  const { csrPem } = await createKeyAndCsr();
  return {
    trustPem: root.certPem,
    rootPem: root.certPem,
    csrPem,
    nodeId: "n1",
    role: "swarm-worker",
    clusterId: "c1",
  };
}

/** As an honest CA would sign. */
function signed({ certificate_request, subject }: Asked, by = root): string {
  return issueNodeCertificate({
    ...common,
    root: by,
    csrPem: certificate_request,
    nodeId: subject?.CN ?? "",
    role: subject?.names[0]?.OU === "swarm-manager" ? "swarm-manager" : "swarm-worker",
    clusterId: subject?.names[0]?.O ?? "",
  });
}

/** As a CA would sign that lets more through than it was asked for. */
function careless(
  { certificate_request }: Asked,
  { units = ["swarm-worker"], names = "DNS:swarm-worker,DNS:n1", ca = "CA:FALSE" },
): string {
  const dir = mkdtempSync(join(tmpdir(), "skein-careless-"));
  const file = (name: string, text: string): string => {
    writeFileSync(join(dir, name), text, { mode: 0o600 });
    return join(dir, name);
  };
  try {
    const subject = ["O=c1", ...units.map((unit) => `OU=${unit}`), "CN=n1"].join("/");
    const extensions = file("ext", `subjectAltName=${names}\nbasicConstraints=${ca}\n`);
    const issuer = ["-CA", file("root.pem", root.certPem), "-CAkey", file("root.key", root.keyPem)];
    const what = ["-req", "-in", file("csr", certificate_request), "-subj", `/${subject}`];
    const args = ["x509", ...what, ...issuer, "-set_serial", "7", "-days", "1", "-extfile", extensions];
    return execFileSync("openssl", args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

test("an external CA is asked with CFSSL's JSON, under the manager's certificate, and signs", async () => {
  const asked: Asked[] = [];
  const peers: string[] = [];
  answer = (what, peer) => {
    asked.push(what);
    peers.push(peer);
    return { body: success(signed(what)) };
  };
  const certPem = await signer.sign([ca()], await request());
  const read = readNodeCertificate({ certPem, rootPem: root.certPem, nowMs });
  assert.deepEqual([read.nodeId, read.role, read.clusterId], ["n1", "swarm-worker", "c1"]);
  assert.deepEqual(peers, ["m1"]);
  assert.deepEqual(asked[0]?.hosts, ["swarm-worker", "n1"]);
  assert.deepEqual(asked[0]?.subject, { CN: "n1", names: [{ O: "c1", OU: "swarm-worker" }] });
});

test("the next CA is asked where one does not answer", async () => {
  answer = (what) => ({ body: success(signed(what)) });
  const dead = ca({ url: "https://localhost:1/sign" });
  assert.match(await signer.sign([dead, ca()], await request()), /BEGIN CERTIFICATE/);
});

test("what is no certificate for this node under this root is refused, in the CA's words if it has some", async () => {
  const other = await createKeyAndCsr();
  const cases: readonly [(asked: Asked) => { status?: number; body: unknown }, RegExp][] = [
    [() => ({ status: 500, body: "busy" }), /status 500: busy/],
    [() => ({ body: "no JSON" }), /did not answer JSON/],
    [
      () => ({ body: { success: false, errors: [{ code: 1, message: "policy says no" }] } }),
      /policy says no/,
    ],
    [() => ({ body: success("garbage") }), /it is no PEM/],
    [(asked) => ({ body: success(signed(asked, stranger)) }), /not signed for the cluster's root/],
    [
      (asked) => ({ body: success(signed({ ...asked, certificate_request: other.csrPem })) }),
      /for another key/,
    ],
    [
      (asked) => ({
        body: success(signed({ ...asked, subject: { CN: "n2", names: asked.subject?.names ?? [] } })),
      }),
      /its subject lacks CN=n1/,
    ],
    [
      (asked) => ({ body: success(careless(asked, { units: ["swarm-manager", "swarm-worker"] })) }),
      /its subject lacks OU=swarm-worker, or has more/,
    ],
    [
      (asked) => ({ body: success(careless(asked, { names: "DNS:swarm-worker,DNS:n1,DNS:swarm-manager" })) }),
      /it has a manager's DNS name/,
    ],
    [(asked) => ({ body: success(careless(asked, { ca: "CA:TRUE" })) }), /it is a CA's own/],
    [() => ({ body: "x".repeat(300_000) }), /262144 bytes|aborted|does not answer/],
  ];
  answer = (asked) => ({ body: success(careless(asked, {})) });
  assert.match(
    await signer.sign([ca()], await request()),
    /BEGIN CERTIFICATE/,
    "what is changed below counts",
  );
  for (const [said, words] of cases) {
    answer = said;
    await assert.rejects(signer.sign([ca()], await request()), { code: "unavailable", message: words });
  }
});

test("a CA whose own certificate nobody vouches for is not asked", async () => {
  answer = () => assert.fail("it was asked");
  const strange = { ...(await request()), trustPem: stranger.certPem };
  await assert.rejects(signer.sign([ca()], strange), /does not answer: .*(self-signed|unable to)/);
});

test("a new root is cross-signed by the external CA of the root before", async () => {
  let profile = "";
  answer = (asked) => {
    profile = asked.profile ?? "";
    return { body: success(crossSign({ rootPem: stranger.certPem, by: root, nowMs, random: systemRandom })) };
  };
  const cross = await signer.crossSign([ca()], {
    trustPem: root.certPem,
    rootPem: root.certPem,
    root: stranger,
  });
  assert.equal(profile, "CA");
  const leaf = issueNodeCertificate({
    ...common,
    ...names,
    root: stranger,
    csrPem: manager.csrPem,
    nodeId: "n1",
  });
  assert.equal(reaches(leaf, splitCertificates(cross), root.certPem), true);
  answer = () => ({ body: success(stranger.certPem) });
  await assert.rejects(
    signer.crossSign([ca()], { trustPem: root.certPem, rootPem: root.certPem, root: stranger }),
    /not signed for the current root/,
  );
});

test("an external CA signs for the root it names, without a name for the current one", () => {
  const named = ca({ caCert: new Uint8Array(Buffer.from(stranger.certPem)) });
  assert.deepEqual(externalCasOf([ca(), named], root.certPem, root.certPem), [ca()]);
  assert.deepEqual(externalCasOf([ca(), named], stranger.certPem, root.certPem), [named]);
});
