/**
 * The query of a log request. Pure.
 * Times are seconds since 1970 with up to nine digits after the point, or RFC 3339.
 * Source: Docker Engine API, ContainerLogs.
 */
import { InvalidArgumentError } from "../base/errors/errors.js";

const SECONDS = /^(-?)(\d{1,12})(?:\.(\d{0,9})\d*)?$/;
const RFC_3339 = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?(Z|[+-]\d\d:\d\d)$/;

/** @returns nanoseconds; 0 for "" and "0". @throws {InvalidArgumentError} in the words clients know. */
export function logTimeNs(text: string): bigint {
  if (text === "") return 0n;
  const seconds = SECONDS.exec(text);
  if (seconds !== null) {
    const ns = BigInt(seconds[2] ?? "0") * 1_000_000_000n + BigInt((seconds[3] ?? "").padEnd(9, "0"));
    return seconds[1] === "-" ? 0n : ns;
  }
  const date = RFC_3339.exec(text);
  const ms = date === null ? Number.NaN : Date.parse(`${date[1]}${date[3]}`);
  if (Number.isNaN(ms)) {
    throw new InvalidArgumentError(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`);
  }
  return BigInt(ms) * 1_000_000n + BigInt((date?.[2] ?? "").padEnd(9, "0"));
}

/** Lines from the end; whatever is no number means all, as in Docker. */
export function logTail(text: string): number {
  return /^\d{1,15}$/.test(text) ? Number(text) : -1;
}
