/**
 * "10m", "1.5GiB", "1000" as bytes, the way Docker reads sizes: powers of 1024. Pure.
 */

const UNITS = "kmgtp";

/** @returns undefined when it is no size. */
export function parseSize(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?) ?([kmgtp]?)(?:i?b)?$/i.exec(text);
  if (match === null) return undefined;
  const power = UNITS.indexOf((match[2] ?? "").toLowerCase() || "-") + 1;
  const bytes = Math.floor(Number(match[1]) * 1024 ** power);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}
