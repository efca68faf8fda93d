/**
 * Where a log driver sends to. Pure.
 * Source: the address options of Docker's syslog, gelf and fluentd drivers.
 */
import { InvalidArgumentError } from "../../../base/errors/errors.js";

export type SinkAddress =
  | { readonly transport: "udp" | "tcp" | "tls"; readonly host: string; readonly port: number }
  | { readonly transport: "unix" | "unixgram"; readonly path: string };

const LOCAL_SYSLOG = "/dev/log";
const DEFAULT_PORTS = { syslog: 514, fluentd: 24_224 };
const TRANSPORTS: Readonly<Record<"syslog" | "gelf" | "fluentd", Readonly<Record<string, string>>>> = {
  syslog: { udp: "udp", tcp: "tcp", "tcp+tls": "tls", unix: "unix", unixgram: "unixgram" },
  gelf: { udp: "udp", tcp: "tcp" },
  fluentd: { tcp: "tcp", tls: "tls", unix: "unix" },
};

/** @throws {InvalidArgumentError} in the words clients know. */
export function parseSinkAddress(
  driver: "syslog" | "gelf" | "fluentd",
  text: string | undefined,
): SinkAddress {
  if (text === undefined || text === "") {
    return driver === "syslog"
      ? { transport: "unixgram", path: LOCAL_SYSLOG }
      : { transport: "tcp", host: "127.0.0.1", port: DEFAULT_PORTS.fluentd };
  }
  const full = driver === "fluentd" && !text.includes("://") ? `tcp://${text}` : text;
  const match = /^([a-z+]+):\/\/(.*)$/.exec(full);
  const transport = TRANSPORTS[driver][match?.[1] ?? ""];
  const rest = match?.[2] ?? "";
  if (match === null || transport === undefined) throw wrong(driver, text);
  if (transport === "unix" || transport === "unixgram") {
    if (!rest.startsWith("/")) throw wrong(driver, text);
    return { transport, path: rest };
  }
  const parts = /^(?:\[([0-9a-fA-F:.]+)\]|([^:/\s]+))(?::(\d{1,5}))?$/.exec(rest);
  const host = parts?.[1] ?? parts?.[2] ?? "";
  const port = Number(parts?.[3] ?? (driver === "gelf" ? 0 : DEFAULT_PORTS[driver]));
  if (host === "" || port < 1 || port > 65_535) throw wrong(driver, text);
  return { transport: transport as "udp" | "tcp" | "tls", host, port }; // the table's other words
}

function wrong(driver: string, text: string): InvalidArgumentError {
  if (driver === "gelf")
    return new InvalidArgumentError("gelf: please provide gelf-address as proto://host:port");
  if (driver === "syslog")
    return new InvalidArgumentError(`syslog-address should be in form proto://address, got ${text}`);
  return new InvalidArgumentError(
    `invalid fluentd-address ${text}: it must be [tcp://|tls://]host[:port] or unix:///path`,
  );
}
