/**
 * A quarter of a megabyte by TCP through the probes' tunnel: does it come over, and unharmed? What a network
 * card does with segments and their checksums shows here, and not in small datagrams.
 * Edge: to node:net, with sockets made in the tunnel's namespace. Invariant: neither side takes more than
 * `TRANSFER_BYTES_MAX` or waits longer than `TRANSFER_TIMEOUT_MS`.
 */
import { createServer, type Server, Socket } from "node:net";
import { crc32 } from "node:zlib";
import type { Linux } from "../../base/linux/linux-ports.js";

const TRANSFER_BYTES = 256 * 1024;
const TRANSFER_BYTES_MAX = 1024 * 1024;
export const TRANSFER_TIMEOUT_MS = 3_000;
const TRANSFERS_MAX = 16;

/** Answers each transfer with the checksum of what came. */
export function serveTransfers(linux: Linux, at: { netnsPath: string; port: number }): Server {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    let sum = 0;
    let bytes = 0;
    socket.setTimeout(TRANSFER_TIMEOUT_MS, () => socket.destroy());
    socket.on("error", () => socket.destroy()); // the asker went away
    socket.on("data", (chunk) => {
      sum = crc32(chunk, sum);
      bytes += chunk.length;
      if (bytes > TRANSFER_BYTES_MAX) socket.destroy();
    });
    socket.on("end", () => {
      const answer = Buffer.alloc(4);
      answer.writeUInt32BE(sum);
      socket.end(answer);
    });
  });
  server.maxConnections = TRANSFERS_MAX;
  server.on("error", () => server.close()); // then transfers fail, and say so
  server.listen({ fd: linux.bindSocket({ ...at, kind: "tcp", address: "0.0.0.0" }) });
  server.unref();
  return server;
}

export function transfer(
  linux: Linux,
  to: { netnsPath: string; address: string; port: number },
): Promise<boolean> {
  const { netnsPath, address: host, port } = to;
  const local = { netnsPath, kind: "tcp", address: "0.0.0.0", port: 0 } as const;
  const fd = linux.bindSocket({ ...local, traits: ["unlistened"] });
  const options = { fd, allowHalfOpen: true, readable: true, writable: true, manualStart: true };
  const socket = new Socket(options).connect({ host, port });
  socket.unref();
  const payload = Buffer.alloc(TRANSFER_BYTES);
  for (let at = 0; at < payload.length; at += 4) payload.writeUInt32LE(Math.imul(at, 0x9e37_79b1) >>> 0, at);
  return new Promise((resolve) => {
    let answer = Buffer.alloc(0);
    // the whole of it, not a pause
    const timer = setTimeout(() => socket.destroy(), TRANSFER_TIMEOUT_MS);
    timer.unref();
    socket.on("error", () => socket.destroy()); // no way, or reset: the transfer failed
    socket.on("data", (chunk) => {
      answer = Buffer.concat([answer, chunk]).subarray(0, 4);
    });
    socket.on("close", () => {
      clearTimeout(timer);
      resolve(answer.length === 4 && answer.readUInt32BE(0) === crc32(payload));
    });
    socket.end(payload);
  });
}
