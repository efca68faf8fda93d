/**
 * The container part of a service as the API's JSON. Pure.
 */
import { given, type Json } from "../service/flag-values.js";
import { hostOptions } from "./convert-host-options.js";
import { mountsOf } from "./convert-mounts.js";
import { pathIn, type ServiceScope } from "./convert-scope.js";
import { byText, durationNs, environmentList, hostLine, ifTrue, nonEmpty } from "./convert-values.js";
import type { CredentialSpecDoc, FileRefDoc, HealthDoc, UlimitDoc } from "./model.js";
import { stackLabels } from "./naming.js";

const MODE_DEFAULT = 0o444;

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

/** References by name: the manager knows the ids. Sorted, so that another order is no change. */
function fileReferences(
  list: readonly FileRefDoc[],
  kind: "secrets" | "configs",
  { naming, project }: ServiceScope,
): Json[] {
  const nameKey = kind === "secrets" ? "SecretName" : "ConfigName";
  const references = list.map((reference) => ({
    File: {
      Name: reference.target ?? reference.source,
      UID: reference.uid ?? "0",
      GID: reference.gid ?? "0",
      Mode: reference.mode ?? MODE_DEFAULT,
    },
    [nameKey]: Object.hasOwn(project[kind], reference.source)
      ? naming.nameOf(kind, reference.source)
      : reference.source,
  }));
  return references.sort(byText(nameKey));
}

function configs(scope: ServiceScope): Json[] {
  const { credential_spec: spec, configs: list = [] } = scope.service;
  const files = fileReferences(list, "configs", scope);
  if (spec?.config === undefined) return files;
  const runtime = { ConfigName: scope.naming.nameOf("configs", spec.config), Runtime: {} };
  return [...files, runtime].sort(byText("ConfigName"));
}

function privileges(spec: CredentialSpecDoc | undefined, scope: ServiceScope): Json | undefined {
  const words = (["config", "file", "registry"] as const).filter((each) => spec?.[each] !== undefined);
  if (words.length === 0) return undefined;
  if (words.length > 1)
    scope.notes.refuse(pathIn(scope, "credential_spec"), `takes one of ${words.join(" and ")}`);
  const config = spec?.config === undefined ? undefined : scope.naming.nameOf("configs", spec.config);
  return { CredentialSpec: given({ Config: config, File: spec?.file, Registry: spec?.registry }) };
}

/** What is in both lists is added; ALL stands for all of its list. Sorted, without repetition: as Docker. */
export function effectiveCapabilities(
  add: readonly string[] = [],
  drop: readonly string[] = [],
): { readonly add: readonly string[]; readonly drop: readonly string[] } {
  const named = (list: readonly string[]): string[] => {
    const words = list.map((word) => word.trim().toUpperCase());
    const known = words.map((word) => (/^(CAP_.*|ALL)$/.test(word) ? word : `CAP_${word}`));
    return known.includes("ALL") ? ["ALL"] : [...new Set(known)].sort();
  };
  const added = named(add);
  return { add: added, drop: named(drop).filter((word) => !added.includes(word)) };
}

function ulimits(limits: Readonly<Record<string, UlimitDoc>> | undefined): Json[] | undefined {
  const list = Object.entries(limits ?? {}).map(([Name, limit]): Json => {
    const { soft, hard } = typeof limit === "number" ? { soft: limit, hard: limit } : limit;
    return { Name, Soft: soft, Hard: hard };
  });
  return nonEmpty(list.sort(byText("Name")));
}

/** @param image the file's, or the one that is built. @throws {InvalidArgumentError} */
export function containerSpec(scope: ServiceScope, image: string | undefined): Json {
  const { service, naming } = scope;
  const capabilities = effectiveCapabilities(service.cap_add, service.cap_drop);
  return given({
    Image: image,
    Labels: stackLabels(naming.stack, service.labels),
    Command: nonEmpty(service.entrypoint),
    Args: nonEmpty(service.command),
    Hostname: service.hostname,
    Env: environmentList(service.environment),
    Dir: service.working_dir,
    User: service.user,
    Groups: nonEmpty(service.group_add),
    Privileges: privileges(service.credential_spec, scope),
    TTY: ifTrue(service.tty),
    OpenStdin: ifTrue(service.stdin_open),
    ReadOnly: ifTrue(service.read_only),
    Mounts: mountsOf(scope),
    StopSignal: service.stop_signal,
    StopGracePeriod: durationNs(service.stop_grace_period),
    Healthcheck: health(service.healthcheck),
    Hosts: nonEmpty(service.extra_hosts?.map(hostLine)),
    DNSConfig: nonEmpty(
      given({
        Nameservers: nonEmpty(service.dns),
        Search: nonEmpty(service.dns_search),
        Options: nonEmpty(service.dns_opt),
      }),
    ),
    Secrets: nonEmpty(fileReferences(service.secrets ?? [], "secrets", scope)),
    Configs: nonEmpty(configs(scope)),
    Isolation: service.isolation,
    Init: service.init,
    Sysctls: nonEmpty(service.sysctls),
    CapabilityAdd: nonEmpty(capabilities.add),
    CapabilityDrop: nonEmpty(capabilities.drop),
    Ulimits: ulimits(service.ulimits),
    OomScoreAdj: service.oom_score_adj,
    HostConfig: hostOptions(scope),
  });
}
