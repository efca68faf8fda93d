/**
 * HostConfig as inspect gives it back: as it was asked for, with Docker's defaults laid in. Pure.
 */
import type { ContainerSpecification } from "../../proto/engine/containers.js";
import type { EngineSettings } from "../../proto/engine/settings.js";
import { HOST_CONFIG } from "./container-shapes.js";
import { laidOut } from "./go-shape.js";
import type { JsonObject, JsonValue } from "./shape.js";

const SHM_BYTES = 64 * 1024 * 1024;

export const MASKED_PATHS: readonly string[] = [
  "/proc/asound",
  "/proc/acpi",
  "/proc/interrupts",
  "/proc/kcore",
  "/proc/keys",
  "/proc/latency_stats",
  "/proc/timer_list",
  "/proc/timer_stats",
  "/proc/sched_debug",
  "/proc/scsi",
  "/sys/firmware",
  "/sys/devices/virtual/powercap",
];
export const READONLY_PATHS: readonly string[] = [
  "/proc/bus",
  "/proc/fs",
  "/proc/irq",
  "/proc/sys",
  "/proc/sysrq-trigger",
];

export interface HostConfigParts {
  readonly raw: unknown;
  readonly log: ContainerSpecification["log"];
  /** Of the daemon, when the request names none. */
  readonly runtime: string;
  readonly defaults: Pick<EngineSettings["container"], "ipcMode" | "cgroupnsMode" | "shmSizeBytes">;
  readonly cgroupVersion: "1" | "2";
  readonly mode: string;
  readonly apiMinor: number;
}

/** "net_admin" as "CAP_NET_ADMIN"; ALL stays. */
export function capabilityName(text: string): string {
  const name = text.toUpperCase();
  return name === "ALL" || name.startsWith("CAP_") ? name : `CAP_${name}`;
}

export function completedHostConfig(parts: HostConfigParts): JsonObject {
  const asked = laidOut(HOST_CONFIG, parts.raw) as Record<string, JsonValue>;
  const whenUnset = (key: string, value: JsonValue): void => {
    const now = asked[key];
    if (now === undefined || now === null || now === "" || now === 0) asked[key] = value;
  };
  const { defaults } = parts;
  const privileged = asked["Privileged"] === true;
  asked["LogConfig"] = { Type: parts.log.driver, Config: parts.log.options ?? {} };
  asked["NetworkMode"] = parts.mode === "default" && parts.apiMinor >= 44 ? "bridge" : parts.mode;
  const policy = asked["RestartPolicy"] as { readonly Name: string }; // its shape
  if (policy.Name === "") asked["RestartPolicy"] = { ...policy, Name: "no" };
  whenUnset("IpcMode", parts.apiMinor < 40 ? "shareable" : defaults.ipcMode || "private");
  const v2 = parts.cgroupVersion === "2";
  const ownCgroups = v2 ? "private" : "host";
  whenUnset("CgroupnsMode", privileged ? ownCgroups : defaults.cgroupnsMode || ownCgroups);
  whenUnset("ShmSize", defaults.shmSizeBytes || SHM_BYTES);
  whenUnset("Runtime", parts.runtime);
  if (typeof asked["Memory"] === "number" && asked["Memory"] > 0)
    whenUnset("MemorySwap", asked["Memory"] * 2);
  asked["OomKillDisable"] = v2 ? null : asked["OomKillDisable"] === true;
  if (v2 || asked["MemorySwappiness"] === -1) asked["MemorySwappiness"] = null;
  if (typeof asked["PidsLimit"] === "number" && asked["PidsLimit"] <= 0) asked["PidsLimit"] = null;
  if (!privileged) {
    whenUnset("MaskedPaths", MASKED_PATHS);
    whenUnset("ReadonlyPaths", READONLY_PATHS);
  } else {
    const options = Array.isArray(asked["SecurityOpt"]) ? asked["SecurityOpt"] : [];
    if (!options.some((option) => String(option).startsWith("label")))
      asked["SecurityOpt"] = [...options, "label=disable"];
  }
  return asked;
}
