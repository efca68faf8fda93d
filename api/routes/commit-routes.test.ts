/** A commit over HTTP: what becomes of the pause it makes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { FailedPreconditionError, InternalError } from "../../base/errors/errors.js";
import { Fields } from "../convert/fields.js";
import type { Exchange } from "../http-exchange.js";
import { type CommitRoutesOptions, commitRoutes } from "./commit-routes.js";

function commitOf(parts: { unpauseError?: Error; commitError?: Error }) {
  const calls: string[] = [];
  const containers = {
    get: () => ({ id: "c1", imageId: "i", state: "running", specification: { args: ["sh"], labels: {} } }),
    pause: async () => void calls.push("pause"),
    unpause: async () => {
      calls.push("unpause");
      if (parts.unpauseError !== undefined) throw parts.unpauseError;
    },
    emit: () => calls.push("event"),
  } as unknown as CommitRoutesOptions["containers"]; // the part that is used
  const images = {
    document: async () => ({ config: {} }),
    commit: async () => {
      if (parts.commitError !== undefined) throw parts.commitError;
      return { id: "sha256:new" };
    },
  } as unknown as CommitRoutesOptions["images"];
  const [route] = commitRoutes({ containers, images, applyChanges: async (config) => config });
  const exchange = {
    query: new URLSearchParams({ container: "c1" }),
    body: async () => Fields.of({}),
    flag: () => true,
    gone: () => new AbortController().signal,
  } as unknown as Exchange;
  return { calls, reply: async () => await route?.handle(exchange) };
}

test("a container that is killed while it is paused for a commit costs nobody the image", async () => {
  const { calls, reply } = commitOf({
    unpauseError: new FailedPreconditionError("Container c1 is not paused"),
  });
  assert.deepEqual(await reply(), { status: 201, json: { Id: "sha256:new" } });
  assert.deepEqual(calls, ["pause", "event", "unpause"]);
});

test("a container goes on when its commit fails", async () => {
  const { calls, reply } = commitOf({ commitError: new InternalError("disk full") });
  await assert.rejects(reply(), { message: "disk full" });
  assert.deepEqual(calls, ["pause", "unpause"]);
});
