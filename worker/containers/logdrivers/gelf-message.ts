/**
 * Lines as GELF messages. Pure.
 * Source: GELF 1.1: JSON; on UDP compressed and cut into at most 128 chunks, on TCP ended by a zero byte.
 */
import { deflateSync, gzipSync } from "node:zlib";
import { nanosecondsOf } from "../streams/log-time.js";
import type { LogEncoder, LogOrigin } from "./log-message.js";

const CHUNK_BYTES = 1_420 - 12;
const CHUNKS_MAX = 128;

export interface GelfStyle {
  readonly transport: string;
  /** gzip | zlib | none */
  readonly compression: string;
  /** -1 to 9 */
  readonly level: number;
  /** 8 bytes that name a message among those under way. */
  readonly newId: () => Uint8Array;
}

export function gelfEncoder(origin: LogOrigin, style: GelfStyle): LogEncoder {
  const extra = Object.fromEntries(
    Object.entries(origin.attributes).map(([key, value]) => [`_${key.replace(/[^\w.-]/g, "_")}`, value]),
  );
  const fixed = {
    version: "1.1",
    host: origin.hostname,
    _command: origin.command,
    _container_id: origin.id,
    _container_name: origin.name,
    _created: new Date(origin.createdMs).toISOString(),
    _image_id: origin.imageId,
    _image_name: origin.imageName,
    _tag: origin.tag,
    ...extra,
  };
  return ({ stream, timestamp, text }) => {
    if (text.length === 0) return []; // GELF knows no empty message
    const ns = nanosecondsOf(timestamp) ?? 0n;
    const json = Buffer.from(
      JSON.stringify({
        ...fixed,
        short_message: text.toString("utf8"),
        timestamp: Number(ns / 1_000_000n) / 1_000,
        level: stream === "stderr" ? 3 : 6,
      }),
    );
    if (style.transport !== "udp") return [Buffer.concat([json, Buffer.of(0)])];
    return chunksOf(packed(json, style), style.newId);
  };
}

function packed(json: Buffer, style: GelfStyle): Buffer {
  const options = { level: style.level };
  if (style.compression === "none") return json;
  return style.compression === "zlib" ? deflateSync(json, options) : gzipSync(json, options);
}

/** What needs more than 128 chunks is not sent: the format has no room for it. */
function chunksOf(bytes: Buffer, newId: () => Uint8Array): Uint8Array[] {
  if (bytes.length <= CHUNK_BYTES) return [bytes];
  const count = Math.ceil(bytes.length / CHUNK_BYTES);
  if (count > CHUNKS_MAX) return [];
  const id = newId();
  return Array.from({ length: count }, (_, index) =>
    Buffer.concat([
      Buffer.of(0x1e, 0x0f),
      id,
      Buffer.of(index, count),
      bytes.subarray(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES),
    ]),
  );
}
