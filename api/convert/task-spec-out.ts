/**
 * Our TaskSpec as Docker shows it. Pure. Registry credentials are left out:
 * they are stored for the agents and shown to nobody.
 */
import {
  type ContainerSpec,
  type FileTarget,
  type GenericResource,
  type HealthConfig,
  type Mount,
  type NetworkAttachmentConfig,
  type Privileges,
  type Resources,
  RestartCondition,
  type TaskSpec,
} from "../../proto/gen/skein/v1/types.js";
import { hostOptionsOut } from "./host-options-out.js";
import { type JsonObject, type JsonValue, nanoseconds, omitEmpty, orAbsent } from "./shape.js";

const CONDITION_WORDS: Readonly<Record<string, string>> = {
  [RestartCondition.ANY]: "any",
  [RestartCondition.ON_FAILURE]: "on-failure",
  [RestartCondition.NONE]: "none",
};

function fileOut(file: FileTarget | undefined): JsonObject | undefined {
  return file === undefined ? undefined : { Name: file.name, UID: file.uid, GID: file.gid, Mode: file.mode };
}

/** Empty options differ from none: a client that sends back what it was shown must not change the task. */
function mountOut(mount: Mount): JsonObject {
  const { bindOptions: bind, volumeOptions: volume, tmpfsOptions: tmpfs } = mount;
  const head = {
    Type: mount.type,
    Source: mount.source,
    Target: mount.target,
    ReadOnly: mount.readOnly,
    Consistency: mount.consistency,
    ImageOptions: orAbsent({ Subpath: mount.imageSubpath }),
  };
  return {
    ...omitEmpty(head),
    BindOptions:
      bind &&
      omitEmpty({
        Propagation: bind.propagation,
        NonRecursive: bind.nonRecursive,
        CreateMountpoint: bind.createMountpoint,
        ReadOnlyNonRecursive: bind.readOnlyNonRecursive,
        ReadOnlyForceRecursive: bind.readOnlyForceRecursive,
      }),
    VolumeOptions:
      volume &&
      omitEmpty({
        NoCopy: volume.noCopy,
        Labels: volume.labels,
        Subpath: volume.subpath,
        DriverConfig: orAbsent({ Name: volume.driverName, Options: volume.driverOptions }),
      }),
    TmpfsOptions:
      tmpfs &&
      omitEmpty({
        SizeBytes: tmpfs.sizeBytes,
        Mode: tmpfs.mode,
        Options: tmpfs.options.map((option) => option.split("=")),
      }),
  };
}

function healthOut(health: HealthConfig | undefined): JsonObject | undefined {
  if (health === undefined) return undefined;
  return omitEmpty({
    Test: health.test,
    Interval: nanoseconds(health.intervalMs),
    Timeout: nanoseconds(health.timeoutMs),
    StartPeriod: nanoseconds(health.startPeriodMs),
    StartInterval: nanoseconds(health.startIntervalMs),
    Retries: health.retries,
  });
}

function privilegesOut(privileges: Privileges | undefined): JsonObject | undefined {
  if (privileges === undefined) return undefined;
  const other =
    privileges.otherJson.length > 0
      ? // written by container-spec-in
        (JSON.parse(Buffer.from(privileges.otherJson).toString("utf8")) as JsonObject)
      : {};
  return {
    CredentialSpec: other["CredentialSpec"] ?? null,
    SELinuxContext: other["SELinuxContext"] ?? null,
    ...omitEmpty({
      NoNewPrivileges: privileges.noNewPrivileges,
      Seccomp: orAbsent({
        Mode: privileges.seccompMode,
        Profile: Buffer.from(privileges.seccompProfile).toString("base64"),
      }),
      AppArmor: orAbsent({ Mode: privileges.apparmorMode }),
    }),
  };
}

function containerOut(spec: ContainerSpec): JsonObject {
  const { dnsConfig, init, stopGracePeriodMs } = spec;
  return {
    ...filledOut(spec),
    // Present and empty differs from absent: what a client sends back must be what it sent.
    // So does Init false, which says "no", and a grace of no time at all.
    ...(dnsConfig === undefined
      ? {}
      : {
          DNSConfig: omitEmpty({
            Nameservers: dnsConfig.nameservers,
            Search: dnsConfig.search,
            Options: dnsConfig.options,
          }),
        }),
    ...(init === undefined ? {} : { Init: init }),
    ...(stopGracePeriodMs === undefined ? {} : { StopGracePeriod: nanoseconds(stopGracePeriodMs) }),
  };
}

