/**
 * Configs: created, listed, relabelled, given new data, removed.
 * Pure over the store.
 */
import { InvalidArgumentError, NotFoundError } from "../../base/errors/errors.js";
import { newId } from "../../base/random/ids.js";
import type {
  ConfigReply,
  CreateConfigRequest,
  IdRequest,
  ListConfigsReply,
  ListConfigsRequest,
  UpdateConfigRequest,
} from "../../proto/gen/skein/v1/control.js";
import { Config } from "../../proto/gen/skein/v1/objects.js";
import { checkFileName, checkVersion } from "./annotations.js";
import type { ControlComponents } from "./control-components.js";
import { renew } from "./data-rollout.js";
import { findObject } from "./find-object.js";
import { matchesFilters } from "./list-filters.js";
import { checkTemplate, refuseInUse } from "./secrets.js";

/** Bytes. Source: SwarmKit's limit. */
export const CONFIG_BYTES_MAX = 1000 * 1024;

export class ConfigControl {
  readonly #components: ControlComponents;

  constructor(components: ControlComponents) {
    this.#components = components;
  }

  async create(request: CreateConfigRequest): Promise<ConfigReply> {
    checkFileName(request.annotations, "config");
    checkTemplate(request.templateDriver);
    checkConfigData(request.data);
    const { store, random } = this.#components;
    const config = Config.fromPartial({ ...request, id: newId(random), dataVersion: 1 });
    await store.update((tx) => tx.create("config", config));
    return this.#reply(config.id);
  }

  get(request: IdRequest): ConfigReply {
    return { config: this.#components.store.view((tx) => findObject(tx, "config", request.id)) };
  }

  list(request: ListConfigsRequest): ListConfigsReply {
    const configs = this.#components.store.view((tx) => tx.list("config"));
    return {
      configs: configs.filter(({ id, annotations }) =>
        matchesFilters(request.filters, {
          id,
          names: [annotations?.name ?? ""],
          labels: annotations?.labels ?? {},
        }),
      ),
    };
  }

  /** New labels; new data, when some is given, becomes the next version and rolls the services that use it. */
  async update(request: UpdateConfigRequest): Promise<ConfigReply> {
    if (request.data.length > 0) checkConfigData(request.data);
    const id = await this.#components.store.update((tx) => {
      const config = findObject(tx, "config", request.id);
      checkVersion(config, request.version);
      const annotations = request.annotations ?? config.annotations;
      if (annotations?.name !== config.annotations?.name) {
        throw new InvalidArgumentError(
          "a config cannot be renamed: only updates to labels and data are allowed",
        );
      }
      checkFileName(annotations, "config");
      const next = { ...config, annotations };
      if (request.data.length === 0) tx.update("config", next);
      else renew(tx, "config", next, request.data);
      return config.id;
    });
    return this.#reply(id);
  }

  async remove(request: IdRequest): Promise<void> {
    await this.#components.store.update((tx) => {
      const config = findObject(tx, "config", request.id);
      refuseInUse(
        tx.list("service", { by: "configId", configId: config.id }),
        `config '${config.annotations?.name}'`,
      );
      tx.remove("config", config.id);
    });
  }

  #reply(id: string): ConfigReply {
    const config = this.#components.store.view((tx) => tx.get("config", id));
    // removed since by somebody else
    if (config === undefined) throw new NotFoundError(`config ${id} not found`);
    return { config };
  }
}

function checkConfigData(data: Uint8Array): void {
  if (data.length === 0 || data.length > CONFIG_BYTES_MAX) {
    throw new InvalidArgumentError(
      `config data must be larger than 0 and at most ${CONFIG_BYTES_MAX} bytes, got ${data.length}`,
    );
  }
}
