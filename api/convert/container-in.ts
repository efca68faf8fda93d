/**
 * Docker's create request as the specification of a container. Pure over what it asks of the node.
 * Every key is honoured, refused or named in a warning: none is dropped in silence.
 * Source: Docker Engine API 1.24 to 1.51, POST /containers/create.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import type { ContainerIsolation, ContainerSpecification } from "../../proto/engine/containers.js";
import type { ContainerNetworking } from "../../proto/engine/networks.js";
import type { EngineSettings } from "../../proto/engine/settings.js";
import { capabilityName, completedHostConfig } from "./container-in-host-config.js";
import { isolationIn } from "./container-in-isolation.js";
import { mountsIn } from "./container-in-mounts.js";
import { networkingIn } from "./container-in-networking.js";
import { healthcheckIn, logIn, restartPolicyIn } from "./container-in-policies.js";
import { type Machine, resourcesIn } from "./container-in-resources.js";
import { KEPT_CONFIG } from "./container-shapes.js";
import { Fields } from "./fields.js";
import { laidOut } from "./go-shape.js";
import { checkRepositoryCase } from "./image-names.js";

export interface CreateWorld extends Machine {
  /** Minor number of the API version asked for. */
  readonly apiMinor: number;
  /** The runtime that runs what names none. */
  readonly runtime: string;
  /** What the daemon's settings give to containers that ask for nothing else. */
  readonly defaults: EngineSettings["container"];
  /** Of the daemon's settings. */
  readonly defaultSeccomp: ContainerSpecification["seccomp"];
  readonly pathExists: (path: string) => boolean;
  readonly containerId: (idOrName: string) => string | undefined;
}

export interface ContainerIn {
  readonly specification: ContainerSpecification;
  readonly warnings: readonly string[];
}

