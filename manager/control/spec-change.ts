/**
 * What a change of a service's specification changed, in words: "image nginx:1 to nginx:2, 2 variables".
 * Pure. Invariants: names and counts only, never the value of a variable or anything secret; at most
 * `PARTS_MAX` parts; empty exactly when nothing differs that anybody could notice.
 */
import type { ContainerSpec, ServiceSpec, TaskSpec } from "../../proto/gen/skein/v1/types.js";
import { normalHost } from "../orchestrator/host-normal.js";
import { deepEqual } from "../orchestrator/spec-equality.js";
import {
  normalContainer,
  normalEndpoint,
  normalMode,
  normalPlacement,
  normalResources,
  normalRestart,
  normalTask,
  normalUpdate,
} from "../orchestrator/spec-normal.js";
import { hostParts } from "./host-change.js";

/** Parts named; the rest is counted. */
const PARTS_MAX = 6;
/** Characters of an image's name that are shown. */
const IMAGE_LENGTH_MAX = 80;

type Fields = Readonly<Record<string, unknown>>;

/** Fields of a container that are named as they are, in the order in which they are told. */
const CONTAINER_WORDS: Readonly<Record<string, string>> = {
  command: "entrypoint",
  args: "arguments",
  labels: "container labels",
  hostname: "hostname",
  dir: "working directory",
  user: "user",
  groups: "groups",
  privileges: "privileges",
  tty: "terminal",
  openStdin: "standard input",
  readOnly: "read-only root",
  stopSignal: "stop signal",
  stopGracePeriodMs: "stop grace period",
  healthcheck: "health check",
  hosts: "hosts",
  dnsConfig: "DNS settings",
  oomScoreAdj: "OOM score",
  isolation: "isolation",
  init: "init",
  sysctls: "sysctls",
  capabilityAdd: "capabilities",
  capabilityDrop: "dropped capabilities",
  ulimits: "ulimits",
  devices: "devices",
};

export function describeSpecChange(before: ServiceSpec | undefined, after: ServiceSpec | undefined): string {
  if (before === undefined || after === undefined) return "";
  const parts = [
    ...taskParts(before.task, after.task),
    ...modeParts(before, after),
    ...endpointParts(before, after),
    ...settingParts(before, after),
  ];
  const shown = parts.slice(0, PARTS_MAX);
  const more = parts.length - shown.length;
  return shown.join(", ") + (more > 0 ? ` and ${more} more` : "");
}

function taskParts(before: TaskSpec | undefined, after: TaskSpec | undefined): string[] {
  if (deepEqual(normalTask(before), normalTask(after))) return [];
  const parts = containerParts(before?.container, after?.container);
  if (!deepEqual(normalResources(before?.resources), normalResources(after?.resources))) {
    const limits = !deepEqual(
      { ...normalResources(before?.resources), reservations: undefined },
      { ...normalResources(after?.resources), reservations: undefined },
    );
    const reservations = !deepEqual(
      fieldsOf(normalResources(before?.resources))["reservations"],
      fieldsOf(normalResources(after?.resources))["reservations"],
    );
    parts.push(...[limits && "limits", reservations && "reservations"].filter((part) => part !== false));
  }
  if (!deepEqual(normalRestart(before?.restart), normalRestart(after?.restart))) parts.push("restart policy");
  const placements = [normalPlacement(before?.placement), normalPlacement(after?.placement)].map(fieldsOf);
  const [old = {}, next = {}] = placements;
  if (!deepEqual(old["constraints"], next["constraints"])) parts.push("constraints");
  if (!deepEqual({ ...old, constraints: 0 }, { ...next, constraints: 0 })) parts.push("placement");
  if (!deepEqual(fieldsOf(normalTask(before))["networks"], fieldsOf(normalTask(after))["networks"])) {
    parts.push("networks");
  }
  if (!deepEqual(before?.logDriver, after?.logDriver)) parts.push("log driver");
  if ((before?.forceUpdate ?? 0) !== (after?.forceUpdate ?? 0)) parts.push("forced");
  return parts.length === 0 ? ["other settings"] : parts;
}

function fieldsOf(object: object): Fields {
  return object as Fields; // any object is fields by name
}

