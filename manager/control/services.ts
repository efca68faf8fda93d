/**
 * Services: created, updated, rolled back, scaled, listed, removed.
 * Pure over the store. Invariants: a stored specification is valid and refers by id;
 * `spec_version` moves exactly when the meaning of the specification does, or a paused update goes on;
 * credentials for pulling are never answered.
 */
import {
  FailedPreconditionError,
  InvalidArgumentError,
  NotFoundError,
  NotImplementedError,
} from "../../base/errors/errors.js";
import { newId } from "../../base/random/ids.js";
import type {
  CreateServiceRequest,
  IdRequest,
  ListServicesReply,
  ListServicesRequest,
  ServiceCounts,
  ServiceReply,
  UpdateServiceRequest,
} from "../../proto/gen/skein/v1/control.js";
import { Service } from "../../proto/gen/skein/v1/objects.js";
import { type JobStatus, type ServiceSpec, UpdateState } from "../../proto/gen/skein/v1/types.js";
import { versionOf } from "../store/tables.js";
import type { ReadTx } from "../store/types.js";
import { checkSpecVersion } from "./annotations.js";
import type { ControlComponents } from "./control-components.js";
import { findObject } from "./find-object.js";
import { refuseWithoutIngress } from "./ingress-network.js";
import { matchesFilters } from "./list-filters.js";
import { countTasks } from "./service-counts.js";
import { refuseTakenPorts, resolveReferences } from "./service-references.js";
import { checkServiceSpec } from "./service-validation.js";
import { describeSpecChange } from "./spec-change.js";
import { compareServiceSpecs, pullAuthOf, withPullAuth } from "./spec-comparison.js";

const MODE_NAMES = {
  replicated: "replicated",
  global: "global",
  replicatedJob: "replicated-job",
  globalJob: "global-job",
} as const;

export class ServiceControl {
  readonly #components: ControlComponents;

  constructor(components: ControlComponents) {
    this.#components = components;
  }

  async create(request: CreateServiceRequest): Promise<ServiceReply> {
    const { store, random } = this.#components;
    checkServiceSpec(required(request.spec));
    const id = newId(random);
    await store.update((tx) => tx.create("service", this.#created(tx, request, id)));
    return this.#reply(id);
  }

  /** The service as it would be created; nothing is written. @throws what `create` does, but for a taken name. */
  supposeCreated(tx: ReadTx, request: CreateServiceRequest, id: string): Service {
    checkServiceSpec(required(request.spec));
    return { ...this.#created(tx, request, id), specVersion: { index: 1 } };
  }

  /** The service as it would be updated; the version asked for is not looked at. @throws what `update` does. */
  supposeUpdated(tx: ReadTx, request: UpdateServiceRequest): Service {
    if (!request.rollback) checkServiceSpec(required(request.spec));
    const service = findObject(tx, "service", request.id);
    const changed = request.rollback ? this.#rolledBack(tx, service) : this.#changed(tx, service, request);
    return changed === undefined ? service : { ...changed, specVersion: { index: versionOf(service) + 1 } };
  }

  #created(tx: ReadTx, request: CreateServiceRequest, id: string): Service {
    const given = required(request.spec);
    const spec = {
      ...given,
      task: withPullAuth(resolveReferences(tx, taskOf(given)), request.registryAuth),
    };
    refuseTakenPorts(tx, spec, id);
    refuseWithoutIngress(tx, spec);
    const jobStatus = isJob(spec)
      ? { iteration: 0, lastExecutionMs: this.#components.clock.nowMs() }
      : undefined;
    return Service.fromPartial({ id, spec, ...(jobStatus === undefined ? {} : { jobStatus }) });
  }

  get(request: IdRequest): ServiceReply {
    const service = this.#components.store.view((tx) => findObject(tx, "service", request.id));
    return { service: withoutCredentials(service), warnings: [] };
  }

  list(request: ListServicesRequest): ListServicesReply {
    return this.#components.store.view((tx) => {
      const services = tx.list("service").filter(({ id, spec, pendingDelete }) => {
        const { name = "", labels = {} } = spec?.annotations ?? {};
        return (
          !pendingDelete &&
          matchesFilters(request.filters, { id, names: [name], labels }) &&
          (request.modes.length === 0 || request.modes.includes(modeName(spec)))
        );
      });
      const counts: Record<string, ServiceCounts> = {};
      for (const service of request.status ? services : []) {
        counts[service.id] = countTasks(service, {
          tasks: tx.list("task", { by: "serviceId", serviceId: service.id }),
          node: (id) => tx.get("node", id),
        });
      }
      return { services: services.map(withoutCredentials), counts };
    });
  }

  async update(request: UpdateServiceRequest): Promise<ServiceReply> {
    const { store } = this.#components;
    if (!request.rollback) checkServiceSpec(required(request.spec));
    const id = await store.update((tx) => {
      const service = findObject(tx, "service", request.id);
      checkSpecVersion(service, request.version);
      const changed = request.rollback ? this.#rolledBack(tx, service) : this.#changed(tx, service, request);
      if (changed !== undefined) tx.update("service", changed);
      return service.id;
    });
    return this.#reply(id);
  }

  /** Removes the object; its tasks are stopped by the orchestrator. */
  async remove(request: IdRequest): Promise<void> {
    await this.#components.store.update((tx) =>
      tx.remove("service", findObject(tx, "service", request.id).id),
    );
  }

