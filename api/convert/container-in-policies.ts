/**
 * Restart policy, log driver and health check of a container, from Docker's fields. Pure.
 * Refused is what dockerd refuses, in its words. Source: Docker Engine API 1.51.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import type { ContainerSpecification, HealthCheck, RestartPolicy } from "../../proto/engine/containers.js";
import { parseSize } from "./byte-size.js";
import type { Fields } from "./fields.js";

const ANY = { min: Number.MIN_SAFE_INTEGER };
const POLICIES = ["no", "always", "on-failure", "unless-stopped"] as const;

/** @returns undefined when nothing was said. */
export function restartPolicyIn(fields: Fields | undefined): RestartPolicy | undefined {
  if (fields === undefined) return undefined;
  const text = fields.string("Name");
  const maximumRetryCount = fields.integer("MaximumRetryCount", ANY);
  if (text === "") return undefined;
  const name = POLICIES.find((each) => each === text);
  if (name === undefined)
    throw new InvalidArgumentError(
      `invalid restart policy: unknown policy '${text}'; ` +
        `use one of '${POLICIES.slice(0, 3).join("', '")}', or '${POLICIES[3]}'`,
    );
  const negative = maximumRetryCount < 0;
  if (name !== "on-failure" && maximumRetryCount !== 0)
    throw new InvalidArgumentError(
      "invalid restart policy: maximum retry count can only be used with 'on-failure'" +
        (negative ? " and cannot be negative" : ""),
    );
  if (negative)
    throw new InvalidArgumentError("invalid restart policy: maximum retry count cannot be negative");
  return { name, maximumRetryCount };
}

const DRIVERS = ["json-file", "local", "none", "journald", "syslog", "fluentd", "gelf"];
const COMMON_OPTIONS = ["mode", "max-buffer-size"];
const NAMING_OPTIONS = ["labels", "labels-regex", "env", "env-regex", "tag"];
/** Options the two drivers that write files know; the others check their own. */
const FILE_OPTIONS: Readonly<Record<string, readonly string[]>> = {
  "json-file": ["max-file", "max-size", "compress", ...NAMING_OPTIONS],
  local: ["max-file", "max-size", "compress"],
};

export interface DefaultLog {
  /** The daemon's own driver. */
  readonly driver: string;
  readonly options: Readonly<Record<string, string>>;
}

export function logIn(fields: Fields | undefined, byDefault: DefaultLog): ContainerSpecification["log"] {
  const asked = fields?.string("Type") ?? "";
  const given = fields?.stringMap("Config") ?? {};
  const driver = asked || byDefault.driver;
  if (!DRIVERS.includes(driver))
    throw new InvalidArgumentError(
      `error looking up logging plugin ${driver}: plugin ${JSON.stringify(driver)} not found`,
    );
  // the daemon's options go with the daemon's driver
  const options = driver === byDefault.driver ? { ...byDefault.options, ...given } : given;
  const known = FILE_OPTIONS[driver];
  for (const [key, value] of Object.entries(options)) {
    if (known !== undefined && ![...COMMON_OPTIONS, ...known].includes(key))
      throw new InvalidArgumentError(
        `unknown log opt '${key}' for ${driver === "local" ? "log driver local" : `${driver} log driver`}`,
      );
    if (key === "mode" && value !== "blocking" && value !== "non-blocking" && value !== "")
      throw new InvalidArgumentError(`logger: logging mode not supported: ${value}`);
  }
  return { driver, ...bounds(driver, options), options };
}

function bounds(
  driver: string,
  options: Readonly<Record<string, string>>,
): { maxSizeBytes: number; maxFiles: number } {
  const local = driver === "local";
  const size = options["max-size"];
  const files = options["max-file"];
  // "-1" and unset are without end for json-file; local has bounds of its own
  const maxSizeBytes =
    size === undefined || size === "-1"
      ? local && size === undefined
        ? 20 * 1024 * 1024
        : 0
      : parseSize(size);
  if (maxSizeBytes === undefined)
    throw new InvalidArgumentError(`failed to initialize logging driver: invalid size: '${size}'`);
  const maxFiles = files === undefined ? (local ? 5 : 1) : Number(files);
  if (!Number.isSafeInteger(maxFiles)) throw new InvalidArgumentError(`invalid max-file: '${files}'`);
  if (maxFiles < 1) throw new InvalidArgumentError("max-file cannot be less than 1");
  return { maxSizeBytes, maxFiles };
}

/** @returns undefined when nothing was said. */
export function healthcheckIn(fields: Fields | undefined): HealthCheck | undefined {
  if (fields === undefined) return undefined;
  const duration = (key: string): number => {
    const ms = fields.optionalDurationMs(key) ?? 0;
    if (ms !== 0 && ms < 1) throw new InvalidArgumentError(`${key} in Healthcheck cannot be less than 1ms`);
    return ms;
  };
  const retries = fields.integer("Retries", ANY);
  if (retries < 0) throw new InvalidArgumentError("Retries in Healthcheck cannot be negative");
  return {
    test: fields.strings("Test"),
    intervalMs: duration("Interval"),
    timeoutMs: duration("Timeout"),
    startPeriodMs: duration("StartPeriod"),
    startIntervalMs: duration("StartInterval"),
    retries,
  };
}
