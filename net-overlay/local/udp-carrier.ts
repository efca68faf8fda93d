/**
 * Carries datagrams between a port of the host and a container, where the kernel cannot translate them.
 * Edge: to node:dgram. Invariants: per port at most 256 clients at a time, further ones are dropped; a
 * client that was silent for 90 s is forgotten.
 */
import { createSocket, type Socket } from "node:dgram";
import type { Clock, Timer } from "../../base/clock/clock.js";

const CLIENTS_MAX = 256;
const IDLE_MS = 90_000;

interface Client {
  readonly socket: Socket;
  timer: Timer;
}

/** @param options.fd a bound UDP socket of the host; this owns it from now on. */
export function carryDatagrams(options: {
  readonly fd: number;
  readonly family: 4 | 6;
  readonly target: () => { readonly host: string; readonly port: number } | undefined;
  readonly clock: Clock;
  readonly onError: (error: Error) => void;
}): { close(): void } {
  const { clock, target, onError } = options;
  const outer = createSocket(options.family === 6 ? "udp6" : "udp4");
  const clients = new Map<string, Client>();
  let isOpen = true;

  const forget = (key: string): void => {
    const client = clients.get(key);
    clients.delete(key);
    client?.timer.cancel();
    client?.socket.close();
  };
  const later = (key: string): Timer => clock.setTimer(IDLE_MS, () => forget(key));

  const join = (key: string, from: { address: string; port: number }, host: string): Client => {
    const socket = createSocket(host.includes(":") ? "udp6" : "udp4");
    socket.on("error", () => forget(key)); // refused by the container: the next datagram tries again
    socket.on("message", (answer) => {
      if (isOpen) outer.send(answer, from.port, from.address);
    });
    const client = { socket, timer: later(key) };
    clients.set(key, client);
    return client;
  };

  outer.on("error", onError);
  outer.on("message", (message, from) => {
    const to = target();
    const key = `${from.address} ${from.port}`;
    if (to === undefined || (!clients.has(key) && clients.size >= CLIENTS_MAX)) return;
    const client = clients.get(key) ?? join(key, from, to.host);
    client.timer.cancel();
    client.timer = later(key);
    client.socket.send(message, to.port, to.host);
  });
  outer.bind({ fd: options.fd, exclusive: true });
  return {
    close(): void {
      isOpen = false;
      for (const key of [...clients.keys()]) forget(key);
      outer.close();
    },
  };
}
