/**
 * A connected SOCK_SEQPACKET descriptor as a stream. Edge: to Node's own pipe handle, which reads and writes
 * any local socket, though node:net opens those of stream type only.
 * Invariants: each packet arrives as one "data" event; each packet leaves by one write that was waited for,
 * since writes that pile up are sent as one packet.
 */
import { Socket, type SocketConstructorOpts } from "node:net";

interface PipeHandle {
  open(fd: number): number | undefined;
}
interface PipeBinding {
  readonly Pipe: new (kind: number) => PipeHandle;
  readonly constants: { readonly SOCKET: number };
}

/** Takes the descriptor over: it is closed with the stream. The end of input leaves output open. */
export function openPacketStream(fd: number): Socket {
  // typed nowhere; the same handle that every local stream socket of node:net has
  const { binding } = process as unknown as { binding(name: "pipe_wrap"): PipeBinding };
  const { Pipe, constants } = binding("pipe_wrap");
  const handle = new Pipe(constants.SOCKET);
  handle.open(fd);
  const options = { handle, allowHalfOpen: true };
  return new Socket(options as SocketConstructorOpts); // `handle` is an option that the types leave out
}
