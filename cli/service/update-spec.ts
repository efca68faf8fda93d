/**
 * The specification after `service update`: what the flags say over what is there. Pure.
 * @throws {InvalidArgumentError} a flag that does not fit the service's mode or value grammar.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import { keyValues, parseDuration, parseInteger } from "../units.js";
import {
  environment,
  fileReferences,
  healthOf,
  type Lookups,
  logDriverOf,
  preferenceOf,
  resourcesOf,
  restartOf,
  setContainerFields,
  setIf,
  updateConfigOf,
} from "./create-spec.js";
import {
  capability,
  given,
  type Json,
  parseGenericResource,
  parseHost,
  parseMount,
  parseNetwork,
  parsePublish,
  parseUlimit,
  splitCommand,
} from "./flag-values.js";
import type { FlagValues } from "./service-flags.js";

// the API's own answer
const listOf = (value: unknown): Json[] => (Array.isArray(value) ? (value as Json[]) : []);
const textsOf = (value: unknown): string[] => (Array.isArray(value) ? value.map(String) : []);
const mapOf = (value: unknown): Record<string, string> => ({
  ...(value as Record<string, string> | undefined),
}); // likewise
const objectOf = (value: unknown): Json => ({ ...(value as Json | undefined) }); // likewise

/** Replaces entries with the same key, appends new ones, drops those whose key is to be removed. */
export function mergeList<T>(
  before: readonly T[],
  added: readonly T[],
  removed: readonly string[],
  keyOf: (item: T) => string,
): T[] {
  const addedKeys = new Set(added.map(keyOf));
  const kept = before.filter((item) => !removed.includes(keyOf(item)) && !addedKeys.has(keyOf(item)));
  return [...kept, ...added];
}

function mergeMap(before: Record<string, string>, flags: FlagValues, name: string): Record<string, string> {
  const after = { ...before };
  for (const key of flags.list(`${name}-rm`)) delete after[key];
  return { ...after, ...keyValues(flags.list(`${name}-add`)) };
}

const portKey = (port: Json): string => `${port["TargetPort"]}/${port["Protocol"] ?? "tcp"}`;

/** --publish-rm takes a target port, with or without protocol. */
function removedPorts(before: readonly Json[], texts: readonly string[]): string[] {
  return before
    .map(portKey)
    .filter((key) =>
      texts.some((text) => key === text || key.split("/")[0] === text || key === `${text.split(":").pop()}`),
    );
}