function filledOut(spec: ContainerSpec): JsonObject {
  return omitEmpty({
    Image: spec.image,
    Labels: spec.labels,
    Command: spec.command,
    Args: spec.args,
    Hostname: spec.hostname,
    Env: spec.env,
    Dir: spec.dir,
    User: spec.user,
    Groups: spec.groups,
    Privileges: privilegesOut(spec.privileges),
    TTY: spec.tty,
    OpenStdin: spec.openStdin,
    ReadOnly: spec.readOnly,
    Mounts: spec.mounts.map(mountOut),
    StopSignal: spec.stopSignal,
    Healthcheck: healthOut(spec.healthcheck),
    Hosts: spec.hosts,
    Secrets: spec.secrets.map((secret) => ({
      ...(secret.file === undefined ? {} : { File: fileOut(secret.file) }),
      SecretID: secret.secretId,
      SecretName: secret.secretName,
    })),
    Configs: spec.configs.map((config) => ({
      ...(config.file === undefined ? { Runtime: {} } : { File: fileOut(config.file) }),
      ConfigID: config.configId,
      ConfigName: config.configName,
    })),
    OomScoreAdj: spec.oomScoreAdj,
    Isolation: spec.isolation || "default",
    Sysctls: spec.sysctls,
    CapabilityAdd: spec.capabilityAdd,
    CapabilityDrop: spec.capabilityDrop,
    Ulimits: spec.ulimits.map(({ name, soft, hard }) => ({ Name: name, Soft: soft, Hard: hard })),
    HostConfig: hostOptionsOut(spec.host),
  });
}

export function genericOut(resource: GenericResource): JsonObject {
  if (resource.value?.$case === "named") {
    return { NamedResourceSpec: { Kind: resource.kind, Value: resource.value.value } };
  }
  return { DiscreteResourceSpec: { Kind: resource.kind, Value: resource.value?.value ?? 0 } };
}

export function resourcesOut(resources: Resources | undefined, pids = 0): JsonObject | undefined {
  if (resources === undefined && pids === 0) return undefined;
  return omitEmpty({
    NanoCPUs: resources?.nanoCpus,
    MemoryBytes: resources?.memoryBytes,
    Pids: pids,
    GenericResources: resources?.generic.map(genericOut),
  });
}

function attachmentOut(network: NetworkAttachmentConfig): JsonObject {
  return omitEmpty({
    Target: network.target,
    Aliases: network.aliases,
    Addresses: network.addresses,
    DriverOpts: network.driverAttachmentOpts,
  });
}

export function taskSpecOut(spec: TaskSpec): JsonObject {
  const { resources, restart, placement, container } = spec;
  return {
    ...(container === undefined ? {} : { ContainerSpec: containerOut(container) }),
    ...(resources === undefined
      ? {}
      : {
          Resources: {
            Limits: resourcesOut(resources.limits, resources.limitPids),
            Reservations: resourcesOut(resources.reservations),
            ...(resources.swapBytes === undefined ? {} : { SwapBytes: resources.swapBytes }),
            ...(resources.memorySwappiness === undefined
              ? {}
              : { MemorySwappiness: resources.memorySwappiness }),
          },
        }),
    ...(restart === undefined ? {} : { RestartPolicy: restartOut(restart) }),
    ...(placement === undefined
      ? {}
      : {
          Placement: omitEmpty({
            Constraints: placement.constraints,
            Preferences: placement.spreadPreferences.map((descriptor) => ({
              Spread: { SpreadDescriptor: descriptor },
            })),
            MaxReplicas: placement.maxReplicas,
            Platforms: placement.platforms.map(({ architecture, os }) =>
              omitEmpty({ Architecture: architecture, OS: os }),
            ),
          }),
        }),
    ...omitEmpty({
      Networks: spec.networks.map(attachmentOut),
      LogDriver: spec.logDriver && omitEmpty({ Name: spec.logDriver.name, Options: spec.logDriver.options }),
    }),
    ForceUpdate: spec.forceUpdate,
    Runtime: "container",
  };
}

function restartOut(restart: NonNullable<TaskSpec["restart"]>): JsonObject {
  const out: Record<string, JsonValue | undefined> = { Condition: CONDITION_WORDS[restart.condition] };
  if (restart.delayMs !== undefined) out["Delay"] = nanoseconds(restart.delayMs);
  if (restart.windowMs !== 0) out["Window"] = nanoseconds(restart.windowMs);
  out["MaxAttempts"] = restart.maxAttempts;
  return out;
}
