/**
 * Which log drivers there are, and which options each knows. Pure.
 * Invariant: what passes here can be honoured; what cannot is refused by name, at create.
 * Source: Docker's "Configure logging drivers" and the page of each driver.
 */
import { InvalidArgumentError, NotFoundError } from "../../../base/errors/errors.js";
import { parseTag } from "./log-tag.js";
import { parseSinkAddress } from "./sink-address.js";
import { SYSLOG_FACILITIES, SYSLOG_FORMATS } from "./syslog-message.js";

const COMMON = ["mode", "max-buffer-size"];
const DETAILS = ["labels", "labels-regex", "env", "env-regex", "tag"];
const CACHE = ["cache-disabled", "cache-max-size", "cache-max-file", "cache-compress"];

const OPTIONS: Readonly<Record<string, readonly string[]>> = {
  "json-file": ["max-size", "max-file", "compress", ...DETAILS],
  local: ["max-size", "max-file", "compress"],
  none: [],
  journald: DETAILS,
  syslog: [
    ...DETAILS,
    ...["syslog-address", "syslog-facility", "syslog-format", "syslog-tls-ca-cert", "syslog-tls-cert"],
    ...["syslog-tls-key", "syslog-tls-skip-verify"],
  ],
  gelf: [
    ...DETAILS,
    ...["gelf-address", "gelf-compression-type", "gelf-compression-level"],
    ...["gelf-tcp-max-reconnect", "gelf-tcp-reconnect-delay"],
  ],
  fluentd: [
    ...DETAILS,
    ...["fluentd-address", "fluentd-async", "fluentd-async-connect", "fluentd-async-reconnect-interval"],
    ...["fluentd-buffer-limit", "fluentd-max-retries", "fluentd-retry-wait", "fluentd-request-ack"],
    ...["fluentd-sub-second-precision"],
  ],
};

/** Taken, because people have them in their files, and said to do nothing. */
const WITHOUT_EFFECT: Readonly<Record<string, string>> = {
  compress: "rotated logs are kept as they are",
  mode: "a container never waits for its log driver",
  "max-buffer-size": "a container never waits for its log driver",
  "cache-disabled": "the log file is always kept",
  "cache-max-size": "the log file is bounded by its own defaults",
  "cache-max-file": "the log file is bounded by its own defaults",
  "cache-compress": "rotated logs are kept as they are",
  "gelf-tcp-max-reconnect": "a receiver that is away is tried again as long as the container runs",
  "gelf-tcp-reconnect-delay": "a receiver that is away is tried again with growing pauses",
  "fluentd-async": "a receiver that is away never blocks a start",
  "fluentd-async-connect": "a receiver that is away never blocks a start",
  "fluentd-async-reconnect-interval": "a receiver that is away is tried again with growing pauses",
  "fluentd-buffer-limit": "the log file is the buffer",
  "fluentd-max-retries": "a receiver that is away is tried again as long as the container runs",
  "fluentd-retry-wait": "a receiver that is away is tried again with growing pauses",
};

/** One sentence for each option that changes nothing here. */
export function logOptionWarnings(options: Readonly<Record<string, string>>): readonly string[] {
  return Object.keys(options).flatMap((key) => {
    const reason = WITHOUT_EFFECT[key];
    return reason === undefined || options[key] === "false"
      ? []
      : [`log option ${key} has no effect: ${reason}`];
  });
}

/** Drivers that send what the log file holds somewhere else. */
export const FORWARDING_DRIVERS: ReadonlySet<string> = new Set(["journald", "syslog", "gelf", "fluentd"]);

/**
 * @throws {NotFoundError} no such driver; {InvalidArgumentError} an option it does not know, or cannot be.
 */
export function admitLogOptions(driver: string, options: Readonly<Record<string, string>>): void {
  const name = driver === "" ? "json-file" : driver;
  const known = OPTIONS[name];
  if (known === undefined)
    throw new NotFoundError(
      `error looking up logging plugin ${name}: plugin ${JSON.stringify(name)} not found`,
    );
  if (name === "none" && Object.keys(options).length > 0)
    throw new InvalidArgumentError("invalid logging opts for driver none");
  for (const key of Object.keys(options)) {
    const cache = FORWARDING_DRIVERS.has(name) && CACHE.includes(key);
    if (!known.includes(key) && !COMMON.includes(key) && !cache)
      throw new InvalidArgumentError(
        `unknown log opt '${key}' for ${name === "local" ? "log driver local" : `${name} log driver`}`,
      );
  }
  admitMode(options);
  if (options["tag"] !== undefined) parseTag(options["tag"]);
  for (const key of ["labels-regex", "env-regex"]) checkPattern(options[key]);
  if (name === "json-file" || name === "local") admitFile(options);
  if (name === "syslog") admitSyslog(options);
  if (name === "gelf") admitGelf(options);
  if (name === "fluentd") admitFluentd(options);
}

