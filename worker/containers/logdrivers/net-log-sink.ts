/**
 * Where forwarded lines go: a connection or packets. Edge: to node:net, node:tls, node:dgram and local
 * sockets. A sink connects when it first sends, and anew after a failure; who sends waits until the kernel
 * has taken all of it, so nothing piles up here.
 * Bound: one batch at a time; `CONNECT_TIMEOUT_MS` for a connection, `SEND_TIMEOUT_MS` for a batch.
 */
import { createSocket, type Socket as DatagramSocket } from "node:dgram";
import { closeSync, readFileSync, writeSync } from "node:fs";
import { connect, isIPv6, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { Clock } from "../../../base/clock/clock.js";
import { messageOf, UnavailableError } from "../../../base/errors/errors.js";
import type { Linux } from "../../../base/linux/linux-ports.js";
import type { SinkAddress } from "./sink-address.js";

const CONNECT_TIMEOUT_MS = 10_000;
/** For one batch: a receiver that takes nothing for so long is as good as gone. */
const SEND_TIMEOUT_MS = 30_000;

export interface LogSink {
  /** Resolves when all of it has left. @throws {UnavailableError} it may have left in part. */
  send(messages: readonly Uint8Array[]): Promise<void>;
  close(): void;
  /** What is being sent fails now, if it could wait for the receiver. */
  cut?(): void;
}

export interface TlsFiles {
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  readonly skipVerify: boolean;
}

export interface SinkWorld {
  readonly linux: Pick<Linux, "connectDatagram">;
  readonly clock: Clock;
}

export function openLogSink(address: SinkAddress, tls: TlsFiles, world: SinkWorld): LogSink {
  switch (address.transport) {
    case "udp":
      return new UdpSink(address);
    case "unixgram":
      return new LocalPacketSink(address.path, world);
    default:
      return new StreamSink(address, tls, world);
  }
}

type StreamAddress =
  | { readonly transport: "tcp" | "tls"; readonly host: string; readonly port: number }
  | { readonly transport: "unix"; readonly path: string };

class StreamSink implements LogSink {
  readonly #address: StreamAddress;
  readonly #tls: TlsFiles;
  readonly #world: SinkWorld;
  #socket: Socket | undefined;

  constructor(address: SinkAddress, tls: TlsFiles, world: SinkWorld) {
    this.#address = address as StreamAddress; // openLogSink chose by it
    this.#tls = tls;
    this.#world = world;
  }

  async send(messages: readonly Uint8Array[]): Promise<void> {
    const socket = await this.#connected();
    const bytes = Buffer.concat(messages);
    const timer = this.#world.clock.setTimer(SEND_TIMEOUT_MS, () => socket.destroy());
    try {
      await new Promise<void>((resolve, reject) => {
        const lost = (): void => reject(new UnavailableError("the log receiver closed the connection"));
        socket.once("close", lost);
        socket.write(bytes, (error) => {
          socket.off("close", lost);
          if (error) reject(new UnavailableError(`sending logs failed: ${error.message}`, { cause: error }));
          else resolve();
        });
      });
    } finally {
      timer.cancel();
    }
  }

  async #connected(): Promise<Socket> {
    if (this.#socket !== undefined && !this.#socket.destroyed && this.#socket.writable) return this.#socket;
    this.#socket?.destroy();
    const socket = this.#dial();
    this.#socket = socket;
    const ready = this.#address.transport === "tls" ? "secureConnect" : "connect";
    const timer = this.#world.clock.setTimer(CONNECT_TIMEOUT_MS, () =>
      socket.destroy(new Error(`no connection in ${CONNECT_TIMEOUT_MS} ms`)),
    );
    try {
      await new Promise<void>((resolve, reject) => {
        socket.once(ready, () => resolve());
        socket.on("error", (error) =>
          reject(new UnavailableError(`log receiver: ${error.message}`, { cause: error })),
        );
        socket.once("close", () => reject(new UnavailableError("log receiver: connection closed")));
      });
    } finally {
      timer.cancel();
    }
    socket.resume(); // what it says is not for us; its end is
    return socket;
  }

  #dial(): Socket {
    const address = this.#address;
    if (address.transport === "unix") return connect({ path: address.path });
    const { host, port } = address;
    if (address.transport === "tcp") return connect({ host, port });
    const { ca, cert, key, skipVerify } = this.#tls;
    return connectTls({
      host,
      port,
      rejectUnauthorized: !skipVerify,
      ...(ca === undefined ? {} : { ca: readFileSync(ca) }),
      ...(cert === undefined ? {} : { cert: readFileSync(cert) }),
      ...(key === undefined ? {} : { key: readFileSync(key) }),
    });
  }

  close(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.destroySoon();
  }

  cut(): void {
    this.#socket?.destroy();
  }
}

class UdpSink implements LogSink {
  readonly #host: string;
  readonly #port: number;
  #socket: DatagramSocket | undefined;

  constructor(address: { readonly host: string; readonly port: number }) {
    this.#host = address.host;
    this.#port = address.port;
  }

  async send(messages: readonly Uint8Array[]): Promise<void> {
    for (const message of messages) await this.#sendOne(message);
  }

  #sendOne(message: Uint8Array): Promise<void> {
    const socket = this.#opened();
    return new Promise((resolve, reject) => {
      socket.send(message, this.#port, this.#host, (error) => {
        // Too long for a packet: no later try would help.
        if (error === null || (error as NodeJS.ErrnoException).code === "EMSGSIZE") resolve();
        else reject(new UnavailableError(`sending logs failed: ${error.message}`, { cause: error }));
      });
    });
  }

  #opened(): DatagramSocket {
    if (this.#socket === undefined) {
      this.#socket = createSocket(isIPv6(this.#host) ? "udp6" : "udp4");
      this.#socket.on("error", () => undefined); // each send tells its own
      this.#socket.unref();
    }
    return this.#socket;
  }

  close(): void {
    this.#socket?.close();
    this.#socket = undefined;
  }
}

/** The local syslog or journal: packets on a local socket. */
class LocalPacketSink implements LogSink {
  readonly #path: string;
  readonly #world: SinkWorld;
  #fd: number | undefined;

  constructor(path: string, world: SinkWorld) {
    this.#path = path;
    this.#world = world;
  }

  async send(messages: readonly Uint8Array[]): Promise<void> {
    for (const message of messages) {
      try {
        this.#fd ??= this.#world.linux.connectDatagram(this.#path);
        writeSync(this.#fd, message);
      } catch (error) {
        if (error instanceof Error && "code" in error && error.code === "EMSGSIZE") continue;
        this.close();
        throw new UnavailableError(`sending logs to ${this.#path} failed: ${messageOf(error)}`, {
          cause: error,
        });
      }
    }
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }
}
