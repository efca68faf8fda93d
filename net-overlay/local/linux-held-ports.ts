/**
 * Published ports as sockets of the host that this process holds, so that no other program takes them, and
 * takes notice when one has them already.
 * Edge: to the kernel by the Linux port, to node:net. Connections are translated by nft before they get here.
 * What does get here is carried over by this process: IPv6 towards a container that has none, and
 * connections in the moment after somebody flushed the rules.
 * Invariants: a port of an address has one owner; per carried port at most 256 connections.
 */
import { closeSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import type { Clock } from "../../base/clock/clock.js";
import { messageOf } from "../../base/errors/errors.js";
import type { Linux } from "../../base/linux/linux-ports.js";
import type { Logger } from "../../base/log/logger.js";
import { isRefusal } from "../dataplane/linux-route-socket.js";
import type { HostPort, HostPorts, Refusal } from "./port-plan.js";
import { carryDatagrams } from "./udp-carrier.js";

const CARRIED_CONNECTIONS_MAX = 256;

interface Held {
  readonly owner: string;
  readonly hostAddress: string;
  readonly close: () => void;
}

export interface HeldPortsOptions {
  readonly linux: Linux;
  readonly netnsPath: string | undefined;
  /** Whether the routing mesh of the cluster has it. */
  readonly isMeshPort: (protocol: HostPort["protocol"], port: number) => boolean;
  /** The container's address; undefined: it has none. */
  readonly carriedTo: (owner: string) => string | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

export class LinuxHeldPorts implements HostPorts {
  readonly #options: HeldPortsOptions;
  /** "tcp/8080" -> */
  readonly #held = new Map<string, Held[]>();

  constructor(options: HeldPortsOptions) {
    this.#options = options;
  }

  hold(port: HostPort & { owner: string; containerPort: number }): Refusal | undefined {
    const key = `${port.protocol}/${port.hostPort}`;
    const others = this.#held.get(key) ?? [];
    const same = others.find((held) => held.hostAddress === port.hostAddress);
    if (same?.owner === port.owner) return undefined;
    if (others.some((held) => overlaps(held.hostAddress, port.hostAddress))) return "allocated";
    if (this.#options.isMeshPort(port.protocol, port.hostPort)) return "allocated";
    const close = this.#open(port);
    if (typeof close === "string") return close;
    this.#held.set(key, [...others, { owner: port.owner, hostAddress: port.hostAddress, close }]);
    return undefined;
  }

  release({ protocol, hostAddress, hostPort, owner }: HostPort & { owner: string }): void {
    const key = `${protocol}/${hostPort}`;
    const rest: Held[] = [];
    for (const held of this.#held.get(key) ?? []) {
      if (held.owner === owner && held.hostAddress === hostAddress) held.close();
      else rest.push(held);
    }
    if (rest.length === 0) this.#held.delete(key);
    else this.#held.set(key, rest);
  }

  close(): void {
    for (const held of [...this.#held.values()].flat()) held.close();
    this.#held.clear();
  }

  #open(port: HostPort & { owner: string; containerPort: number }): (() => void) | Refusal {
    const { linux, netnsPath, log } = this.#options;
    const { protocol, hostAddress, hostPort } = port;
    let fd: number;
    try {
      fd = linux.bindSocket({ netnsPath, kind: protocol, address: hostAddress, port: hostPort });
    } catch (error) {
      if (isRefusal(error, "EADDRINUSE")) return "in-use";
      if (isRefusal(error, "EADDRNOTAVAIL")) return "no-such-address";
      // a protocol the kernel has no sockets for cannot be taken by anybody
      if (isRefusal(error, "EPROTONOSUPPORT", "ESOCKTNOSUPPORT", "EAFNOSUPPORT")) return () => undefined;
      throw error;
    }
    if (protocol === "sctp") return () => closeSync(fd);
    if (protocol === "udp") {
      const carrier = carryDatagrams({
        fd,
        family: hostAddress.includes(":") ? 6 : 4,
        target: () => {
          const host = this.#options.carriedTo(port.owner);
          return host === undefined ? undefined : { host, port: port.containerPort };
        },
        clock: this.#options.clock,
        onError: (error) => log.warn("a published port is not carried", { error: error.message }),
      });
      return () => carrier.close();
    }
    const server = this.#carry(port);
    server.on("error", (error) => log.warn("a published port is not carried", { error: error.message }));
    server.listen({ fd });
    return () => server.close();
  }

  #carry({ owner, containerPort }: { owner: string; containerPort: number }): Server {
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (client) => {
      const address = this.#options.carriedTo(owner);
      client.on("error", () => client.destroy()); // the client went away
      if (address === undefined) client.destroy();
      else this.#join(client, { host: address, port: containerPort });
    });
    server.maxConnections = CARRIED_CONNECTIONS_MAX;
    return server;
  }

  #join(client: Socket, target: { host: string; port: number }): void {
    const { log } = this.#options;
    const inner = connect({ ...target, allowHalfOpen: true });
    inner.on("error", (error) => {
      log.debug("a carried connection ended", { error: messageOf(error) });
      client.resetAndDestroy();
    });
    client.on("close", () => inner.destroy());
    inner.on("close", () => client.destroy());
    inner.on("connect", () => {
      client.pipe(inner);
      inner.pipe(client);
      client.resume();
    });
  }
}

/** Addresses of one family overlap when they are the same, or one stands for all. */
function overlaps(a: string, b: string): boolean {
  if (a.includes(":") !== b.includes(":")) return false;
  return a === b || [a, b].some((address) => address === "0.0.0.0" || address === "::");
}