  /** @returns undefined when the request changes nothing. */
  #changed(tx: ReadTx, service: Service, request: UpdateServiceRequest): Service | undefined {
    const before = required(service.spec);
    const given = required(request.spec);
    if (given.annotations?.name !== before.annotations?.name) {
      throw new NotImplementedError("renaming services is not supported");
    }
    if (given.mode?.$case !== before.mode?.$case)
      throw new NotImplementedError("service mode change is not allowed");
    const pullAuth = pullAuthFor(service, request);
    const forced = taskOf(given).forceUpdate !== (before.task?.forceUpdate ?? 0);
    const task = resolveReferences(tx, taskOf(given), forced || isJob(given) ? undefined : before);
    const resolved = { ...given, task: withPullAuth(task, pullAuth) };
    const { same, sameRun, merged } = compareServiceSpecs(before, resolved);
    if (same) {
      const spec = pullAuthOf(before) === pullAuth ? before : { ...before, task: merged.task };
      if (isPaused(service)) return { ...service, spec, specVersion: { index: 0 }, updateStatus: undefined };
      return spec === before ? undefined : { ...service, spec };
    }
    refuseTakenPorts(tx, merged, service.id);
    refuseWithoutIngress(tx, merged);
    return {
      ...service,
      spec: merged,
      specVersion: { index: 0 }, // the store puts the entry's index here
      specChange: describeSpecChange(before, merged),
      previousSpec: before,
      previousSpecVersion: service.specVersion,
      updateStatus: undefined,
      jobStatus: sameRun ? service.jobStatus : this.#nextJobStatus(merged, service),
    };
  }

  #rolledBack(tx: ReadTx, service: Service): Service {
    const { previousSpec } = service;
    if (previousSpec === undefined) {
      throw new FailedPreconditionError(
        `service ${service.spec?.annotations?.name} does not have a previous spec`,
      );
    }
    resolveReferences(tx, taskOf(previousSpec));
    refuseTakenPorts(tx, previousSpec, service.id);
    refuseWithoutIngress(tx, previousSpec);
    return {
      ...service,
      spec: previousSpec,
      specVersion: { index: 0 }, // tasks of the old one are up to date all the same, for they mean the same
      specChange: describeSpecChange(service.spec, previousSpec),
      previousSpec: service.spec,
      previousSpecVersion: service.specVersion,
      updateStatus: {
        state: UpdateState.ROLLBACK_STARTED,
        startedAtMs: this.#components.clock.nowMs(),
        completedAtMs: 0,
        message: "manually requested rollback",
      },
      jobStatus: this.#nextJobStatus(previousSpec, service),
    };
  }

  /** A changed job runs again, as its next iteration. */
  #nextJobStatus(spec: ServiceSpec, service: Service): JobStatus | undefined {
    if (!isJob(spec)) return undefined;
    return {
      iteration: (service.jobStatus?.iteration ?? 0) + 1,
      lastExecutionMs: this.#components.clock.nowMs(),
    };
  }

  #reply(id: string): ServiceReply {
    const service = this.#components.store.view((tx) => tx.get("service", id));
    // removed since by somebody else
    if (service === undefined) throw new NotFoundError(`service ${id} not found`);
    return { service: withoutCredentials(service), warnings: [] };
  }
}

function required(spec: ServiceSpec | undefined): ServiceSpec {
  if (spec === undefined) throw new InvalidArgumentError("a service needs a specification");
  return spec;
}

function taskOf(spec: ServiceSpec): NonNullable<ServiceSpec["task"]> {
  if (spec.task === undefined) throw new InvalidArgumentError("a service needs a task specification");
  return spec.task;
}

function isJob(spec: ServiceSpec): boolean {
  return spec.mode?.$case === "replicatedJob" || spec.mode?.$case === "globalJob";
}

/** Any update lets it go on, even one that changes nothing. */
function isPaused({ updateStatus }: Service): boolean {
  return updateStatus?.state === UpdateState.PAUSED || updateStatus?.state === UpdateState.ROLLBACK_PAUSED;
}

export function modeName(spec: ServiceSpec | undefined): string {
  return spec?.mode === undefined ? "" : MODE_NAMES[spec.mode.$case];
}

/** Credentials given with the request; else those of the current or the previous specification. */
function pullAuthFor(service: Service, request: UpdateServiceRequest): string {
  if (request.registryAuth !== "") return request.registryAuth;
  switch (request.registryAuthFrom) {
    case "":
    case "spec":
      return pullAuthOf(service.spec);
    case "previous-spec":
      return pullAuthOf(service.previousSpec);
    default:
      throw new InvalidArgumentError(
        `registryAuthFrom must be spec or previous-spec, got "${request.registryAuthFrom}"`,
      );
  }
}

function withoutCredentials(service: Service): Service {
  const hide = (spec: ServiceSpec | undefined): ServiceSpec | undefined =>
    spec === undefined ? undefined : { ...spec, task: withPullAuth(spec.task, "") };
  return { ...service, spec: hide(service.spec), previousSpec: hide(service.previousSpec) };
}