async function updateContainer(before: Json, flags: FlagValues, lookups: Lookups): Promise<Json> {
  const container: Json = { ...before };
  setIf(container, "Image", flags.text("image"));
  const args = flags.text("args");
  if (args !== undefined) container["Args"] = splitCommand(args);
  setContainerFields(container, flags);
  const nameOf = (line: string): string => line.split("=")[0] ?? "";
  const added = [...flags.list("env-add"), ...(await environment(flags, lookups))];
  container["Env"] = mergeList(textsOf(before["Env"]), added, flags.list("env-rm"), nameOf);
  container["Labels"] = mergeMap(mapOf(before["Labels"]), flags, "container-label");
  container["Sysctls"] = mergeMap(mapOf(before["Sysctls"]), flags, "sysctl");
  const plain = (key: string, name: string, add = (text: string): string => text): void => {
    const removed = flags.list(`${name}-rm`).map((text) => (name === "host" ? parseHost(text) : text));
    container[key] = mergeList(
      textsOf(before[key]),
      flags.list(`${name}-add`).map(add),
      removed,
      (text) => text,
    );
  };
  plain("Groups", "group");
  plain("Hosts", "host", (text) => parseHost(text));
  const dns = objectOf(before["DNSConfig"]);
  for (const [key, name] of [
    ["Nameservers", "dns"],
    ["Search", "dns-search"],
    ["Options", "dns-option"],
  ] as const) {
    const merged = mergeList(
      textsOf(dns[key]),
      flags.list(`${name}-add`),
      flags.list(`${name}-rm`),
      (text) => text,
    );
    dns[key] = merged.length > 0 ? merged : undefined;
  }
  container["DNSConfig"] = given(dns);
  container["Mounts"] = mergeList(
    listOf(before["Mounts"]),
    flags.list("mount-add").map((text) => parseMount(text, "--mount-add")),
    flags.list("mount-rm"),
    (mount) => String(mount["Target"]),
  );
  container["Ulimits"] = mergeList(
    listOf(before["Ulimits"]),
    flags.list("ulimit-add").map((text) => parseUlimit(text)),
    flags.list("ulimit-rm"),
    (limit) => String(limit["Name"]),
  );
  container["Secrets"] = mergeList(
    listOf(before["Secrets"]),
    await fileReferences(flags.list("secret-add"), "secret", lookups),
    flags.list("secret-rm"),
    (each) => String(each["SecretName"]),
  );
  container["Configs"] = mergeList(
    listOf(before["Configs"]),
    await fileReferences(flags.list("config-add"), "config", lookups),
    flags.list("config-rm"),
    (each) => String(each["ConfigName"]),
  );
  // What is given is no longer taken, and the other way round.
  const [add, drop] = [flags.list("cap-add").map(capability), flags.list("cap-drop").map(capability)];
  if (add.length + drop.length > 0) {
    container["CapabilityAdd"] = mergeList(textsOf(before["CapabilityAdd"]), add, drop, capability);
    container["CapabilityDrop"] = mergeList(textsOf(before["CapabilityDrop"]), drop, add, capability);
  }
  setIf(container, "Healthcheck", healthOf(flags, before["Healthcheck"] as Json | undefined));
  return container;
}

function updateMode(before: Json, flags: FlagValues): Json {
  const replicas = flags.text("replicas");
  const concurrent = flags.text("max-concurrent");
  if (replicas === undefined && concurrent === undefined) return before;
  if ("Replicated" in before && concurrent === undefined)
    return { Replicated: { Replicas: parseInteger(replicas ?? "", "--replicas") } };
  if ("ReplicatedJob" in before) {
    return {
      ReplicatedJob: given({
        ...objectOf(before["ReplicatedJob"]),
        TotalCompletions: replicas === undefined ? undefined : parseInteger(replicas, "--replicas"),
        MaxConcurrent: concurrent === undefined ? undefined : parseInteger(concurrent, "--max-concurrent"),
      }),
    };
  }
  const flag = replicas === undefined ? "--max-concurrent" : "--replicas";
  throw new InvalidArgumentError(`${flag} can only be used with replicated or replicated-job services`);
}

/**
 * What a label says counts for the API, so a flag changes the label where there is one, and what came from a
 * label that is changed or removed is not sent back.
 * @returns the labels.
 */
function updateBalance(
  endpoint: Json,
  labels: Readonly<Record<string, string>>,
  flags: FlagValues,
): Record<string, string> {
  const out = { ...labels };
  const touched = [...flags.list("label-add"), ...flags.list("label-rm")];
  const set = (flag: string, key: string, read: (text: string) => unknown): void => {
    const label = `skein.${flag}`;
    if (touched.some((text) => text === label || text.startsWith(`${label}=`))) delete endpoint[key];
    const text = flags.text(flag);
    if (text === undefined) return;
    endpoint[key] = read(text);
    if (out[label] !== undefined) out[label] = text;
  };
  if (touched.some((text) => text.startsWith(PUBLISH_LABEL_PREFIX))) {
    endpoint["Ports"] = listOf(endpoint["Ports"]).map((port) => withoutLabelled(port, touched));
  }
  set("balance", "Balance", (text) => text);
  set("idle-timeout", "IdleTimeout", (text) => parseDuration(text, "--idle-timeout"));
  return out;
}

const PUBLISH_LABEL_PREFIX = "skein.publish.";
const PUBLISH_FIELDS = { addresses: "HostAddresses", allow: "AllowedSources", source: "SourceMode" };

