/**
 * Joins a client's connection with what it is attached to: output framed as the client expects it, input
 * watched for the keys that let go. Pure: the connection and the streams are handed in.
 * Invariant: the connection is ended only after all output was written.
 */
import type { AttachedStream, StreamChunk } from "../proto/engine/streams.js";
import { DetachWatch } from "./detach-keys.js";

export interface ClientConnection {
  readonly input: AsyncIterable<Uint8Array>;
  write(data: Uint8Array): Promise<boolean>;
  end(): void;
  readonly gone: AbortSignal;
}

export interface JoinOptions {
  /** Each piece is preceded by its stream and length. */
  readonly multiplexed: boolean;
  /** Input is read and passed on. */
  readonly stdin: boolean;
  /** undefined: the client cannot let go. */
  readonly detachKeys: Uint8Array | undefined;
  readonly onDetach: () => void;
}

/** Resolves when the connection has been told to end. @throws what the output throws; then, too, it is ended. */
export async function joinClient(
  connection: ClientConnection,
  stream: AttachedStream,
  options: JoinOptions,
): Promise<void> {
  const leave = (): void => stream.close();
  connection.gone.addEventListener("abort", leave, { once: true });
  if (connection.gone.aborted) leave();
  // It ends with the client's side, which may stay open for longer than the output, so it is not awaited.
  // What fails there (a container that is removed in the moment of a detach) ends the attachment.
  pumpInput(connection, stream, options).catch(leave);
  try {
    for await (const chunk of stream.output) {
      if (!(await connection.write(options.multiplexed ? multiplexed(chunk) : chunk.data))) break;
    }
  } finally {
    stream.close();
    connection.end(); // where HTTP was left, an end is all that can be told
  }
}

async function pumpInput(
  connection: ClientConnection,
  stream: AttachedStream,
  options: JoinOptions,
): Promise<void> {
  const { detachKeys, stdin } = options;
  const watch = detachKeys === undefined ? undefined : new DetachWatch(detachKeys);
  let taken = stdin;
  for await (const chunk of connection.input) {
    if (!taken) continue; // read on, so that the client's end is seen
    const { data, detached } = watch?.push(chunk) ?? { data: chunk, detached: false };
    if (data.length > 0) taken = await stream.write(data);
    if (detached) {
      options.onDetach();
      stream.close();
      return;
    }
  }
  if (!stdin) return;
  const held = watch?.flush();
  if (held !== undefined && held.length > 0) await stream.write(held);
  stream.endInput();
}

/** Stream, three zeros, length, data. */
export function multiplexed(chunk: StreamChunk): Uint8Array {
  const { data, stream } = chunk;
  const framed = Buffer.allocUnsafe(8 + data.length);
  framed.writeUInt32BE(stream << 24, 0);
  framed.writeUInt32BE(data.length, 4);
  framed.set(data, 8);
  return framed;
}
