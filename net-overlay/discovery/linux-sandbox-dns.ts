/**
 * DNS at 127.0.0.11 inside every sandbox, served by this process. Edge: to sockets made in the sandboxes'
 * namespaces by the Linux port.
 * Invariants: a descriptor has one owner, the socket object made from it; whatever a task sends, the
 * daemon goes on; a sandbox has TCP_CONNECTIONS_MAX connections at most, further ones are closed.
 */
import type { Socket as UdpSocket } from "node:dgram";
import { createSocket } from "node:dgram";
import type { Server, Socket } from "node:net";
import { createServer } from "node:net";
import type { Clock } from "../../base/clock/clock.js";
import { messageOf } from "../../base/errors/errors.js";
import type { Linux } from "../../base/linux/linux-ports.js";
import type { Logger } from "../../base/log/logger.js";
import type { Sandbox } from "../endpoints/sandbox.js";
import type { SandboxDns } from "../task-sandboxes.js";
import { DNS_ADDRESS, DNS_SERVED_PORT } from "./dns-address.js";
import type { Transport } from "./dns-answer.js";
import { DnsDesk } from "./dns-desk.js";
import { DnsFrames, framed } from "./dns-frames.js";
import type { AskerView } from "./resolve.js";
import type { Upstream } from "./upstream.js";

export const TCP_CONNECTIONS_MAX = 32;
const TCP_IDLE_MS = 10_000;
/** Answers that a task has not read yet; past that its connection ends. */
const TCP_UNREAD_MAX_BYTES = 256 * 1024;

export interface LinuxSandboxDnsOptions {
  readonly linux: Linux;
  readonly sandboxPath: (taskId: string) => string;
  readonly viewOf: (taskId: string) => AskerView | undefined;
  readonly upstream: Upstream;
  /** The node's resolvers, asked anew for every question that goes outside. */
  readonly upstreamResolvers: () => readonly string[];
  readonly clock: Clock;
  readonly log: Logger;
}

interface Served {
  readonly udp: UdpSocket;
  readonly tcp: Server;
  readonly connections: Set<Socket>;
}

export class LinuxSandboxDns implements SandboxDns {
  readonly #options: LinuxSandboxDnsOptions;
  readonly #desk: DnsDesk;
  readonly #served = new Map<string, Served>();

  constructor(options: LinuxSandboxDnsOptions) {
    this.#options = options;
    this.#desk = new DnsDesk({ ...options, nodeResolvers: options.upstreamResolvers });
  }

  /** @param sandbox of a task, or of any other namespace that `sandboxPath` knows by that id. */
  open({ taskId }: Pick<Sandbox, "taskId">): void {
    if (this.#served.has(taskId)) return;
    const { linux, log } = this.#options;
    const netnsPath = this.#options.sandboxPath(taskId);
    const udp = createSocket({ type: "udp4", lookup: asItIs });
    const tcp = createServer();
    const served: Served = { udp, tcp, connections: new Set() };
    udp.on("error", (error) => log.warn("DNS socket failed", { taskId, error: error.message }));
    tcp.on("error", (error) => log.warn("DNS listener failed", { taskId, error: error.message }));
    udp.on("message", (message, { port, address }) => {
      this.#handle(taskId, { message, transport: "udp" }, (answer) => {
        if (this.#served.get(taskId) === served) udp.send(answer, port, address);
      });
    });
    tcp.on("connection", (socket) => this.#serveTcp(taskId, served, socket));
    tcp.maxConnections = TCP_CONNECTIONS_MAX;
    const at = { netnsPath, address: DNS_ADDRESS, port: DNS_SERVED_PORT };
    try {
      udp.bind({ fd: linux.bindSocket({ ...at, kind: "udp", traits: ["deep-queue"] }), exclusive: true });
      tcp.listen({ fd: linux.bindSocket({ ...at, kind: "tcp" }) });
    } catch (error) {
      udp.close(); // the second may fail when the first is open
      throw error;
    }
    this.#served.set(taskId, served);
  }

  closeSandbox(taskId: string): void {
    const served = this.#served.get(taskId);
    if (served === undefined) return;
    this.#served.delete(taskId);
    this.#desk.forget(taskId);
    served.udp.close();
    served.tcp.close();
    for (const socket of served.connections) socket.destroy();
  }

  close(): void {
    for (const taskId of [...this.#served.keys()]) this.closeSandbox(taskId);
  }

  #handle(
    taskId: string,
    asked: { message: Buffer; transport: Transport },
    reply: (answer: Buffer) => void,
  ): void {
    try {
      this.#desk.answer(taskId, asked, reply);
    } catch (error) {
      this.#options.log.warn("DNS question was not answered", { taskId, error: messageOf(error) });
    }
  }

  #serveTcp(taskId: string, served: Served, socket: Socket): void {
    const frames = new DnsFrames();
    served.connections.add(socket);
    socket.setTimeout(TCP_IDLE_MS, () => socket.destroy());
    socket.on("error", () => socket.destroy()); // the asker went away
    socket.on("close", () => served.connections.delete(socket));
    const reply = (answer: Buffer): void => {
      if (socket.writableLength > TCP_UNREAD_MAX_BYTES) socket.destroy();
      if (!socket.destroyed) socket.write(framed(answer));
    };
    socket.on("data", (chunk) => {
      const messages = frames.take(chunk);
      if (messages === undefined) socket.destroy();
      for (const message of messages ?? []) {
        if (!socket.destroyed) this.#handle(taskId, { message, transport: "tcp" }, reply);
      }
    });
  }
}

/** Askers' addresses come from the kernel: there is nothing to look up, and no later turn to wait for. */
function asItIs(
  address: string,
  _options: unknown,
  callback: (error: null, address: string, family: number) => void,
): void {
  callback(null, address, 4);
}
