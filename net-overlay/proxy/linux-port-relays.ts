/**
 * Takes connections of a published port to its tasks, each with a header that says who the client is.
 * Edge: to node:net, to the kernel's connection table by the Linux port.
 * The mesh leads a port's connections here with the client's address; they listen on the node's transit
 * address alone. Invariants: a connection that nobody led here is reset, so that no list of allowed sources
 * is passed by; the header goes before the first byte; what one side resets is reset on the other; at most
 * `RELAYED_CONNECTIONS_MAX`.
 * Source: docs/design/network-proxy.md.
 */
import { connect, createServer, type Server, Socket } from "node:net";
import { messageOf } from "../../base/errors/errors.js";
import type { Linux, NetlinkSocket } from "../../base/linux/linux-ports.js";
import type { Logger } from "../../base/log/logger.js";
import { isRefusal } from "../dataplane/linux-route-socket.js";
import type { MeshBackend, MeshPort } from "../endpoints/mesh-plan.js";
import type { NodeNetworkIdentity } from "../network-plane.js";
import { transitGateway } from "../vxlan/node-addresses.js";
import { transitIpv6 } from "../vxlan/transit.js";
import { askOriginal, originalDestination } from "./original-destination.js";
import { orderOfTargets, type PortRelays, type RelayedPort } from "./port-relays.js";
import { encodeProxyHeader, type ProxyEnd } from "./proxy-header.js";

/** Of the node; further ones are reset. */
export const RELAYED_CONNECTIONS_MAX = 8_192;
const CONNECT_TIMEOUT_MS = 3_000;
/** Tasks that a connection tries. */
const ATTEMPTS_MAX = 3;
/** After so long without a word the kernel asks whether the other side is still there. */
const KEEP_ALIVE_MS = 60_000;

interface Relay {
  readonly servers: readonly Server[];
  readonly at: MeshBackend;
  idleTimeoutMs: number | undefined;
  aim: Pick<MeshPort, "backends" | "balance">;
  turn: number;
}

export class LinuxPortRelays implements PortRelays {
  readonly #linux: Linux;
  readonly #netnsPath: string | undefined;
  readonly #log: Logger;
  /** By published port. */
  readonly #relays = new Map<number, Relay>();
  readonly #sockets = new Set<Socket>();
  #connections = 0;
  #conntrack: NetlinkSocket | undefined;
  #isBlind = false;
  #identity: NodeNetworkIdentity | undefined;

  /** @param options netnsPath: of the namespace that plays the host; undefined: the daemon's own. */
  constructor(linux: Linux, options: { netnsPath: string | undefined; log: Logger }) {
    this.#linux = linux;
    this.#netnsPath = options.netnsPath;
    this.#log = options.log;
  }

