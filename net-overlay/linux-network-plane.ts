/**
 * The network plane of a Linux node, put together from its parts. Edge: to the kernel,
 * the run directory and the node's resolv.conf.
 */
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../base/clock/clock.js";
import { messageOf } from "../base/errors/errors.js";
import type { Linux } from "../base/linux/linux-ports.js";
import type { Logger } from "../base/log/logger.js";
import type { Random } from "../base/random/random.js";
import { FileSandboxRecords } from "./dataplane/file-sandbox-records.js";
import { createLinuxDataPlane } from "./dataplane/linux-data-plane.js";
import { LinuxSandboxDns } from "./discovery/linux-sandbox-dns.js";
import { createUpstream } from "./discovery/udp-upstream.js";
import { LinuxIdleSockets } from "./idle/linux-idle-sockets.js";
import type { NetworkPlane } from "./network-plane.js";
import { NodeNetwork } from "./node-network.js";
import { createPortHolders } from "./paths/fs-port-holder.js";
import { MESH_CLAIM } from "./paths/linux-mesh-claim.js";
import { LinuxProbeTunnel } from "./paths/linux-probe-tunnel.js";

/** How long the node's resolv.conf is taken as read. */
const RESOLV_CONF_FRESH_MS = 5_000;

export interface NetworkPlaneOptions {
  readonly linux: Linux;
  /** Namespaces and records go to its subfolder "net". */
  readonly runDir: string;
  readonly clock: Clock;
  /** For keys. */
  readonly random: Random;
  readonly log: Logger;
  /**
   * Path of the namespace that plays the host: mesh, tunnels' sockets and upstream questions live there.
   * @default the daemon's own
   */
  readonly hostNetns?: string;
  /**
   * Addresses, with a port when it is not 53. With them, tasks get no search domains or options of the host.
   * @default the nameservers of /etc/resolv.conf, read anew when it changes
   */
  readonly upstreamResolvers?: readonly string[];
}

export function createNetworkPlane(options: NetworkPlaneOptions): NetworkPlane {
  const { linux, clock, hostNetns, upstreamResolvers } = options;
  const log = options.log.child({ component: "network" });
  const dir = join(options.runDir, "net");
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const dataPlane = createLinuxDataPlane({ linux, netnsDir: join(dir, "ns"), hostNetns, log });
  const upstream = createUpstream({ clock, linux, hostNetns });
  const holders = createPortHolders(linux, hostNetns);
  return new NodeNetwork({
    dataPlane,
    records: new FileSandboxRecords({ dir: join(dir, "sandboxes"), log }),
    dns: (viewOf) =>
      new LinuxSandboxDns({
        linux,
        sandboxPath: (taskId) => dataPlane.sandboxPath(taskId),
        viewOf,
        upstream,
        upstreamResolvers:
          upstreamResolvers === undefined ? nodeResolvers({ clock, log }) : () => upstreamResolvers,
        clock,
        log,
      }),
    hostResolvConf: upstreamResolvers === undefined ? nodeResolvConf({ clock, log }) : () => "",
    holders: {
      ofPort: (port) => holders.holderOf("udp", port),
      ofMesh: () => holders.holderOfName(MESH_CLAIM),
    },
    idleSockets: new LinuxIdleSockets({
      linux,
      sandboxPath: (taskId) => dataPlane.sandboxPath(taskId),
      overlayPath: (networkId) => join(dir, "ns", `net-${networkId}`),
      hostNetns,
      log,
    }),
    clock,
    random: options.random,
    relays: async () => {
      const { LinuxPortRelays } = await import("./proxy/linux-port-relays.js"); // seldom needed
      return new LinuxPortRelays(linux, { netnsPath: hostNetns, log });
    },
    probes: new LinuxProbeTunnel(linux, { path: join(dir, "ns", "paths"), hostNetns, clock, log }),
    log,
  });
}

/** The nameservers of the node's resolv.conf, read anew when what was read is some seconds old. */
export function nodeResolvers(options: { clock: Clock; log: Logger }): () => readonly string[] {
  const read = nodeResolvConf(options);
  let text = "";
  let resolvers: readonly string[] = [];
  return () => {
    const now = read();
    if (now !== text) resolvers = parseNameservers(now);
    text = now;
    return resolvers;
  };
}

function nodeResolvConf({ clock, log }: { clock: Clock; log: Logger }): () => string {
  let text = "";
  let readAtMs = Number.NEGATIVE_INFINITY;
  return () => {
    if (clock.monotonicMs() - readAtMs < RESOLV_CONF_FRESH_MS) return text;
    readAtMs = clock.monotonicMs();
    try {
      text = readFileSync("/etc/resolv.conf", "utf8");
    } catch (error) {
      log.warn("the node's resolv.conf is unreadable", { error: messageOf(error) });
    }
    return text;
  };
}

/** The addresses of resolv.conf(5)'s nameserver lines. */
export function parseNameservers(text: string): string[] {
  return [...text.matchAll(/^nameserver\s+(\S+)/gm)].flatMap((match) => match[1] ?? []);
}
