/**
 * /info as Docker's JSON. Pure over what the daemon holds.
 */
import type { ContainerRecord } from "../../proto/engine/containers.js";
import type { EngineBackend } from "../ports.js";
import { machineName } from "./objects-out.js";
import type { JsonObject } from "./shape.js";
import { genericOut } from "./task-spec-out.js";

const LOG_DRIVERS = ["fluentd", "gelf", "journald", "json-file", "local", "syslog"];

/** Registries without TLS: ranges and names apart, as Docker tells them. */
function registryConfig(insecure: readonly string[], mirrors: readonly string[] = []): JsonObject {
  const index = (name: string, official: boolean): JsonObject => ({
    Name: name,
    Mirrors: official ? mirrors : [],
    Secure: official,
    Official: official,
  });
  const names = insecure.filter((name) => !name.includes("/"));
  return {
    InsecureRegistryCIDRs: ["::1/128", "127.0.0.0/8", ...insecure.filter((range) => range.includes("/"))],
    IndexConfigs: Object.fromEntries([
      ["docker.io", index("docker.io", true)],
      ...names.map((name): [string, JsonObject] => [name, index(name, false)]),
    ]),
    Mirrors: mirrors,
  };
}

function countsOut(list: readonly ContainerRecord[]): JsonObject {
  const paused = list.filter(({ state }) => state === "paused").length;
  const running = list.filter(({ state }) => state === "running" || state === "restarting").length;
  return {
    Containers: list.length,
    ContainersRunning: running,
    ContainersPaused: paused,
    ContainersStopped: list.length - running - paused,
  };
}

/** @param parts.warnings without Docker's "WARNING: ". */
export function infoOut(
  backend: EngineBackend,
  parts: { readonly swarm: JsonObject; readonly warnings: readonly string[] },
): JsonObject {
  const { facts, containers, images } = backend;
  const settings = backend.settings();
  const runtime = settings.container.runtime || facts.runtime;
  return {
    ID: facts.engineId,
    ...countsOut(containers.list()),
    Images: images.list().length,
    Driver: "overlay2",
    DriverStatus: [
      ["Supports d_type", "true"],
      ["userxattr", "false"],
    ],
    Plugins: {
      Volume: ["local"],
      Network: ["bridge", "host", "null", "overlay"],
      Authorization: null,
      Log: LOG_DRIVERS,
    },
    MemoryLimit: true,
    SwapLimit: true,
    CpuCfsPeriod: true,
    CpuCfsQuota: true,
    CPUShares: true,
    CPUSet: true,
    PidsLimit: true,
    IPv4Forwarding: true,
    OomKillDisable: facts.cgroupVersion === "1",
    Debug: settings.debug,
    SystemTime: new Date(backend.clock.nowMs()).toISOString(),
    LoggingDriver: settings.container.logDriver,
    CgroupDriver: "cgroupfs",
    CgroupVersion: facts.cgroupVersion,
    KernelVersion: facts.kernelVersion,
    OperatingSystem: facts.operatingSystem,
    OSVersion: "",
    OSType: "linux",
    Architecture: machineName(facts.architecture),
    IndexServerAddress: "https://index.docker.io/v1/",
    RegistryConfig: registryConfig(settings.insecureRegistries, settings.registryMirrors),
    NCPU: facts.cpus,
    MemTotal: facts.memoryBytes,
    GenericResources: facts.genericResources.length === 0 ? null : facts.genericResources.map(genericOut),
    DockerRootDir: facts.dataDir,
    HttpProxy: withoutPassword(settings.proxies.http),
    HttpsProxy: withoutPassword(settings.proxies.https),
    NoProxy: settings.proxies.no,
    Name: facts.hostname,
    Labels: facts.labels,
    ExperimentalBuild: false,
    ServerVersion: facts.version,
    Runtimes: Object.fromEntries(facts.runtimes.map((name) => [name, { path: name }])),
    DefaultRuntime: runtime,
    Swarm: parts.swarm,
    LiveRestoreEnabled: true,
    Isolation: "",
    InitBinary: "docker-init",
    DefaultAddressPools: settings.network.addressPools.map(({ base, size }) => ({ Base: base, Size: size })),
    SecurityOptions: [`name=seccomp,profile=${settings.container.seccompProfile || "builtin"}`],
    Warnings: parts.warnings.length === 0 ? null : parts.warnings.map((warning) => `WARNING: ${warning}`),
  };
}

/** As dockerd shows it: user and password hidden. */
function withoutPassword(proxy: string): string {
  return proxy.replace(/^([a-z]+:\/\/)[^/@]*@/i, "$1xxxxx:xxxxx@");
}
