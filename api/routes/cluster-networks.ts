/**
 * The cluster's networks as this node's API shows and changes them. Edge: to the manager's control API.
 * A manager asks the cluster; a worker, and a manager without a leader, shows what the node has been told:
 * the networks it takes part in, and those it may come to.
 */
import { codeOf, InvalidArgumentError, NotFoundError } from "../../base/errors/errors.js";
import type { ContainerManager } from "../../proto/engine/containers.js";
import type { Network, Task } from "../../proto/gen/skein/v1/objects.js";
import type { NetworkSpec } from "../../proto/gen/skein/v1/types.js";
import { subnetsIn } from "../convert/cluster-network-in.js";
import { networkOut, networkStatusOut } from "../convert/cluster-network-out.js";
import { TASK_LABEL } from "../convert/container-network-out.js";
import type { Fields } from "../convert/fields.js";
import { memberOut } from "../convert/local-network-out.js";
import { networkPeersOut, networkServicesOut, networkUseOf } from "../convert/network-use-out.js";
import type { JsonObject } from "../convert/shape.js";
import type { EngineContainerNetwork, KnownCluster } from "../engine-ports.js";
import { listFilters } from "../filters.js";
import type { ManagerClients } from "../manager-clients.js";

export interface ClusterNetworkParts {
  readonly containers: Pick<ContainerManager, "list">;
  readonly isManager: () => boolean;
  /** @default nothing */
  readonly known?: (() => KnownCluster | undefined) | undefined;
  readonly networksOfTask?: (taskId: string) => readonly EngineContainerNetwork[];
}

export class ClusterNetworks {
  readonly #clients: ManagerClients;
  readonly #parts: ClusterNetworkParts;

  constructor(clients: ManagerClients, parts: ClusterNetworkParts) {
    this.#clients = clients;
    this.#parts = parts;
  }

