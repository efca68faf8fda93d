/**
 * What must hold in a project as a whole, after merging. Pure. Version 3 files are held to what Docker's
 * client holds them to: keys it leaves alone contradict nothing there.
 * Source: Compose Specification (each key's chapter), "Profiles"; docker stack deploy for version 3.
 */
import type { Path } from "./compose-error.js";
import { checkDependencies } from "./dependencies.js";
import type { ComposeDoc, FileDoc, NetworkDoc, ServiceDoc, VolumeDoc } from "./model.js";

export interface Checking {
  readonly isVersion3: boolean;
  /** Services whose profiles are not active. */
  readonly disabled: ReadonlySet<string>;
  found(path: Path, rule: string): void;
  warn(path: Path, rule: string): void;
}

const NAME = /^[a-zA-Z0-9][a-zA-Z0-9._-]*$/;
const SECTIONS = ["services", "networks", "volumes", "secrets", "configs", "models"] as const;

/** @returns the project without dependencies on what is disabled and not required. */
export function checkProject(doc: ComposeDoc, checking: Checking): ComposeDoc {
  for (const section of SECTIONS)
    for (const name of Object.keys(doc[section] ?? {}))
      if (!NAME.test(name))
        checking.found(
          [section, name],
          "must begin with a letter or digit and hold only letters, digits, ., _ and -",
        );
  const services = checkDependencies(doc.services, checking);
  const checked = { ...doc, services };
  for (const [name, service] of Object.entries(services)) {
    const path = ["services", name];
    if (service.image === undefined && service.build === undefined && service.provider === undefined)
      checking.found(path, "needs the key image, or build");
    undeclared(checked, service, path, checking);
    contradictions(service, path, checking);
    if (!checking.isVersion3) twoWords(service, path, checking);
    mounts(service, path, checking);
  }
  for (const kind of ["secrets", "configs"] as const)
    for (const [name, file] of Object.entries(doc[kind])) fileObject(file, [kind, name], checking);
  for (const [name, volume] of Object.entries(doc.volumes)) external(volume, ["volumes", name], checking);
  if (!checking.isVersion3)
    for (const [name, network] of Object.entries(doc.networks))
      external(network, ["networks", name], checking);
  return checked;
}

type Kind = "networks" | "volumes" | "secrets" | "configs" | "models";

/** What a service names and nobody declares. */
function undeclared(doc: ComposeDoc, service: ServiceDoc, path: Path, { found }: Checking): void {
  const check = (kind: Kind, name: string, at: Path): void => {
    if (Object.hasOwn(doc[kind] ?? {}, name) || (kind === "networks" && name === "default")) return;
    found(at, `${kind.slice(0, -1)} ${JSON.stringify(name)} is not declared under the top-level ${kind}`);
  };
  for (const name of Object.keys(service.networks ?? {}))
    check("networks", name, [...path, "networks", name]);
  for (const name of Object.keys(service.models ?? {})) check("models", name, [...path, "models", name]);
  for (const [i, { type, source }] of (service.volumes ?? []).entries())
    if (type === "volume" && source !== undefined && source !== "")
      check("volumes", source, [...path, "volumes", i]);
  for (const kind of ["secrets", "configs"] as const)
    for (const [i, { source }] of (service[kind] ?? []).entries()) check(kind, source, [...path, kind, i]);
  for (const [i, { source }] of (service.build?.secrets ?? []).entries())
    check("secrets", source, [...path, "build", "secrets", i]);
  const config = service.credential_spec?.config;
  if (config !== undefined) check("configs", config, [...path, "credential_spec", "config"]);
}

