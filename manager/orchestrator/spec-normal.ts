/**
 * Specifications in a form in which those that mean the same are equal: order does not count where it has no
 * meaning, an absent setting equals its default, an image goes by its full name.
 * Pure. For comparison only: a normal form is never stored. Source: the defaults of the Docker Engine API.
 */
import {
  BindOptions,
  ContainerSpec,
  DnsConfig,
  EndpointSpec,
  type FileTarget,
  HealthConfig,
  type Mount,
  Placement,
  PlacementStrategy,
  Privileges,
  ResourceRequirements,
  Resources,
  RestartPolicy,
  type ServiceSpec,
  TaskSpec,
  TmpfsOptions,
  UpdateConfig,
  VolumeOptions,
} from "../../proto/gen/skein/v1/types.js";
import { normalHost, runningHost } from "./host-normal.js";

const RESTART_DELAY_MS = 5_000;
const MONITOR_MS = 5_000;
const STOP_GRACE_MS = 10_000;
const DEFAULT_UPDATE = UpdateConfig.fromPartial({ parallelism: 1 });

/** Credentials for pulling do not count. */
export function normalTask(task: TaskSpec = TaskSpec.fromPartial({})): object {
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

/**
 * What a task runs as: the strategy chose its node, and is asked again when a task is placed next.
 * Credentials for pulling, and when to pull again, do not count.
 */
export function normalRun(task: TaskSpec = TaskSpec.fromPartial({})): object {
  const placement = { ...(task.placement ?? Placement.fromPartial({})), strategy: PlacementStrategy.DEFAULT };
  const { container } = task;
  const run = container?.host && { ...container, host: runningHost(container.host) };
  return normalTask({ ...task, placement, ...(run === undefined ? {} : { container: run }) });
}

export function normalContainer(container: ContainerSpec = ContainerSpec.fromPartial({})): object {
  return {
    ...container,
    image: normalImage(container.image),
    pullAuth: "",
    // One client sends an empty object where another sends none.
    privileges: container.privileges ?? Privileges.fromPartial({}),
    dnsConfig: container.dnsConfig ?? DnsConfig.fromPartial({}),
    healthcheck: container.healthcheck ?? HealthConfig.fromPartial({}),
    stopGracePeriodMs: container.stopGracePeriodMs ?? STOP_GRACE_MS,
    isolation: container.isolation || "default",
    env: normalEnv(container.env),
    groups: sorted(container.groups, asText),
    mounts: sorted(container.mounts.map(normalMount), ({ target }) => target),
    secrets: sorted(
      container.secrets.map((secret) => ({
        ...secret,
        version: secret.version || 1,
        file: normalFile(secret.file),
      })),
      ({ secretId, file }) => `${secretId}/${file?.name}`,
    ),
    configs: sorted(
      container.configs.map((config) => ({
        ...config,
        version: config.version || 1,
        file: normalFile(config.file),
      })),
      ({ configId, file }) => `${configId}/${file?.name}`,
    ),
    capabilityAdd: sorted(container.capabilityAdd.map(normalCapability), asText),
    capabilityDrop: sorted(container.capabilityDrop.map(normalCapability), asText),
    ulimits: sorted(container.ulimits, ({ name }) => name),
    devices: sorted(container.devices, asText),
    host: normalHost(container.host),
  };
}

/**
 * @returns the reference with registry and tag written out: "docker.io/library/nginx:latest" for "nginx".
 * With
 * a digest the tag "latest" says nothing and is left out.
 */
export function normalImage(image: string): string {
  if (image === "") return "";
  const [reference = "", digest] = image.split("@", 2);
  const colon = reference.lastIndexOf(":");
  const hasTag = colon > reference.lastIndexOf("/");
  const name = hasTag ? reference.slice(0, colon) : reference;
  const tag = hasTag ? reference.slice(colon + 1) : "latest";
  const slash = name.indexOf("/");
  const first = slash < 0 ? "" : name.slice(0, slash);
  const hasRegistry = /[.:]/.test(first) || first === "localhost";
  const registry = !hasRegistry || first === "index.docker.io" ? "docker.io" : first;
  const path = hasRegistry ? name.slice(slash + 1) : name;
  const full = `${registry}/${registry === "docker.io" && !path.includes("/") ? "library/" : ""}${path}`;
  if (digest === undefined) return `${full}:${tag}`;
  return tag === "latest" ? `${full}@${digest}` : `${full}:${tag}@${digest}`;
}

/** The last of two variables of one name wins, so their order counts then. */
function normalEnv(env: readonly string[]): readonly string[] {
  const names = new Set(env.map((variable) => variable.split("=", 1)[0]));
  return names.size === env.length ? sorted(env, asText) : env;
}

function normalMount(mount: Mount): Mount {
  return {
    ...mount,
    consistency: mount.consistency || "default",
    bindOptions: mount.bindOptions ?? BindOptions.fromPartial({}),
    volumeOptions: mount.volumeOptions ?? VolumeOptions.fromPartial({}),
    tmpfsOptions: mount.tmpfsOptions ?? TmpfsOptions.fromPartial({}),
  };
}

function normalFile(file: FileTarget | undefined): FileTarget | undefined {
  return file && { ...file, uid: file.uid || "0", gid: file.gid || "0" };
}

function normalCapability(name: string): string {
  const upper = name.toUpperCase();
  return upper.startsWith("CAP_") ? upper.slice("CAP_".length) : upper;
}

export function normalResources(
  resources: ResourceRequirements = ResourceRequirements.fromPartial({}),
): object {
  const normal = (part: Resources = Resources.fromPartial({})): Resources => ({
    ...part,
    generic: sorted(part.generic, ({ kind, value }) => `${kind} ${value?.value}`),
  });
  return { ...resources, limits: normal(resources.limits), reservations: normal(resources.reservations) };
}

export function normalRestart(restart: RestartPolicy = RestartPolicy.fromPartial({})): object {
  return { ...restart, delayMs: restart.delayMs ?? RESTART_DELAY_MS };
}

/** The order of spread preferences has a meaning; that of constraints has none. */
export function normalPlacement(placement: Placement = Placement.fromPartial({})): object {
  return {
    ...placement,
    constraints: sorted(placement.constraints, asText),
    platforms: sorted(placement.platforms, ({ os, architecture }) => `${os}/${architecture}`),
  };
}

export function normalUpdate(update: UpdateConfig = DEFAULT_UPDATE): object {
  return { ...update, monitorMs: update.monitorMs ?? MONITOR_MS };
}

export function normalEndpoint(endpoint: EndpointSpec = EndpointSpec.fromPartial({})): object {
  return {
    ...endpoint,
    ports: sorted(
      endpoint.ports.map((port) => ({
        ...port,
        hostAddresses: sorted(port.hostAddresses, asText),
        allowedSources: sorted(port.allowedSources, asText),
      })),
      (port) => `${port.protocol}/${port.targetPort}/${port.publishedPort}/${port.publishMode}`,
    ),
  };
}

/** A job runs as many tasks at once as it needs in all, unless told otherwise. */
export function normalMode(mode: ServiceSpec["mode"]): object | undefined {
  if (mode?.$case !== "replicatedJob") return mode;
  const total = mode.value.totalCompletions || mode.value.maxConcurrent || 1;
  return { ...mode, value: { totalCompletions: total, maxConcurrent: mode.value.maxConcurrent || total } };
}

function sorted<T>(items: readonly T[], keyOf: (item: T) => string): T[] {
  return items
    .map((item) => ({ item, key: keyOf(item) }))
    .sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
    .map(({ item }) => item);
}

const asText = (text: string): string => text;
