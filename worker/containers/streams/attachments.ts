/**
 * Clients attached to containers, and the sizes of their terminals. Edge: to the monitors' sockets and fifos.
 * Invariant: a client that attached before the start is connected between the runtime's create and start, so
 * that it misses nothing; a connection that fails never keeps a container from starting.
 */
import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { FailedPreconditionError, messageOf } from "../../../base/errors/errors.js";
import { connectPacketStreams } from "../../../base/linux/linux-packet-stream.js";
import type { Linux } from "../../../base/linux/linux-ports.js";
import type { Logger } from "../../../base/log/logger.js";
import type { ContainerManager, ContainerRecord } from "../../../proto/engine/containers.js";
import type { AttachedStream, AttachOptions } from "../../../proto/engine/streams.js";
import type { RuntimeLayout } from "../../runtime/runtime-layout.js";
import { AttachHub } from "./attach-hub.js";

export interface AttachmentsInit {
  readonly containers: Pick<ContainerManager, "get" | "emit" | "onEvent">;
  readonly layout: Pick<RuntimeLayout, "bundleDir">;
  readonly linux: Pick<Linux, "connectSeqPacket" | "duplicate">;
  readonly log: Logger;
}

export class Attachments {
  readonly #init: AttachmentsInit;
  /** One per container that somebody is attached to, or waits for. */
  readonly #hubs = new Map<string, AttachHub>();
  /** Of runs that have ended: clients still read their last output. */
  readonly #leaving = new Set<AttachHub>();
  readonly #stopListening: () => void;

  constructor(init: AttachmentsInit) {
    this.#init = init;
    this.#stopListening = init.containers.onEvent(({ kind, container }) => {
      if (kind === "die") this.#letGo(container.id);
      if (kind === "destroy") this.#hubs.get(container.id)?.end(); // it waited for a start
      if (kind === "start") this.connectWaiting(container.id); // whoever came while it was being started
    });
  }

  /** To be called between the runtime's create and start. */
  connectWaiting(id: string): void {
    const hub = this.#hubs.get(id);
    if (hub !== undefined && !hub.connected) this.#connect(id, hub);
  }

  /** @throws {FailedPreconditionError} paused or restarting. */
  async attach(containerId: string, options: AttachOptions): Promise<AttachedStream> {
    const record = this.#init.containers.get(containerId);
    this.admit(record);
    const hub = this.#hubOf(record);
    const client = hub.join(options);
    options.signal?.addEventListener("abort", () => client.close(), { once: true });
    if (record.state === "running" && !hub.connected) this.#connect(record.id, hub);
    this.#init.containers.emit(record.id, "attach");
    return client;
  }

  /** @throws {FailedPreconditionError} nobody may attach to it now. */
  admit({ id, state }: ContainerRecord): void {
    if (state === "paused")
      throw new FailedPreconditionError(`Container ${id} is paused, unpause the container before attach`);
    if (state === "restarting")
      throw new FailedPreconditionError(`Container ${id} is restarting, wait until the container is running`);
  }

  async resize(containerId: string, size: { rows: number; columns: number }): Promise<void> {
    const record = this.#init.containers.get(containerId);
    if (record.state !== "running" && record.state !== "paused")
      throw new FailedPreconditionError(`Container ${record.id} is not running`);
    if (!record.specification.tty) return;
    await resizeTerminal(this.#init.layout.bundleDir(record.id), size);
    const attributes = { height: String(size.rows), width: String(size.columns) };
    this.#init.containers.emit(record.id, "resize", attributes);
  }

  close(): void {
    this.#stopListening();
    for (const hub of [...this.#hubs.values(), ...this.#leaving]) hub.end();
  }

  /** A hub gives out what its run wrote, however slowly it is read; the next run has one of its own. */
  #letGo(id: string): void {
    const hub = this.#hubs.get(id);
    if (hub?.connected !== true) return;
    this.#leaving.add(hub);
    this.#hubs.delete(id);
  }

  #hubOf(record: ContainerRecord): AttachHub {
    const { id, state, specification } = record;
    const known = this.#hubs.get(id);
    // One that is connected though nothing runs is still giving out the end of the run before.
    if (known !== undefined && (state === "running" || !known.connected)) return known;
    const hub: AttachHub = new AttachHub({
      openStdin: specification.openStdin,
      stdinOnce: specification.stdinOnce === true,
      tty: specification.tty,
      onOver: () => {
        this.#leaving.delete(hub);
        if (this.#hubs.get(id) === hub) this.#hubs.delete(id);
      },
    });
    this.#hubs.set(id, hub);
    return hub;
  }

  #connect(id: string, hub: AttachHub): void {
    try {
      hub.connect(connectPacketStreams(this.#init.linux, join(this.#init.layout.bundleDir(id), "attach")));
    } catch (error) {
      // ENOENT, ECONNREFUSED: it has just ended, and so does what is attached to it
      this.#init.log.debug("monitor could not be attached to", { container: id, error: messageOf(error) });
      hub.end();
    }
  }
}

/** @param folder where the monitor's fifos are. */
export async function resizeTerminal(folder: string, size: { rows: number; columns: number }): Promise<void> {
  // Non-blocking: a fifo that nobody reads (the monitor has ended) refuses instead of hanging a pool thread.
  const fifo = await open(join(folder, "ctl"), constants.O_WRONLY | constants.O_NONBLOCK);
  try {
    await fifo.write(`1 ${size.rows} ${size.columns}\n`);
  } finally {
    await fifo.close();
  }
}
