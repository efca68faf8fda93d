/**
 * The local networks of a Linux node, put together from their parts. Edge: to the kernel, the data
 * directory and the run directory.
 */
import { join } from "node:path";
import type { Clock, Timer } from "../../base/clock/clock.js";
import type { Linux } from "../../base/linux/linux-ports.js";
import type { Logger } from "../../base/log/logger.js";
import type { Random } from "../../base/random/random.js";
import { LinuxNetWatch } from "../audit/linux-net-watch.js";
import { LinuxSandboxDns } from "../discovery/linux-sandbox-dns.js";
import { createUpstream } from "../discovery/udp-upstream.js";
import { nodeResolvers } from "../linux-network-plane.js";
import { FileLocalRecords } from "./file-local-records.js";
import { LinuxHeldPorts } from "./linux-held-ports.js";
import { LinuxLocalHost } from "./linux-local-host.js";
import { type LocalNetworkInit, NodeLocalNetworks } from "./local-networks.js";
import type { OverlayNetworks } from "./overlay-networks.js";
import type { HostPort } from "./port-plan.js";

/** What comes together is looked at once. */
const LOOK_DELAY_MS = 20;

export interface OpenLocalNetworksOptions {
  readonly linux: Linux;
  /** Networks are kept in its subfolder "networks". */
  readonly dataDir: string;
  /** Namespaces and sandboxes go to its subfolder "net/local". */
  readonly runDir: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Whether the routing mesh of the cluster has it. @default no */
  readonly isMeshPort?: (protocol: HostPort["protocol"], port: number) => boolean;
  /** Places on the cluster's overlays. @default there are none */
  readonly overlays?: OverlayNetworks;
  /** Path of the namespace that plays the host. @default the daemon's own */
  readonly hostNetns?: string;
  readonly init?: LocalNetworkInit;
}

/** @throws {NotImplementedError} where the kernel is reached by commands alone. */
export function openLocalNetworks(options: OpenLocalNetworksOptions): {
  readonly networks: NodeLocalNetworks;
  /** Stops serving; leaves the kernel as it is. */
  close(): Promise<void>;
} {
  const { linux, clock, random, hostNetns } = options;
  const log = options.log.child({ component: "local-networks" });
  const dir = join(options.runDir, "net", "local");
  const netnsDir = join(dir, "ns");
  const ports = new LinuxHeldPorts({
    linux,
    netnsPath: hostNetns,
    isMeshPort: options.isMeshPort ?? (() => false),
    carriedTo: (owner) => networks.carriedTo(owner),
    clock,
    log,
  });
  const names = new LinuxSandboxDns({
    linux,
    sandboxPath: (containerId) => join(netnsDir, containerId),
    viewOf: (containerId) => networks.viewOf(containerId),
    upstream: createUpstream({ clock, linux, hostNetns }),
    upstreamResolvers: nodeResolvers({ clock, log }),
    clock,
    log,
  });
  const records = new FileLocalRecords({
    networksDir: join(options.dataDir, "networks"),
    sandboxesDir: join(dir, "sandboxes"),
    log,
  });
  const host = new LinuxLocalHost({ linux, netnsDir, hostNetns, ports, names, log });
  const { overlays } = options;
  const networks = new NodeLocalNetworks(
    { host, records, clock, random, log, ...(overlays === undefined ? {} : { overlays }) },
    options.init,
  );
  // what others do to rulesets is looked at at once; the timer remains for what was not heard
  let looking: Timer | undefined;
  const watch = new LinuxNetWatch({
    ...{ linux, netnsPath: hostNetns, log },
    changes: ["ruleset"],
    onChange: () => {
      looking ??= clock.setTimer(LOOK_DELAY_MS, () => {
        looking = undefined;
        networks.lookAtFirewall();
      });
    },
  });
  return {
    networks,
    close: () => {
      watch.close();
      looking?.cancel();
      networks.stop();
      return Promise.resolve();
    },
  };
}
