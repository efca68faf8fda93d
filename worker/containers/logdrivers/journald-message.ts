/**
 * Lines as entries of systemd's journal. Pure.
 * Source: systemd, "Native Journal Protocol": NAME=value and a newline; a value with newlines as name,
 * newline, length in 8 bytes, value.
 */
import type { LogEncoder, LogOrigin } from "./log-message.js";

export function journaldEncoder(origin: LogOrigin): LogEncoder {
  const fixed = {
    CONTAINER_ID: origin.id.slice(0, 12),
    CONTAINER_ID_FULL: origin.id,
    CONTAINER_NAME: origin.name,
    CONTAINER_TAG: origin.tag,
    IMAGE_NAME: origin.imageName,
    SYSLOG_IDENTIFIER: origin.tag,
    ...Object.fromEntries(Object.entries(origin.attributes).map(([key, value]) => [fieldName(key), value])),
  };
  const common = Buffer.concat(
    Object.entries(fixed)
      .filter(([name]) => name !== "")
      .map(([name, value]) => field(name, Buffer.from(value))),
  );
  return ({ stream, timestamp, text }) => [
    Buffer.concat([
      field("MESSAGE", text),
      field("PRIORITY", Buffer.from(stream === "stderr" ? "3" : "6")),
      field("SYSLOG_TIMESTAMP", Buffer.from(timestamp)),
      common,
    ]),
  ];
}

/** Capital letters, digits and underscores, not beginning with an underscore or a digit. */
function fieldName(key: string): string {
  return key
    .toUpperCase()
    .replace(/[^A-Z0-9]/g, "_")
    .replace(/^[_0-9]+/, "")
    .slice(0, 64);
}

function field(name: string, value: Buffer): Buffer {
  if (!value.includes(0x0a)) return Buffer.concat([Buffer.from(`${name}=`), value, Buffer.of(0x0a)]);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(value.length));
  return Buffer.concat([Buffer.from(`${name}\n`), length, value, Buffer.of(0x0a)]);
}
