/**
 * Networks: created, listed, given another subnet or label, removed.
 * Pure over the store. Invariant: subnets and labels are all that changes of a network that is there.
 */
import { AlreadyExistsError, InvalidArgumentError, NotFoundError } from "../../base/errors/errors.js";
import { newId } from "../../base/random/ids.js";
import type {
  CreateNetworkRequest,
  IdRequest,
  ListNetworksReply,
  ListNetworksRequest,
  ListNetworkUseReply,
  NetworkReply,
  UpdateNetworkRequest,
} from "../../proto/gen/skein/v1/control.js";
import { Network } from "../../proto/gen/skein/v1/objects.js";
import { checkLabels, checkVersion } from "./annotations.js";
import type { ControlComponents } from "./control-components.js";
import { findObject, isLeaving } from "./find-object.js";
import { refuseSecondIngress } from "./ingress-network.js";
import { matchesFilters } from "./list-filters.js";
import { removeNetwork, waitUntilGone } from "./network-removal.js";
import { networkUse, subnetUseOf } from "./network-use.js";
import { checkAddedSubnets, checkNetworkSpec } from "./network-validation.js";

export class NetworkControl {
  readonly #components: ControlComponents;

  constructor(components: ControlComponents) {
    this.#components = components;
  }

  async create(request: CreateNetworkRequest): Promise<NetworkReply> {
    const { spec } = request;
    if (spec === undefined) throw new InvalidArgumentError("a network needs a specification");
    const { store, random } = this.#components;
    const id = newId(random);
    await store.update((tx) => {
      const name = spec.annotations?.name ?? "";
      if (name !== "" && tx.list("network", { by: "name", name }).length > 0) {
        throw new AlreadyExistsError(`network with name ${name} already exists`);
      }
      const networks = tx.list("network");
      checkNetworkSpec(spec, { networks, nodes: () => tx.list("node") });
      if (spec.ingress) refuseSecondIngress(networks);
      tx.create("network", Network.fromPartial({ id, spec: { ...spec, driver: "overlay", scope: "swarm" } }));
    });
    return this.#reply(id);
  }

  async get(request: IdRequest): Promise<NetworkReply> {
    const { store } = this.#components;
    const network = store.view((tx) => findObject(tx, "network", request.id));
    return { network, subnets: await subnetUseOf(this.#components, network) };
  }

  list(request: ListNetworksRequest): ListNetworksReply {
    const networks = this.#components.store.view((tx) => tx.list("network"));
    return {
      networks: networks.filter((network) => {
        const { name = "", labels = {} } = network.spec?.annotations ?? {};
        return (
          !isLeaving(network) && matchesFilters(request.filters, { id: network.id, names: [name], labels })
        );
      }),
    };
  }

  /** Addresses in use, of all networks. */
  async use(): Promise<ListNetworkUseReply> {
    return { networks: await networkUse(this.#components) };
  }

  /** More subnets, other labels. What a network was made with otherwise stays. */
  async update(request: UpdateNetworkRequest): Promise<NetworkReply> {
    const id = await this.#components.store.update((tx) => {
      const network = findObject(tx, "network", request.id);
      const { spec } = network;
      if (spec === undefined) throw new InvalidArgumentError(`network ${request.id} has no specification`);
      if (request.version !== 0) checkVersion(network, request.version);
      checkAddedSubnets(request.subnetsAdded, { network, networks: tx.list("network") });
      const labels = { ...spec.annotations?.labels, ...request.labelsSet };
      for (const label of request.labelsRemoved) delete labels[label];
      const annotations = { name: "", ...spec.annotations, labels };
      checkLabels(annotations);
      tx.update("network", {
        ...network,
        spec: {
          ...spec,
          annotations,
          ipamConfigs: [...spec.ipamConfigs, ...request.subnetsAdded],
        },
      });
      return network.id;
    });
    return this.#reply(id);
  }

  async remove(request: IdRequest): Promise<void> {
    const { store } = this.#components;
    const { id, fate } = await store.update((tx) => {
      const network = findObject(tx, "network", request.id);
      return { id: network.id, fate: removeNetwork(tx, network) };
    });
    if (fate === "going") await waitUntilGone(this.#components, id);
  }

  #reply(id: string): NetworkReply {
    const network = this.#components.store.view((tx) => tx.get("network", id));
    // removed since by somebody else
    if (network === undefined) throw new NotFoundError(`network ${id} not found`);
    return { network, subnets: [] };
  }
}
