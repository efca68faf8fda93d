import assert from "node:assert/strict";
import { test } from "node:test";
import { Metadata, type ServiceError } from "@grpc/grpc-js";
import { NotFoundError, NotLeaderError, ResourceExhaustedError } from "../errors/errors.js";
import { fromGrpcError, toGrpcStatus } from "./grpc-errors.js";

/** An error as a client gets it. */
function wired(error: unknown): ServiceError {
  return Object.assign(new Error("over the wire"), toGrpcStatus(error));
}

test("an error keeps its class, its text and what else it knows", () => {
  const busy = fromGrpcError(wired(new ResourceExhaustedError("busy", { retryAfterMs: 120.4 })));
  assert.ok(busy instanceof ResourceExhaustedError);
  assert.deepEqual([busy.message, busy.retryAfterMs], ["busy", 121]);
  const plain = fromGrpcError(wired(new ResourceExhaustedError("full")));
  assert.ok(plain instanceof ResourceExhaustedError);
  assert.equal(plain.retryAfterMs, undefined);
  const elsewhere = fromGrpcError(wired(new NotLeaderError("no", { leaderAddress: "10.0.0.1:2377" })));
  assert.ok(elsewhere instanceof NotLeaderError);
  assert.equal(elsewhere.leaderAddress, "10.0.0.1:2377");
  assert.ok(fromGrpcError(wired(new NotFoundError("gone"))) instanceof NotFoundError);
});

test("a pause that a peer names nonsensically is no pause", () => {
  const status = wired(new ResourceExhaustedError("busy", { retryAfterMs: 1 }));
  status.metadata.set("skein-retry-after-ms", "soon");
  const error = fromGrpcError(status);
  assert.ok(error instanceof ResourceExhaustedError);
  assert.equal(error.retryAfterMs, undefined);
});

test("a call whose stream ended without a status found its peer gone: unavailable", () => {
  const details = "Received RST_STREAM with code 0 (Call ended without gRPC status)";
  const error = Object.assign(new Error(`13 INTERNAL: ${details}`), {
    code: 13,
    details,
    metadata: new Metadata(),
  });
  assert.equal(fromGrpcError(error).code, "unavailable");
  const bug = Object.assign(new Error("13 INTERNAL: oh"), {
    code: 13,
    details: "oh",
    metadata: new Metadata(),
  });
  assert.equal(fromGrpcError(bug).code, "internal");
});
