/**
 * The container part of a service of a compose file as the API's JSON. Pure.
 */
import { capability, given, type Json } from "../service/flag-values.js";
import { parseBytes, parseDuration } from "../units.js";
import type { ComposeDoc, FileDoc, FileRefDoc, HealthDoc, MountDoc, ServiceDoc } from "./model.js";
import { type Naming, stackLabels } from "./naming.js";

const MODE_DEFAULT = 0o444;

export const optional = <T, U>(value: T | undefined, make: (value: T) => U): U | undefined =>
  value === undefined ? undefined : make(value);
export const nonEmpty = <T extends object>(value: T | undefined): T | undefined =>
  value === undefined || (Array.isArray(value) ? value : Object.keys(value)).length === 0 ? undefined : value;

export const durationNs = (text: string | undefined): number | undefined =>
  optional(text, (each) => parseDuration(each, "duration"));

function health(check: HealthDoc | undefined): Json | undefined {
  if (check === undefined) return undefined;
  if (check.disable === true) return { Test: ["NONE"] };
  return given({
    Test: check.test,
    Interval: durationNs(check.interval),
    Timeout: durationNs(check.timeout),
    StartPeriod: durationNs(check.start_period),
    StartInterval: durationNs(check.start_interval),
    Retries: check.retries,
  });
}

function mount(doc: MountDoc, project: ComposeDoc, naming: Naming): Json {
  const { type, source, bind, volume, tmpfs } = doc;
  const declared = type === "volume" && source !== undefined ? project.volumes[source] : undefined;
  const own = declared !== undefined && declared.external !== true;
  const driver =
    declared?.driver !== undefined || declared?.driver_opts !== undefined
      ? given({ Name: declared.driver, Options: declared.driver_opts })
      : undefined;
  const labels = own ? stackLabels(naming.stack, declared.labels) : volume?.labels;
  return given({
    Type: type,
    Source: declared === undefined ? source : naming.nameOf("volumes", source ?? ""),
    Target: doc.target,
    ReadOnly: doc.read_only === true ? true : undefined,
    Consistency: doc.consistency,
    BindOptions: nonEmpty(
      given({
        Propagation: bind?.propagation,
        CreateMountpoint: bind?.create_host_path === true ? true : undefined,
      }),
    ),
    VolumeOptions: nonEmpty(
      given({
        NoCopy: volume?.nocopy === true ? true : undefined,
        Labels: own ? { ...volume?.labels, ...labels } : labels,
        Subpath: volume?.subpath,
        DriverConfig: own ? driver : undefined,
      }),
    ),
    TmpfsOptions: nonEmpty(
      given({
        SizeBytes: optional(tmpfs?.size, (size) => parseBytes(String(size), "tmpfs.size")),
        Mode: tmpfs?.mode,
      }),
    ),
    ImageOptions: nonEmpty(given({ Subpath: doc.image?.subpath })),
  });
}

/** References by name; the deployment adds the ids, which it knows once the objects exist. */
function fileReferences(
  list: readonly FileRefDoc[] | undefined,
  kind: "secrets" | "configs",
  naming: Naming,
  declared: Readonly<Record<string, FileDoc>>,
): Json[] | undefined {
  const nameKey = kind === "secrets" ? "SecretName" : "ConfigName";
  const references = (list ?? []).map((reference) => ({
    File: {
      Name: reference.target ?? reference.source,
      UID: reference.uid ?? "0",
      GID: reference.gid ?? "0",
      Mode: reference.mode ?? MODE_DEFAULT,
    },
    [nameKey]:
      declared[reference.source] === undefined ? reference.source : naming.nameOf(kind, reference.source),
  }));
  return nonEmpty(references.sort((a, b) => String(a[nameKey]).localeCompare(String(b[nameKey]))));
}

export function containerSpec(service: ServiceDoc, project: ComposeDoc, naming: Naming): Json {
  return given({
    Image: service.image,
    Labels: stackLabels(naming.stack, service.labels),
    Command: nonEmpty(service.entrypoint),
    Args: nonEmpty(service.command),
    Hostname: service.hostname,
    Env: nonEmpty(
      Object.entries(service.environment ?? {})
        .map(([name, value]) => (value === null ? name : `${name}=${value}`))
        .sort(),
    ),
    Dir: service.working_dir,
    User: service.user,
    Groups: nonEmpty(service.group_add),
    TTY: service.tty === true ? true : undefined,
    OpenStdin: service.stdin_open === true ? true : undefined,
    ReadOnly: service.read_only === true ? true : undefined,
    Mounts: nonEmpty((service.volumes ?? []).map((each) => mount(each, project, naming))),
    StopSignal: service.stop_signal,
    StopGracePeriod: durationNs(service.stop_grace_period),
    Healthcheck: health(service.healthcheck),
    Hosts: nonEmpty(service.extra_hosts),
    DNSConfig: nonEmpty(
      given({
        Nameservers: nonEmpty(service.dns),
        Search: nonEmpty(service.dns_search),
        Options: nonEmpty(service.dns_opt),
      }),
    ),
    Secrets: fileReferences(service.secrets, "secrets", naming, project.secrets),
    Configs: fileReferences(service.configs, "configs", naming, project.configs),
    Isolation: service.isolation,
    Init: service.init,
    Sysctls: nonEmpty(service.sysctls),
    CapabilityAdd: nonEmpty(service.cap_add?.map(capability)),
    CapabilityDrop: nonEmpty(service.cap_drop?.map(capability)),
    Ulimits: nonEmpty(
      Object.entries(service.ulimits ?? {})
        .sort(([a], [b]) => a.localeCompare(b))
        .map(([Name, limit]) =>
          typeof limit === "number"
            ? { Name, Soft: limit, Hard: limit }
            : { Name, Soft: limit.soft, Hard: limit.hard },
        ),
    ),
    OomScoreAdj: service.oom_score_adj,
  });
}
