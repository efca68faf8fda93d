/**
 * Networks: created, listed, removed. A network whose tasks still stop loses its name at once and goes with
 * the last of them.
 * Pure over the store.
 */
import {
  AlreadyExistsError,
  FailedPreconditionError,
  InvalidArgumentError,
  NotFoundError,
} from "../../base/errors/errors.js";
import { newId } from "../../base/random/ids.js";
import type {
  CreateNetworkRequest,
  IdRequest,
  ListNetworksReply,
  ListNetworksRequest,
  NetworkReply,
} from "../../proto/gen/skein/v1/control.js";
import { Network } from "../../proto/gen/skein/v1/objects.js";
import { isTerminal } from "../orchestrator/task-state.js";
import type { ControlComponents } from "./control-components.js";
import { findObject } from "./find-object.js";
import { matchesFilters } from "./list-filters.js";
import { checkNetworkSpec } from "./network-validation.js";
import { refuseInUse } from "./secrets.js";

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
      checkNetworkSpec(spec, tx.list("network"));
      tx.create("network", Network.fromPartial({ id, spec: { ...spec, driver: "overlay", scope: "swarm" } }));
    });
    const network = store.view((tx) => tx.get("network", id));
    // removed since by somebody else
    if (network === undefined) throw new NotFoundError(`network ${id} not found`);
    return { network };
  }

  get(request: IdRequest): NetworkReply {
    return { network: this.#components.store.view((tx) => findObject(tx, "network", request.id)) };
  }

  list(request: ListNetworksRequest): ListNetworksReply {
    const networks = this.#components.store.view((tx) => tx.list("network"));
    return {
      networks: networks.filter(({ id, spec, pendingDelete }) => {
        const labels = spec?.annotations?.labels ?? {};
        return (
          !pendingDelete &&
          matchesFilters(request.filters, { id, names: [spec?.annotations?.name ?? ""], labels })
        );
      }),
    };
  }

  async remove(request: IdRequest): Promise<void> {
    await this.#components.store.update((tx) => {
      const network = findObject(tx, "network", request.id);
      const name = network.spec?.annotations?.name ?? network.id;
      if (network.spec?.ingress === true) {
        throw new FailedPreconditionError(
          `network ${name} is a part of the routing mesh and cannot be removed`,
        );
      }
      const users = { by: "networkId", networkId: network.id } as const;
      refuseInUse(tx.list("service", users), `network ${name}`);
      const tasks = tx.list("task", users).filter((task) => !isTerminal(task));
      if (tasks.length === 0) {
        tx.remove("network", network.id);
        return;
      }
      // Their service is gone, so they are stopping; the allocator removes the network after the last one.
      tx.update("network", {
        ...network,
        pendingDelete: true,
        spec: network.spec && {
          ...network.spec,
          annotations: { labels: {}, name: `${name}.removed.${network.id}` },
        },
      });
    });
  }
}
