/**
 * Docker's ContainerSpec to ours. Pure.
 */
import {
  type ConfigReference,
  ContainerSpec,
  type FileTarget,
  HealthConfig,
  type Mount,
  type Privileges,
  type SecretReference,
} from "../../proto/gen/skein/v1/types.js";
import type { Fields } from "./fields.js";
import { hostOptionsIn } from "./host-options-in.js";

function fileIn(file: Fields | undefined): FileTarget | undefined {
  if (file === undefined) return undefined;
  return {
    name: file.string("Name"),
    uid: file.string("UID") || "0",
    gid: file.string("GID") || "0",
    mode: file.integer("Mode"),
  };
}

function secretIn(fields: Fields): SecretReference {
  return {
    secretId: fields.string("SecretID"),
    secretName: fields.string("SecretName"),
    file: fileIn(fields.object("File")),
    version: 0,
  };
}

function configIn(fields: Fields): ConfigReference {
  fields.object("Runtime");
  return {
    configId: fields.string("ConfigID"),
    configName: fields.string("ConfigName"),
    file: fileIn(fields.object("File")),
    version: 0,
  };
}

function mountIn(fields: Fields): Mount {
  const bind = fields.object("BindOptions");
  const volume = fields.object("VolumeOptions");
  const tmpfs = fields.object("TmpfsOptions");
  const driver = volume?.object("DriverConfig");
  return {
    type: fields.string("Type") || "volume",
    source: fields.string("Source"),
    target: fields.string("Target"),
    readOnly: fields.bool("ReadOnly"),
    consistency: fields.string("Consistency"),
    bindOptions:
      bind === undefined
        ? undefined
        : {
            propagation: bind.string("Propagation"),
            nonRecursive: bind.bool("NonRecursive"),
            createMountpoint: bind.bool("CreateMountpoint"),
            readOnlyNonRecursive: bind.bool("ReadOnlyNonRecursive"),
            readOnlyForceRecursive: bind.bool("ReadOnlyForceRecursive"),
          },
    volumeOptions:
      volume === undefined
        ? undefined
        : {
            noCopy: volume.bool("NoCopy"),
            labels: volume.stringMap("Labels"),
            subpath: volume.string("Subpath"),
            driverName: driver?.string("Name") ?? "",
            driverOptions: driver?.stringMap("Options") ?? {},
          },
    tmpfsOptions:
      tmpfs === undefined
        ? undefined
        : {
            sizeBytes: tmpfs.integer("SizeBytes"),
            mode: tmpfs.integer("Mode"),
            options: tmpfsOptionsIn(tmpfs),
          },
    imageSubpath: fields.object("ImageOptions")?.string("Subpath") ?? "",
  };
}

/** [["noexec"], ["uid", "1000"]] to ["noexec", "uid=1000"]. */
function tmpfsOptionsIn(tmpfs: Fields): string[] {
  const options = tmpfs.raw("Options");
  if (!Array.isArray(options)) return [];
  return options.map((option) => (Array.isArray(option) ? option.map(String).join("=") : String(option)));
}

function healthIn(fields: Fields | undefined): HealthConfig | undefined {
  if (fields === undefined) return undefined;
  return HealthConfig.fromPartial({
    test: fields.strings("Test"),
    intervalMs: fields.optionalDurationMs("Interval") ?? 0,
    timeoutMs: fields.optionalDurationMs("Timeout") ?? 0,
    retries: fields.integer("Retries"),
    startPeriodMs: fields.optionalDurationMs("StartPeriod") ?? 0,
    startIntervalMs: fields.optionalDurationMs("StartInterval") ?? 0,
  });
}

function privilegesIn(fields: Fields | undefined): Privileges | undefined {
  if (fields === undefined) return undefined;
  const seccomp = fields.object("Seccomp");
  const other = {
    CredentialSpec: fields.raw("CredentialSpec"),
    SELinuxContext: fields.raw("SELinuxContext"),
  };
  const used = other.CredentialSpec !== undefined || other.SELinuxContext !== undefined;
  return {
    noNewPrivileges: fields.bool("NoNewPrivileges"),
    seccompMode: seccomp?.string("Mode") ?? "",
    seccompProfile: new Uint8Array(Buffer.from(seccomp?.string("Profile") ?? "", "base64")),
    apparmorMode: fields.object("AppArmor")?.string("Mode") ?? "",
    otherJson: used ? new Uint8Array(Buffer.from(JSON.stringify(other))) : new Uint8Array(),
  };
}

export function containerSpecIn(fields: Fields | undefined): ContainerSpec {
  if (fields === undefined) return ContainerSpec.fromPartial({});
  const dns = fields.object("DNSConfig");
  const host = hostOptionsIn(fields.object("HostConfig"));
  return ContainerSpec.fromPartial({
    image: fields.string("Image"),
    labels: fields.stringMap("Labels"),
    command: fields.strings("Command"),
    args: fields.strings("Args"),
    hostname: fields.string("Hostname"),
    env: fields.strings("Env"),
    dir: fields.string("Dir"),
    user: fields.string("User"),
    groups: fields.strings("Groups"),
    privileges: privilegesIn(fields.object("Privileges")),
    tty: fields.bool("TTY"),
    openStdin: fields.bool("OpenStdin"),
    readOnly: fields.bool("ReadOnly"),
    mounts: fields.objects("Mounts").map(mountIn),
    stopSignal: fields.string("StopSignal"),
    stopGracePeriodMs: fields.optionalDurationMs("StopGracePeriod"),
    healthcheck: healthIn(fields.object("Healthcheck")),
    hosts: fields.strings("Hosts"),
    dnsConfig:
      dns === undefined
        ? undefined
        : {
            nameservers: dns.strings("Nameservers"),
            search: dns.strings("Search"),
            options: dns.strings("Options"),
          },
    secrets: fields.objects("Secrets").map(secretIn),
    configs: fields.objects("Configs").map(configIn),
    oomScoreAdj: fields.integer("OomScoreAdj", { min: -1000 }),
    isolation: fields.string("Isolation").replace(/^default$/, ""), // what inspect shows for "not said"
    init: fields.optionalBool("Init"),
    sysctls: fields.stringMap("Sysctls"),
    capabilityAdd: fields.strings("CapabilityAdd"),
    capabilityDrop: fields.strings("CapabilityDrop"),
    ulimits: fields.objects("Ulimits").map((limit) => ({
      name: limit.string("Name"),
      soft: limit.integer("Soft", { min: -1 }),
      hard: limit.integer("Hard", { min: -1 }),
    })),
    ...(host === undefined ? {} : { host }),
  });
}
