/**
 * Who may join and who may call: tokens, certificates and roles, refused at the real RPC port.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join as joinPath } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { createKeyAndCsr } from "../../base/pki/x509-csr.js";
import { systemRandom } from "../../base/random/system-random.js";
import { createRootCertificate, issueNodeCertificate } from "../../manager/ca/x509-certificates.js";
import type { TlsIdentity } from "../../node/rpc-host.js";
import { Lab } from "../support/lab/lab.js";
import type { LabHost } from "../support/lab/lab-host.js";
import {
  call,
  dissolve,
  formSwarm,
  initSwarm,
  join,
  messageIn,
  networkTraces,
  nodes,
  tokens,
  untilNodes,
} from "../support/lab/lab-swarm.js";
import type { RpcCall, RpcOutcome } from "../support/lab/rpc-call.js";
import { attempt } from "../support/lab/shell.js";

let lab: Lab;

before(async () => {
  // host1 leads host2; host3 founds a swarm of its own; host4 is nowhere at first.
  lab = await Lab.open({ hosts: 4, clients: 1 });
  await formSwarm(lab, { managers: 1, members: 2 });
  await initSwarm(lab.host(3));
});

after(async () => {
  assert.deepEqual(await dissolve(lab), []);
});

function identityOf(host: LabHost): TlsIdentity {
  return JSON.parse(readFileSync(joinPath(host.dataDir, "swarm", "identity.json"), "utf8")) as TlsIdentity;
}

const clusterIdOf = (host: LabHost): string =>
  (JSON.parse(readFileSync(joinPath(host.dataDir, "swarm", "state.json"), "utf8")) as { clusterId: string })
    .clusterId;

/** Calls to host1's RPC port from a machine outside. */
async function rpcs(
  calls: readonly Omit<RpcCall, "address" | "rootCaPem">[],
): Promise<readonly RpcOutcome[]> {
  const client = lab.clients[0] ?? assert.fail("no client");
  const script = fileURLToPath(new URL("../support/lab/rpc-call.js", import.meta.url));
  const to = { address: `${lab.host(1).address}:2377`, rootCaPem: identityOf(lab.host(1)).rootCaPem };
  const input = JSON.stringify(calls.map((each) => ({ ...to, ...each })));
  const command = [`--net=/run/netns/${client.netns}`, process.execPath, script];
  const { stdout, stderr } = await attempt("nsenter", command, { input });
  assert.notEqual(stdout, "", stderr);
  return JSON.parse(stdout) as RpcOutcome[]; // printed by the script
}

test("a malformed, wrong or foreign join token is refused with the rule, and nothing is left behind", async () => {
  const [one, , three, four] = lab.hosts;
  assert.ok(one && three && four);
  const own = (await tokens(one)).Worker;
  const foreign = (await tokens(three)).Worker;
  const wrong = `${own.slice(0, -4)}${own.endsWith("aaaa") ? "bbbb" : "aaaa"}`;
  const cases: readonly (readonly [string, RegExp, number])[] = [
    ["SWMTKN-1-short", /invalid join token: it must have the form SWMTKN-1-<digest>-<secret>/, 400],
    ["", /invalid join token|join token/, 400],
    [
      wrong,
      /valid join token is necessary to join this cluster: the token's secret is wrong or was rotated/,
      401,
    ],
    [
      foreign,
      /remote CA does not match fingerprint: the join token is for another swarm than the one at 10\.99\.0\.1:2377/,
      400,
    ],
  ];
  for (const [token, words, status] of cases) {
    const answer = await join(four, one, token);
    assert.match(messageIn(answer), words);
    assert.equal(answer.status, status, answer.body);
    assert.ok(!answer.body.includes(token.slice(-25)) || token.length < 25, "the secret is not repeated");
  }
  const nobody = await four.api("POST", "/swarm/join", {
    AdvertiseAddr: four.address,
    ListenAddr: "0.0.0.0:2377",
    RemoteAddrs: [`${four.address}:2377`],
    JoinToken: own,
  });
  assert.equal(nobody.status, 503, nobody.body);
  assert.match(messageIn(nobody), /no manager answered at 10\.99\.0\.4:2377/);
  const info = await call<{ Swarm: { LocalNodeState: string } }>(four, "GET", "/info");
  assert.equal(info.Swarm.LocalNodeState, "inactive");
  assert.equal((await nodes(one)).length, 2);
  assert.deepEqual(await networkTraces(four), []);
});

test("a rotated token is refused, the new one taken", async () => {
  const [one, , , four] = lab.hosts;
  assert.ok(one && four);
  const old = (await tokens(one)).Worker;
  const { Version } = await call<{ Version: { Index: number } }>(one, "GET", "/swarm");
  await call(one, "POST", `/swarm/update?version=${Version.Index}&rotateWorkerToken=true`, {});
  assert.equal((await join(four, one, old)).status, 401);
  const fresh = (await tokens(one)).Worker;
  assert.notEqual(fresh, old);
  const answer = await join(four, one, fresh);
  assert.equal(answer.status, 200, answer.body);
  const twice = await join(four, one, fresh);
  assert.equal(twice.status, 503, twice.body);
  assert.match(messageIn(twice), /already part of a swarm/);
  await untilNodes(
    one,
    "three nodes",
    (all) => all.filter((node) => node.Status.State === "ready").length === 3,
  );
});

test("a manager's RPCs refuse everybody but this cluster's managers", async () => {
  const clusterId = clusterIdOf(lab.host(1));
  const worker = identityOf(lab.host(2));
  const manager = identityOf(lab.host(1));
  const root = await createRootCertificate({ nowMs: Date.now(), random: systemRandom });
  const { keyPem, csrPem } = await createKeyAndCsr();
  const forgedRequest = { root, csrPem, nodeId: "intruder", role: "swarm-manager", clusterId } as const;
  const forged = {
    keyPem,
    certificatePem: issueNodeCertificate({
      ...forgedRequest,
      nowMs: Date.now(),
      expiryMs: 3_600_000,
      random: systemRandom,
    }),
  };
  const stranger = identityOf(lab.host(3)); // a real manager, of another cluster

  const allowed = await rpcs([
    { rpc: "ListNodes", identity: manager },
    { rpc: "Session", identity: worker },
  ]);
  assert.deepEqual(
    allowed.map(({ code }) => code),
    ["ok", "ok"],
    JSON.stringify(allowed),
  );
  const forManagers = (["ListNodes", "Report", "RaftJoin"] as const).map((rpc) => ({
    rpc,
    identity: worker,
  }));
  for (const refused of await rpcs(forManagers)) {
    assert.equal(refused.code, "permission-denied", refused.message);
    assert.match(refused.message, /is for managers: node \w+ has a worker certificate/);
  }
  const all = ["ListNodes", "Report", "RaftJoin", "Session", "Renew"] as const;
  for (const shown of [{}, { identity: forged }, { identity: stranger }]) {
    for (const [index, refused] of (await rpcs(all.map((rpc) => ({ rpc, ...shown })))).entries()) {
      assert.equal(refused.code, "unauthenticated", `${all[index]}: ${refused.message}`);
    }
  }
});
