/**
 * Secrets: created, listed, relabelled, given new data, removed. Their data goes in and never comes out.
 * Pure over the store.
 */
import { FailedPreconditionError, InvalidArgumentError, NotFoundError } from "../../base/errors/errors.js";
import { newId } from "../../base/random/ids.js";
import type {
  CreateSecretRequest,
  IdRequest,
  ListSecretsReply,
  ListSecretsRequest,
  SecretReply,
  UpdateSecretRequest,
} from "../../proto/gen/skein/v1/control.js";
import { Secret, type Service } from "../../proto/gen/skein/v1/objects.js";
import type { ReadTx } from "../store/types.js";
import { checkFileName, checkVersion } from "./annotations.js";
import type { ControlComponents } from "./control-components.js";
import { renew } from "./data-rollout.js";
import { findObject } from "./find-object.js";
import { matchesFilters } from "./list-filters.js";

/** Bytes. Source: SwarmKit's limit. */
export const SECRET_BYTES_MAX = 500 * 1024;

export class SecretControl {
  readonly #components: ControlComponents;

  constructor(components: ControlComponents) {
    this.#components = components;
  }

  async create(request: CreateSecretRequest): Promise<SecretReply> {
    checkFileName(request.annotations, "secret");
    checkTemplate(request.templateDriver);
    if (request.driverName === "") checkSecretData(request.data);
    else checkDriver(request);
    const { store, random } = this.#components;
    const secret = Secret.fromPartial({ ...request, id: newId(random), dataVersion: 1 });
    await store.update((tx) => tx.create("secret", secret));
    return this.#reply(secret.id);
  }

  get(request: IdRequest): SecretReply {
    return { secret: withoutData(this.#components.store.view((tx) => findObject(tx, "secret", request.id))) };
  }

  list(request: ListSecretsRequest): ListSecretsReply {
    const secrets = this.#components.store.view((tx) => tx.list("secret"));
    return {
      secrets: secrets
        .filter(({ id, annotations }) =>
          matchesFilters(request.filters, {
            id,
            names: [annotations?.name ?? ""],
            labels: annotations?.labels ?? {},
          }),
        )
        .map(withoutData),
    };
  }

  /** New labels; new data, when some is given, becomes the next version and rolls the services that use it. */
  async update(request: UpdateSecretRequest): Promise<SecretReply> {
    if (request.data.length > 0) checkSecretData(request.data);
    const id = await this.#components.store.update((tx) => {
      const secret = findObject(tx, "secret", request.id);
      checkVersion(secret, request.version);
      const annotations = request.annotations ?? secret.annotations;
      if (annotations?.name !== secret.annotations?.name) {
        throw new InvalidArgumentError(
          "a secret cannot be renamed: only updates to labels and data are allowed",
        );
      }
      checkFileName(annotations, "secret");
      const next = { ...secret, annotations };
      if (secret.driverName !== "" && request.data.length > 0)
        throw new InvalidArgumentError(`the data of this secret comes from its driver ${secret.driverName}`);
      if (request.data.length === 0) tx.update("secret", next);
      else renew(tx, "secret", next, request.data);
      return secret.id;
    });
    return this.#reply(id);
  }

  async remove(request: IdRequest): Promise<void> {
    await this.#components.store.update((tx) => {
      const secret = findObject(tx, "secret", request.id);
      refuseInUse(
        tx.list("service", { by: "secretId", secretId: secret.id }),
        `secret '${secret.annotations?.name}'`,
      );
      tx.remove("secret", secret.id);
    });
  }

  #reply(id: string): SecretReply {
    return { secret: withoutData(this.#components.store.view((tx) => stored(tx, id))) };
  }
}

function stored(tx: ReadTx, id: string): Secret {
  const secret = tx.get("secret", id);
  // removed since by somebody else
  if (secret === undefined) throw new NotFoundError(`secret ${id} not found`);
  return secret;
}

function withoutData(secret: Secret): Secret {
  const oldVersions = secret.oldVersions.map((version) => ({ ...version, data: new Uint8Array() }));
  return { ...secret, data: new Uint8Array(), oldVersions };
}

function checkSecretData(data: Uint8Array): void {
  if (data.length === 0 || data.length > SECRET_BYTES_MAX) {
    throw new InvalidArgumentError(
      `secret data must be larger than 0 and at most ${SECRET_BYTES_MAX} bytes, got ${data.length}`,
    );
  }
}

/** As plugins are named; whether there is one is known when a task needs it. */
const DRIVER_NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$/;
const DRIVER_OPTIONS_MAX = 64;

/** @throws {InvalidArgumentError} a name that no plugin can have, or data, which the driver gives. */
export function checkDriver({
  driverName,
  driverOptions,
  data,
}: Pick<CreateSecretRequest, "driverName" | "driverOptions" | "data">): void {
  if (!DRIVER_NAME.test(driverName))
    throw new InvalidArgumentError(
      `the driver of a secret must be the name of a plugin, got ${JSON.stringify(driverName)}`,
    );
  if (data.length > 0)
    throw new InvalidArgumentError(`a secret of the driver ${driverName} has no data: the driver gives it`);
  if (Object.keys(driverOptions).length > DRIVER_OPTIONS_MAX)
    throw new InvalidArgumentError(`the driver of a secret may have ${DRIVER_OPTIONS_MAX} options`);
}

/** @throws {InvalidArgumentError} for a template driver nobody knows. */
export function checkTemplate(driver: string): void {
  if (driver !== "" && driver !== "golang") {
    throw new InvalidArgumentError(`template driver "${driver}" is not supported: only golang is`);
  }
}

/** @throws {FailedPreconditionError} naming the services. */
export function refuseInUse(services: readonly Service[], what: string): void {
  if (services.length === 0) return;
  const names = services.map((service) => service.spec?.annotations?.name || service.id).sort();
  const noun = names.length === 1 ? "service" : "services";
  throw new FailedPreconditionError(`${what} is in use by the following ${noun}: ${names.join(", ")}`);
}