  async list(): Promise<readonly Network[]> {
    const known = this.#parts.known?.();
    if (!this.#parts.isManager()) return known?.networks() ?? [];
    const filters = listFilters(new Map());
    try {
      return (await this.#clients.call((control) => control.listNetworks, { filters })).networks;
    } catch (error) {
      if (isSilence(error)) return known?.networks() ?? [];
      throw error;
    }
  }

  /** Ids of those that a service, or a container here or elsewhere, is on. */
  async used(): Promise<ReadonlySet<string>> {
    const used = this.#parts.known?.()?.used() ?? new Set<string>();
    if (!this.#parts.isManager()) return used;
    try {
      const request = { filters: undefined, modes: [], status: false };
      const [{ services }, attached] = await Promise.all([
        this.#clients.call((control) => control.listServices, request),
        this.#tasks({ attachments: true }),
      ]);
      const ofServices = services.flatMap(({ spec }) => spec?.task?.networks.map((one) => one.target) ?? []);
      const ofTasks = attached.flatMap(({ networks }) => networks.map(({ networkId }) => networkId));
      return new Set([...used, ...ofServices, ...ofTasks]);
    } catch (error) {
      if (isSilence(error)) return used;
      throw error;
    }
  }

  /** @throws {NotFoundError} */
  async inspect(id: string, options: { readonly verbose: boolean }): Promise<JsonObject> {
    if (!this.#parts.isManager()) return this.#inspectKnown(id, options);
    try {
      const { network, subnets } = await this.#clients.call((control) => control.getNetwork, { id });
      if (network === undefined) throw notFound(id);
      const use = options.verbose ? await this.#useOf(network.id) : undefined;
      return {
        ...this.#shown(network),
        ...networkPeersOut(use?.peers ?? this.#parts.known?.()?.peers(network.id) ?? []),
        ...(use === undefined ? {} : networkServicesOut(use.services)),
        ...networkStatusOut(subnets),
      };
    } catch (error) {
      if (isSilence(error)) return this.#inspectKnown(id, options);
      throw error;
    }
  }

  async create(spec: NetworkSpec): Promise<string> {
    const { network } = await this.#clients.call((control) => control.createNetwork, { spec });
    return network?.id ?? "";
  }

  /** Skein's own: Subnets (as in IPAM.Config), LabelsAdd, LabelsRemove, Version. */
  async update(id: string, fields: Fields): Promise<void> {
    const request = {
      id,
      version: fields.integer("Version"),
      subnetsAdded: subnetsIn(fields, "Subnets"),
      labelsSet: fields.stringMap("LabelsAdd"),
      labelsRemoved: fields.strings("LabelsRemove"),
    };
    const [unread] = fields.unread();
    if (unread !== undefined)
      throw new InvalidArgumentError(
        `${unread.replace(/^body\./, "")} cannot be changed: only subnets and labels of a network can`,
      );
    await this.#clients.call((control) => control.updateNetwork, request);
  }

  /** @throws {NotFoundError} */
  async remove(id: string): Promise<void> {
    if (!this.#parts.isManager() && this.#find(id) === undefined) throw notFound(id);
    await this.#clients.call((control) => control.removeNetwork, { id });
  }

  #inspectKnown(id: string, { verbose }: { readonly verbose: boolean }): JsonObject {
    const network = this.#find(id);
    if (network === undefined) throw notFound(id);
    const known = this.#parts.known?.();
    return {
      ...this.#shown(network),
      ...networkPeersOut(known?.peers(network.id) ?? []),
      ...(verbose ? networkServicesOut(known?.services(network.id) ?? []) : {}),
    };
  }

  /** By id, name, or a prefix of the id that fits one alone. */
  #find(id: string): Network | undefined {
    const networks = this.#parts.known?.()?.networks() ?? [];
    const exact =
      networks.find((network) => network.id === id) ??
      networks.find(({ spec }) => spec?.annotations?.name === id);
    if (exact !== undefined || id === "") return exact;
    const begin = networks.filter((network) => network.id.startsWith(id));
    return begin.length === 1 ? begin[0] : undefined;
  }

  /** With the containers of this node. */
  #shown(network: Network): JsonObject {
    const members = this.#parts.containers
      .list()
      .filter(({ state }) => state === "running" || state === "paused")
      .flatMap((container): [string, JsonObject][] => {
        const joined = Object.values(container.endpoints ?? {}).find(
          ({ networkId }) => networkId === network.id,
        );
        if (joined !== undefined)
          return [
            [container.id, memberOut({ containerId: container.id, name: container.name, endpoint: joined })],
          ];
        const taskId = container.specification.labels[TASK_LABEL] ?? "";
        const own = this.#parts.networksOfTask?.(taskId).find(({ networkId }) => networkId === network.id);
        return own === undefined ? [] : [[container.id, taskOut(container.name, own)]];
      });
    return {
      ...networkOut(network),
      ...(members.length === 0 ? {} : { Containers: Object.fromEntries(members) }),
    };
  }

  async #useOf(networkId: string): Promise<ReturnType<typeof networkUseOf>> {
    const filters = undefined;
    const [{ services }, tasks, attached, { nodes }] = await Promise.all([
      this.#clients.call((control) => control.listServices, { filters, modes: [], status: false }),
      this.#tasks({ attachments: false }),
      this.#tasks({ attachments: true }),
      this.#clients.call((control) => control.listNodes, {
        ...{ filters, roles: [], memberships: [], nodeLabels: {}, nodeLabelKeys: [] },
      }),
    ]);
    return networkUseOf({ networkId, services, tasks: [...tasks, ...attached], nodes });
  }

  /** Of services, or of containers that joined by themselves. */
  async #tasks({ attachments }: { readonly attachments: boolean }): Promise<readonly Task[]> {
    const { tasks } = await this.#clients.call((control) => control.listTasks, {
      ...{ filters: undefined, serviceIds: [], nodeIds: [], desiredStates: [], upToDateOnly: false },
      attachments,
    });
    return tasks;
  }
}

/** The cluster cannot answer now. */
function isSilence(error: unknown): boolean {
  return ["unavailable", "not-leader", "deadline-exceeded"].includes(codeOf(error));
}

function notFound(id: string): NotFoundError {
  return new NotFoundError(`network ${id} not found`);
}

function taskOut(name: string, network: EngineContainerNetwork): JsonObject {
  return {
    Name: name,
    EndpointID: "",
    MacAddress: "",
    IPv4Address: network.address === "" ? "" : `${network.address}/${network.prefixLength}`,
    IPv6Address: network.ipv6Address ?? "",
  };
}
