/**
 * All clients of one run of a container on one connection to its monitor. Edge: to the monitor's socket,
 * which is handed in as a stream.
 * Invariants: every client sees each packet from its joining on, in order; the connection is made before the
 * process starts when somebody waits for it, so that output begins with its first byte; at the end all that
 * was sent is read before the clients' outputs end.
 * Bound: when one client's queue is full the connection is read no further, and the container's output waits
 * for that client, as it does in a pipe. Nothing is dropped.
 * Source: conmon 2.1, conn_sock.c: to us a byte of stream (2 stdout, 3 stderr) and data in each packet, from
 * us plain input in packets below 32 KiB; the end of the connection ends the input unless it is left open.
 */
import type { PacketStreams } from "../../../base/linux/linux-packet-stream.js";
import type { AttachedStream, StreamChunk } from "../../../proto/engine/streams.js";
import { ChunkQueue } from "./chunk-queue.js";

/** The monitor reads packets into 32 KiB and loses what is beyond. */
const PACKET_BYTES_MAX = 16 * 1024;
const STDERR_PACKET = 3;

export interface AttachHubOptions {
  /** The container takes input at all. */
  readonly openStdin: boolean;
  /** Input ends with the client that gives it. */
  readonly stdinOnce: boolean;
  readonly tty: boolean;
  /** The clients' outputs end no earlier: the exit code is known by then. */
  readonly endAfter?: Promise<void>;
  /** Nobody needs the hub any more: the run has ended, or its last client has gone. */
  readonly onOver: () => void;
}

export interface HubClientOptions {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
}

export class AttachHub {
  readonly #options: AttachHubOptions;
  readonly #clients = new Set<HubClient>();
  #streams: PacketStreams | undefined;
  #over = false;
  readonly #whenConnected: Promise<void>;
  #setConnected: () => void = () => undefined;
  /** Writes go one after the other: two at once would be one packet. */
  #writes: Promise<boolean> = Promise.resolve(true);
  #inputEnded = false;

  constructor(options: AttachHubOptions) {
    this.#options = options;
    this.#whenConnected = new Promise((resolve) => {
      this.#setConnected = resolve;
    });
  }

  get connected(): boolean {
    return this.#streams !== undefined;
  }

  join(options: HubClientOptions): AttachedStream {
    const client = new HubClient(this, options);
    this.#clients.add(client);
    if (this.#over) client.queue.end();
    return client;
  }

  /** The container has been created and listens. */
  connect(streams: PacketStreams): void {
    this.#streams = streams;
    const { reader, writer } = streams;
    reader.on("data", (packet: Buffer) => this.#received(packet));
    // A killed monitor is an end like any other; "close" follows an error.
    for (const socket of [reader, writer]) socket.on("error", () => undefined);
    const allRead = (): void => {
      for (const packet of streams.rest()) this.#received(packet);
      const { endAfter } = this.#options;
      if (endAfter === undefined) this.end();
      else void endAfter.then(() => this.end());
    };
    reader.once("close", allRead); // also after our own end: it frees what the streams hold
    reader.once("end", allRead);
    this.#setConnected();
  }

  /** The run is over, or could not begin. */
  end(): void {
    if (this.#over) return;
    this.#over = true;
    this.#setConnected();
    this.#streams?.reader.destroy();
    this.#streams?.writer.destroy();
    for (const client of this.#clients) client.queue.end();
    this.#options.onOver();
  }

  #received(packet: Buffer): void {
    const stream: StreamChunk["stream"] = packet[0] === STDERR_PACKET ? 2 : 1;
    const chunk = { stream, data: packet.subarray(1) };
    let full = false;
    for (const client of this.#clients) {
      if (stream === 1 ? !client.options.stdout : !client.options.stderr) continue;
      client.queue.push(chunk);
      full ||= client.queue.full;
    }
    if (full) this.#streams?.reader.pause();
  }

  /** A queue has room: reading goes on when all have. */
  roomMade(): void {
    if (this.#streams?.reader.isPaused() !== true) return;
    for (const client of this.#clients) if (client.queue.full) return;
    this.#streams.reader.resume();
  }

  write(client: HubClient, data: Uint8Array): Promise<boolean> {
    if (!this.#options.openStdin || !client.options.stdin) return Promise.resolve(false);
    const written = this.#writes.then(() => this.#write(client, data));
    this.#writes = written;
    return written;
  }

  async #write(client: HubClient, data: Uint8Array): Promise<boolean> {
    await Promise.race([this.#whenConnected, client.whenClosed]);
    for (let at = 0; at < data.length; at += PACKET_BYTES_MAX) {
      const writer = this.#streams?.writer;
      if (writer === undefined || this.#over || this.#inputEnded || client.closed) return false;
      const packet = data.subarray(at, at + PACKET_BYTES_MAX);
      const sent = await new Promise<boolean>((resolve) => {
        const gone = (): void => resolve(false);
        writer.once("close", gone);
        writer.write(packet, (error) => {
          writer.off("close", gone);
          resolve(error === undefined || error === null);
        });
      });
      if (!sent) return false;
    }
    return true;
  }

  endInput(client: HubClient): void {
    if (!client.options.stdin || !this.#options.openStdin) return;
    if (!this.#options.stdinOnce || this.#options.tty) {
      // Input stays open for the next client; this one's hold ends with its input.
      void this.#writes.then(() => client.close());
      return;
    }
    void this.#writes.then(async () => {
      await this.#whenConnected;
      this.#inputEnded = true;
      this.#streams?.writer.end();
    });
  }

  leave(client: HubClient): void {
    if (!this.#clients.delete(client)) return;
    const once = this.#options.stdinOnce && !this.#options.tty;
    if (this.connected && once && client.options.stdin) this.endInput(client);
    // Where a lost connection is the end of input, output is read on and dropped: others may still come.
    if (this.#clients.size === 0 && !(this.connected && once)) this.end();
    else this.roomMade();
  }
}

class HubClient implements AttachedStream {
  readonly queue: ChunkQueue;
  readonly options: HubClientOptions;
  readonly whenClosed: Promise<void>;
  readonly #hub: AttachHub;
  #setClosed: () => void = () => undefined;
  closed = false;

  constructor(hub: AttachHub, options: HubClientOptions) {
    this.#hub = hub;
    this.options = options;
    this.queue = new ChunkQueue(() => hub.roomMade());
    this.whenClosed = new Promise((resolve) => {
      this.#setClosed = resolve;
    });
  }

  get output(): AsyncIterable<StreamChunk> {
    return this.queue;
  }

  write(data: Uint8Array): Promise<boolean> {
    return this.#hub.write(this, data);
  }

  endInput(): void {
    this.#hub.endInput(this);
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.#setClosed();
    this.queue.end();
    this.#hub.leave(this);
  }
}
