/**
 * Docker's framing of log and attach streams: 8 bytes of header (stream, three zeros, length),
 * then the data. Pure.
 * Source: Docker Engine API, "Stream format" of POST /containers/{id}/attach.
 */

export const MULTIPLEXED = "application/vnd.docker.multiplexed-stream";
export const RAW = "application/vnd.docker.raw-stream";

export function frame(stream: string, prefix: string, data: Uint8Array): Uint8Array {
  const head = Buffer.from(prefix, "utf8");
  const out = Buffer.alloc(8 + head.length + data.length);
  out[0] = stream === "stderr" ? 2 : 1;
  out.writeUInt32BE(head.length + data.length, 4);
  head.copy(out, 8);
  out.set(data, 8 + head.length);
  return out;
}