function admitMode(options: Readonly<Record<string, string>>): void {
  const mode = options["mode"] ?? "";
  if (!["", "blocking", "non-blocking"].includes(mode))
    throw new InvalidArgumentError(`logger: logging mode not supported: ${mode}`);
  const size = options["max-buffer-size"];
  if (size === undefined) return;
  if (mode !== "non-blocking")
    throw new InvalidArgumentError(
      "logger: max-buffer-size option is only supported with 'mode=non-blocking'",
    );
  sizeOf(size);
}

function checkPattern(pattern: string | undefined): void {
  if (pattern === undefined) return;
  try {
    new RegExp(pattern);
  } catch (error) {
    throw new InvalidArgumentError(`error parsing regexp: ${JSON.stringify(pattern)}`, { cause: error });
  }
}

function sizeOf(text: string): number {
  const match = /^(\d{1,15})(?:\.\d+)?\s?([kmgtp]?)i?b?$/i.exec(text);
  const power = "kmgtp".indexOf((match?.[2] ?? "").toLowerCase()) + 1;
  if (match === null) throw new InvalidArgumentError(`invalid size: '${text}'`);
  return Number(match[1]) * 1024 ** (match[2] === "" ? 0 : power);
}

const TRUE = ["1", "t", "T", "TRUE", "true", "True"];
const FALSE = ["0", "f", "F", "FALSE", "false", "False"];

export function booleanOption(name: string, text: string | undefined): boolean {
  if (text === undefined || FALSE.includes(text)) return false;
  if (TRUE.includes(text)) return true;
  throw new InvalidArgumentError(
    `error reading ${name} log option: strconv.ParseBool: parsing ${JSON.stringify(text)}: invalid syntax`,
  );
}

function admitFile(options: Readonly<Record<string, string>>): void {
  const { "max-size": size, "max-file": files } = options;
  if (size !== undefined && size !== "-1") sizeOf(size);
  else if (size === "-1") throw new InvalidArgumentError("invalid size: '-1'");
  if (files !== undefined) {
    if (!/^[+-]?\d{1,9}$/.test(files)) {
      const words = `strconv.Atoi: parsing ${JSON.stringify(files)}: invalid syntax`;
      throw new InvalidArgumentError(words);
    }
    if (Number(files) < 1) throw new InvalidArgumentError("max-file cannot be less than 1");
  }
  const compress = booleanOption("compress", options["compress"]);
  if (compress && options["tag"] === undefined && (size === undefined || Number(files ?? 1) < 2)) {
    throw new InvalidArgumentError(
      "compress cannot be true when max-file is less than 2 or max-size is not set",
    );
  }
}

function admitSyslog(options: Readonly<Record<string, string>>): void {
  parseSinkAddress("syslog", options["syslog-address"]);
  const facility = options["syslog-facility"] ?? "daemon";
  const numbered = /^\d{1,2}$/.test(facility) && Number(facility) <= 23;
  if (!SYSLOG_FACILITIES.includes(facility) && !numbered)
    throw new InvalidArgumentError("invalid syslog facility");
  if (!SYSLOG_FORMATS.includes(options["syslog-format"] ?? ""))
    throw new InvalidArgumentError("Invalid syslog format");
}

function admitGelf(options: Readonly<Record<string, string>>): void {
  if (options["gelf-address"] === undefined)
    throw new InvalidArgumentError("gelf-address is a required parameter");
  const { transport } = parseSinkAddress("gelf", options["gelf-address"]);
  const type = options["gelf-compression-type"];
  const level = options["gelf-compression-level"];
  if (transport !== "udp" && (type !== undefined || level !== undefined))
    throw new InvalidArgumentError("compression is only supported on UDP");
  if (type !== undefined && !["gzip", "zlib", "none"].includes(type))
    throw new InvalidArgumentError(`unknown compression type ${JSON.stringify(type)}`);
  if (level !== undefined && !/^(-1|\d)$/.test(level))
    throw new InvalidArgumentError(`invalid gelf-compression-level ${JSON.stringify(level)}: -1 to 9`);
}

function admitFluentd(options: Readonly<Record<string, string>>): void {
  parseSinkAddress("fluentd", options["fluentd-address"]);
  for (const key of ["fluentd-async", "fluentd-async-connect", "fluentd-sub-second-precision"])
    booleanOption(key, options[key]);
  if (booleanOption("fluentd-request-ack", options["fluentd-request-ack"]))
    throw new InvalidArgumentError(
      "fluentd-request-ack=true is not supported: records are sent unacknowledged",
    );
}