/** Keys that exclude each other. */
function contradictions(service: ServiceDoc, path: Path, checking: Checking): void {
  const { found, isVersion3 } = checking;
  const { deploy, healthcheck, build } = service;
  const mode = deploy?.mode ?? "replicated";
  if (deploy?.replicas !== undefined && mode.startsWith("global"))
    found(
      [...path, "deploy", "replicas"],
      `can only be used with mode replicated or replicated-job, not with ${mode}`,
    );
  const test = healthcheck?.test ?? [];
  if (healthcheck?.disable === true && test.length > 0)
    found([...path, "healthcheck", "disable"], "excludes test");
  else if (test.length > 0 && !["CMD", "CMD-SHELL", "NONE"].includes(test[0] ?? ""))
    found(
      [...path, "healthcheck", "test"],
      `must begin with CMD, CMD-SHELL or NONE when it is a list, got ${JSON.stringify(test[0])}`,
    );
  if (isVersion3) return;
  if (service.network_mode !== undefined && Object.keys(service.networks ?? {}).length > 0)
    found([...path, "network_mode"], "excludes networks");
  if (service.network_mode === "host" && (service.ports ?? []).length > 0)
    found(
      [...path, "ports"],
      "cannot be published with network_mode: host: the node's ports are used as they are",
    );
  const replicas = deploy?.replicas ?? service.scale ?? 1;
  if (service.container_name !== undefined && replicas > 1)
    found([...path, "container_name"], `names one container, and there are ${replicas} replicas`);
  if (build?.dockerfile !== undefined && build.dockerfile_inline !== undefined)
    found([...path, "build", "dockerfile_inline"], "excludes dockerfile");
  const { platform } = service;
  if (platform !== undefined && build?.platforms !== undefined && !build.platforms.includes(platform))
    found([...path, "build", "platforms"], `must hold ${platform}, which the service's platform is`);
  for (const [i, { action, target }] of (service.develop?.watch ?? []).entries())
    if (target === undefined && action.startsWith("sync"))
      found([...path, "develop", "watch", i], `needs a target, as its action is ${action}`);
}

/** The same thing said by two keys must be the same. */
function twoWords(service: ServiceDoc, path: Path, { found }: Checking): void {
  const { limits, reservations } = service.deploy?.resources ?? {};
  const same = (one: string, other: string, a: number | string | undefined, b: typeof a): void => {
    if (a === undefined || b === undefined || amount(a) === amount(b)) return;
    found([...path, one], `is ${a}, and ${other} is ${b}: leave one out`);
  };
  same("scale", "deploy.replicas", service.scale, service.deploy?.replicas);
  same("cpus", "deploy.resources.limits.cpus", service.cpus, limits?.cpus);
  same("mem_limit", "deploy.resources.limits.memory", service.mem_limit, limits?.memory);
  same("pids_limit", "deploy.resources.limits.pids", service.pids_limit, limits?.pids);
  const reserved = reservations?.memory;
  same("mem_reservation", "deploy.resources.reservations.memory", service.mem_reservation, reserved);
}

const FACTORS: Readonly<Record<string, number>> = { k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 };

function amount(value: number | string): number {
  const [, digits = "", unit = ""] = /^(-?[\d.]+)\s*([kmgt]?)/i.exec(String(value)) ?? [];
  return Number(digits) * (FACTORS[unit.toLowerCase()] ?? 1);
}

function mounts(service: ServiceDoc, path: Path, { found, isVersion3 }: Checking): void {
  const targets = new Map<string, string>();
  for (const [i, { type, source, target }] of (service.volumes ?? []).entries()) {
    const at = [...path, "volumes", i];
    if (type === "bind" && (source === undefined || source === ""))
      found(at, "needs a source, as its type is bind");
    if (target === undefined) continue;
    const before = targets.get(target);
    if (before !== undefined && !isVersion3) found(at, `mounts ${target}, and so does ${before}`);
    targets.set(target, `volumes[${i}]`);
  }
  for (const [i, text] of (service.tmpfs ?? []).entries()) {
    const [target = ""] = text.split(":");
    const before = targets.get(target);
    if (before !== undefined && !isVersion3)
      found([...path, "tmpfs", i], `mounts ${target}, and so does ${before}`);
  }
}

const DATA_KEYS = ["file", "environment", "content", "driver"] as const;

/** Data comes from one place. */
function fileObject(file: FileDoc, path: Path, { found }: Checking): void {
  const given = DATA_KEYS.filter((key) => file[key] !== undefined);
  if (file.external === true) {
    if (given.length > 0) found(path, `is external: ${given.join(" and ")} must be left out`);
    return;
  }
  if (given.length === 1) return;
  const driver = path[0] === "configs" ? "" : ", driver";
  const has = given.length > 1 ? `, has ${given.join(" and ")}` : "";
  found(path, `needs exactly one of file, environment, content${driver} and external${has}`);
}

const OWN_KEYS = ["driver", "driver_opts", "labels", "ipam", "internal", "attachable"] as const;

/** What others made is not described here. */
function external(object: VolumeDoc | NetworkDoc, path: Path, { found }: Checking): void {
  if (object.external !== true) return;
  const given = OWN_KEYS.filter((key) => key in object);
  if (given.length > 0) found(path, `is external: ${given.join(" and ")} must be left out`);
}
