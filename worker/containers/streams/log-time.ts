/**
 * Times in logs: RFC 3339 with nanoseconds, in whatever zone the monitor runs. Pure.
 */
const RFC_3339 = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$/;

/** @returns nanoseconds since 1970; undefined for what is no time. */
export function nanosecondsOf(text: string): bigint | undefined {
  const match = RFC_3339.exec(text);
  if (match === null) return undefined;
  const ms = Date.parse(`${match[1]}${match[3]}`);
  if (Number.isNaN(ms)) return undefined;
  return BigInt(ms) * 1_000_000n + BigInt((match[2] ?? "").padEnd(9, "0"));
}

/** In UTC with nine digits, as clients read it; what is no time stays as it is. */
export function utcText(text: string): string {
  const match = RFC_3339.exec(text);
  if (match === null) return text;
  const ms = Date.parse(`${match[1]}${match[3]}`);
  if (Number.isNaN(ms)) return text;
  return `${new Date(ms).toISOString().slice(0, 19)}.${(match[2] ?? "").padEnd(9, "0")}Z`;
}
