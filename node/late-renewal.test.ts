import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Channel, credentials } from "@grpc/grpc-js";
import { silentLogger } from "../base/log/logger.js";
import { createKeyAndCsr } from "../base/pki/x509-csr.js";
import { parseCertificate } from "../base/pki/x509-parts.js";
import { systemRandom } from "../base/random/system-random.js";
import { createNodeCaHandlers } from "../manager/ca/node-ca.js";
import { createRootCertificate, issueNodeCertificate } from "../manager/ca/x509-certificates.js";
import { NodeCaService } from "../proto/gen/skein/v1/ca.js";
import { Cluster, Node } from "../proto/gen/skein/v1/objects.js";
import { NodeRole } from "../proto/gen/skein/v1/types.js";
import { createTestStore } from "../test/support/test-store.js";
import { renewAtAny } from "./join-client.js";
import { ManagerChannels } from "./manager-channels.js";
import { RpcHost, type TlsIdentity } from "./rpc-host.js";

const DAY_MS = 86_400_000;
const nowMs = Date.now();
const root = await createRootCertificate({ nowMs: nowMs - 200 * DAY_MS, random: systemRandom });
const { store, clock, random } = createTestStore();
clock.advance(nowMs - clock.nowMs());
let dir: string;
let host: RpcHost;

async function identity(nodeId: string, madeMs: number): Promise<TlsIdentity> {
  const { keyPem, csrPem } = await createKeyAndCsr();
  const names = { nodeId, role: "swarm-manager", clusterId: "c1" } as const;
  const life = { nowMs: madeMs, expiryMs: 90 * DAY_MS, random: systemRandom };
  return {
    keyPem,
    certificatePem: issueNodeCertificate({ root, csrPem, ...names, ...life }),
    rootCaPem: root.certPem,
  };
}

/** Its certificate ended ten days ago. */
const late = await identity("n2", nowMs - 100 * DAY_MS);

before(async () => {
  const rootCa = { caCertPem: root.certPem, caKeyPem: root.keyPem };
  const known = { role: NodeRole.WORKER, certificatePem: late.certificatePem };
  await store.update((tx) => {
    tx.create("cluster", Cluster.fromPartial({ id: "c1", spec: {}, rootCa }));
    tx.create("node", Node.fromPartial({ id: "n2", ...known }));
  });
  dir = mkdtempSync(join(tmpdir(), "skein-late-"));
  const ca = { store, clock, random, log: silentLogger, managerAddresses: () => [] };
  host = await RpcHost.open({
    services: [{ definition: NodeCaService, handlers: createNodeCaHandlers(ca) }],
    guard: (_path, handler) => handler,
    identity: await identity("n1", nowMs),
    listen: { host: "127.0.0.1", port: 0 },
    socketPath: join(dir, "m.sock"),
    log: silentLogger,
  });
});

after(async () => {
  await host.close();
  rmSync(dir, { recursive: true });
});

async function renewed(by: TlsIdentity): Promise<TlsIdentity> {
  const channels = new ManagerChannels(by);
  try {
    return (await renewAtAny(channels, [`127.0.0.1:${host.port}`])).identity;
  } finally {
    channels.close();
  }
}

test("a known node whose certificate has expired gets a new one by its key, again and again", async () => {
  const first = await renewed(late);
  assert.ok(Date.parse(parseCertificate(first.certificatePem).validTo) > nowMs);
  assert.match(parseCertificate(first.certificatePem).subject, /CN=n2/);
  await renewed(first);
});

test("the key of another certificate, or of one that was replaced since, renews nothing", async () => {
  const stranger = await identity("n2", nowMs - 100 * DAY_MS);
  await assert.rejects(renewed(stranger), { code: "unauthenticated" });
  await assert.rejects(renewed(late), { code: "unauthenticated" }); // the test before has replaced it
});

test("a manager that nobody trusts any more asks the one beside it", async () => {
  const alone = await identity("n2", nowMs - 100 * DAY_MS);
  const { certificatePem } = alone;
  await store.update((tx) => {
    const node = tx.get("node", "n2");
    if (node !== undefined) tx.update("node", { ...node, certificatePem });
  });
  const channels = new ManagerChannels(alone);
  const address = `unix:${join(dir, "m.sock")}`;
  const channel = new Channel(address, credentials.createInsecure(), {});
  const local = { address, credentials: credentials.createInsecure(), channel };
  const { reply } = await renewAtAny(channels, ["127.0.0.1:1"], local);
  assert.equal(reply.nodeId, "n2");
  channel.close();
  channels.close();
});