function containerParts(before: ContainerSpec | undefined, after: ContainerSpec | undefined): string[] {
  const [old, next] = [fieldsOf(normalContainer(before)), fieldsOf(normalContainer(after))];
  const parts: string[] = [];
  if (old["image"] !== next["image"]) parts.push(imagePart(before?.image ?? "", after?.image ?? ""));
  if (!deepEqual(old["env"], next["env"])) parts.push(envPart(before?.env ?? [], after?.env ?? []));
  parts.push(
    ...namedParts("mount", before?.mounts ?? [], after?.mounts ?? [], ({ target }) => target),
    ...namedParts("secret", before?.secrets ?? [], after?.secrets ?? [], ({ secretName }) => secretName),
    ...namedParts("config", before?.configs ?? [], after?.configs ?? [], ({ configName }) => configName),
  );
  const told = new Set(["image", "env", "mounts", "secrets", "configs", "host"]);
  for (const [field, words] of Object.entries(CONTAINER_WORDS)) {
    told.add(field);
    if (!deepEqual(old[field], next[field])) parts.push(words);
  }
  parts.push(...hostParts(normalHost(before?.host), normalHost(after?.host)));
  const others = Object.keys({ ...old, ...next }).filter((field) => !told.has(field));
  if (others.some((field) => !deepEqual(old[field], next[field]))) parts.push("other settings");
  return parts;
}

/** "image nginx:1 to nginx:2"; a new digest under the same name says so. */
function imagePart(before: string, after: string): string {
  const named = (image: string): string => {
    const name = image.split("@", 1)[0] ?? "";
    return name.length > IMAGE_LENGTH_MAX ? `…${name.slice(1 - IMAGE_LENGTH_MAX)}` : name;
  };
  return named(before) === named(after)
    ? `image ${named(after)} (new digest)`
    : `image ${named(before)} to ${named(after)}`;
}

/** Names, never values: "variable MODE", "2 variables". */
function envPart(before: readonly string[], after: readonly string[]): string {
  const nameOf = (variable: string): string => variable.split("=", 1)[0] ?? "";
  const changed = [
    ...before.filter((variable) => !after.includes(variable)),
    ...after.filter((variable) => !before.includes(variable)),
  ];
  const names = [...new Set(changed.map(nameOf))];
  return names.length === 1 ? `variable ${names[0]}` : `${names.length || "order of"} variables`;
}

/** "secret db added", "mount /data", "3 configs". */
function namedParts<T extends object>(
  noun: string,
  before: readonly T[],
  after: readonly T[],
  nameOf: (item: T) => string,
): string[] {
  const [old, next] = [byName(before, nameOf), byName(after, nameOf)];
  const changes: string[] = [];
  for (const name of new Set([...old.keys(), ...next.keys()])) {
    const [was, is] = [old.get(name) ?? [], next.get(name) ?? []];
    if (deepEqual(was, is)) continue;
    const [oldVersion, version] = [versionOf(was[0]), versionOf(is[0])];
    if (was.length === 0) changes.push(`${noun} ${name} added`);
    else if (is.length === 0) changes.push(`${noun} ${name} removed`);
    else if (version !== oldVersion) changes.push(`${noun} ${name} version ${version}`);
    else changes.push(`${noun} ${name}`);
  }
  return changes.length > 2 ? [`${changes.length} ${noun}s`] : changes;
}

/** Of a reference to a secret or config; 0 for what has none. */
function versionOf(item: object | undefined): number {
  return item !== undefined && "version" in item ? Number(item.version) : 0;
}

function byName<T>(items: readonly T[], nameOf: (item: T) => string): ReadonlyMap<string, readonly T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) groups.set(nameOf(item), [...(groups.get(nameOf(item)) ?? []), item]);
  return groups;
}

function modeParts(before: ServiceSpec, after: ServiceSpec): string[] {
  const [old, next] = [before.mode, after.mode];
  if (deepEqual(normalMode(old), normalMode(next))) return [];
  if (old?.$case === "replicated" && next?.$case === "replicated") {
    return [`replicas ${old.value.replicas} to ${next.value.replicas}`];
  }
  return [next?.$case === "replicatedJob" ? "completions" : "mode"];
}

function endpointParts(before: ServiceSpec, after: ServiceSpec): string[] {
  const [old, next] = [fieldsOf(normalEndpoint(before.endpoint)), fieldsOf(normalEndpoint(after.endpoint))];
  const parts: string[] = [];
  if (!deepEqual(old["ports"], next["ports"])) parts.push("published ports");
  if (old["mode"] !== next["mode"]) parts.push("endpoint mode");
  if (!deepEqual(old["virtualAddresses"], next["virtualAddresses"])) parts.push("virtual addresses");
  return parts;
}

function settingParts(before: ServiceSpec, after: ServiceSpec): string[] {
  const parts: string[] = [];
  if (!deepEqual(before.annotations?.labels ?? {}, after.annotations?.labels ?? {})) parts.push("labels");
  if (!deepEqual(normalUpdate(before.update), normalUpdate(after.update))) parts.push("update settings");
  if (!deepEqual(normalUpdate(before.rollback), normalUpdate(after.rollback)))
    parts.push("rollback settings");
  return parts;
}
