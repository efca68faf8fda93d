/**
 * What this machine is: for /info, /version and the node's description. Edge: to node:os and node:fs.
 */
import { readFileSync } from "node:fs";
import { arch, cpus, release, totalmem } from "node:os";
import { join } from "node:path";
import type { NodeFacts } from "../api/ports.js";
import { newId } from "../base/random/ids.js";
import type { Random } from "../base/random/random.js";
import type { EngineSettings } from "../proto/engine/settings.js";
import { NodeDescription } from "../proto/gen/skein/v1/types.js";
import { readFileIfThere, writeFileAtomic } from "./atomic-file.js";
import { genericResources } from "./generic-resources.js";
import type { TlsHashes } from "./tls-hashes.js";

/** The release of Skein; kept equal to package.json by a test. */
export const SKEIN_VERSION = "0.1.0";

/** Docker's names of architectures: Go's. */
function goArchitecture(): string {
  return { x64: "amd64", arm64: "arm64", ia32: "386" }[arch() as string] ?? arch();
}

function operatingSystem(): string {
  const text = readFileIfThere("/etc/os-release") ?? "";
  return /^PRETTY_NAME="?([^"\n]*)"?$/m.exec(text)?.[1] ?? "Linux";
}

/**
 * Memory a container could get: the machine's,
 * or this daemon's cgroup limit when smaller is not known to matter.
 */
function memoryBytes(): number {
  const text = readFileSync("/proc/meminfo", "utf8");
  const kib = Number(/^MemTotal:\s+(\d+) kB$/m.exec(text)?.[1] ?? 0);
  return kib > 0 ? kib * 1024 : totalmem();
}

export interface MachineOptions {
  readonly dataDir: string;
  readonly hostname: string;
  readonly cgroupVersion: "1" | "2";
  readonly runtimes: readonly string[];
  /** As they are now: labels follow a reload. */
  readonly settings: () => Pick<EngineSettings, "labels" | "nodeGenericResources">;
  /** CDI names. */
  readonly devices: readonly string[];
  readonly random: Random;
}

export function readMachineFacts(options: MachineOptions): NodeFacts {
  const idPath = join(options.dataDir, "engine-id");
  let engineId = readFileIfThere(idPath)?.trim();
  if (engineId === undefined || engineId === "") {
    engineId = newId(options.random);
    writeFileAtomic(idPath, `${engineId}\n`, 0o644);
  }
  return {
    engineId,
    hostname: options.hostname,
    dataDir: options.dataDir,
    version: SKEIN_VERSION,
    kernelVersion: release(),
    operatingSystem: operatingSystem(),
    architecture: goArchitecture(),
    cpus: cpus().length,
    memoryBytes: memoryBytes(),
    cgroupVersion: options.cgroupVersion,
    runtime: options.runtimes[0] ?? "",
    runtimes: options.runtimes,
    get labels() {
      return options.settings().labels;
    },
    get genericResources() {
      return genericResources(options.settings().nodeGenericResources);
    },
    devices: options.devices,
  };
}

/** The node as it describes itself to the cluster. */
export function describeNode(
  facts: NodeFacts,
  now: {
    readonly dataPathAddress: string;
    readonly managerTrouble: string;
    readonly encryption: { readonly publicKey: string; readonly udpPort: number };
    readonly networkTrouble: string;
    readonly pathMtuBytes: number;
    readonly nodeAddresses: readonly string[];
    readonly tls: TlsHashes;
  },
): NodeDescription {
  return NodeDescription.fromPartial({
    hostname: facts.hostname,
    platform: { architecture: facts.architecture, os: "linux" },
    resources: {
      nanoCpus: facts.cpus * 1e9,
      memoryBytes: facts.memoryBytes,
      generic: [...facts.genericResources],
    },
    devices: [...facts.devices],
    engineVersion: facts.version,
    engineLabels: Object.fromEntries(
      facts.labels.map((label) => {
        const at = label.indexOf("=");
        return at < 0 ? [label, ""] : [label.slice(0, at), label.slice(at + 1)];
      }),
    ),
    plugins: [
      { type: "Log", name: "json-file" },
      { type: "Log", name: "local" },
      { type: "Network", name: "host" },
      { type: "Network", name: "null" },
      { type: "Network", name: "overlay" },
      { type: "Volume", name: "local" },
    ],
    dataPathAddress: now.dataPathAddress,
    managerTrouble: now.managerTrouble,
    wireguardPublicKey: now.encryption.publicKey,
    wireguardUdpPort: now.encryption.udpPort,
    networkTrouble: now.networkTrouble,
    pathMtuBytes: now.pathMtuBytes,
    nodeAddresses: [...now.nodeAddresses],
    tlsIssuerPublicKeySha256: now.tls.issuer,
    tlsTrustRootSha256: now.tls.trust,
  });
}
