/**
 * A connected SOCK_SEQPACKET socket as two streams. Edge: to Node's own pipe handle, which reads and writes
 * any local socket, though node:net opens those of stream type only.
 * Invariants: each packet arrives as one "data" event; a write that fails ends the writer alone, so that what
 * the other side sent before it left is still read. Each write must be waited for: those that pile up leave
 * as one packet.
 */
import { Socket, type SocketConstructorOpts } from "node:net";
import type { Linux } from "./linux-ports.js";

export interface PacketStreams {
  readonly reader: Socket;
  /** Its end is the end of our side; the reader goes on. */
  readonly writer: Socket;
}

/** @throws {InternalError} with the errno's name; {NotImplementedError} without system calls. */
export function connectPacketStreams(
  linux: Pick<Linux, "connectSeqPacket" | "duplicate">,
  path: string,
): PacketStreams {
  const fd = linux.connectSeqPacket(path);
  const copy = linux.duplicate(fd);
  return { reader: socketOf(fd, { writable: false }), writer: socketOf(copy, { readable: false }) };
}

interface PipeHandle {
  open(fd: number): number | undefined;
}
interface PipeBinding {
  readonly Pipe: new (kind: number) => PipeHandle;
  readonly constants: { readonly SOCKET: number };
}

function socketOf(fd: number, options: SocketConstructorOpts): Socket {
  // typed nowhere; the same handle that every local stream socket of node:net has
  const { binding } = process as unknown as { binding(name: "pipe_wrap"): PipeBinding };
  const { Pipe, constants } = binding("pipe_wrap");
  const handle = new Pipe(constants.SOCKET);
  handle.open(fd);
  const all = { readable: true, writable: true, ...options, handle, allowHalfOpen: true };
  return new Socket(all as SocketConstructorOpts); // `handle` is an option that the types leave out
}
