/**
 * When two service specifications mean the same: order does not count where it has no meaning,
 * and an absent setting equals its default. What means the same keeps its old spelling,
 * so that nothing is restarted over it.
 * Pure.
 */
import {
  ContainerSpec,
  DnsConfig,
  EndpointSpec,
  Placement,
  Privileges,
  ResourceRequirements,
  Resources,
  RestartPolicy,
  type ServiceSpec,
  TaskSpec,
  UpdateConfig,
} from "../../proto/gen/skein/v1/types.js";
import { deepEqual } from "../orchestrator/spec-equality.js";

const RESTART_DELAY_MS = 5_000;
const MONITOR_MS = 5_000;
const STOP_GRACE_MS = 10_000;
const DEFAULT_UPDATE = UpdateConfig.fromPartial({ parallelism: 1 });

export interface SpecComparison {
  /** Nothing differs that anybody could notice, credentials for pulling aside. */
  readonly same: boolean;
  /** The new specification, in the old spelling where that means the same. */
  readonly merged: ServiceSpec;
}

export function compareServiceSpecs(before: ServiceSpec, after: ServiceSpec): SpecComparison {
  const sameTask = deepEqual(normalTask(before.task), normalTask(after.task));
  const sameEndpoint = deepEqual(normalEndpoint(before.endpoint), normalEndpoint(after.endpoint));
  const same =
    sameTask &&
    sameEndpoint &&
    deepEqual(before.annotations, after.annotations) &&
    deepEqual(before.mode, after.mode) &&
    deepEqual(normalUpdate(before.update), normalUpdate(after.update)) &&
    deepEqual(normalUpdate(before.rollback), normalUpdate(after.rollback));
  return {
    same,
    merged: {
      ...after,
      task: sameTask ? withPullAuth(before.task, pullAuthOf(after)) : after.task,
      endpoint: sameEndpoint ? before.endpoint : after.endpoint,
    },
  };
}

export function pullAuthOf(spec: ServiceSpec | undefined): string {
  return spec?.task?.container?.pullAuth ?? "";
}

export function withPullAuth(task: TaskSpec | undefined, pullAuth: string): TaskSpec | undefined {
  if (task?.container === undefined || task.container.pullAuth === pullAuth) return task;
  return { ...task, container: { ...task.container, pullAuth } };
}

function sorted<T>(items: readonly T[], keyOf: (item: T) => string): readonly T[] {
  return items
    .map((item) => ({ item, key: keyOf(item) }))
    .sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
    .map(({ item }) => item);
}

const asText = (text: string): string => text;

function normalTask(task: TaskSpec = TaskSpec.fromPartial({})): unknown {
  return {
    ...task,
    container: normalContainer(task.container),
    resources: normalResources(task.resources),
    restart: normalRestart(task.restart),
    placement: normalPlacement(task.placement),
    networks: sorted(
      task.networks.map((network) => ({ ...network, aliases: sorted(network.aliases, asText) })),
      ({ target }) => target,
    ),
  };
}

function normalContainer(container: ContainerSpec = ContainerSpec.fromPartial({})): unknown {
  return {
    ...container,
    pullAuth: "",
    // One client sends an empty object where another sends none.
    privileges: container.privileges ?? Privileges.fromPartial({}),
    dnsConfig: container.dnsConfig ?? DnsConfig.fromPartial({}),
    stopGracePeriodMs: container.stopGracePeriodMs ?? STOP_GRACE_MS,
    env: sorted(container.env, asText),
    groups: sorted(container.groups, asText),
    mounts: sorted(container.mounts, ({ target }) => target),
    secrets: sorted(container.secrets, ({ secretId, file }) => `${secretId}/${file?.name}`),
    configs: sorted(container.configs, ({ configId, file }) => `${configId}/${file?.name}`),
    capabilityAdd: sorted(container.capabilityAdd, asText),
    capabilityDrop: sorted(container.capabilityDrop, asText),
    ulimits: sorted(container.ulimits, ({ name }) => name),
  };
}

function normalResources(resources: ResourceRequirements = ResourceRequirements.fromPartial({})): unknown {
  const none = Resources.fromPartial({});
  return { ...resources, limits: resources.limits ?? none, reservations: resources.reservations ?? none };
}

function normalRestart(restart: RestartPolicy = RestartPolicy.fromPartial({})): unknown {
  return { ...restart, delayMs: restart.delayMs ?? RESTART_DELAY_MS };
}

/** The order of spread preferences has a meaning; that of constraints has none. */
function normalPlacement(placement: Placement = Placement.fromPartial({})): unknown {
  return {
    ...placement,
    constraints: sorted(placement.constraints, asText),
    platforms: sorted(placement.platforms, ({ os, architecture }) => `${os}/${architecture}`),
  };
}

function normalUpdate(update: UpdateConfig = DEFAULT_UPDATE): unknown {
  return { ...update, monitorMs: update.monitorMs ?? MONITOR_MS };
}

function normalEndpoint(endpoint: EndpointSpec = EndpointSpec.fromPartial({})): unknown {
  return {
    ...endpoint,
    ports: sorted(
      endpoint.ports,
      (port) => `${port.protocol}/${port.targetPort}/${port.publishedPort}/${port.publishMode}`,
    ),
  };
}
