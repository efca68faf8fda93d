/** Networks over HTTP: those of the node while the cluster cannot answer, and a prune in a race. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { PermissionDeniedError, UnavailableError } from "../../base/errors/errors.js";
import type { LocalNetworkRecord, LocalNetworks } from "../../proto/engine/networks.js";
import type { Exchange } from "../http-exchange.js";
import type { ManagerClients } from "../manager-clients.js";
import { networkRoutes } from "./network-routes.js";

const record = (name: string): LocalNetworkRecord => ({
  ...{ name, driver: "bridge", internal: false, attachable: false, enableIpv4: true, enableIpv6: false },
  ...{ ipamDriver: "default", ipamOptions: {}, ipam: [], options: {}, labels: {} },
  ...{ id: Buffer.from(name.padEnd(32)).toString("hex"), createdMs: 0 },
});

function routesOf(names: readonly string[], taken: readonly string[] = []) {
  const records = names.map(record);
  const local = {
    list: () => records,
    find: (id: string) => records.find((each) => each.id === id || each.name === id),
    members: () => [],
    remove: async (id: string) => {
      if (taken.some((name) => record(name).id === id))
        throw new PermissionDeniedError("network has active endpoints");
    },
  } as unknown as LocalNetworks; // the part that is used
  const clients = {
    call: () => Promise.reject(new UnavailableError("the swarm does not have a leader")),
  } as unknown as ManagerClients;
  const containers = {} as Parameters<typeof networkRoutes>[1]["containers"]; // is not used
  const parts = { local, containers, isManager: () => true, nowMs: () => 1, onPruned: () => undefined };
  const routes = networkRoutes(clients, parts);
  return (method: string, path: string, { id = "", query = "" } = {}) =>
    routes
      .find((route) => route.method === method && route.path === path)
      ?.handle({ query: new URLSearchParams(query), param: () => id } as unknown as Exchange);
}

test("networks of the node are listed while the cluster has no leader", async () => {
  const reply = await routesOf(["mine"])("GET", "/networks");
  assert.deepEqual(
    (reply?.json as { Name: string }[] | undefined)?.map(({ Name }) => Name),
    ["mine"],
  );
});

test("a prune leaves the network that somebody joins meanwhile, and goes on", async () => {
  const reply = await routesOf(["one", "two"], ["one"])("POST", "/networks/prune");
  assert.deepEqual(reply?.json, { NetworksDeleted: ["two"] });
});

test("a network of the node is found by its id here, and as the swarm's by the one that all nodes know", async () => {
  const ask = routesOf(["host", "mine"]);
  const found = async (id: string, query?: string): Promise<unknown> => {
    const reply = await ask("GET", "/networks/:id", { id, ...(query && { query }) });
    const { Id, Scope } = (reply?.json ?? {}) as { Id?: string; Scope?: string };
    return [Id, Scope];
  };
  assert.deepEqual(await found("host"), [record("host").id, "local"]);
  assert.deepEqual(await found("host", "scope=swarm"), ["host", "swarm"]);
  assert.deepEqual(await found(record("host").id, "scope=swarm"), ["host", "swarm"]);
  await assert.rejects(found("mine", "scope=swarm"), /does not have a leader|not found/);
});
