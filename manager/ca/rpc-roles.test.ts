import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { PermissionDeniedError, UnauthenticatedError } from "../../base/errors/errors.js";
import type { PeerRole } from "../../base/grpc/peer-identity.js";
import { authorize, RPC_ROLES } from "./rpc-roles.js";

/** Every method path of every service in proto/, read from the contract itself. */
function methodPaths(): string[] {
  const root = import.meta.url.includes("/dist/") ? "../../../" : "../../"; // compiled or from source
  const folder = new URL(`${root}proto/skein/v1/`, import.meta.url);
  return readdirSync(folder).flatMap((file) => {
    const text = readFileSync(new URL(file, folder), "utf8");
    return [...text.matchAll(/^service (\w+) \{([\s\S]*?)^\}/gm)].flatMap(([, service, body = ""]) =>
      [...body.matchAll(/^\s*rpc (\w+)/gm)].map(([, method]) => `/skein.v1.${service}/${method}`),
    );
  });
}

const peer = (role: PeerRole, clusterId = "c1") => ({ nodeId: "n1", role, clusterId });

test("every RPC has a row, and every row an RPC", () => {
  const paths = methodPaths();
  assert.ok(paths.length > 40, `found ${paths.length} methods`);
  assert.deepEqual([...RPC_ROLES.keys()].sort(), paths.sort());
});

test("anyone may fetch the root certificate and ask for a certificate", () => {
  authorize("/skein.v1.NodeCa/GetRootCa", undefined, "c1");
  authorize("/skein.v1.NodeCa/Issue", undefined, "c1");
});

test("a worker may open a session, and call nothing of managers", () => {
  authorize("/skein.v1.Dispatcher/Session", peer("swarm-worker"), "c1");
  for (const [path, role] of RPC_ROLES) {
    if (role !== "manager") continue;
    authorize(path, peer("swarm-manager"), "c1");
    assert.throws(() => authorize(path, peer("swarm-worker"), "c1"), {
      constructor: PermissionDeniedError,
      message: `${path} is for managers: node n1 has a worker certificate`,
    });
  }
});

test("no certificate, and one of another cluster, are refused with different words", () => {
  const path = "/skein.v1.Dispatcher/Session";
  assert.throws(() => authorize(path, undefined, "c1"), UnauthenticatedError);
  assert.throws(() => authorize(path, peer("swarm-manager", "c2"), "c1"), /belongs to another one/);
});

test("a method without a row is refused", () => {
  assert.throws(
    () => authorize("/skein.v1.Control/Format", peer("swarm-manager"), "c1"),
    PermissionDeniedError,
  );
});