  listen(identity: NodeNetworkIdentity, ports: readonly RelayedPort[]): ReadonlyMap<string, MeshBackend> {
    if (this.#identity !== undefined && this.#identity.number !== identity.number) this.#unlisten(() => true);
    this.#identity = identity;
    const wanted = new Map(ports.map((port) => [port.publishedPort, port]));
    this.#unlisten((port) => !wanted.has(port));
    const places = new Map<string, MeshBackend>();
    for (const { publishedPort, idleTimeoutMs } of ports) {
      const relay = this.#relays.get(publishedPort) ?? this.#open(publishedPort, identity.number);
      if (relay === undefined) continue;
      relay.idleTimeoutMs = idleTimeoutMs;
      places.set(`${publishedPort}/tcp`, relay.at);
    }
    return places;
  }

  aim(ports: readonly MeshPort[]): void {
    for (const port of ports) {
      const relay = port.relay === undefined ? undefined : this.#relays.get(port.publishedPort);
      if (relay !== undefined) relay.aim = port;
    }
  }

  close(): void {
    this.#unlisten(() => true);
    for (const socket of this.#sockets) socket.destroy();
    this.#conntrack?.close();
    this.#conntrack = undefined;
  }

  #unlisten(isGone: (publishedPort: number) => boolean): void {
    for (const [port, { servers }] of this.#relays) {
      if (!isGone(port)) continue;
      for (const server of servers) server.close();
      this.#relays.delete(port);
    }
  }

  #open(publishedPort: number, nodeNumber: number): Relay | undefined {
    const address = transitGateway(nodeNumber);
    try {
      const first = this.#serve(publishedPort, address, 0);
      const bound = first.address();
      if (bound === null || typeof bound === "string") {
        first.close();
        return undefined;
      }
      const { port } = bound;
      const relay: Relay = {
        servers: [first, ...this.#serveIpv6(publishedPort, transitIpv6(address), port)],
        at: { address, port },
        idleTimeoutMs: undefined,
        aim: { backends: [] },
        turn: 0,
      };
      this.#relays.set(publishedPort, relay);
      return relay;
    } catch (error) {
      this.#log.error("a published port with PROXY protocol is closed here", {
        port: publishedPort,
        error: messageOf(error),
      });
      return undefined;
    }
  }

  /** A host without IPv6 loses nothing. */
  #serveIpv6(publishedPort: number, address: string, port: number): Server[] {
    try {
      return [this.#serve(publishedPort, address, port)];
    } catch (error) {
      this.#log.debug("no relay for IPv6", { port: publishedPort, error: messageOf(error) });
      return [];
    }
  }

  #serve(publishedPort: number, address: string, port: number): Server {
    const { bindSocket } = this.#linux;
    const netnsPath = this.#netnsPath;
    const fd = bindSocket({ netnsPath, kind: "tcp", address, port, traits: ["free-bind"] });
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, (client) =>
      this.#accept(publishedPort, client),
    );
    server.on("error", (error) => this.#log.warn("a relay's listener failed", { error: error.message }));
    server.listen({ fd });
    return server;
  }

  #accept(publishedPort: number, client: Socket): void {
    const relay = this.#relays.get(publishedPort);
    const { remoteAddress, remotePort, localAddress, localPort } = client;
    client.on("error", () => client.destroy()); // the client went away
    if (relay === undefined || this.#connections >= RELAYED_CONNECTIONS_MAX) {
      client.resetAndDestroy();
      return;
    }
    const source = endOf(remoteAddress, remotePort);
    const local = endOf(localAddress, localPort);
    if (source === undefined || local === undefined) {
      client.destroy(); // gone already; it is not read yet, so that nothing else would end it
      return;
    }
    const destination = this.#destinationOf(source, local, publishedPort);
    if (destination === undefined) {
      client.resetAndDestroy();
      return;
    }
    this.#connections += 1;
    this.#sockets.add(client);
    client.on("close", () => {
      this.#connections -= 1;
      this.#sockets.delete(client);
    });
    client.setKeepAlive(true, KEEP_ALIVE_MS);
    const order = orderOfTargets(relay.aim, {
      turn: relay.turn++,
      client: source.address,
      nodeNumber: this.#identity?.number ?? 0,
    });
    this.#reach(client, order.slice(0, ATTEMPTS_MAX), {
      header: encodeProxyHeader({ source, destination }),
      idleTimeoutMs: relay.idleTimeoutMs,
    });
  }

  /** Tries one task after the other. */
  #reach(
    client: Socket,
    [target, ...others]: readonly MeshBackend[],
    begin: { readonly header: Buffer; readonly idleTimeoutMs: number | undefined },
  ): void {
    if (client.destroyed) return;
    if (target === undefined) {
      client.resetAndDestroy();
      return;
    }
    const server = this.#dial(target);
    this.#sockets.add(server);
    const giveUp = (): void => {
      server.destroy();
    };
    let isReached = false;
    client.once("close", giveUp);
    server.setTimeout(CONNECT_TIMEOUT_MS, giveUp);
    server.on("error", () => {
      if (isReached) client.resetAndDestroy();
      server.destroy();
    });
    server.once("close", () => {
      this.#sockets.delete(server);
      client.off("close", giveUp);
      if (!isReached) this.#reach(client, others, begin);
    });
    server.once("connect", () => {
      isReached = true;
      client.off("close", giveUp);
      server.setTimeout(0);
      server.off("timeout", giveUp);
      server.setKeepAlive(true, KEEP_ALIVE_MS);
      server.write(begin.header);
      join(client, server, begin.idleTimeoutMs);
    });
  }

  #dial({ address: host, port }: MeshBackend): Socket {
    if (this.#netnsPath === undefined) return connect({ host, port, allowHalfOpen: true, noDelay: true });
    const at = { netnsPath: this.#netnsPath, kind: "tcp", address: "0.0.0.0", port: 0 } as const;
    const fd = this.#linux.bindSocket({ ...at, traits: ["unlistened"] });
    const options = { fd, allowHalfOpen: true, readable: true, writable: true, manualStart: true };
    return new Socket(options).connect({ host, port });
  }

  /** @returns undefined: nobody led the connection here. */
  #destinationOf(client: ProxyEnd, local: ProxyEnd, publishedPort: number): ProxyEnd | undefined {
    const fallback = { address: this.#identity?.dataPathAddress ?? local.address, port: publishedPort };
    if (this.#isBlind) return fallback;
    try {
      this.#conntrack ??= this.#linux.netlink(this.#netnsPath, "netfilter");
      const [flow] = this.#conntrack.request(askOriginal({ client, local }));
      const found = flow === undefined ? undefined : originalDestination(flow, client.address);
      return found?.address === local.address && found.port === local.port ? undefined : found;
    } catch (error) {
      // what the kernel is short of for a moment says nothing of who led the connection here
      if (isRefusal(error, "ENOENT", "ENOBUFS", "ENOMEM", "EMFILE", "ENFILE")) return undefined;
      this.#isBlind = true;
      this.#log.warn("where clients connect to is not known: the node's address and port are told", {
        error: messageOf(error),
      });
      return fallback;
    }
  }
}

/** An address of the link is told with its interface, which is no part of it. @returns undefined: unknown. */
function endOf(address: string | undefined, port: number | undefined): ProxyEnd | undefined {
  if (address === undefined || port === undefined) return undefined;
  return { address: address.split("%")[0] ?? "", port };
}

/** Bytes go both ways as fast as the slower side takes them; each side may end its own half. */
function join(client: Socket, server: Socket, idleTimeoutMs: number | undefined): void {
  client.removeAllListeners("error");
  client.on("error", () => {
    server.resetAndDestroy();
    client.destroy();
  });
  // one that ended in order has ended its half of the other, which may still have something to send
  client.once("close", () => {
    if (!client.readableEnded) server.destroy();
  });
  server.once("close", () => {
    if (!server.readableEnded) client.destroy();
  });
  if (idleTimeoutMs !== undefined && idleTimeoutMs > 0) {
    client.setTimeout(idleTimeoutMs, () => {
      client.resetAndDestroy();
      server.resetAndDestroy();
    });
  }
  client.pipe(server);
  server.pipe(client);
  client.resume();
}
