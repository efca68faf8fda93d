/**
 * /services and /tasks, without their logs. Edge: to the manager's control API.
 */
import { codeOf, NotImplementedError } from "../../base/errors/errors.js";
import type { Random } from "../../base/random/random.js";
import type { LocalNetworks } from "../../proto/engine/networks.js";
import { isNodeNetwork } from "../../proto/engine/node-networks.js";
import type { CreateServiceRequest, ServiceReply } from "../../proto/gen/skein/v1/control.js";
import type { ServiceSpec } from "../../proto/gen/skein/v1/types.js";
import type { Fields } from "../convert/fields.js";
import { leavesWishes, withKeptWishes } from "../convert/kept-wishes.js";
import { networkInTask } from "../convert/objects-out.js";
import { serviceOut, taskOut } from "../convert/service-out.js";
import { serviceSpecIn } from "../convert/service-spec-in.js";
import type { JsonObject } from "../convert/shape.js";
import { listFilters, parseFilters } from "../filters.js";
import { generatedName } from "../generated-names.js";
import type { ManagerClients } from "../manager-clients.js";
import { taskOrRemoved } from "../reach/removed-tasks.js";
import type { Route } from "./route.js";

/** undefined: this node has none. */
type LocalNetworksFound = Pick<LocalNetworks, "list"> | undefined;

const SERVICE_FILTER_KEYS = ["id", "label", "mode", "name", "runtime"];
const TASK_FILTER_KEYS = [
  "desired-state",
  "id",
  "label",
  "name",
  "node",
  "service",
  "runtime",
  "_up-to-date",
];

/** Fields that were given and that nothing honours: each is named in a warning. */
function unreadWarnings(body: Fields): string[] {
  return body.unread().map((path) => `${path.replace(/^body\./, "")} is not supported and has no effect`);
}

/** A drawn name may be taken; another is drawn then. */
const NAME_DRAWS_MAX = 5;

/** Creates the service, under a name of our own when the client gave none. */
async function createService(
  clients: ManagerClients,
  request: CreateServiceRequest & { spec: ServiceSpec },
  random: Random,
): Promise<ServiceReply> {
  const create = (spec: ServiceSpec): Promise<ServiceReply> =>
    clients.call((control) => control.createService, { ...request, spec });
  if (request.spec.annotations?.name) return create(request.spec);
  const labels = request.spec.annotations?.labels ?? {};
  for (let draw = 1; ; draw++) {
    try {
      return await create({ ...request.spec, annotations: { name: generatedName(random), labels } });
    } catch (error) {
      if (codeOf(error) !== "already-exists" || draw === NAME_DRAWS_MAX) throw error;
    }
  }
}

/** An update by a client that knows less than we do leaves the rest as it is. */
async function completeUpdate(
  clients: ManagerClients,
  id: string,
  update: ServiceSpec,
): Promise<ServiceSpec> {
  if (!leavesWishes(update)) return update;
  const { service } = await clients.call((control) => control.getService, { id });
  return withKeptWishes(update, service?.spec);
}

/** A client names a network of this node by its id here: each node has its own, so it is told by name. */
function withNodeNetworks(spec: ServiceSpec, local: LocalNetworksFound): ServiceSpec {
  const { task } = spec;
  if (task === undefined) return spec;
  const networks = task.networks.map((attachment) => {
    const own = local?.list().find(({ id, name }) => id === attachment.target && isNodeNetwork(name));
    return own === undefined ? attachment : { ...attachment, target: own.name };
  });
  return { ...spec, task: { ...task, networks } };
}

export interface ServiceRouteParts {
  readonly random: Random;
  readonly local: LocalNetworksFound;
}

export function serviceRoutes(clients: ManagerClients, { random, local }: ServiceRouteParts): Route[] {
  return [
    {
      method: "GET",
      path: "/services",
      handle: async (exchange) => {
        const filters = parseFilters(exchange.query.get("filters"), SERVICE_FILTER_KEYS);
        const status = exchange.flag("status");
        const { services, counts } = await clients.call((control) => control.listServices, {
          filters: listFilters(filters),
          modes: [...(filters.get("mode") ?? [])],
          status,
        });
        return {
          status: 200,
          json: services.map((service) => serviceOut(service, status ? counts[service.id] : undefined)),
        };
      },
    },
    {
      method: "POST",
      path: "/services/create",
      handle: async (exchange) => {
        const body = await exchange.body();
        const spec = withNodeNetworks(serviceSpecIn(body), local);
        const registryAuth = exchange.header("x-registry-auth");
        const { service, warnings } = await createService(clients, { spec, registryAuth }, random);
        const all = [...warnings, ...unreadWarnings(body)];
        return { status: 201, json: { ID: service?.id ?? "", Warnings: all.length > 0 ? all : null } };
      },
    },
    {
      method: "GET",
      path: "/services/:id",
      handle: async (exchange) => {
        const { service } = await clients.call((control) => control.getService, { id: exchange.param("id") });
        return { status: 200, json: service && serviceOut(service) };
      },
    },
    {
      method: "DELETE",
      path: "/services/:id",
      handle: async (exchange) => {
        await clients.call((control) => control.removeService, { id: exchange.param("id") });
        return { status: 200 };
      },
    },
    {
      method: "POST",
      path: "/services/:id/update",
      handle: async (exchange) => {
        const body = await exchange.body();
        const rollback = exchange.query.get("rollback") ?? "";
        if (rollback !== "" && rollback !== "previous") {
          throw new NotImplementedError(`rollback must be "previous", got ${JSON.stringify(rollback)}`);
        }
        const id = exchange.param("id");
        const asked = withNodeNetworks(serviceSpecIn(body), local);
        const spec = await completeUpdate(clients, id, asked);
        const { warnings } = await clients.call((control) => control.updateService, {
          id,
          version: exchange.version(),
          spec,
          registryAuth: exchange.header("x-registry-auth"),
          registryAuthFrom: exchange.query.get("registryAuthFrom") ?? "",
          rollback: rollback === "previous",
        });
        const all = [...warnings, ...unreadWarnings(body)];
        return { status: 200, json: { Warnings: all.length > 0 ? all : null } };
      },
    },
  ];
}

export function taskRoutes(clients: ManagerClients): Route[] {
  const networksById = async (wanted: boolean): Promise<ReadonlyMap<string, JsonObject>> => {
    if (!wanted) return new Map();
    const { networks } = await clients.call((control) => control.listNetworks, { filters: undefined });
    return new Map(networks.map((network) => [network.id, networkInTask(network)]));
  };
  return [
    {
      method: "GET",
      path: "/tasks",
      handle: async ({ query }) => {
        const filters = parseFilters(query.get("filters"), TASK_FILTER_KEYS);
        const { tasks } = await clients.call((control) => control.listTasks, {
          filters: listFilters(filters),
          serviceIds: [...(filters.get("service") ?? [])],
          nodeIds: [...(filters.get("node") ?? [])],
          desiredStates: [...(filters.get("desired-state") ?? [])],
          upToDateOnly: (filters.get("_up-to-date") ?? []).includes("true"),
          attachments: (filters.get("runtime") ?? []).includes("attachment"),
        });
        const networks = await networksById(tasks.some((task) => task.networks.length > 0));
        return { status: 200, json: tasks.map((task) => taskOut(task, networks)) };
      },
    },
    {
      method: "GET",
      path: "/tasks/:id",
      handle: async (exchange) => {
        const task = await taskOrRemoved(clients, exchange.param("id"));
        if (task === undefined) return { status: 200 };
        return { status: 200, json: taskOut(task, await networksById(task.networks.length > 0)) };
      },
    },
  ];
}
