/**
 * Services of a definition against the rules and the store as it will be: every name resolved, every port
 * free.
 * Pure over a read of the store. Invariant: all services are supposed before the first one's ports are looked
 * at, so that a port may move from one to another.
 */
import { InvalidArgumentError, messageOf, SkeinError } from "../../../base/errors/errors.js";
import { newId } from "../../../base/random/ids.js";
import { Service } from "../../../proto/gen/skein/v1/objects.js";
import type { StackService } from "../../../proto/gen/skein/v1/stack_types.js";
import { type ServiceSpec, type TaskSpec, UpdateState } from "../../../proto/gen/skein/v1/types.js";
import { isLeaving } from "../../control/find-object.js";
import { refuseWithoutIngress } from "../../control/ingress-network.js";
import { refuseTakenPorts, resolveReferences } from "../../control/service-references.js";
import { serviceSpecFaults } from "../../control/service-validation.js";
import { compareServiceSpecs, pullAuthOf, withPullAuth } from "../../control/spec-comparison.js";
import { deepEqual } from "../../orchestrator/spec-equality.js";
import { chosenPorts, conflictingPortKeys, portKey } from "../../store/index-keys.js";
import { type FileCheck, versionKey } from "./check-files.js";
import type { DefinitionFaults } from "./definition-faults.js";
import { labelled, namedSpec, storedSpec } from "./definition-form.js";
import type { Sliced } from "./look-ahead.js";
import { checkOwner } from "./object-owner.js";
import { SupposedTx } from "./supposed-tx.js";

export interface CheckedService {
  readonly form: StackService;
  /** As it is; undefined: it is new. Another than `after` by its id: it makes way. */
  readonly before: Service | undefined;
  /** As it is to be. */
  readonly after: Service;
  /** Nothing of it differs. */
  readonly same: boolean;
}

export function* checkServices(
  services: readonly StackService[],
  check: FileCheck,
): Sliced<readonly CheckedService[]> {
  const found: CheckedService[] = [];
  for (const service of services) {
    yield;
    const checked = check.faults.attempt("service", service.key, () => ownService(service, check));
    if (checked === undefined) continue;
    check.supposed.put("service", { ...checked.after, endpoint: undefined });
    found.push(checked);
  }
  refuseSharedPorts(found, check.faults);
  const others = new SupposedTx(check.supposed);
  for (const { after } of found) others.remove("service", after.id);
  for (const { form, after } of found) {
    yield;
    const { spec } = after;
    if (spec === undefined) continue;
    for (const rule of [refuseTakenPorts, refuseWithoutIngress])
      check.faults.attempt("service", form.key, () => rule(others, spec, after.id));
  }
  return found;
}

/** Ports that two services of the definition want. */
function refuseSharedPorts(services: readonly CheckedService[], faults: DefinitionFaults): void {
  const holders = new Map<string, string>();
  for (const { form, after } of services) {
    const ports = chosenPorts(after.spec);
    for (const port of ports) {
      const holder = conflictingPortKeys(port).flatMap((key) => holders.get(key) ?? [])[0];
      if (holder !== undefined)
        faults.add(
          "service",
          form.key,
          `port '${port.publishedPort}' is published by service ${holder}, too`,
        );
    }
    for (const port of ports) holders.set(portKey(port), form.key);
  }
}

