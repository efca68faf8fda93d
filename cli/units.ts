/**
 * Values of flags: durations, bytes, CPUs, key=value. Pure.
 * @throws {InvalidArgumentError} naming the flag, the rule and what was given.
 */
import { InvalidArgumentError } from "../base/errors/errors.js";

const DURATION_NS: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};
const BYTES: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  k: 1024,
  m: 1024 ** 2,
  g: 1024 ** 3,
  t: 1024 ** 4,
};

/** "1m30s" as nanoseconds. */
export function parseDuration(text: string, flag: string): number {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)];
  const covered = parts.map((part) => part[0]).join("") === text && parts.length > 0;
  if (!covered && text !== "0")
    throw new InvalidArgumentError(
      `${flag} must be a duration such as 500ms, 10s or 1m30s, got ${JSON.stringify(text)}`,
    );
  return Math.round(
    parts.reduce((sum, [, amount, unit]) => sum + Number(amount) * (DURATION_NS[unit ?? ""] ?? 0), 0),
  );
}

/** "64m" as bytes. */
export function parseBytes(text: string, flag: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([bkmgt]?)i?b?$/i.exec(text);
  const factor = BYTES[(match?.[2] ?? "").toLowerCase()];
  if (match === null || factor === undefined)
    throw new InvalidArgumentError(`${flag} must be a size such as 64m or 1g, got ${JSON.stringify(text)}`);
  return Math.round(Number(match[1]) * factor);
}

/** "0.5" as 1e9ths of a CPU. */
export function parseCpus(text: string, flag: string): number {
  if (!/^\d*\.?\d+$/.test(text))
    throw new InvalidArgumentError(
      `${flag} must be a number of CPUs such as 0.5, got ${JSON.stringify(text)}`,
    );
  return Math.round(Number(text) * 1e9);
}

export function parseInteger(text: string, flag: string, min = 0): number {
  const value = Number(text);
  if (!/^-?\d+$/.test(text) || value < min)
    throw new InvalidArgumentError(
      `${flag} must be an integer of at least ${min}, got ${JSON.stringify(text)}`,
    );
  return value;
}

/** ["a=b", "c"] as {a: "b", c: ""}. */
export function keyValues(items: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    items.map((item) => {
      const at = item.indexOf("=");
      return at < 0 ? [item, ""] : [item.slice(0, at), item.slice(at + 1)];
    }),
  );
}

/**
 * "type=bind,source=/a,readonly" as ordered pairs; keys in lower case.
 * Commas inside double quotes belong to the value.
 */
export function csvPairs(text: string, flag: string): Map<string, string> {
  const parts = text.match(/(?:"[^"]*"|[^,])+/g) ?? [];
  const pairs = new Map<string, string>();
  for (const part of parts) {
    const plain = part.replaceAll('"', "");
    const at = plain.indexOf("=");
    const key = (at < 0 ? plain : plain.slice(0, at)).trim().toLowerCase();
    if (key === "")
      throw new InvalidArgumentError(
        `${flag} must be a list of key=value pairs, got ${JSON.stringify(text)}`,
      );
    pairs.set(key, at < 0 ? "true" : plain.slice(at + 1));
  }
  return pairs;
}
