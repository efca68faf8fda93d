/**
 * Lines as events of Fluentd's forward protocol: [tag, time, record] in MessagePack. Pure.
 * Source: Fluentd Forward Protocol v1 (message mode, EventTime); MessagePack: the few types this needs.
 */
import { nanosecondsOf } from "../streams/log-time.js";
import type { LogEncoder, LogOrigin } from "./log-message.js";

export function fluentdEncoder(origin: LogOrigin, style: { readonly subSecond: boolean }): LogEncoder {
  const fixed: [string, Buffer][] = [
    ["container_id", Buffer.from(origin.id)],
    ["container_name", Buffer.from(`/${origin.name}`)],
    ...Object.entries(origin.attributes).map(([key, value]): [string, Buffer] => [key, Buffer.from(value)]),
  ];
  const tag = packedText(Buffer.from(origin.tag));
  return ({ stream, timestamp, text }) => {
    const ns = nanosecondsOf(timestamp) ?? 0n;
    const fields: [string, Buffer][] = [...fixed, ["source", Buffer.from(stream)], ["log", text]];
    return [
      Buffer.concat([
        Buffer.of(0x93),
        tag,
        style.subSecond ? eventTime(ns) : seconds(ns),
        packedMapHead(fields.length),
        ...fields.flatMap(([key, value]) => [packedText(Buffer.from(key)), packedText(value)]),
      ]),
    ];
  };
}

function seconds(ns: bigint): Buffer {
  const bytes = Buffer.alloc(5, 0xce);
  bytes.writeUInt32BE(Number(ns / 1_000_000_000n), 1);
  return bytes;
}

function eventTime(ns: bigint): Buffer {
  const bytes = Buffer.alloc(10);
  bytes.writeUInt16BE(0xd700, 0);
  bytes.writeUInt32BE(Number(ns / 1_000_000_000n), 2);
  bytes.writeUInt32BE(Number(ns % 1_000_000_000n), 6);
  return bytes;
}

function packedMapHead(count: number): Buffer {
  if (count < 16) return Buffer.of(0x80 | count);
  return Buffer.of(0xde, count >> 8, count & 255);
}

function packedText(text: Buffer): Buffer {
  const { length } = text;
  if (length < 32) return Buffer.concat([Buffer.of(0xa0 | length), text]);
  if (length < 256) return Buffer.concat([Buffer.of(0xd9, length), text]);
  if (length < 65_536) return Buffer.concat([Buffer.of(0xda, length >> 8, length & 255), text]);
  const head = Buffer.alloc(5, 0xdb);
  head.writeUInt32BE(length, 1);
  return Buffer.concat([head, text]);
}