/** A port without what labels that are changed or removed may have said of it. */
function withoutLabelled(port: Json, touched: readonly string[]): Json {
  const out = { ...port };
  const number = String(port["PublishedPort"]);
  const places = [number, `${number}/${port["Protocol"] ?? "tcp"}`];
  for (const [word, field] of Object.entries(PUBLISH_FIELDS)) {
    const labels = places.map((place) => `${PUBLISH_LABEL_PREFIX}${place}.${word}`);
    if (touched.some((text) => labels.includes(text.split("=")[0] ?? ""))) delete out[field];
  }
  return out;
}

/** The body of POST /services/{id}/update. */
export async function updatedSpec(before: Json, flags: FlagValues, lookups: Lookups): Promise<Json> {
  const task = objectOf(before["TaskTemplate"]);
  const placement = objectOf(task["Placement"]);
  const endpoint = objectOf(before["EndpointSpec"]);
  const ports = listOf(endpoint["Ports"]);
  const addedPorts = flags.list("publish-add").flatMap((text) => parsePublish(text, "--publish-add"));
  endpoint["Ports"] = mergeList(ports, addedPorts, removedPorts(ports, flags.list("publish-rm")), portKey);
  setIf(endpoint, "Mode", flags.text("endpoint-mode"));
  const labels = updateBalance(endpoint, mergeMap(mapOf(before["Labels"]), flags, "label"), flags);
  placement["Constraints"] = mergeList(
    textsOf(placement["Constraints"]),
    flags.list("constraint-add"),
    flags.list("constraint-rm"),
    (text) => text,
  );
  placement["Preferences"] = mergeList(
    listOf(placement["Preferences"]),
    flags.list("placement-pref-add").map(preferenceOf),
    flags.list("placement-pref-rm").map((text) => JSON.stringify(preferenceOf(text))),
    (preference) => JSON.stringify(preference),
  );
  const maxReplicas = flags.text("replicas-max-per-node");
  if (maxReplicas !== undefined)
    placement["MaxReplicas"] = parseInteger(maxReplicas, "--replicas-max-per-node");
  const resources = resourcesOf(flags, objectOf(task["Resources"]));
  const reservations = objectOf(resources["Reservations"]);
  if (flags.list("generic-resource-add").length + flags.list("generic-resource-rm").length > 0) {
    const kindOf = (each: Json): string =>
      String(objectOf(each["DiscreteResourceSpec"] ?? each["NamedResourceSpec"])["Kind"]);
    const added = flags.list("generic-resource-add").map((text) => parseGenericResource(text));
    reservations["GenericResources"] = mergeList(
      listOf(reservations["GenericResources"]),
      added,
      flags.list("generic-resource-rm"),
      kindOf,
    );
    resources["Reservations"] = reservations;
  }
  const after: Json = {
    ...before,
    Labels: labels,
    TaskTemplate: given({
      ...task,
      ContainerSpec: await updateContainer(objectOf(task["ContainerSpec"]), flags, lookups),
      Resources: resources,
      RestartPolicy: restartOf(flags, task["RestartPolicy"] as Json | undefined),
      Placement: placement,
      Networks: mergeList(
        listOf(task["Networks"]),
        flags.list("network-add").map((text) => parseNetwork(text)),
        flags.list("network-rm"),
        (each) => String(each["Target"]),
      ),
      LogDriver: logDriverOf(flags, task["LogDriver"] as Json | undefined),
      ForceUpdate: Number(task["ForceUpdate"] ?? 0) + (flags.has("force") ? 1 : 0),
    }),
    Mode: updateMode(objectOf(before["Mode"]), flags),
    EndpointSpec: given(endpoint),
  };
  setIf(after, "UpdateConfig", updateConfigOf(flags, "update", before["UpdateConfig"] as Json | undefined));
  setIf(
    after,
    "RollbackConfig",
    updateConfigOf(flags, "rollback", before["RollbackConfig"] as Json | undefined),
  );
  return after;
}