const STOP_GRACE_MS = 10_000;
const NAME = /^\/?[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;
/** Fields that mean nothing on Linux, or are told elsewhere. */
const IGNORED_HOST_KEYS = ["ContainerIDFile", "ConsoleSize", "Cgroup"];

/** @throws {InvalidArgumentError} in dockerd's words. */
export function checkContainerName(name: string): void {
  if (!NAME.test(name))
    throw new InvalidArgumentError(
      `Invalid container name (${name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`,
    );
}

export function containerIn(body: Fields, name: string, world: CreateWorld): ContainerIn {
  if (body.keys().length === 0)
    throw new InvalidArgumentError("config cannot be empty in order to create a container");
  if (name !== "") checkContainerName(name);
  const warnings: string[] = [];
  const rawHost = body.raw("HostConfig");
  const host = body.object("HostConfig") ?? Fields.of({}, "body.HostConfig");
  for (const key of IGNORED_HOST_KEYS) host.raw(key);
  const config = configIn(body);
  const isolation = isolationIn(host, world);
  const restartPolicy = restartPolicyIn(host.object("RestartPolicy"));
  const autoRemove = world.apiMinor >= 25 && host.bool("AutoRemove");
  if (autoRemove && restartPolicy !== undefined && restartPolicy.name !== "no")
    throw new InvalidArgumentError("can't create 'AutoRemove' container with restart policy");
  const volumes = Object.keys(mapIn(body, "Volumes"));
  const { mounts, volumesFrom } = mountsIn(host, volumes, {
    ...world,
    containerExists: (idOrName) => world.containerId(idOrName) !== undefined,
  });
  const { network, networking } = networkingIn(
    { host, endpoints: body.object("NetworkingConfig"), config: networkConfigIn(body) },
    world,
    warnings,
  );
  const resources = resourcesIn(host, world, warnings);
  const { defaults } = world;
  const log = logIn(host.object("LogConfig"), { driver: defaults.logDriver, options: defaults.logOptions });
  const capabilities = {
    add: host.strings("CapAdd").map(capabilityName),
    drop: host.strings("CapDrop").map(capabilityName),
  };
  const hostConfig = completedHostConfig({
    raw: rawHost,
    log,
    runtime: defaults.runtime || world.runtime,
    defaults,
    cgroupVersion: world.cgroupVersion,
    mode: networking.mode,
    apiMinor: world.apiMinor,
  });
  const healthcheck = healthcheckIn(body.object("Healthcheck"));
  const { readOnly, init, oomScoreAdj, ...ofHost } = hostIn(host, world);
  const specification: ContainerSpecification = {
    name: name.replace(/^\//, ""),
    ...config,
    ...ofHost,
    readOnly,
    init,
    mounts,
    ...(volumesFrom.length > 0 ? { volumesFrom } : {}),
    files: [],
    healthcheck,
    ...(restartPolicy === undefined ? {} : { restartPolicy }),
    ...(autoRemove ? { autoRemove } : {}),
    resources: {
      memoryBytes: 0,
      swapBytes: undefined,
      nanoCpus: 0,
      pidsLimit: 0,
      ...resources,
    },
    isolation: withDefaults(isolation.isolation, defaults),
    capAdd: capabilities.add,
    capDrop: capabilities.drop,
    oomScoreAdj,
    noNewPrivileges: isolation.noNewPrivileges ?? defaults.noNewPrivileges,
    seccomp: isolation.seccomp ?? world.defaultSeccomp,
    network,
    networking: withDns(networking, defaults),
    etcHosts: undefined,
    resolvConf: undefined,
    log,
    hostConfig,
    config: laidOut(KEPT_CONFIG, rawConfig(body)),
  };
  warnings.push(
    ...body.unread().map((path) => `${path.replace(/^body\./, "")} is not known here: it is ignored`),
  );
  return { specification, warnings };
}

/** Keys of Config are the body's own. */
function rawConfig(body: Fields): Readonly<Record<string, unknown>> {
  return Object.fromEntries(KEPT_CONFIG.map(({ key }) => [key, body.raw(key)]));
}

function mapIn(body: Fields, key: string): Readonly<Record<string, unknown>> {
  const value = body.raw(key);
  if (value === undefined) return {};
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new InvalidArgumentError(`body.${key} must be a map`);
  return value as Readonly<Record<string, unknown>>; // checked above
}

function networkConfigIn(body: Fields): Parameters<typeof networkingIn>[0]["config"] {
  return {
    hostname: body.string("Hostname"),
    exposedPorts: Object.keys(mapIn(body, "ExposedPorts")),
    macAddress: body.string("MacAddress"),
    networkDisabled: body.bool("NetworkDisabled"),
    domainname: body.string("Domainname"),
  };
}

function configIn(body: Fields) {
  const entrypoint = body.strings("Entrypoint");
  const cleared =
    body.has("Entrypoint") && (entrypoint.length === 0 || (entrypoint.length === 1 && entrypoint[0] === ""));
  const env = body.strings("Env");
  const bad = env.find((entry) => entry === "" || entry.startsWith("="));
  if (bad !== undefined) throw new InvalidArgumentError(`invalid environment variable: ${bad}`);
  const workingDir = body.string("WorkingDir");
  if (workingDir !== "" && !workingDir.startsWith("/"))
    throw new InvalidArgumentError(
      `the working directory '${workingDir}' is invalid, it needs to be an absolute path`,
    );
  const image = body.string("Image");
  checkRepositoryCase(image);
  const stopTimeout = body.optionalInteger("StopTimeout", { min: Number.MIN_SAFE_INTEGER });
  return {
    image,
    entrypoint: cleared ? [] : entrypoint,
    ...(cleared ? { entrypointCleared: true } : {}),
    args: body.strings("Cmd"),
    env,
    workingDir,
    user: body.string("User"),
    hostname: body.string("Hostname"),
    domainname: body.string("Domainname"),
    labels: body.stringMap("Labels"),
    tty: body.bool("Tty"),
    openStdin: body.bool("OpenStdin"),
    stdinOnce: body.bool("StdinOnce"),
    attached: {
      stdin: body.bool("AttachStdin"),
      stdout: body.bool("AttachStdout"),
      stderr: body.bool("AttachStderr"),
    },
    stopSignal: body.string("StopSignal"),
    stopGracePeriodMs: stopTimeout === undefined ? STOP_GRACE_MS : stopTimeout < 0 ? -1 : stopTimeout * 1000,
  };
}

function hostIn(host: Fields, world: CreateWorld) {
  const oomScoreAdj = host.integer("OomScoreAdj", { min: Number.MIN_SAFE_INTEGER });
  if (oomScoreAdj < -1000 || oomScoreAdj > 1000)
    throw new InvalidArgumentError(`Invalid value ${oomScoreAdj}, range for oom score adj is [-1000, 1000]`);
  return {
    groups: host.strings("GroupAdd"),
    readOnly: host.bool("ReadonlyRootfs"),
    init: host.optionalBool("Init") ?? world.defaults.init,
    sysctls: host.stringMap("Sysctls"),
    ulimits: ulimitsIn(host, world.defaults),
    oomScoreAdj,
  };
}

function ulimitsIn(
  host: Fields,
  { ulimits }: EngineSettings["container"],
): ContainerSpecification["ulimits"] {
  const asked = host.objects("Ulimits").map((limit) => ({
    name: limit.string("Name"),
    soft: limit.integer("Soft", { min: -1 }),
    hard: limit.integer("Hard", { min: -1 }),
  }));
  return [...asked, ...ulimits.filter(({ name }) => !asked.some((limit) => limit.name === name))];
}

/** What was left to the daemon. */
function withDefaults(
  isolation: ContainerIsolation,
  defaults: EngineSettings["container"],
): ContainerIsolation {
  const { privileged = false } = isolation;
  const given: ContainerIsolation = {
    ...(defaults.ipcMode === "" ? {} : { ipcMode: defaults.ipcMode }),
    ...(defaults.cgroupnsMode === "" || privileged ? {} : { cgroupnsMode: defaults.cgroupnsMode }),
    ...(defaults.shmSizeBytes === 0 ? {} : { shmSizeBytes: defaults.shmSizeBytes }),
    ...(defaults.runtime === "" ? {} : { runtime: defaults.runtime }),
  };
  return { ...given, ...isolation };
}

function withDns(
  networking: ContainerNetworking,
  { dns, dnsSearch, dnsOptions }: EngineSettings["container"],
): ContainerNetworking {
  const or = (asked: readonly string[], given: readonly string[]): readonly string[] =>
    asked.length > 0 ? asked : given;
  return {
    ...networking,
    dns: or(networking.dns, dns),
    dnsSearch: or(networking.dnsSearch, dnsSearch),
    dnsOptions: or(networking.dnsOptions, dnsOptions),
  };
}
