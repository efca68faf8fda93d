import assert from "node:assert/strict";
import { test } from "node:test";
import { execIdIn, goesThroughTunnels, namedCall, withContainerId } from "./container-calls.js";

test("calls that name a container or an exec are told from those that do not", () => {
  assert.deepEqual(namedCall("/containers/web.1/json"), { kind: "container", name: "web.1", call: "json" });
  assert.deepEqual(namedCall("/containers/a%2Fb/attach/ws"), {
    ...{ kind: "container", name: "a/b", call: "attach/ws" },
  });
  assert.deepEqual(namedCall("/containers/x"), { kind: "container", name: "x", call: "" });
  assert.deepEqual(namedCall("/exec/e1/start"), { kind: "exec", id: "e1", call: "start" });
  for (const path of [
    "/containers/json",
    "/containers/create",
    "/containers/prune",
    "/images/x/json",
    "/exec",
  ])
    assert.equal(namedCall(path), undefined, path);
});

test("a tunnel carries what looks into, runs in or signals a container, and nothing else", () => {
  const goes = (method: string, path: string): boolean => {
    const named = namedCall(path);
    return named !== undefined && goesThroughTunnels(method, named);
  };
  for (const call of ["json", "logs", "top", "stats", "changes", "export", "archive", "attach/ws"])
    assert.ok(goes("GET", `/containers/x/${call}`), call);
  for (const call of ["attach", "exec", "resize", "wait", "kill", "stop", "pause", "unpause"])
    assert.ok(goes("POST", `/containers/x/${call}`), call);
  assert.ok(goes("PUT", "/containers/x/archive") && goes("HEAD", "/containers/x/archive"));
  for (const [method, call] of [
    ["DELETE", ""],
    ["POST", "/rename"],
    ["POST", "/update"],
    ["POST", "/start"],
    ["POST", "/restart"],
    ["GET", "/exec"],
    ["DELETE", "/archive"],
  ] as const)
    assert.ok(!goes(method, `/containers/x${call}`), `${method} ${call}`);
});

test("the container's id takes the place of its name; version, call and query stay", () => {
  assert.equal(
    withContainerId("/v1.51/containers/web.1/logs?tail=1&x=/containers/y", "abc"),
    "/v1.51/containers/abc/logs?tail=1&x=/containers/y",
  );
  assert.equal(withContainerId("/containers/web.1", "abc"), "/containers/abc");
});

test("a node's answer is the id of an exec, or counts for nothing", () => {
  const id = "0123456789abcdef".repeat(4);
  const read = (text: string): string | undefined => execIdIn(Buffer.from(text));
  assert.equal(read(`{"Id":"${id}"}`), id);
  for (const text of ["", "ok", "null", "7", "[]", "{}", '{"Id":7}', '{"Id":"../x"}', `{"Id":"${id}0"}`])
    assert.equal(read(text), undefined, text);
});
