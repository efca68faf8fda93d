/**
 * Hosts for tests of the network plane: namespaces on one bridge, and a client beside them.
 * Edge: to the kernel by ip(8), as a tool that is not what is tested.
 */
import { execFile, execFileSync, spawnSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import type { Socket } from "node:net";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../base/clock/system-clock.js";
import { openKoffiLinux } from "../../base/linux/linux-koffi.js";
import type { Linux } from "../../base/linux/linux-ports.js";
import type { Logger } from "../../base/log/logger.js";
import { MemoryLogger } from "../../base/log/logger.js";
import { systemRandom } from "../../base/random/system-random.js";
import { createNetworkPlane } from "../../net-overlay/linux-network-plane.js";
import type { NetworkPlane } from "../../net-overlay/network-plane.js";
import { patient } from "./patience.js";

export interface TestHost {
  /** 1, 2, 3… */
  readonly index: number;
  readonly number: number;
  readonly nodeId: string;
  readonly netns: string;
  readonly address: string;
  readonly runDir: string;
  readonly log: MemoryLogger;
  plane: NetworkPlane;
  /** A new plane over the same run directory, as after a restart of the daemon. */
  restart(): Promise<void>;
}

export interface TestWorld {
  readonly linux: Linux;
  readonly hosts: readonly TestHost[];
  readonly clientNetns: string;
  readonly clientAddress: string;
  /** Runs a command inside a namespace, given by path. @returns its output and exit code. */
  run(netnsPath: string, ...command: string[]): Promise<{ out: string; code: number }>;
  /**
   * Listens in a sandbox and greets every connection with `<name> <peer address>`,
   * then repeats what it is told.
   */
  greet(netnsPath: string, port: number, name: string, address?: string): void;
  /** The same by UDP, or whatever `reply` makes of a datagram. */
  greetUdp(netnsPath: string, port: number, reply: (message: Buffer, from: string) => Buffer | string): void;
  /** A client's datagram socket. Resolves with the answer, "" after a second. */
  datagram(netnsPath: string, port: number): (address: string, port: number, text: string) => Promise<string>;
  close(): Promise<void>;
}

/**
 * @param options.ipv6 hosts and client have an address of IPv6, too: 10.99.0.2 goes with fd99::2.
 * underlay: the family of the data path.
 */
export async function createTestWorld(
  hostCount: number,
  { ipv6 = false, underlay = 4 }: { ipv6?: boolean; underlay?: 4 | 6 } = {},
): Promise<TestWorld> {
  const linux = await openKoffiLinux();
  const prefix = `sknt${process.pid}`;
  const ip = (...args: string[]): string => execFileSync("ip", args, { encoding: "utf8" });
  const names = ["u", "c", ...Array.from({ length: hostCount }, (_, i) => `h${i + 1}`)];
  const dir = mkdtempSync(join(tmpdir(), "skein-net-"));
  const bridge = `${prefix}u`;
  const servers: { close(): void }[] = [];
  const sockets = new Set<Socket>();
  const hosts: TestHost[] = [];
  /** For a process that ends before `close`: mounts would outlive it. */
  const sweep = (): void => {
    for (const { runDir } of hosts)
      for (const path of filesIn(join(runDir, "net/ns"))) spawnSync("umount", ["-l", path]);
    for (const name of names) spawnSync("ip", ["netns", "del", `${prefix}${name}`]);
    rmSync(dir, { recursive: true, force: true });
  };
  process.on("exit", sweep);
  const close = async (): Promise<void> => {
    process.off("exit", sweep);
    for (const server of servers) server.close();
    for (const socket of sockets) socket.destroy();
    for (const host of hosts) {
      await host.plane.removeAll();
      await host.plane.close();
    }
    for (const name of names) ip("netns", "del", `${prefix}${name}`);
    rmSync(dir, { recursive: true, force: true });
  };
  for (const name of names) ip("netns", "add", `${prefix}${name}`);
  ip("-n", bridge, "link", "add", "br0", "type", "bridge");
  ip("-n", bridge, "link", "set", "br0", "up");
  const joinBridge = (name: string, address: string): void => {
    const netns = `${prefix}${name}`;
    ip("-n", netns, "link", "set", "lo", "up");
    ip("-n", bridge, "link", "add", `p${name}`, "type", "veth", "peer", "name", "eth0", "netns", netns);
    ip("-n", bridge, "link", "set", `p${name}`, "master", "br0", "up");
    ip("-n", netns, "addr", "add", `${address}/24`, "dev", "eth0");
    ip("-n", netns, "link", "set", "eth0", "up");
    if (ipv6) ip("-n", netns, "addr", "add", `${ipv6Of(address)}/64`, "dev", "eth0", "nodad");
  };
  joinBridge("c", "10.99.0.100");
  for (let index = 1; index <= hostCount; index += 1) {
    const number = index < 3 ? index : index * 100; // numbers need not fit a byte
    const address = `10.99.0.${index}`;
    joinBridge(`h${index}`, address);
    const netns = `/run/netns/${prefix}h${index}`;
    const log = new MemoryLogger();
    const runDir = join(dir, `h${index}`);
    const open = (): NetworkPlane => openPlane({ linux, runDir, hostNetns: netns, log });
    const dataPathAddress = underlay === 6 ? ipv6Of(address) : address;
    const identity = { nodeId: `node${index}`, number, dataPathAddress, vxlanUdpPort: 4789 };
    const host: TestHost = {
      index,
      number,
      nodeId: identity.nodeId,
      netns,
      address,
      runDir,
      log,
      plane: open(),
      async restart(): Promise<void> {
        await host.plane.close();
        host.plane = open();
        await host.plane.configure(identity);
      },
    };
    hosts.push(host);
    try {
      await host.plane.configure(identity);
    } catch (error) {
      await close();
      throw error;
    }
  }
  return {
    linux,
    hosts,
    clientNetns: `/run/netns/${prefix}c`,
    clientAddress: "10.99.0.100",
    run: runInside,
    greet(netnsPath, port, name, address = "0.0.0.0"): void {
      const fd = linux.bindSocket({ netnsPath, kind: "tcp", address, port });
      const server = createServer({ allowHalfOpen: false }, (socket) => {
        socket.on("error", () => socket.destroy());
        socket.write(`${name} ${socket.remoteAddress}\n`);
        socket.pipe(socket);
        sockets.add(socket);
      });
      server.listen({ fd });
      servers.push(server);
    },
    greetUdp(netnsPath, port, reply): void {
      const socket = createSocket("udp4");
      socket.on("message", (message, from) =>
        socket.send(reply(message, from.address), from.port, from.address),
      );
      socket.bind({
        fd: linux.bindSocket({ netnsPath, kind: "udp", address: "0.0.0.0", port }),
        exclusive: true,
      });
      servers.push(socket);
    },
    datagram(netnsPath, port): (address: string, port: number, text: string) => Promise<string> {
      const socket = createSocket("udp4");
      socket.bind({
        fd: linux.bindSocket({ netnsPath, kind: "udp", address: "0.0.0.0", port }),
        exclusive: true,
      });
      servers.push(socket);
      return (address, toPort, text) =>
        new Promise((resolve) => {
          const timer = systemClock.setTimer(1_000, () => resolve(""));
          socket.once("message", (message) => {
            timer.cancel();
            resolve(message.toString());
          });
          socket.send(text, toPort, address);
        });
    },
    close,
  };
}

/** Of a world with IPv6. */
export function ipv6Of(address: string): string {
  return `fd99::${address.split(".").at(-1)}`;
}

const filesIn = (folder: string): string[] =>
  existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : [];

function openPlane(options: { linux: Linux; runDir: string; hostNetns: string; log: Logger }): NetworkPlane {
  return createNetworkPlane({
    ...options,
    clock: systemClock,
    random: systemRandom,
    upstreamResolvers: ["10.99.0.100"],
  });
}

function runInside(netnsPath: string, ...command: string[]): Promise<{ out: string; code: number }> {
  return new Promise((resolve) => {
    const child = execFile(
      "nsenter",
      [`--net=${netnsPath}`, ...command],
      { timeout: patient(5_000) },
      (error, stdout, stderr) => {
        const code = typeof error?.code === "number" ? error.code : error === null ? 0 : 255;
        resolve({ out: `${stdout}${stderr}`.trim(), code });
      },
    );
    child.stdin?.end();
  });
}