/** @returns undefined when faults were found that leave nothing to go on with. */
function ownService(service: StackService, check: FileCheck): CheckedService | undefined {
  const { tx, supposed, stackName, random, faults } = check;
  const { key } = service;
  if (service.spec === undefined) throw new InvalidArgumentError("it needs a specification");
  const faultsBefore = faults.count;
  for (const rule of serviceSpecFaults(service.spec)) faults.add("service", key, rule);
  const annotations = labelled(service.spec.annotations, stackName);
  const before = tx
    .list("service", { by: "name", name: annotations.name })
    .find((other) => !isLeaving(other));
  faults.attempt("service", key, () => checkOwner("service", before?.spec?.annotations, stackName));
  for (const rule of missingReferences(service.spec, check)) faults.add("service", key, rule);
  if (faults.count > faultsBefore) return undefined;
  const pullAuth = service.registryAuth || pullAuthOf(service.spec) || pullAuthOf(before?.spec);
  const task = withPullAuth(withOwnVersions(service.spec.task, check), pullAuth);
  const changed = before?.spec?.mode?.$case === service.spec.mode?.$case ? before : undefined;
  const stored = storedSpec(supposed, { ...service.spec, annotations, task }, changed?.spec);
  const form = { ...service, spec: namedSpec(supposed, stored), registryAuth: "" };
  if (changed?.spec !== undefined) {
    const { same, sameRun, merged } = deepEqual(changed.spec, stored)
      ? { same: true, sameRun: true, merged: changed.spec }
      : compareServiceSpecs(changed.spec, stored);
    const isSame = same && !isPaused(changed);
    return { form, before, after: same ? changed : changedService(changed, merged, sameRun), same: isSame };
  }
  // its mode cannot change: it goes, and another takes its name
  if (before !== undefined) supposed.remove("service", before.id);
  const id = newId(random);
  const isJob = stored.mode?.$case === "replicatedJob" || stored.mode?.$case === "globalJob";
  const jobStatus = isJob ? { jobStatus: { iteration: 0 } } : {};
  const after = Service.fromPartial({ id, spec: stored, specVersion: { index: 1 }, ...jobStatus });
  return { form, before, after, same: false };
}

/** An update that is paused goes on with any deployment. */
function isPaused({ updateStatus }: Service): boolean {
  return updateStatus?.state === UpdateState.PAUSED || updateStatus?.state === UpdateState.ROLLBACK_PAUSED;
}

/** What the definition itself has is used in the version it has there. */
function withOwnVersions(task: TaskSpec | undefined, { versions }: FileCheck): TaskSpec | undefined {
  if (task?.container === undefined) return task;
  const { container } = task;
  const secrets = container.secrets.map((reference) => {
    const version = versions.get(versionKey("secret", reference.secretName || reference.secretId));
    return version === undefined ? reference : { ...reference, version };
  });
  const configs = container.configs.map((reference) => {
    const version = versions.get(versionKey("config", reference.configName || reference.configId));
    return version === undefined ? reference : { ...reference, version };
  });
  return { ...task, container: { ...container, secrets, configs } };
}

/** @param sameRun a job that is still the same does not run again. */
function changedService(before: Service, spec: ServiceSpec, sameRun: boolean): Service {
  return {
    ...before,
    spec,
    specVersion: { index: (before.meta?.version?.index ?? 0) + 1 },
    previousSpec: before.spec,
    previousSpecVersion: before.specVersion,
    updateStatus: undefined,
    jobStatus:
      sameRun || before.jobStatus === undefined
        ? before.jobStatus
        : { ...before.jobStatus, iteration: before.jobStatus.iteration + 1 },
  };
}

/** Each network, secret and config that is not there, not the first alone. */
function missingReferences(spec: ServiceSpec, { supposed }: FileCheck): readonly string[] {
  const { task } = spec;
  if (task === undefined) return [];
  const { container } = task;
  const alone = [
    ...task.networks.map((network) => ({ ...task, networks: [network], container: undefined })),
    ...[...(container?.secrets ?? [])].map((secret) => ({
      ...task,
      networks: [],
      container: container && { ...container, secrets: [secret], configs: [] },
    })),
    ...[...(container?.configs ?? [])].map((config) => ({
      ...task,
      networks: [],
      container: container && { ...container, secrets: [], configs: [config] },
    })),
    task,
  ];
  const rules = new Set<string>();
  for (const part of alone) {
    if (part === task && rules.size > 0) break; // it would say the first of them again
    try {
      resolveReferences(supposed, part);
    } catch (error) {
      if (!(error instanceof SkeinError)) throw error;
      rules.add(messageOf(error));
    }
  }
  return [...rules];
}
