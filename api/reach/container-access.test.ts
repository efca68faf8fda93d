import assert from "node:assert/strict";
import { test } from "node:test";
import { NotFoundError, PermissionDeniedError } from "../../base/errors/errors.js";
import { ContainerAccess } from "./container-access.js";
import { namedCall } from "./container-calls.js";

const OF_TASK = { id: "aaa", specification: { labels: { "com.docker.swarm.task.id": "t1" } } };
const PLAIN = { id: "bbb", specification: { labels: {} } };

function access(isManager: boolean): ContainerAccess {
  const all = [OF_TASK, PLAIN];
  const find = (name: string) => all.find(({ id }) => id === name);
  const getExec = (id: string) => {
    if (!id.startsWith("of-")) throw new NotFoundError(`No such exec instance: ${id}`);
    return { containerId: id.slice("of-".length) };
  };
  const backend = {
    isManager: () => isManager,
    containers: { find, get: find },
    streaming: { streams: { getExec } },
  };
  // the parts that are used
  return new ContainerAccess(backend as unknown as ConstructorParameters<typeof ContainerAccess>[0]);
}

test("what is here is answered here; what is not, elsewhere, where there is a manager", () => {
  const elsewhere = (path: string, isManager: boolean): boolean => {
    const named = namedCall(path);
    return named !== undefined && access(isManager).isElsewhere(named);
  };
  assert.ok(elsewhere("/containers/web.1/json", true));
  assert.ok(elsewhere("/exec/e1/start", true));
  assert.ok(!elsewhere("/containers/bbb/json", true));
  assert.ok(!elsewhere("/exec/of-aaa/start", true));
  assert.ok(!elsewhere("/containers/web.1/json", false));
});

test("a tunnel reaches tasks' containers and their execs alone, by the calls it carries", () => {
  const served = (method: string, path: string): void =>
    access(false).assertTunnelled(method, namedCall(path));
  served("GET", "/containers/aaa/json");
  served("POST", "/exec/of-aaa/start");
  for (const [method, path] of [
    ["GET", "/containers/bbb/json"],
    ["POST", "/exec/of-bbb/start"],
    ["DELETE", "/containers/aaa"],
    ["POST", "/containers/aaa/update"],
    ["POST", "/containers/create"],
    ["POST", "/images/create"],
    ["GET", "/info"],
  ] as const)
    assert.throws(() => served(method, path), PermissionDeniedError, `${method} ${path}`);
  assert.throws(() => served("GET", "/containers/ccc/json"), NotFoundError);
});
