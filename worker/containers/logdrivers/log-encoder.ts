/**
 * From a container's log options to its encoder and the address it sends to. Pure.
 */
import type { Random } from "../../../base/random/random.js";
import type { ContainerRecord } from "../../../proto/engine/containers.js";
import { fluentdEncoder } from "./fluentd-message.js";
import { gelfEncoder } from "./gelf-message.js";
import { journaldEncoder } from "./journald-message.js";
import { logAttributes } from "./log-attributes.js";
import type { LogEncoder, LogOrigin } from "./log-message.js";
import { booleanOption } from "./log-options.js";
import { parseTag } from "./log-tag.js";
import { parseSinkAddress, type SinkAddress } from "./sink-address.js";
import { syslogEncoder } from "./syslog-message.js";

export const JOURNAL_SOCKET = "/run/systemd/journal/socket";
const DEFAULT_TAG = "{{.ID}}";

export interface EncoderWorld {
  readonly hostname: string;
  readonly pid: number;
  readonly random: Random;
}

/** @returns undefined for a driver that sends nothing anywhere. */
export function encoderOf(
  record: ContainerRecord,
  world: EncoderWorld,
): { readonly encode: LogEncoder; readonly address: SinkAddress } | undefined {
  const { driver, options = {} } = record.specification.log;
  const origin = originOf(record, world.hostname);
  switch (driver) {
    case "syslog": {
      const address = parseSinkAddress("syslog", options["syslog-address"]);
      const facility = options["syslog-facility"] ?? "daemon";
      const format = options["syslog-format"] ?? "";
      const { transport } = address;
      return { address, encode: syslogEncoder(origin, { facility, format, transport, pid: world.pid }) };
    }
    case "gelf": {
      const address = parseSinkAddress("gelf", options["gelf-address"]);
      const compression = options["gelf-compression-type"] ?? "gzip";
      const level = Number(options["gelf-compression-level"] ?? 1);
      const newId = (): Uint8Array => world.random.bytes(8);
      return {
        address,
        encode: gelfEncoder(origin, { transport: address.transport, compression, level, newId }),
      };
    }
    case "fluentd": {
      const key = "fluentd-sub-second-precision";
      const subSecond = booleanOption(key, options[key]);
      return {
        address: parseSinkAddress("fluentd", options["fluentd-address"]),
        encode: fluentdEncoder(origin, { subSecond }),
      };
    }
    case "journald":
      return {
        address: { transport: "unixgram", path: JOURNAL_SOCKET },
        encode: journaldEncoder(origin),
      };
    default:
      return undefined;
  }
}

function originOf(record: ContainerRecord, hostname: string): LogOrigin {
  const { id, name, imageId, specification, createdMs } = record;
  const tag = specification.log.options?.["tag"] || DEFAULT_TAG;
  return {
    id,
    name,
    imageId,
    imageName: specification.image,
    command: [...specification.entrypoint, ...specification.args].join(" "),
    createdMs,
    hostname,
    tag: parseTag(tag)(record),
    attributes: logAttributes(record.specification),
  };
}
