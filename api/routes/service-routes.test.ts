/** Services over HTTP: networks of the node, which a client may name by their id here. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { SeededRandom } from "../../base/random/seeded-random.js";
import type { LocalNetworkRecord, LocalNetworks } from "../../proto/engine/networks.js";
import type { CreateServiceRequest } from "../../proto/gen/skein/v1/control.js";
import { Fields } from "../convert/fields.js";
import type { Exchange } from "../http-exchange.js";
import type { ManagerClients } from "../manager-clients.js";
import { serviceRoutes } from "./service-routes.js";

const LOCAL = [
  { id: "a1", name: "host" },
  { id: "b2", name: "mine" },
] as unknown as readonly LocalNetworkRecord[]; // the part that is used

test("a network of the node is told by its name, whatever its id is here; others are left as they are", async () => {
  const asked: CreateServiceRequest[] = [];
  const clients = {
    call: async (_method: unknown, request: CreateServiceRequest) => {
      asked.push(request);
      return { service: { id: "s" }, warnings: [] };
    },
  } as unknown as ManagerClients;
  const local: Pick<LocalNetworks, "list"> = { list: () => LOCAL };
  const create = serviceRoutes(clients, { random: new SeededRandom("services"), local }).find(
    ({ path }) => path === "/services/create",
  );
  for (const Target of ["a1", "host", "b2", "a"]) {
    const body = Fields.of({
      Name: "web",
      TaskTemplate: { ContainerSpec: { Image: "i" }, Networks: [{ Target }] },
    });
    await create?.handle({ body: async () => body, header: () => "" } as unknown as Exchange);
  }
  assert.deepEqual(
    asked.map(({ spec }) => spec?.task?.networks[0]?.target),
    ["host", "host", "b2", "a"],
  );
});
