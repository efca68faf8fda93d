/**
 * A connected SOCK_SEQPACKET socket as two streams. Edge: to Node's own pipe handle, which reads and writes
 * any local socket, though node:net opens those of stream type only.
 * Invariants: each packet arrives as one "data" event; a write that fails ends the writer alone, so that what
 * the other side sent before it left is still read. Each write must be waited for: those that pile up leave
 * as one packet.
 * Node takes a read that does not fill its memory, together with the other side's leaving, for the end: true
 * of streams, but here packets may still wait. And a reset, which says that the other side left input unread,
 * comes before packets that wait. So after the reader's end `rest` must be asked for.
 */
import { closeSync, readSync } from "node:fs";
import { Socket, type SocketConstructorOpts } from "node:net";
import type { Linux } from "./linux-ports.js";

/** More than any packet of a monitor. */
const PACKET_BYTES_MAX = 64 * 1024;

export interface PacketStreams {
  readonly reader: Socket;
  /** Its end is the end of our side; the reader goes on. */
  readonly writer: Socket;
  /**
   * To be called at the reader's "end" or "close", whichever comes first; later calls give nothing.
   * @returns the packets it did not give out: as many as the kernel queues for a socket, some ten.
   */
  rest(): readonly Buffer[];
}

/** @throws {InternalError} with the errno's name; {NotImplementedError} without system calls. */
export function connectPacketStreams(
  linux: Pick<Linux, "connectSeqPacket" | "duplicate">,
  path: string,
): PacketStreams {
  const opened = [linux.connectSeqPacket(path)];
  try {
    const [fd = -1] = opened;
    opened.push(linux.duplicate(fd));
    opened.push(linux.duplicate(fd));
  } catch (error) {
    for (const fd of opened) closeSync(fd);
    throw error;
  }
  const [readFd = -1, writeFd = -1, restFd = -1] = opened;
  // A paused reader holds one packet at most: several would be handed out as one.
  const reader = socketOf(readFd, { writable: false, readableHighWaterMark: 1 });
  let asked = false;
  return {
    reader,
    writer: socketOf(writeFd, { readable: false }),
    rest() {
      if (asked) return [];
      asked = true;
      const held = reader.read() as Buffer | null; // no encoding was set
      return [...(held === null ? [] : [held]), ...restOf(restFd)];
    },
  };
}

/**
 * Whatever comes on a socket that Node has no class for, netlink for one: each "data" is one packet or more,
 * whole. It owns the descriptor, which must not block.
 */
export function packetReader(fd: number): Socket {
  return socketOf(fd, { writable: false });
}

/** Closes the descriptor. */
function restOf(fd: number): Buffer[] {
  const packets: Buffer[] = [];
  const memory = Buffer.allocUnsafe(PACKET_BYTES_MAX);
  let resets = 0;
  try {
    for (;;) {
      const length = readOnce(fd, memory);
      if (length === "reset" && resets++ === 0) continue; // told once, before what waits behind it
      if (typeof length === "string" || length === 0) return packets;
      packets.push(Buffer.from(memory.subarray(0, length)));
    }
  } finally {
    closeSync(fd);
  }
}

function readOnce(fd: number, memory: Buffer): number | "reset" | "nothing" {
  try {
    return readSync(fd, memory);
  } catch (error) {
    // EAGAIN: ended by us, the other side lives
    return error instanceof Error && "code" in error && error.code === "ECONNRESET" ? "reset" : "nothing";
  }
}

interface PipeHandle {
  open(fd: number): number | undefined;
}
interface PipeBinding {
  readonly Pipe: new (kind: number) => PipeHandle;
  readonly constants: { readonly SOCKET: number };
}

function socketOf(
  fd: number,
  options: SocketConstructorOpts & { readonly readableHighWaterMark?: number },
): Socket {
  // typed nowhere; the same handle that every local stream socket of node:net has
  const { binding } = process as unknown as { binding(name: "pipe_wrap"): PipeBinding };
  const { Pipe, constants } = binding("pipe_wrap");
  const handle = new Pipe(constants.SOCKET);
  handle.open(fd);
  const all = { readable: true, writable: true, ...options, handle, allowHalfOpen: true };
  return new Socket(all as SocketConstructorOpts); // `handle` is an option that the types leave out
}
